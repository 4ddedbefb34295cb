//! One run that publishes into a bucket: its identity and its requests.

use super::options::PublishOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::location::Location;
use crate::storage::remote::{Remote, SmallObject, is_sendable, object_path};
use crate::storage::store_error::StoreErrorKind;
use crate::warnings::Warnings;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    Attribute, AttributeValue, Attributes, Error as StoreError, MultipartId, ObjectMeta, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, UpdateVersion,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{RwLock, RwLockWriteGuard};

/// The attribute that names the run that made an object, by which a run recognizes what it has made.
/// Azure allows no dashes here.
const RUN_ATTRIBUTE: &str = "knowledgemixingrun";

/// Number of requests of one commit in flight.
pub(super) const CONCURRENT_REQUESTS: usize = 8;

/// One run that publishes into a bucket.
pub(super) struct Run {
    pub(super) remote: Remote,
    pub(super) output: Location,
    pub(super) options: PublishOptions,
    pub(super) id: String,
    pub(super) lease_timeout: Duration,
    warnings: Warnings,
    /// Whether the store has conditional writes, as far as is known.
    is_conditional: AtomicBool,
    /// Whether the store has checked the condition of a write. From then on, a refusal has another reason than the condition, and
    /// nothing is written without one.
    has_checked: AtomicBool,
    /// Whether the store keeps attributes, as far as is known.
    has_attributes: AtomicBool,
    /// Held (shared) by requests whose effects must be known before the run cleans up.
    tracked: Arc<RwLock<()>>,
}

/// The outcome of a conditional write.
pub(super) enum Put {
    /// The object has the new content, in this version.
    Done(UpdateVersion),
    /// The object is not in the version that was asked for.
    Refused(StoreError),
}

impl Run {
    pub(super) fn new(
        remote: Remote,
        output: Location,
        options: PublishOptions,
        id: String,
        lease_timeout: Duration,
        warnings: Warnings,
    ) -> Self {
        Self {
            remote,
            output,
            options,
            id,
            lease_timeout,
            warnings,
            is_conditional: AtomicBool::new(true),
            has_checked: AtomicBool::new(false),
            has_attributes: AtomicBool::new(true),
            tracked: Arc::default(),
        }
    }

    /// Logs what the run is waiting for.
    pub(super) fn note(&self, message: &str) {
        self.warnings.note(message);
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

    /// Waits for tracked work and blocks further work until the guard is dropped; `None` if the wait took longer than `grace`.
    pub(super) async fn stop_tracked(&self, grace: Duration) -> Option<RwLockWriteGuard<'_, ()>> {
        tokio::time::timeout(grace, self.tracked.write()).await.ok()
    }

    fn attributes(&self) -> Attributes {
        match self.has_attributes.load(Ordering::Acquire) {
            true => Attributes::from_iter([(Attribute::Metadata(RUN_ATTRIBUTE.into()), self.id.clone())]),
            false => Attributes::new(),
        }
    }

    pub(super) async fn create_upload(&self, path: &Path) -> Result<MultipartId, StoreError> {
        let store = &self.remote.store;
        let options = || PutMultipartOptions { attributes: self.attributes(), ..PutMultipartOptions::default() };
        let create = || async { self.remote.retry.run(|| store.create_multipart_opts(path, options())).await };
        match create().await {
            Err(error) if is_refused_feature(&error) && self.has_attributes.swap(false, Ordering::AcqRel) => {
                // A store without attributes: after a lost response, the object's size alone identifies the run.
                match create().await {
                    Ok(id) => {
                        self.warnings.warn(format!("{}: the store does not keep metadata of uploads", self.output));
                        Ok(id)
                    }
                    // Something else is wrong, and the first answer says what.
                    Err(_) => {
                        self.has_attributes.store(true, Ordering::Release);
                        Err(error)
                    }
                }
            }
            created => created,
        }
    }

    /// Aborts an upload. Returns whether it existed.
    ///
    /// # Errors
    /// The store does not respond, or the credentials do not permit to abort uploads.
    pub(super) async fn abort_upload(&self, name: &str, id: &MultipartId) -> Result<bool> {
        let location = self.output.join(name);
        let path = object_path(&location)?;
        let abort =
            async |id: &MultipartId| self.remote.retry.run(|| self.remote.store.abort_multipart(&path, id)).await;
        let Err(error) = abort(id).await else { return Ok(true) };
        match StoreErrorKind::of(&error) {
            StoreErrorKind::NotFound => Ok(false),
            // Some stores deny access to an upload that is gone. Whether they deny it to all uploads, one of our own tells.
            StoreErrorKind::AccessDenied => {
                let own = self.create_upload(&path).await.map_err(|error| self.remote.error(&error, &location))?;
                match abort(&own).await {
                    Ok(()) => Ok(false),
                    Err(error) => Err(self.remote.error(&error, &location).hint(
                        "permit to abort uploads (s3:AbortMultipartUpload): without it, runs cannot be kept apart",
                    )),
                }
            }
            _ => Err(self.remote.error(&error, &location)),
        }
    }

    /// Writes a small object if it is in this version (`None`: if it does not exist). A store without conditional writes writes
    /// it anyway, with a warning.
    ///
    /// # Errors
    /// The store does not respond or denies the request; whether the object was written is not known if it does not respond.
    pub(super) async fn put_on(
        &self,
        path: &Path,
        bytes: &Bytes,
        expected: Option<&UpdateVersion>,
    ) -> Result<Put, StoreError> {
        if !self.is_conditional() {
            return Ok(Put::Done(self.put(path, bytes, PutMode::Overwrite).await?));
        }
        let mode = match expected {
            None => PutMode::Create,
            Some(version) if is_usable(version) => PutMode::Update(version.clone()),
            Some(_) => {
                self.without_conditions();
                PutMode::Overwrite
            }
        };
        let is_update = matches!(mode, PutMode::Update(_));
        match self.put(path, bytes, mode).await {
            Ok(version) => {
                self.has_checked.fetch_or(is_update, Ordering::AcqRel);
                Ok(Put::Done(version))
            }
            Err(error) => match StoreErrorKind::of(&error) {
                StoreErrorKind::PreconditionFailed | StoreErrorKind::AlreadyExists | StoreErrorKind::NotFound => {
                    self.has_checked.fetch_or(is_update, Ordering::AcqRel);
                    Ok(Put::Refused(error))
                }
                _ if is_refused_feature(&error) && !self.has_checked.load(Ordering::Acquire) => {
                    match self.put(path, bytes, PutMode::Overwrite).await {
                        Ok(version) => {
                            self.without_conditions();
                            Ok(Put::Done(version))
                        }
                        // Something else is wrong, and the first answer says what.
                        Err(_) => Err(error),
                    }
                }
                _ => Err(error),
            },
        }
    }

    /// Whether the store has conditional writes, as far as is known.
    pub(super) fn is_conditional(&self) -> bool {
        self.is_conditional.load(Ordering::Acquire)
    }

    fn without_conditions(&self) {
        self.is_conditional.store(false, Ordering::Release);
        self.warnings.warn(format!(
            "{}: the store does not support conditional writes: let only one run publish here",
            self.output
        ));
    }

    async fn put(&self, path: &Path, bytes: &Bytes, mode: PutMode) -> Result<UpdateVersion, StoreError> {
        let store = &self.remote.store;
        let options = || PutOptions { mode: mode.clone(), ..PutOptions::default() };
        let put = self.remote.retry.run(|| store.put_opts(path, PutPayload::from(bytes.clone()), options())).await?;
        Ok(UpdateVersion { e_tag: put.e_tag, version: put.version })
    }

    /// Reads a small object of the output; `None` if it does not exist.
    pub(super) async fn read(&self, name: &str, max_bytes: u64) -> Result<Option<SmallObject>> {
        self.remote.read(&self.output.join(name), max_bytes).await
    }

    /// The version of the manifest if it has this content: an earlier write succeeded and its response was lost.
    pub(super) async fn version_if(&self, content: &Bytes) -> Result<Option<UpdateVersion>> {
        let found = self.read(self.options.manifest_name, self.options.max_manifest_bytes).await?;
        Ok(found.filter(|object| object.bytes == content).map(|object| version(&object.meta)))
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

    /// The names and sizes of all objects directly in the output.
    pub(super) async fn objects(&self) -> Result<BTreeMap<String, u64>> {
        let prefix = object_path(&self.output)?;
        let prefix = (!prefix.as_ref().is_empty()).then_some(&prefix);
        let listed = self
            .remote
            .retry
            .run(|| self.remote.store.list_with_delimiter(prefix))
            .await
            .map_err(|error| self.remote.error(&error, &self.output))?;
        Ok(listed.objects.iter().filter_map(|meta| Some((meta.location.filename()?.to_owned(), meta.size))).collect())
    }

    /// Whether the object at a path has this size and was made by this run, as far as the store tells.
    pub(super) async fn has_made(&self, path: &Path, bytes: u64) -> Result<bool, StoreError> {
        match self.remote.head(path).await {
            Ok(found) => Ok(found.meta.size == bytes && is_made_by(&found.attributes, &self.id)),
            Err(error) if StoreErrorKind::of(&error) == StoreErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether a store may have refused a request because it lacks a feature that the request uses. Stores differ in how they say so.
fn is_refused_feature(error: &StoreError) -> bool {
    matches!(
        StoreErrorKind::of(error),
        StoreErrorKind::Unsupported | StoreErrorKind::AccessDenied | StoreErrorKind::Other
    )
}

/// Whether a version can be the condition of a write: a weak entity tag never matches (RFC 9110, section 13.1.1).
fn is_usable(version: &UpdateVersion) -> bool {
    let is_strong = |tag: &String| is_sendable(tag) && !tag.starts_with("W/");
    version.e_tag.as_ref().map_or(version.version.is_some(), is_strong)
}

/// The version of an object that was read.
pub(super) fn version(meta: &ObjectMeta) -> UpdateVersion {
    UpdateVersion { e_tag: meta.e_tag.clone(), version: meta.version.clone() }
}

/// Whether a run may have made an object: a store without attributes does not tell.
pub(super) fn is_made_by(attributes: &Attributes, run_id: &str) -> bool {
    let run: Option<&AttributeValue> = attributes.get(&Attribute::Metadata(RUN_ATTRIBUTE.into()));
    run.is_none_or(|run| run.as_ref() == run_id)
}
