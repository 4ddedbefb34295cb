//! Runs a sub-command until it ends, or a signal or a broken limit stops it.

use super::runtime;
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use crate::settings::RunSettings;
use crate::storage::{PublishState, Storage};
use crate::warnings::Warnings;
use crate::watchdog::Watchdog;
use std::time::Duration;

/// The time that a stopped or failed run has to clean up.
const CLEAN_UP: Duration = Duration::from_millis(800);

/// Runs a sub-command on its own runtime, under the watchdog's eyes. `fail` reports an error that ends the program.
///
/// # Errors
/// The sub-command's error, that a signal stopped it, or that it broke a limit.
pub(super) fn run<F: Future<Output = Result<()>>>(
    settings: &RunSettings,
    progress: &Progress,
    fail: fn(&Progress, &Error) -> u8,
    command: impl FnOnce(Storage) -> F,
) -> Result<()> {
    let runtime = runtime::start()?;
    let storage = Storage::new(settings.storage(), Warnings::new(progress.clone()));
    // If this thread itself is what breaks a limit, the watchdog's does what is done below.
    let (handle, store, log) = (runtime.handle().clone(), storage.clone(), progress.clone());
    let last_resort = move |error| _ = fail(&log, &handle.block_on(stopped(Stop::Breach(error), &store)));
    let mut watchdog = Watchdog::start(settings.limits(), last_resort)?;
    let mut is_stopped = false;
    let outcome = runtime.block_on(async {
        let stop = tokio::select! {
            outcome = command(storage.clone()) => return outcome,
            stop = signal() => stop,
            error = watchdog.breach() => Stop::Breach(error),
        };
        is_stopped = true;
        Err(stopped(stop, &storage).await)
    });
    // After an error, writing threads need time to remove their staged files. After a signal, `clean_up` has done so, and
    // nothing waits for threads that still parse or count.
    runtime.shutdown_timeout(if is_stopped { Duration::ZERO } else { CLEAN_UP });
    outcome
}

/// What stops a run.
enum Stop {
    /// A signal: its kind of error and its name.
    Signal(ErrorKind, &'static str),
    /// A broken limit.
    Breach(Error),
}

/// Cleans up after a stopped run: dropping it closes what it had open; this does what `drop` cannot do.
async fn stopped(stop: Stop, storage: &Storage) -> Error {
    let _ = tokio::time::timeout(CLEAN_UP, storage.clean_up()).await;
    let state = match storage.publish_state() {
        PublishState::Untouched => "nothing was published",
        PublishState::Replacing => "the mix was being replaced: run again",
        PublishState::Complete => "the mix was already complete",
    };
    match stop {
        Stop::Signal(kind, name) => Error::new(kind, format!("stopped by {name}; {state}")),
        Stop::Breach(error) => error.and(state),
    }
}

/// Waits for a signal that ends the program.
async fn signal() -> Stop {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => Stop::Signal(ErrorKind::Terminated, "SIGTERM"),
        _ = interrupt.recv() => Stop::Signal(ErrorKind::Interrupted, "SIGINT"),
    }
}
