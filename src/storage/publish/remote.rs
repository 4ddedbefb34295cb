//! Publishing into an object store: every file is a multipart upload, and all uploads are completed together at the end.
//!
//! 1. The run takes the [`lease`](super::lease), which aborts the uploads of every run before it.
//! 2. The lease names each upload before its first byte is sent.
//! 3. When all is staged, the run reads the manifest, proves that the lease is still its own, and replaces the manifest by one that
//!    says "replacing", on the version that it has read: the point of no return.
//! 4. The uploads are completed.
//! 5. The complete manifest replaces the "replacing" one, on its version, and the lease is given back.
//!
//! A run may be suspended between any two requests for longer than any timeout, and a request may reach the store long after its
//! sender was taken for dead. Neither does harm: a completion fails, because the next holder has aborted the upload; a manifest or
//! lease is not written, because its version has changed. Nothing is deleted and nothing is overwritten without a condition, for
//! there is no conditional deletion: what the new mix has not stays as `left_over`, until [`clean`](super::clean) deletes it.
//!
//! A random model of this protocol finds no run that breaks or takes away a published mix; without any one of its rules, it does.
//! Azure has no ids of uploads: there, uncommitted blocks vanish when the next holder commits the same name.

use super::found::Found;
use super::head::{EncodeManifest, ManifestHead};
use super::lease::Lease;
use super::options::{PublishOptions, contention, foreign};
use super::published::Published;
use super::run::{CONCURRENT_REQUESTS, Put, Run, version};
use super::staged_file::StagedFile;
use super::upload::{Upload, UploadSink};
use crate::error::{Error, ErrorKind, Result};
use crate::hash_map::lock;
use crate::manifest::MixState;
use crate::storage::location::Location;
use crate::storage::remote::{Remote, object_path};
use crate::storage::shared::{CleanUp, PublishState, Shared};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::{ObjectStoreExt, UpdateVersion};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// How often the manifest is read and written again if it has changed in between.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// A publication into an output of a bucket.
pub(super) struct RemotePublication {
    shared: Arc<Shared>,
    run: Arc<Run>,
    lease: Arc<Lease>,
    /// What must be cleaned up if the publication is dropped.
    open_run: Arc<dyn CleanUp>,
    /// The objects in the output when the run began.
    objects: BTreeMap<String, u64>,
    /// The names that belong to this program: they may be replaced.
    ours: BTreeSet<String>,
    staged: Arc<Mutex<Vec<Upload>>>,
}

impl RemotePublication {
    /// Takes the lease.
    pub(super) async fn open(
        shared: &Arc<Shared>,
        remote: Remote,
        output: &Location,
        options: PublishOptions,
        run_id: String,
    ) -> Result<Self> {
        let (timeout, warnings) = (shared.options.lease_timeout, shared.warnings.clone());
        let run = Arc::new(Run::new(remote, output.clone(), options, run_id, timeout, warnings));
        let lease = Arc::new(Lease::take(&run).await?);
        let open_run: Arc<dyn CleanUp> =
            Arc::new(OpenRun { run: Arc::clone(&run), lease: Arc::clone(&lease), shared: Arc::downgrade(shared) });
        shared.register(Arc::clone(&open_run));
        let opened = async {
            let found = read_manifest(&run).await?.0;
            check_manifest(&run, &found)?;
            let objects = run.objects().await?;
            Ok((found.names(&options), objects))
        };
        let (mut ours, objects) = match opened.await {
            Ok(opened) => opened,
            Err(error) => {
                open_run.clean_up().await;
                shared.unregister(&open_run);
                return Err(error);
            }
        };
        let published = published_by(&run, &lease, &objects, &ours).await;
        ours.extend(published);
        let shared = Arc::clone(shared);
        Ok(Self { shared, run, lease, open_run, objects, ours, staged: Arc::default() })
    }

    fn check_name(&self, name: &str) -> Result<()> {
        match self.run.options.overwrite || !self.objects.contains_key(name) || self.ours.contains(name) {
            true => Ok(()),
            false => Err(foreign(self.run.output.join(name))),
        }
    }

    /// Checks that files may get these names.
    ///
    /// An error about files that are in the way is true only while the lease is held: else they may be of the next holder.
    pub(super) async fn check_names<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<()> {
        match names.into_iter().try_for_each(|name| self.check_name(name)) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.lease.prove().await?;
                Err(error)
            }
        }
    }

    /// Begins the upload of a file.
    pub(super) async fn create(&self, name: &str) -> Result<UploadSink> {
        self.check_names([name]).await?;
        let upload = self.lease.begin_upload(name).await?;
        let (run, lease) = (Arc::clone(&self.run), Arc::clone(&self.lease));
        let (memory, staged) = (Arc::clone(&self.shared.upload_memory), Arc::clone(&self.staged));
        Ok(UploadSink::new(run, lease, memory, upload, self.shared.digest(), name, staged))
    }

    /// Publishes the staged files.
    pub(super) async fn commit(mut self, encode: EncodeManifest) -> Result<Published> {
        let committed = self.commit_now(encode).await;
        // Also after a failure: uploads that are not published are of no use.
        self.abort().await;
        committed.map(|head| Published::new(head, None))
    }

    async fn commit_now(&mut self, encode: EncodeManifest) -> Result<ManifestHead> {
        let uploads = std::mem::take(&mut *lock(&self.staged));
        let files: Vec<StagedFile> = uploads.iter().map(|upload| upload.file().clone()).collect();
        self.objects = self.run.objects().await?;
        self.check_names(files.iter().map(|file| file.name.as_str())).await?;
        let commit = Commit {
            run: Arc::clone(&self.run),
            lease: Arc::clone(&self.lease),
            shared: Arc::clone(&self.shared),
            former: self.ours.iter().cloned().collect(),
            files,
            encode,
        };
        // It goes on if a signal ends the run meanwhile.
        self.run.run_tracked(async move { commit.run(&uploads).await }).await
    }

    /// Aborts the open uploads and gives the lease back.
    pub(super) async fn abort(self) {
        self.open_run.clean_up().await;
        self.shared.unregister(&self.open_run);
    }
}

/// A commit whose files are all staged.
struct Commit {
    run: Arc<Run>,
    lease: Arc<Lease>,
    shared: Arc<Shared>,
    files: Vec<StagedFile>,
    /// The names that belonged to this program when the run began: files of a commit that is in no manifest included.
    former: Vec<String>,
    encode: EncodeManifest,
}

impl Commit {
    async fn run(&self, uploads: &[Upload]) -> Result<ManifestHead> {
        let (replacing, left_over) = self.begin_replacing().await?;
        let interrupted = |error: Error| match error.kind() {
            ErrorKind::TryAgain => error,
            _ => error.hint("the mix was being replaced and is not complete: run again"),
        };
        self.complete_uploads(uploads).await.map_err(interrupted)?;
        let head = self.head(MixState::Complete, &left_over);
        self.complete_manifest(&replacing, &(self.encode)(&head)?).await?;
        self.shared.set_publish_state(PublishState::Complete);
        self.lease.forget_commit().await;
        if !left_over.is_empty() {
            self.shared.warnings.warn(format!(
                "{}: left over from earlier mixes: {}; `knowledge-mixing clean` deletes them when no run is at work",
                self.run.output,
                left_over.join(", ")
            ));
        }
        Ok(head)
    }

    fn head(&self, state: MixState, left_over: &[String]) -> ManifestHead {
        let files = self.files.iter().map(|file| file.name.clone()).collect();
        ManifestHead { state, run: self.run.id.clone(), files, left_over: left_over.to_vec() }
    }

    fn path(&self) -> Result<object_store::path::Path> {
        object_path(&self.manifest_location())
    }

    fn manifest_location(&self) -> Location {
        self.run.output.join(self.run.options.manifest_name)
    }

    /// Puts the manifest that says "replacing". Returns its version, and the names that are left over from earlier mixes.
    async fn begin_replacing(&self) -> Result<(UpdateVersion, Vec<String>)> {
        let new: BTreeSet<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        for _ in 0..ATTEMPTS {
            let (found, before) = read_manifest(&self.run).await?;
            check_manifest(&self.run, &found)?;
            // The manifest's version is older than this proof that the lease is held.
            self.lease.confirm(&self.files).await?;
            let mut names = found.names(&self.run.options);
            names.extend(self.former.iter().cloned());
            let objects = if names.iter().all(|name| new.contains(name.as_str())) {
                BTreeMap::new()
            } else {
                self.run.objects().await?
            };
            let is_left = |name: &String| !new.contains(name.as_str()) && objects.contains_key(name);
            let left_over: Vec<String> = names.into_iter().filter(is_left).collect();
            let content = (self.encode)(&self.head(MixState::Replacing, &left_over))?;
            self.shared.begin_replacing()?;
            let put = self.run.put_on(&self.path()?, &content, before.as_ref()).await;
            match put.map_err(|error| self.run.remote.error(&error, self.manifest_location()))? {
                Put::Done(version) => return Ok((version, left_over)),
                Put::Refused(_) => {}
            }
            if let Some(version) = self.version_if(&content).await? {
                return Ok((version, left_over));
            }
            self.shared.set_publish_state(PublishState::Untouched);
            tokio::time::sleep(PAUSE).await;
        }
        Err(contention(&self.run.output)
            .hint("the manifest has changed each time that it was to be replaced: run again"))
    }

    /// The version of the manifest if it has this content: an earlier write succeeded and its response was lost.
    async fn version_if(&self, content: &Bytes) -> Result<Option<UpdateVersion>> {
        let options = &self.run.options;
        let found = self.run.read(options.manifest_name, options.max_manifest_bytes).await?;
        Ok(found.filter(|object| object.bytes == content).map(|object| version(&object.meta)))
    }

    /// Makes the files visible, then checks that they are this run's before the manifest says so.
    async fn complete_uploads(&self, uploads: &[Upload]) -> Result<()> {
        let completions: Vec<_> = uploads.iter().map(|upload| self.complete_upload(upload)).collect();
        let completions = futures::stream::iter(completions).buffer_unordered(CONCURRENT_REQUESTS);
        completions.try_collect::<Vec<()>>().await?;
        let checks: Vec<_> = uploads.iter().map(|upload| self.check_upload(upload)).collect();
        futures::stream::iter(checks).buffer_unordered(CONCURRENT_REQUESTS).try_collect::<Vec<()>>().await?;
        Ok(())
    }

    async fn complete_upload(&self, upload: &Upload) -> Result<()> {
        upload.complete(&self.run, &self.lease).await?;
        self.lease.forget(upload.id());
        Ok(())
    }

    async fn check_upload(&self, upload: &Upload) -> Result<()> {
        let place = self.run.output.join(&upload.file().name);
        match self.run.has_made(upload.path(), upload.file().bytes).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(contention(&place).hint("another run has written a file of the same name: run again")),
            Err(error) => Err(self.run.remote.error(&error, place)),
        }
    }

    async fn complete_manifest(&self, replacing: &UpdateVersion, content: &Bytes) -> Result<()> {
        let place = self.manifest_location();
        let unknown = |error: Error| {
            error.hint(format!("the mix may be complete: `knowledge-mixing verify {}` tells", self.run.output))
        };
        let put = self.run.put_on(&self.path()?, content, Some(replacing)).await;
        match put.map_err(|error| unknown(self.run.remote.error(&error, &place)))? {
            Put::Done(_) => Ok(()),
            Put::Refused(_) => match self.version_if(content).await.map_err(unknown)? {
                Some(_) => Ok(()),
                None => Err(contention(&self.run.output).hint("another run took this one for dead: run again")),
            },
        }
    }
}

/// The manifest of the output, and its version.
async fn read_manifest(run: &Run) -> Result<(Found, Option<UpdateVersion>)> {
    let found = run.read(run.options.manifest_name, run.options.max_manifest_bytes).await?;
    let manifest = Found::of(found.as_ref().map(|object| &object.bytes), &run.options);
    Ok((manifest, found.map(|object| version(&object.meta))))
}

/// Checks that the manifest may be replaced.
fn check_manifest(run: &Run, found: &Found) -> Result<()> {
    match found {
        Found::Foreign if !run.options.overwrite => Err(foreign(run.output.join(run.options.manifest_name))),
        _ => Ok(()),
    }
}

/// The files that a commit has published which is in no manifest, by name, size and digest.
async fn published_by(
    run: &Run,
    lease: &Lease,
    objects: &BTreeMap<String, u64>,
    known: &BTreeSet<String>,
) -> Vec<String> {
    let mut published = Vec::new();
    let files = lease.commit_before.iter().flat_map(|commit| &commit.files);
    for file in files.filter(|file| !known.contains(&file.name)) {
        if objects.get(&file.name) == Some(&file.bytes) && digest(run, file).await.as_ref() == Some(&file.digest) {
            published.push(file.name.clone());
        }
    }
    published
}

/// The digest of the object of a file; `None` if it cannot be read.
async fn digest(run: &Run, file: &StagedFile) -> Option<String> {
    let object = run.remote.head(&object_path(&run.output.join(&file.name)).ok()?).await.ok()?;
    let object = run.remote.store.get(&object.meta.location).await.ok()?;
    let mut hasher = blake3::Hasher::new();
    let mut body = object.into_stream();
    while let Some(bytes) = body.next().await {
        hasher.update(&bytes.ok()?);
    }
    Some(hasher.finalize().to_hex().to_string())
}

/// A run that is neither committed nor aborted.
struct OpenRun {
    run: Arc<Run>,
    lease: Arc<Lease>,
    shared: Weak<Shared>,
}

impl CleanUp for OpenRun {
    fn clean_up(&self) -> BoxFuture<'_, ()> {
        async {
            let Some(shared) = self.shared.upgrade() else { return };
            let stopped = self.run.stop_tracked(shared.grace()).await;
            // A commit that is still at work keeps its uploads and its lease, which names them for the next run.
            if stopped.is_some() || shared.publish_state() != PublishState::Replacing {
                self.lease.release().await;
            }
        }
        .boxed()
    }
}
