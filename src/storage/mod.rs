//! Reading and writing, on this machine's disks and in object stores: list, read, publish.
//!
//! This room knows bytes and names, no rows. What it promises: a listing is complete and sorted; an object is read from
//! one version of it or not at all; what is published becomes visible whole or not at all ([`Publication`]); what can
//! heal is tried again; no message holds a secret.

mod connect;
mod environment;
mod fault;
pub mod hub;
mod local;
mod location;
mod publish;
mod remote;
mod retry;

pub use connect::{Store, install_tls_provider};
pub use environment::Environment;
pub use location::{ACCEPTED, Location};
pub use publish::{Publication, Sink, StagedFile};

use crate::error::Result;
use crate::warnings::Warnings;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use location::Bucket;
use remote::Remote;
use retry::Retry;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Large objects are read in ranges of so many bytes.
pub(crate) const RANGE: u64 = 4 << 20;
/// ... and from a disk, where a range fits a processor's cache.
const RANGE_LOCAL: u64 = 1 << 20;

/// So many ranges of one object are read ahead from a store, where a request takes its time, and from a disk.
pub(crate) const READ_AHEAD: usize = 6;
const READ_AHEAD_LOCAL: usize = 4;

/// So long a run that ends early waits for the threads that write its local files, which remove them.
const LAST_WRITES: Duration = Duration::from_millis(500);

/// Limits of retries and times.
#[derive(Debug, Clone)]
pub struct StorageOptions {
    /// How often a request that failed in a way that can heal is tried again (0: never).
    pub max_retries: usize,
    /// The pause before the first retry; each next one is twice as long, up to 128 times the first.
    pub retry_pause: Duration,
    /// How long one request may be tried in all.
    pub retry_timeout: Duration,
    /// How long one attempt may take, its body included.
    pub request_timeout: Duration,
    /// How long the claim on an output must stand still until its owner counts as dead.
    pub lease_timeout: Duration,
    /// Whether local files are flushed to the disk before they get their names. Without it a power failure right after a
    /// run may lose files that were published; a killed program never does.
    pub flush: bool,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            max_retries: 10,
            retry_pause: Duration::from_millis(100),
            retry_timeout: Duration::from_secs(180),
            request_timeout: Duration::from_secs(60),
            lease_timeout: Duration::from_secs(30),
            flush: true,
        }
    }
}

/// The stores of a run: opened when they are first needed, then kept. Cheap to clone.
#[derive(Clone)]
pub struct Storage(Arc<Shared>);

pub(crate) struct Shared {
    options: StorageOptions,
    environment: Environment,
    injected: Option<Arc<dyn Store>>,
    stores: tokio::sync::Mutex<HashMap<Bucket, Arc<dyn Store>>>,
    warnings: Warnings,
    /// Publications into object stores that have neither committed nor aborted.
    runs: Mutex<Vec<Arc<publish::RunState>>>,
    /// Held by every thread that writes a local file; whoever gets it alone knows that all staging files are gone or whole.
    writers: Arc<tokio::sync::RwLock<()>>,
    /// Whether a publication's manifest has become visible.
    published: Arc<AtomicBool>,
    /// Bounds the memory of all uploads together: one permit for each MiB in flight.
    uploads: Arc<tokio::sync::Semaphore>,
}

/// A file that a listing has found.
#[derive(Debug, Clone)]
pub struct ObjectInfo {
    /// Its path below the listed folder, joined with `/`.
    pub key: String,
    /// Where it is.
    pub location: Location,
    /// Its size in bytes.
    pub size: u64,
    pub(crate) version: Version,
}

/// What tells one version of an object from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    Local(local::FileVersion),
    Object { e_tag: Option<String>, modified: chrono::DateTime<chrono::Utc> },
}

impl Storage {
    /// With the environment of this process.
    pub fn new(options: StorageOptions, warnings: Warnings) -> Self {
        Self::build(options, Environment::of_process(), None, warnings)
    }

    /// With an environment of its own.
    pub fn with_environment(options: StorageOptions, environment: Environment) -> Self {
        Self::build(options, environment, None, Warnings::silent())
    }

    /// With one store for every URL whatever its bucket: for tests that need a failing one.
    pub fn with_store(options: StorageOptions, store: Arc<dyn Store>) -> Self {
        Self::build(options, Environment::default(), Some(store), Warnings::silent())
    }

    fn build(
        options: StorageOptions,
        environment: Environment,
        injected: Option<Arc<dyn Store>>,
        warnings: Warnings,
    ) -> Self {
        Self(Arc::new(Shared {
            options,
            environment,
            injected,
            stores: tokio::sync::Mutex::default(),
            warnings,
            runs: Mutex::default(),
            writers: Arc::default(),
            published: Arc::default(),
            uploads: Arc::new(tokio::sync::Semaphore::new(publish::UPLOAD_MEMORY_MIB)),
        }))
    }

    /// Every file below a folder, in sub-folders too, in the byte order of the keys. Empty where the folder is not there;
    /// where it is a file, that one. Symbolic links are followed (Kubernetes mounts volumes through them).
    ///
    /// # Errors
    /// Where the folder cannot be read or the store does not answer.
    pub async fn list(&self, folder: &Location) -> Result<Vec<ObjectInfo>> {
        let mut found = match self.remote(folder).await? {
            Some(remote) => remote.list(folder).await?,
            None => local::blocking(folder, local::list).await?,
        };
        found.sort_unstable_by(|a, b| a.key.as_bytes().cmp(b.key.as_bytes()));
        Ok(found)
    }

    /// What a file is now, without reading it; `None` where it is not there. Its key is its name.
    ///
    /// # Errors
    /// Where it cannot be asked for.
    pub async fn stat(&self, object: &Location) -> Result<Option<ObjectInfo>> {
        match self.remote(object).await? {
            Some(remote) => remote.stat(object).await,
            None => local::blocking(object, local::stat).await,
        }
    }

    /// A small file whole; `None` where it is not there.
    ///
    /// # Errors
    /// Where it cannot be read, or holds more than `max_bytes`.
    pub async fn read(&self, object: &Location, max_bytes: u64) -> Result<Option<Bytes>> {
        match self.remote(object).await? {
            Some(remote) => Ok(remote.read(object, max_bytes).await?.map(|(bytes, ..)| bytes)),
            None => local::blocking(object, move |path| local::read(path, max_bytes)).await,
        }
    }

    /// The bytes of an object in order, read ahead in parallel ranges, all from the version that was listed.
    ///
    /// The stream ends with an error where the object cannot be read or has changed since it was listed.
    pub fn stream(&self, object: &ObjectInfo) -> BoxStream<'static, Result<Bytes>> {
        let (storage, object) = (self.clone(), object.clone());
        let ranges = async move {
            let reader = Reader::open(&storage, &object).await?;
            let local = object.location.is_local();
            let (length, ahead) = if local { (RANGE_LOCAL, READ_AHEAD_LOCAL) } else { (RANGE, READ_AHEAD) };
            let starts = (0..object.size).step_by(length as usize);
            let ranges = starts.map(move |start| start..object.size.min(start + length));
            Ok(futures::stream::iter(ranges).map(move |range| reader.clone().read(range)).buffered(ahead))
        };
        ranges.into_stream().try_flatten().boxed()
    }

    /// A part of an object, from the version that was listed.
    ///
    /// # Errors
    /// Where it cannot be read or has changed since it was listed.
    pub async fn read_range(&self, object: &ObjectInfo, range: Range<u64>) -> Result<Bytes> {
        Reader::open(self, object).await?.read(range).await
    }

    /// Opens a staged publication into a folder.
    ///
    /// # Errors
    /// Where another run is at work on it ([`crate::error::ErrorKind::TryAgain`]), or it cannot be written.
    pub async fn publish(&self, output: &Location) -> Result<Publication> {
        Publication::open(self, output).await
    }

    /// After the future of a run was dropped (a signal): aborts the uploads of publications that were neither committed
    /// nor aborted, as far as the stores answer. Local staging files are removed by the threads that write them, when their
    /// publication is dropped; they are waited for.
    pub async fn clean_up(&self) {
        let runs = std::mem::take(&mut *self.0.runs.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        futures::future::join_all(runs.iter().map(|run| run.clean_up())).await;
        self.writers_ended().await;
    }

    /// The warnings of this run; storage adds options without effect, missing locks, files that could not be removed.
    pub fn warnings(&self) -> &Warnings {
        &self.0.warnings
    }

    pub(crate) fn warn(&self, warning: String) {
        self.0.warnings.warn(warning);
    }

    pub(crate) fn retry(&self) -> Retry {
        let options = &self.0.options;
        Retry { max_retries: options.max_retries, timeout: options.retry_timeout, pause: options.retry_pause }
    }

    pub(crate) fn options(&self) -> &StorageOptions {
        &self.0.options
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.0.environment
    }

    pub(crate) fn runs(&self) -> &Mutex<Vec<Arc<publish::RunState>>> {
        &self.0.runs
    }

    /// Whether a publication has become visible, whole, although its run may have been stopped before it could say so.
    pub fn has_published(&self) -> bool {
        self.0.published.load(Ordering::Acquire)
    }

    /// To be set when a manifest has become visible.
    pub(crate) fn published(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.published)
    }

    pub(crate) fn writers(&self) -> &Arc<tokio::sync::RwLock<()>> {
        &self.0.writers
    }

    /// Waits until no thread writes a local file any more; not for ever, since a file may be somebody's who goes on.
    pub(crate) async fn writers_ended(&self) {
        let _ = tokio::time::timeout(LAST_WRITES, self.0.writers.write()).await;
    }

    pub(crate) fn uploads(&self) -> Arc<tokio::sync::Semaphore> {
        Arc::clone(&self.0.uploads)
    }

    /// The store of a location, opened where it was not yet; `None` for a local path.
    pub(crate) async fn remote(&self, location: &Location) -> Result<Option<Remote>> {
        let Some((bucket, _)) = location.object() else { return Ok(None) };
        let retry = self.retry();
        if let Some(store) = &self.0.injected {
            return Ok(Some(Remote::new(Arc::clone(store), retry, self.0.environment.clone())));
        }
        let mut stores = self.0.stores.lock().await;
        let store = match stores.get(bucket) {
            Some(store) => Arc::clone(store),
            None => {
                let opened = connect::open(bucket, &self.0.options, &self.0.environment).await?;
                opened.warnings.into_iter().for_each(|warning| self.warn(warning));
                stores.insert(bucket.clone(), Arc::clone(&opened.store));
                opened.store
            }
        };
        Ok(Some(Remote::new(store, retry, self.0.environment.clone())))
    }
}

/// One version of an object, open for reading.
#[derive(Clone)]
enum Reader {
    Local(local::OpenFile),
    Object(Remote, Arc<ObjectInfo>),
}

impl Reader {
    async fn open(storage: &Storage, object: &ObjectInfo) -> Result<Self> {
        match storage.remote(&object.location).await? {
            Some(remote) => {
                let object = remote.pinned(object).await?;
                Ok(Self::Object(remote, Arc::new(object)))
            }
            None => {
                let version = object.version.clone();
                let open = move |path: &Location| local::OpenFile::open(path, &version);
                Ok(Self::Local(local::blocking(&object.location, open).await?))
            }
        }
    }

    /// Starts reading at once, whether or not the result is waited for, so that reading goes on while the consumer works.
    fn read(self, range: Range<u64>) -> impl Future<Output = Result<Bytes>> + Send + 'static {
        let task = match self {
            Self::Local(file) => AbortOnDrop(tokio::task::spawn_blocking(move || file.read(range))),
            Self::Object(remote, object) => {
                AbortOnDrop(tokio::spawn(async move { remote.fetch(&object, range).await }))
            }
        };
        async move { task.join().await }
    }
}

/// A task that ends when nobody waits for it any more.
pub(crate) struct AbortOnDrop<T>(pub(crate) tokio::task::JoinHandle<T>);

impl<T> AbortOnDrop<Result<T>> {
    /// The task's result.
    pub(crate) async fn join(mut self) -> Result<T> {
        (&mut self.0).await.unwrap_or_else(|error| {
            let message = if error.is_panic() { "a storage task panicked" } else { "a storage task was cut off" };
            Err(crate::error::Error::new(crate::error::ErrorKind::Bug, message))
        })
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
