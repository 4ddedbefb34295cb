//! Work on the thread pool, awaited by asynchronous code. All that computes runs there, so that `--threads` bounds it.

use crate::error::{Error, ErrorKind, Result};
use rayon::ThreadPool;
use tokio::sync::oneshot;

/// A job whose result is awaited. Dropping it cancels the job if it has not started.
pub(crate) struct Job<T>(oneshot::Receiver<T>);

/// Starts a job on a pool.
pub(crate) fn spawn<T: Send + 'static>(pool: &ThreadPool, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
    let (tx, rx) = oneshot::channel();
    pool.spawn_fifo(move || {
        if !tx.is_closed() {
            // `work` has dropped everything it owned when the result arrives.
            let _ = tx.send(work());
        }
    });
    Job(rx)
}

impl<T> Job<T> {
    /// The job's result.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the job panicked; `name` says what it did.
    pub(crate) async fn join(self, name: &str) -> Result<T> {
        self.0.await.map_err(|_| Error::new(ErrorKind::Bug, format!("{name} panicked")))
    }
}
