//! What every stage of a run needs besides its options.

use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use crate::storage::Storage;
use crate::warnings::Warnings;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The stack of a thread of the pool, in bytes: chat templates may call themselves. The system provides only what is used.
const STACK: usize = 8 << 20;

/// What every stage of a run needs besides its options. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    /// The stores.
    pub(crate) storage: Storage,
    /// Log lines and progress.
    pub(crate) progress: Progress,
    /// The run's warnings.
    pub(crate) warnings: Warnings,
    /// The threads that parse, count, encode, hash and compress.
    pub(crate) pool: Arc<rayon::ThreadPool>,
}

impl Context {
    /// A context whose pool has this number of threads.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub(crate) fn new(storage: Storage, progress: Progress, warnings: Warnings, threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .stack_size(STACK)
            .thread_name(|number| format!("mix-{number}"))
            // A panicking job drops its sender; the receiver reports it.
            .panic_handler(|_| ())
            .build()
            .map_err(|error| {
                Error::no_thread("start the worker threads", error)
                    .hint("pass a smaller --threads, or raise `ulimit -u`")
            })?;
        let pool = Arc::new(pool);
        storage.use_pool(&pool);
        Ok(Self { storage, progress, warnings, pool })
    }

    /// Runs a computation on a separate thread, whose parallel parts run on the pool: the caller keeps hearing signals.
    ///
    /// # Errors
    /// Those of the computation; [`ErrorKind::Bug`] if it panics.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let context = self.clone();
        let (tx, rx) = oneshot::channel();
        tokio::task::spawn_blocking(move || _ = tx.send(work(&context)));
        rx.await.map_err(|_| Error::new(ErrorKind::Bug, format!("{what} panicked")))?
    }
}
