//! Runs a sub-command until it ends or a signal stops it.

use super::runtime;
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use crate::storage::{PublishState, Storage, StorageOptions};
use crate::warnings::Warnings;
use std::time::Duration;

/// The time that a stopped or failed run has to clean up.
const CLEAN_UP: Duration = Duration::from_millis(800);

/// Runs a sub-command on its own runtime.
///
/// # Errors
/// The sub-command's error, or that a signal stopped it.
pub(super) fn run<F: Future<Output = Result<()>>>(
    options: StorageOptions,
    progress: &Progress,
    command: impl FnOnce(Storage) -> F,
) -> Result<()> {
    let runtime = runtime::start()?;
    let storage = Storage::new(options, Warnings::new(progress.clone()));
    let mut is_stopped = false;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = command(storage.clone()) => outcome,
            (kind, name) = signal() => {
                is_stopped = true;
                // Dropping the run closes what it had open; this does what `drop` cannot do.
                let _ = tokio::time::timeout(CLEAN_UP, storage.clean_up()).await;
                let state = match storage.publish_state() {
                    PublishState::Untouched => "nothing was published",
                    PublishState::Replacing => "the mix was being replaced: run again",
                    PublishState::Complete => "the mix was already complete",
                };
                Err(Error::new(kind, format!("stopped by {name}; {state}")))
            }
        }
    });
    // After an error, writing threads need time to remove their staged files. After a signal, `clean_up` has done so, and
    // nothing waits for threads that still parse or count.
    runtime.shutdown_timeout(if is_stopped { Duration::ZERO } else { CLEAN_UP });
    outcome
}

/// Waits for a signal that ends the program.
async fn signal() -> (ErrorKind, &'static str) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => (ErrorKind::Terminated, "SIGTERM"),
        _ = interrupt.recv() => (ErrorKind::Interrupted, "SIGINT"),
    }
}
