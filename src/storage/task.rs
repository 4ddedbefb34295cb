//! Background tasks that end with the work that waits for them.

use super::location::Location;
use crate::error::{Error, ErrorKind, Result};

/// A task that is aborted if its handle is dropped.
pub(crate) struct AbortOnDrop<T>(pub(crate) tokio::task::JoinHandle<T>);

impl<T> AbortOnDrop<Result<T>> {
    /// Waits for the task's result.
    pub(crate) async fn join(mut self) -> Result<T> {
        (&mut self.0).await.unwrap_or_else(|error| {
            let message = if error.is_panic() { "a storage task panicked" } else { "a storage task was aborted" };
            Err(Error::new(ErrorKind::Bug, message))
        })
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs file system work on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    location: &Location,
    work: impl FnOnce(&Location) -> Result<T> + Send + 'static,
) -> Result<T> {
    let location = location.clone();
    AbortOnDrop(tokio::task::spawn_blocking(move || work(&location))).join().await
}
