//! The runtime, started so that a limit of descriptors or threads is an error: tokio itself panics if it gets too few, and a task
//! that may block waits for ever if no thread ever becomes free for it.

use crate::error::{Error, ErrorKind, Result, open_files_hint};
use std::io;
use std::sync::Mutex;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Number of threads for tasks that may block which are started at once. At most two such tasks of a run wait for another one (the
/// planning of rows, and what is read meanwhile), so with these every task gets its turn.
const BLOCKING_THREADS: usize = 4;

/// Longer than any run: the threads above never end.
const KEEP_ALIVE: Duration = Duration::from_secs(1 << 32);

/// Pairs of descriptors that the runtime and its signal handlers need, and some more.
const DESCRIPTOR_PAIRS: usize = 5;

/// Starts the runtime.
///
/// # Errors
/// The system gives too few descriptors or threads.
pub(super) fn start() -> Result<Runtime> {
    let failed = |error: io::Error| {
        let hint = open_files_hint(&error);
        let error = Error::new(ErrorKind::Io, "cannot start the runtime").caused_by(error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    };
    (0..DESCRIPTOR_PAIRS).map(|_| io::pipe()).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    check_threads(workers + BLOCKING_THREADS).map_err(|error| Error::no_thread("start the runtime", error))?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_keep_alive(KEEP_ALIVE)
        .enable_all()
        .build()
        .map_err(failed)?;
    start_blocking_threads(&runtime);
    Ok(runtime)
}

/// Starts a number of threads that exist at the same time, and ends them.
fn check_threads(count: usize) -> io::Result<()> {
    let gate = Mutex::new(());
    let closed = gate.lock();
    std::thread::scope(|scope| {
        let wait = || drop(gate.lock());
        let started = (0..count).try_for_each(|_| std::thread::Builder::new().spawn_scoped(scope, wait).map(drop));
        drop(closed);
        started
    })
}

/// Starts the threads for tasks that may block, by tasks that wait for each other.
fn start_blocking_threads(runtime: &Runtime) {
    let gate = std::sync::Arc::new(Mutex::new(()));
    let closed = gate.lock();
    for _ in 0..BLOCKING_THREADS {
        let gate = gate.clone();
        runtime.spawn_blocking(move || drop(gate.lock()));
    }
    drop(closed);
}
