//! The state that all clones of a [`Storage`](super::Storage) share.

use super::connect::{self, Store};
use super::digest::Digest;
use super::environment::Environment;
use super::location::{Bucket, Location};
use super::options::StorageOptions;
use super::remote::Remote;
use super::retry::{Retry, RetryLog};
use crate::error::{Error, ErrorKind, Result};
use crate::hash_map::lock;
use crate::warnings::Warnings;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::{RwLock, Semaphore};

/// Memory limit of the upload parts in flight, all uploads together.
pub(crate) const UPLOAD_MEMORY_MIB: usize = 48;

/// Time that an aborted run grants its requests in flight, and the threads that write its local files to remove them.
const GRACE: Duration = Duration::from_millis(500);

/// The same time for a run that is replacing the mix: nearly all that a stopped run has.
const REPLACING_GRACE: Duration = Duration::from_millis(750);

/// The state that all clones of a storage share.
pub(crate) struct Shared {
    pub(crate) options: StorageOptions,
    pub(crate) environment: Environment,
    pub(crate) warnings: Warnings,
    retry_log: Arc<RetryLog>,
    /// A store that replaces all others in tests.
    injected: Option<Arc<dyn Store>>,
    stores: tokio::sync::Mutex<HashMap<Bucket, Arc<dyn Store>>>,
    /// Publications that are neither committed nor aborted.
    open_publications: Mutex<Vec<Arc<dyn CleanUp>>>,
    /// Held (shared) by every thread that writes a local file. Its exclusive holder knows that every staging file is
    /// either complete or removed.
    pub(crate) writers: Arc<RwLock<()>>,
    /// How far the publication of this process is.
    publish_state: AtomicU8,
    /// Set while a signal ends the run: a commit that has not begun to replace the mix does not begin any more, and nothing more is
    /// written for the engine.
    is_stopping: AtomicBool,
    /// One permit for each MiB of upload parts in flight.
    pub(crate) upload_memory: Arc<Semaphore>,
    /// Computes the digests of written files.
    pub(crate) pool: OnceLock<Arc<rayon::ThreadPool>>,
}

/// How far a publication is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublishState {
    /// What the output held is as it was.
    Untouched,
    /// The mix is being replaced: there is no complete one.
    Replacing,
    /// The new mix is complete and visible.
    Complete,
}

/// An open publication that can be cleaned up after its future is dropped.
pub(crate) trait CleanUp: Send + Sync {
    /// Removes what the publication has left in its store, as far as the store responds.
    fn clean_up(&self) -> BoxFuture<'_, ()>;
}

impl Shared {
    pub(crate) fn new(
        options: StorageOptions,
        environment: Environment,
        injected: Option<Arc<dyn Store>>,
        warnings: Warnings,
    ) -> Self {
        Self {
            options,
            retry_log: RetryLog::new(warnings.clone(), environment.clone()),
            environment,
            warnings,
            injected,
            stores: tokio::sync::Mutex::default(),
            open_publications: Mutex::default(),
            writers: Arc::default(),
            publish_state: AtomicU8::new(PublishState::Untouched as u8),
            is_stopping: AtomicBool::new(false),
            upload_memory: Arc::new(Semaphore::new(UPLOAD_MEMORY_MIB)),
            pool: OnceLock::new(),
        }
    }

    /// An empty digest.
    pub(super) fn digest(&self) -> Digest {
        Digest::new(self.pool.get().cloned())
    }

    /// The limits of attempts at a place: a bucket or a host.
    pub(crate) fn retry(&self, place: impl std::fmt::Display) -> Retry {
        let StorageOptions { max_retries, retry_timeout: timeout, retry_pause: pause, .. } = self.options;
        Retry { max_retries, timeout, pause, place: place.to_string().into(), log: Arc::clone(&self.retry_log) }
    }

    /// The store of a location, opened on first use; `None` for a local path.
    pub(crate) async fn remote(&self, location: &Location) -> Result<Option<Remote>> {
        let Some((bucket, _)) = location.object() else { return Ok(None) };
        let store = match &self.injected {
            Some(store) => Arc::clone(store),
            None => self.store(bucket).await?,
        };
        Ok(Some(Remote::new(store, self.retry(bucket), self.environment.clone())))
    }

    async fn store(&self, bucket: &Bucket) -> Result<Arc<dyn Store>> {
        let mut stores = self.stores.lock().await;
        if let Some(store) = stores.get(bucket) {
            return Ok(Arc::clone(store));
        }
        let opened = connect::open(bucket, &self.options, &self.environment).await?;
        opened.warnings.into_iter().for_each(|warning| self.warnings.warn(warning));
        stores.insert(bucket.clone(), Arc::clone(&opened.store));
        Ok(opened.store)
    }

    /// Registers an open publication for [`clean_up`](Self::clean_up).
    pub(crate) fn register(&self, publication: Arc<dyn CleanUp>) {
        lock(&self.open_publications).push(publication);
    }

    /// Removes a publication that is committed or aborted.
    pub(crate) fn unregister(&self, publication: &Arc<dyn CleanUp>) {
        lock(&self.open_publications).retain(|open| !Arc::ptr_eq(open, publication));
    }

    /// Cleans up all open publications and waits for the threads that write local files. A commit that has begun to replace the
    /// mix goes on meanwhile.
    pub(crate) async fn clean_up(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        let open = std::mem::take(&mut *lock(&self.open_publications));
        futures::future::join_all(open.iter().map(|publication| publication.clean_up())).await;
        // A thread that is still at work must not begin to replace the mix after the run has reported that it did not.
        if self.wait_for_writers().await {
            self.is_stopping.store(false, Ordering::Release);
        }
    }

    /// Time that a stopped run has for what it has begun.
    pub(crate) fn grace(&self) -> Duration {
        if self.publish_state() == PublishState::Replacing { REPLACING_GRACE } else { GRACE }
    }

    /// Whether a signal is ending the run.
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// Notes that the mix is about to be replaced.
    ///
    /// # Errors
    /// A signal is ending the run.
    pub(crate) fn begin_replacing(&self) -> Result<()> {
        // Set first: whoever stops the run after the check finds it.
        self.set_publish_state(PublishState::Replacing);
        if self.is_stopping() {
            self.set_publish_state(PublishState::Untouched);
            return Err(Error::new(ErrorKind::Interrupted, "stopped before anything was published"));
        }
        Ok(())
    }

    pub(crate) fn set_publish_state(&self, state: PublishState) {
        self.publish_state.store(state as u8, Ordering::SeqCst);
    }

    pub(crate) fn publish_state(&self) -> PublishState {
        match self.publish_state.load(Ordering::SeqCst) {
            state if state == PublishState::Complete as u8 => PublishState::Complete,
            state if state == PublishState::Replacing as u8 => PublishState::Replacing,
            _ => PublishState::Untouched,
        }
    }

    /// Waits until no thread writes a local file. Returns whether that is so: the wait is limited, as another publication may still
    /// be at work.
    pub(crate) async fn wait_for_writers(&self) -> bool {
        tokio::time::timeout(self.grace(), self.writers.write()).await.is_ok()
    }
}
