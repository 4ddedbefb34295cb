//! One run that publishes into a bucket: its identity and its requests.

use super::options::PublishOptions;
use super::records::MAX_RECORD_BYTES;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::location::Location;
use crate::storage::remote::{Remote, SmallObject, object_path};
use crate::storage::store_error::StoreErrorKind;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    Attribute, AttributeValue, Attributes, Error as StoreError, GetResult, MultipartId, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, UpdateVersion,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{RwLock, RwLockWriteGuard};

/// The attribute that names the run that made an object, by which a run recognizes the effect of its own requests.
/// Azure allows no dashes here.
const RUN_ATTRIBUTE: &str = "knowledgemixingrun";

/// Number of requests of one commit in flight.
pub(super) const CONCURRENT_REQUESTS: usize = 8;

/// Time that an aborted run waits for its requests in flight before it cleans up.
const REQUEST_GRACE: Duration = Duration::from_millis(300);

/// One run that publishes into a bucket.
pub(super) struct Run {
    pub(super) remote: Remote,
    pub(super) output: Location,
    pub(super) options: PublishOptions,
    pub(super) id: String,
    pub(super) lease_timeout: Duration,
    /// Held (shared) by requests whose effects must be known before the run cleans up.
    tracked: Arc<RwLock<()>>,
    may_hold_lease: AtomicBool,
}

impl Run {
    pub(super) fn new(
        remote: Remote,
        output: Location,
        options: PublishOptions,
        id: String,
        lease_timeout: Duration,
    ) -> Self {
        Self {
            remote,
            output,
            options,
            id,
            lease_timeout,
            tracked: Arc::default(),
            may_hold_lease: AtomicBool::new(false),
        }
    }

    /// Completes some work even if its caller is dropped: a signal drops a run between a request and its response, and
    /// cleaning up requires to know what the request has left behind.
    pub(super) async fn run_tracked<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let guard = Arc::clone(&self.tracked).read_owned().await;
        let task = tokio::spawn(async move {
            let _guard = guard;
            work.await
        });
        task.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Bug, "a storage task was aborted")))
    }

    /// Waits for tracked work and blocks further work until the guard is dropped; `None` if the wait took too long.
    pub(super) async fn stop_tracked(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        tokio::time::timeout(REQUEST_GRACE, self.tracked.write()).await.ok()
    }

    /// Whether the run may hold the lease, so that it must be released.
    pub(super) fn may_hold_lease(&self) -> bool {
        self.may_hold_lease.load(Ordering::Acquire)
    }

    pub(super) fn set_may_hold_lease(&self, may_hold: bool) {
        self.may_hold_lease.store(may_hold, Ordering::Release);
    }

    fn attributes(&self) -> Attributes {
        Attributes::from_iter([(Attribute::Metadata(RUN_ATTRIBUTE.into()), self.id.clone())])
    }

    pub(super) async fn create_upload(&self, path: &Path) -> Result<MultipartId, StoreError> {
        let store = &self.remote.store;
        let options = || PutMultipartOptions { attributes: self.attributes(), ..PutMultipartOptions::default() };
        match self.remote.retry.run(|| store.create_multipart_opts(path, options())).await {
            // A store without attributes: after a lost response, the object's size alone identifies the run.
            Err(StoreError::NotSupported { .. } | StoreError::NotImplemented { .. }) => {
                self.remote.retry.run(|| store.create_multipart(path)).await
            }
            created => created,
        }
    }

    /// Aborts an upload. Returns whether it existed.
    pub(super) async fn abort_upload(&self, name: &str, id: &MultipartId) -> Result<bool> {
        let location = self.output.join(name);
        let path = object_path(&location)?;
        match self.remote.retry.run(|| self.remote.store.abort_multipart(&path, id)).await {
            Ok(()) => Ok(true),
            Err(error) if StoreErrorKind::of(&error) == StoreErrorKind::Transient => {
                Err(self.remote.error(&error, &location))
            }
            // Stores differ in their error for an upload that is gone (some deny access), and nothing is left to abort.
            Err(_) => Ok(false),
        }
    }

    /// Writes a small object.
    pub(super) async fn put(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<UpdateVersion, StoreError> {
        let store = &self.remote.store;
        let options = || PutOptions { mode: mode.clone(), attributes: self.attributes(), ..PutOptions::default() };
        let put = self.remote.retry.run(|| store.put_opts(path, PutPayload::from(bytes.clone()), options())).await?;
        Ok(UpdateVersion { e_tag: put.e_tag, version: put.version })
    }

    /// Writes or overwrites a lease or journal.
    pub(super) async fn put_record(&self, name: &str, bytes: Bytes) -> Result<()> {
        let location = self.output.join(name);
        let path = object_path(&location)?;
        match self.put(&path, bytes, PutMode::Overwrite).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.remote.error(&error, &location)),
        }
    }

    /// Reads a lease or journal; `None` if it does not exist.
    pub(super) async fn read_record(&self, name: &str) -> Result<Option<SmallObject>> {
        self.remote.read(&self.output.join(name), MAX_RECORD_BYTES).await
    }

    /// Deletes an object, if it exists.
    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        let location = self.output.join(name);
        let path = object_path(&location)?;
        match self.remote.retry.run(|| self.remote.store.delete(&path)).await {
            Ok(()) => Ok(()),
            Err(error) if StoreErrorKind::of(&error) == StoreErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.remote.error(&error, &location)),
        }
    }

    /// The names of all objects directly in the output.
    pub(super) async fn names(&self) -> Result<Vec<String>> {
        let prefix = object_path(&self.output)?;
        let prefix = (!prefix.as_ref().is_empty()).then_some(&prefix);
        let listed = self
            .remote
            .retry
            .run(|| self.remote.store.list_with_delimiter(prefix))
            .await
            .map_err(|error| self.remote.error(&error, &self.output))?;
        Ok(listed.objects.iter().filter_map(|meta| meta.location.filename()).map(str::to_string).collect())
    }

    /// Whether the object at a path has this size and was made by this run, as far as the store tells.
    pub(super) async fn has_made(&self, path: &Path, bytes: u64) -> bool {
        match self.remote.head(path).await {
            Ok(found) => found.meta.size == bytes && is_made_by(&found, &self.id),
            Err(_) => false,
        }
    }
}

/// The run that made an object; `None` if the store keeps no attributes or another program made it.
pub(super) fn made_by(attributes: &Attributes) -> Option<String> {
    let run: Option<&AttributeValue> = attributes.get(&Attribute::Metadata(RUN_ATTRIBUTE.into()));
    run.map(|run| run.as_ref().to_string())
}

/// Whether a run may have made an object: a store without attributes does not tell.
pub(super) fn is_made_by(found: &GetResult, run_id: &str) -> bool {
    made_by(&found.attributes).is_none_or(|run| run == run_id)
}
