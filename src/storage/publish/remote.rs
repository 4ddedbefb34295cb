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
use object_store::{Error as StoreError, ObjectStoreExt, UpdateVersion};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

/// How often the manifest is read and written again if it has changed in between.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// A publication into an output of a bucket.
pub(super) struct RemotePublication {
    shared: Arc<Shared>,
    run: Arc<Run>,
    lease: Arc<Lease>,
    open_run: Arc<OpenRun>,
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
        let (open_run, lease) = OpenRun::take_lease(shared, &run).await?;
        let opened = async {
            lease.fence_off().await?;
            let found = read_manifest(&run).await?.0;
            check_manifest(&run, &found)?;
            let objects = run.objects().await?;
            let mut ours = found.names(&options);
            let published = published_by(&run, &lease, &objects, &ours).await?;
            ours.extend(published);
            Ok((ours, objects))
        };
        match opened.await {
            Ok((ours, objects)) => {
                let shared = Arc::clone(shared);
                Ok(Self { shared, run, lease, open_run, objects, ours, staged: Arc::default() })
            }
            Err(error) => {
                open_run.end().await;
                Err(error)
            }
        }
    }

    /// Checks that files may get these names.
    pub(super) async fn check_names(&self, names: impl IntoIterator<Item = &str>) -> Result<()> {
        match self.run.options.in_the_way(&self.objects, &self.ours, names) {
            Some(name) => Err(foreign_or_lost(&self.run, &self.lease, &name).await),
            None => Ok(()),
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
    pub(super) async fn commit(self, encode: EncodeManifest) -> Result<Published> {
        let committed = self.commit_now(encode).await;
        // Also after a failure: uploads that are not published are of no use.
        self.abort().await;
        committed
    }

    async fn commit_now(&self, encode: EncodeManifest) -> Result<Published> {
        let uploads = std::mem::take(&mut *lock(&self.staged));
        let files: Vec<StagedFile> = uploads.iter().map(|upload| upload.file().clone()).collect();
        let commit = Commit {
            run: Arc::clone(&self.run),
            lease: Arc::clone(&self.lease),
            shared: Arc::clone(&self.shared),
            former: self.ours.clone(),
            files,
            encode,
        };
        // It goes on if a signal ends the run meanwhile.
        self.run.run_tracked(async move { commit.run(&uploads).await }).await
    }

    /// Aborts the open uploads and gives the lease back.
    pub(super) async fn abort(self) {
        self.open_run.end().await;
    }
}

/// A commit whose files are all staged.
struct Commit {
    run: Arc<Run>,
    lease: Arc<Lease>,
    shared: Arc<Shared>,
    files: Vec<StagedFile>,
    /// The names that belonged to this program when the run began: files of a commit that is in no manifest included.
    former: BTreeSet<String>,
    encode: EncodeManifest,
}

/// A mix that is being replaced.
struct Replacing {
    /// The version of the manifest that says so.
    version: UpdateVersion,
    /// The names that are left over from earlier mixes.
    left_over: Vec<String>,
    /// The names that do not belong to this program.
    others: Vec<String>,
}

impl Commit {
    async fn run(&self, uploads: &[Upload]) -> Result<Published> {
        let Replacing { version, left_over, others } = self.begin_replacing().await?;
        let interrupted = |error: Error| match error.kind() {
            ErrorKind::TryAgain => error,
            _ => error.hint("the mix was being replaced and is not complete: run again"),
        };
        self.complete_uploads(uploads).await.map_err(interrupted)?;
        let head = self.head(MixState::Complete, &left_over);
        self.complete_manifest(&version, &(self.encode)(&head)?).await?;
        self.shared.set_publish_state(PublishState::Complete);
        self.lease.forget_commit().await;
        if !left_over.is_empty() {
            self.shared.warnings.warn(format!(
                "{}: left over from earlier mixes: {}; `knowledge-mixing clean` deletes them when no run is at work",
                self.run.output,
                left_over.join(", ")
            ));
        }
        Ok(Published::new(head, others, &self.run.options, None))
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

    /// Puts the manifest that says "replacing".
    async fn begin_replacing(&self) -> Result<Replacing> {
        let new: BTreeSet<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        for _ in 0..ATTEMPTS {
            let (found, before) = read_manifest(&self.run).await?;
            check_manifest(&self.run, &found)?;
            // The manifest's version is older than this proof that the lease is held.
            self.lease.confirm(&self.files).await?;
            let mut names = found.names(&self.run.options);
            names.extend(self.former.iter().cloned());
            let objects = self.run.objects().await?;
            if let Some(name) = self.run.options.in_the_way(&objects, &names, new.iter().copied()) {
                return Err(foreign_or_lost(&self.run, &self.lease, &name).await);
            }
            let not_new = objects.into_keys().filter(|name| !new.contains(name.as_str()));
            let (left_over, others): (Vec<_>, Vec<_>) = not_new.partition(|name| names.contains(name));
            let content = (self.encode)(&self.head(MixState::Replacing, &left_over))?;
            self.shared.begin_replacing()?;
            let put = self.run.put_on(&self.path()?, &content, before.as_ref()).await;
            match put.map_err(|error| self.run.remote.error(&error, self.manifest_location()))? {
                Put::Done(version) => return Ok(Replacing { version, left_over, others }),
                Put::Refused(_) => {}
            }
            if let Some(version) = self.run.version_if(&content).await? {
                return Ok(Replacing { version, left_over, others });
            }
            self.shared.set_publish_state(PublishState::Untouched);
            tokio::time::sleep(PAUSE).await;
        }
        Err(contention(&self.run.output)
            .hint("the manifest has changed each time that it was to be replaced: run again"))
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
            Put::Refused(_) => match self.run.version_if(content).await.map_err(unknown)? {
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

/// The error for an object of somebody else. That it is so is true only while the lease is held: else it may be of the next holder.
async fn foreign_or_lost(run: &Run, lease: &Lease, name: &str) -> Error {
    lease.prove().await.err().unwrap_or_else(|| foreign(run.output.join(name)))
}

/// The files that a commit has published which is in no manifest, by name, size and digest.
async fn published_by(
    run: &Run,
    lease: &Lease,
    objects: &BTreeMap<String, u64>,
    known: &BTreeSet<String>,
) -> Result<Vec<String>> {
    let mut published = Vec::new();
    let files = lease.commit_before.iter().flat_map(|commit| &commit.files);
    for file in files.filter(|file| !known.contains(&file.name)) {
        if objects.get(&file.name) == Some(&file.bytes) && digest(run, file).await? == file.digest {
            published.push(file.name.clone());
        }
    }
    Ok(published)
}

/// The digest of the object of a file.
///
/// # Errors
/// The object cannot be read: whether it belongs to a mix is not known then.
async fn digest(run: &Run, file: &StagedFile) -> Result<String> {
    let location = run.output.join(&file.name);
    let path = object_path(&location)?;
    let failed = |error: StoreError| run.remote.error(&error, &location);
    let object = run.remote.retry.run(|| run.remote.store.get(&path)).await.map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    let mut body = object.into_stream();
    while let Some(bytes) = body.next().await {
        hasher.update(&bytes.map_err(failed)?);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// A run that takes the lease and holds it until it [ends](Self::end), or until a signal has it cleaned up.
pub(super) struct OpenRun {
    run: Arc<Run>,
    /// The lease, once it is taken.
    lease: OnceLock<Arc<Lease>>,
    shared: Weak<Shared>,
}

impl OpenRun {
    /// Takes the lease.
    ///
    /// # Errors
    /// Another run holds the lease ([`ErrorKind::TryAgain`]), or the store does not respond.
    pub(super) async fn take_lease(shared: &Arc<Shared>, run: &Arc<Run>) -> Result<(Arc<Self>, Arc<Lease>)> {
        let open = Arc::new(Self { run: Arc::clone(run), lease: OnceLock::new(), shared: Arc::downgrade(shared) });
        // Before the lease is taken: a signal may come between the request and its response.
        shared.register(Arc::clone(&open) as Arc<dyn CleanUp>);
        let taking = Arc::clone(&open);
        let take = async move {
            let lease = Arc::new(Lease::take(&taking.run).await?);
            Ok(Arc::clone(taking.lease.get_or_init(|| lease)))
        };
        match run.run_tracked(take).await {
            Ok(lease) => Ok((open, lease)),
            Err(error) => {
                open.end().await;
                Err(error)
            }
        }
    }

    /// Aborts the open uploads and gives the lease back.
    pub(super) async fn end(self: &Arc<Self>) {
        self.clean_up().await;
        if let Some(shared) = self.shared.upgrade() {
            shared.unregister(&(Arc::clone(self) as Arc<dyn CleanUp>));
        }
    }
}

impl CleanUp for OpenRun {
    fn clean_up(&self) -> BoxFuture<'_, ()> {
        async {
            let Some(shared) = self.shared.upgrade() else { return };
            let stopped = self.run.stop_tracked(shared.grace()).await;
            let Some(lease) = self.lease.get() else { return };
            // A commit that is still at work keeps its uploads and its lease, which names them for the next run.
            if stopped.is_some() || shared.publish_state() != PublishState::Replacing {
                lease.release().await;
            }
        }
        .boxed()
    }
}
