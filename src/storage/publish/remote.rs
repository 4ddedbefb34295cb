//! Publishing into an object store: every file is a multipart upload, and all uploads are completed together at the
//! end.
//!
//! Two runs may publish to one output. Nothing is locked while they write. To commit, a run acquires the *lease*
//! ([`super::lease`]), so that only one commits at a time, and continues only if the manifest is still the one that it
//! found at its start: otherwise another run has published since, and this one ends with "try again".
//!
//! A lease alone cannot keep two runs apart: a run may be suspended for longer than any timeout between its last check
//! of the lease and its next request, and a request may reach the store long after its sender was taken for dead. What
//! keeps them apart is that everything that becomes visible, the manifest included, is an upload, and that an aborted
//! upload can never be completed. An *upload journal* ([`super::journal`]) lists the uploads of each run before their
//! first byte is sent. The run that commits first aborts the uploads of all runs that have begun ([`super::fence`]):
//! from then on nothing of theirs can become visible. They are dead, or certain to lose. This also removes what killed
//! runs have left.

use super::fence::fence_off_others;
use super::journal::UploadJournal;
use super::lease::{self, Lease};
use super::options::{PublishOptions, contention};
use super::run::{CONCURRENT_REQUESTS, Run, made_by};
use super::upload::{Upload, UploadSink};
use crate::error::{Error, Result};
use crate::hash_map::lock;
use crate::storage::location::Location;
use crate::storage::remote::{Remote, object_path};
use crate::storage::shared::{CleanUp, Shared};
use crate::storage::store_error::StoreErrorKind;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::{Attributes, ObjectMeta};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// A publication into an output of a bucket.
pub(super) struct RemotePublication {
    shared: Arc<Shared>,
    run: Arc<Run>,
    journal: Arc<UploadJournal>,
    /// What must be cleaned up if the publication is dropped.
    open_run: Arc<dyn CleanUp>,
    /// The manifest at the start of the run.
    manifest_before: Option<ManifestVersion>,
    staged: Arc<Mutex<Vec<Upload>>>,
}

/// Distinguishes one manifest from another, even if two runs write the same bytes in the same second.
#[derive(PartialEq)]
struct ManifestVersion {
    e_tag: Option<String>,
    modified: chrono::DateTime<chrono::Utc>,
    run_id: Option<String>,
}

impl ManifestVersion {
    fn new(meta: &ObjectMeta, attributes: &Attributes) -> Self {
        Self { e_tag: meta.e_tag.clone(), modified: meta.last_modified, run_id: made_by(attributes) }
    }
}

impl RemotePublication {
    /// Returns the manifest that the output holds.
    pub(super) async fn open(
        shared: &Arc<Shared>,
        remote: Remote,
        output: &Location,
        options: PublishOptions,
        run_id: String,
    ) -> Result<(Self, Option<Bytes>)> {
        let previous = remote.read(&output.join(options.manifest_name), options.max_manifest_bytes).await?;
        let run = Arc::new(Run::new(remote, output.clone(), options, run_id, shared.options.lease_timeout));
        let journal = Arc::new(UploadJournal::new(Arc::clone(&run)));
        let open_run: Arc<dyn CleanUp> = Arc::new(OpenRun { run: Arc::clone(&run), journal: Arc::clone(&journal) });
        shared.register(Arc::clone(&open_run));
        let manifest_before = previous.as_ref().map(|object| ManifestVersion::new(&object.meta, &object.attributes));
        let shared = Arc::clone(shared);
        let publication = Self { shared, run, journal, open_run, manifest_before, staged: Arc::default() };
        Ok((publication, previous.map(|object| object.bytes)))
    }

    /// Begins the upload of a file.
    pub(super) async fn create(&self, name: &str) -> Result<UploadSink> {
        let upload = self.journal.begin(name).await?;
        let (run, memory) = (Arc::clone(&self.run), Arc::clone(&self.shared.upload_memory));
        Ok(UploadSink::new(run, memory, upload, self.shared.digest(), name, Arc::clone(&self.staged)))
    }

    /// Publishes the staged files.
    pub(super) async fn commit(self, manifest: Bytes, obsolete: Vec<String>) -> Result<()> {
        let committed = self.commit_under_lease(manifest, obsolete).await;
        // Also after a failure: uploads that are not published are of no use.
        self.abort().await;
        committed
    }

    async fn commit_under_lease(&self, manifest: Bytes, obsolete: Vec<String>) -> Result<()> {
        let staged_manifest = self.stage_manifest(manifest.clone()).await?;
        let staged = std::mem::take(&mut *lock(&self.staged));
        let lease = Lease::acquire(&self.run, &self.shared.warnings).await?;
        self.check_manifest_unchanged().await?;
        fence_off_others(&self.run).await?;
        // Checked again: another run may have completed its manifest right after the first check.
        self.check_manifest_unchanged().await?;

        lease.check()?;
        if self.manifest_before.is_some() {
            self.run.delete(self.run.options.manifest_name).await?;
        }
        self.complete_uploads(&staged, &lease).await?;
        lease.check()?;
        self.complete_manifest(staged_manifest, manifest).await?;
        self.remove_obsolete(&obsolete).await;
        Ok(())
    }

    /// Uploads the manifest without completing it, so that other runs can fence it off like every file.
    async fn stage_manifest(&self, manifest: Bytes) -> Result<Upload> {
        let mut sink = self.create(self.run.options.manifest_name).await?;
        sink.write(vec![manifest]).await?;
        Ok(sink.finish_upload().await?.0)
    }

    /// Fails if another run has published since this one began.
    async fn check_manifest_unchanged(&self) -> Result<()> {
        let run = &self.run;
        let location = run.output.join(run.options.manifest_name);
        let current = match run.remote.head(&object_path(&location)?).await {
            Ok(found) => Some(ManifestVersion::new(&found.meta, &found.attributes)),
            Err(error) if StoreErrorKind::of(&error) == StoreErrorKind::NotFound => None,
            Err(error) => return Err(run.remote.error(&error, &location)),
        };
        if current == self.manifest_before {
            return Ok(());
        }
        Err(contention(&run.output).hint("another run has published its mix since this run began"))
    }

    /// Makes the files visible, then checks that they are this run's before the manifest says so.
    async fn complete_uploads(&self, staged: &[Upload], lease: &Lease) -> Result<()> {
        let completions = staged.iter().map(|upload| async move {
            lease.check()?;
            upload.complete(&self.run).await?;
            self.journal.forget(upload.id());
            Ok::<_, Error>(())
        });
        futures::stream::iter(completions).buffer_unordered(CONCURRENT_REQUESTS).try_collect::<Vec<()>>().await?;
        let checks = staged.iter().map(|upload| self.run.has_made(upload.path(), upload.bytes()));
        if !futures::stream::iter(checks).buffer_unordered(CONCURRENT_REQUESTS).all(std::future::ready).await {
            return Err(contention(&self.run.output).hint("another run has written a file of the same name"));
        }
        Ok(())
    }

    async fn complete_manifest(&self, upload: Upload, content: Bytes) -> Result<()> {
        let (run, journal) = (Arc::clone(&self.run), Arc::clone(&self.journal));
        let published = Arc::clone(&self.shared.published);
        let complete = async move {
            upload.complete_manifest(&run, &content).await?;
            journal.forget(upload.id());
            published.store(true, Ordering::Release);
            Ok(())
        };
        self.run.run_tracked(complete).await
    }

    /// Removes files of the earlier mix. The new mix is complete, so a failure is only a warning.
    async fn remove_obsolete(&self, obsolete: &[String]) {
        for name in obsolete {
            if let Err(error) = self.run.delete(name).await {
                self.shared.warnings.warn(format!("cannot remove a file of the earlier mix: {}", error.line()));
            }
        }
    }

    /// Aborts the open uploads, then removes journal and lease.
    pub(super) async fn abort(self) {
        self.open_run.clean_up().await;
        self.shared.unregister(&self.open_run);
    }
}

/// A run that is neither committed nor aborted.
struct OpenRun {
    run: Arc<Run>,
    journal: Arc<UploadJournal>,
}

impl CleanUp for OpenRun {
    fn clean_up(&self) -> BoxFuture<'_, ()> {
        async {
            let _guard = self.run.stop_tracked().await;
            self.journal.abort_uploads().await;
            lease::release(&self.run).await;
        }
        .boxed()
    }
}
