//! Publishing into an object store: every file is a multipart upload, and all uploads are completed together at the end.
//!
//! Two runs may work on one output. Nothing is locked while they work. At the end a run takes the *claim*
//! ([`super::claim`]), so that only one commits at a time, and goes on only if the manifest is still the one that was
//! there when the run began: otherwise another run has won in the meantime, and this one ends with "try again".
//!
//! A claim alone cannot keep two runs apart: a run may sleep longer than any lease, and wake up between its last look at
//! the claim and its next request; a request may arrive at the store long after its sender was taken for dead. What
//! keeps them apart is that everything which becomes visible, the manifest included, is an upload, and an upload that was
//! aborted can never be completed. A *marker* object lists the uploads of each run before their first byte is sent. So
//! whoever commits first aborts the uploads of all runs that have begun: from then on nothing of theirs can appear any
//! more, however late. They are dead, or bound to lose. By the same act nothing that a killed run has left lies around
//! for ever.

use super::claim::{Claim, claim_name, holder};
use super::upload::{Upload, UploadSink};
use super::{LARGEST_MANIFEST, OWN_PREFIX, Stage, Staged, busy, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::MANIFEST_NAME;
use crate::storage::fault::{Fault, classify};
use crate::storage::remote::{Remote, key};
use crate::storage::{Location, Storage};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attribute, AttributeValue, Attributes, Error as StoreError, ObjectMeta, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, UpdateVersion,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Which run made an object: the answer to "was it this run's request that succeeded?". Azure takes no dashes here.
const RUN_ATTRIBUTE: &str = "knowledgemixingrun";

/// So many requests of one commit are under way at once.
const REQUESTS: usize = 8;

/// So long a run that ends early waits for its requests under way, before it cleans up behind them.
const LAST_REQUESTS: Duration = Duration::from_millis(300);

/// One run that publishes into a bucket.
pub(super) struct Run {
    storage: Storage,
    state: Arc<RunState>,
    /// What the manifest was when the run began.
    before: Option<ManifestVersion>,
}

/// What must be cleaned up if the run ends early.
pub(crate) struct RunState {
    pub(super) remote: Remote,
    pub(super) output: Location,
    pub(super) run_id: String,
    pub(super) lease: Duration,
    uploads: Mutex<Vec<(String, String)>>,
    /// How many uploads were ever begun; changed only under the lock on `uploads`.
    begun: AtomicUsize,
    /// How many of them the marker lists; held while it is written.
    marking: tokio::sync::Mutex<usize>,
    /// Held by requests that leave something which must be known to be removed.
    leaving: Arc<tokio::sync::RwLock<()>>,
    marked: AtomicBool,
    claimed: AtomicBool,
}

/// The run's name tells apart what two runs have written with the same bytes in the same second.
type ManifestVersion = (Option<String>, chrono::DateTime<chrono::Utc>, Option<String>);

fn manifest_version(meta: &ObjectMeta, attributes: &Attributes) -> ManifestVersion {
    (meta.e_tag.clone(), meta.last_modified, run_of(attributes))
}

fn run_of(attributes: &Attributes) -> Option<String> {
    let run: Option<&AttributeValue> = attributes.get(&Attribute::Metadata(RUN_ATTRIBUTE.into()));
    run.map(|run| run.as_ref().to_string())
}

impl Run {
    pub(super) async fn open(
        storage: &Storage,
        remote: Remote,
        output: &Location,
        run_id: String,
    ) -> Result<(Self, Option<Bytes>)> {
        let previous = remote.read(&output.join(MANIFEST_NAME), LARGEST_MANIFEST).await?;
        let state = Arc::new(RunState {
            remote,
            output: output.clone(),
            run_id,
            lease: storage.options().lease_timeout,
            uploads: Mutex::default(),
            begun: AtomicUsize::new(0),
            marking: tokio::sync::Mutex::default(),
            leaving: Arc::default(),
            marked: AtomicBool::new(false),
            claimed: AtomicBool::new(false),
        });
        lock(storage.runs()).push(Arc::clone(&state));
        let before = previous.as_ref().map(|(_, meta, attributes)| manifest_version(meta, attributes));
        Ok((Self { storage: storage.clone(), state, before }, previous.map(|(bytes, ..)| bytes)))
    }

    pub(super) async fn create(&self, name: &str, stage: Stage) -> Result<UploadSink> {
        let location = self.state.output.join(name);
        let path = key(&location)?;
        let (state, at, name_of_upload) = (Arc::clone(&self.state), location.clone(), name.to_string());
        let begun = self.state.to_its_end(async move {
            let path = key(&at)?;
            let id = state.create_upload(&path).await.map_err(|error| state.remote.explain(&error, &at))?;
            let number = {
                let mut uploads = lock(&state.uploads);
                uploads.push((name_of_upload, id.clone()));
                state.begun.fetch_add(1, Ordering::Relaxed) + 1
            };
            state.mark(number).await?;
            Ok(id)
        });
        let id = begun.await?;
        let upload = Upload { location, path, id, parts: Vec::new(), bytes: 0 };
        Ok(UploadSink::new(Arc::clone(&self.state), self.storage.uploads(), upload, name, stage))
    }

    pub(super) async fn commit(self, staged: Vec<Staged>, manifest: Bytes, obsolete: Vec<String>) -> Result<()> {
        let committed = self.commit_claimed(staged, manifest, obsolete).await;
        // Also after a failure: what is not published is of no use to anybody.
        self.abort().await;
        committed
    }

    async fn commit_claimed(&self, staged: Vec<Staged>, manifest: Bytes, obsolete: Vec<String>) -> Result<()> {
        let state = &self.state;
        let staged_manifest = self.stage_manifest(manifest.clone()).await?;
        let claim = Claim::take(&self.storage, state).await?;
        self.still_the_same().await?;
        for run in state.other_runs().await? {
            state.fence_off(&run, None).await?;
        }
        // Once more: another run may have been at its very end when the first look was taken.
        self.still_the_same().await?;

        claim.check()?;
        if self.before.is_some() {
            state.delete(MANIFEST_NAME).await?;
        }
        let uploads = staged.into_iter().filter_map(|staged| match staged {
            Staged::Remote(upload) => Some(upload),
            Staged::Local(_) => None,
        });
        let completed: Vec<(Path, u64)> = futures::stream::iter(uploads.map(|upload| {
            let claim = &claim;
            async move {
                claim.check()?;
                state.complete(&upload).await?;
                Ok::<_, Error>((upload.path, upload.bytes))
            }
        }))
        .buffer_unordered(REQUESTS)
        .try_collect()
        .await?;
        // The last look before it is said that these files are this run's.
        let looks = completed.iter().map(|(path, bytes)| state.is_ours(path, *bytes));
        if !futures::stream::iter(looks).buffer_unordered(REQUESTS).all(std::future::ready).await {
            return Err(busy(&state.output).hint("another run has written a file of the same name meanwhile"));
        }
        claim.check()?;
        let (owner, published) = (Arc::clone(state), self.storage.published());
        let complete = async move {
            owner.complete_manifest(&staged_manifest, &manifest).await?;
            published.store(true, Ordering::Release);
            Ok(())
        };
        state.to_its_end(complete).await?;

        // The mix is whole. What goes wrong from here on is worth a warning, not an error.
        for name in obsolete {
            if let Err(error) = state.delete(&name).await {
                self.storage.warn(format!("a file of the earlier mix could not be removed: {}", error.line()));
            }
        }
        Ok(())
    }

    /// The manifest as an upload, so that it can be fenced off like every file.
    async fn stage_manifest(&self, manifest: Bytes) -> Result<Upload> {
        let stage = Stage::default();
        let mut sink = self.create(MANIFEST_NAME, Arc::clone(&stage)).await?;
        sink.write(vec![manifest]).await?;
        sink.finish().await?;
        match lock(&stage).pop() {
            Some(Staged::Remote(upload)) => Ok(upload),
            _ => Err(Error::new(ErrorKind::Bug, "the manifest was not staged")),
        }
    }

    /// Fails where another run has published since this one began.
    async fn still_the_same(&self) -> Result<()> {
        let state = &self.state;
        let location = state.output.join(MANIFEST_NAME);
        let now = match state.remote.head(&key(&location)?).await {
            Ok(found) => Some(manifest_version(&found.meta, &found.attributes)),
            Err(error) if classify(&error) == Fault::NotFound => None,
            Err(error) => return Err(state.remote.explain(&error, &location)),
        };
        if now == self.before {
            return Ok(());
        }
        Err(busy(&state.output).hint("the other run has published its mix while this one was at work"))
    }

    /// Aborts the uploads that are not completed, and removes marker and claim.
    pub(super) async fn abort(self) {
        self.state.clean_up().await;
        lock(self.storage.runs()).retain(|state| !Arc::ptr_eq(state, &self.state));
    }
}

impl RunState {
    /// Does something to its end even where nobody waits for it any more: a signal drops a run between a request and its
    /// answer, and what the request leaves has to be known by [`clean_up`](Self::clean_up).
    pub(super) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let held = Arc::clone(&self.leaving).read_owned().await;
        let task = tokio::spawn(async move {
            let _held = held;
            work.await
        });
        match task.await {
            Ok(done) => done,
            Err(_) => Err(Error::new(ErrorKind::Bug, "a storage task was cut off")),
        }
    }

    async fn create_upload(&self, path: &Path) -> Result<String, StoreError> {
        let store = &self.remote.store;
        let options = || PutMultipartOptions { attributes: self.attributes(), ..PutMultipartOptions::default() };
        match self.remote.retry.run(|| store.create_multipart_opts(path, options())).await {
            // A store that keeps no attributes: then a lost answer is settled by the size alone.
            Err(StoreError::NotSupported { .. } | StoreError::NotImplemented { .. }) => {
                self.remote.retry.run(|| store.create_multipart(path)).await
            }
            created => created,
        }
    }

    fn attributes(&self) -> Attributes {
        Attributes::from_iter([(Attribute::Metadata(RUN_ATTRIBUTE.into()), self.run_id.clone())])
    }

    /// Writes down which uploads this run has begun, if the one of this number is not written down yet: those that are
    /// begun while the marker is written share the next writing.
    async fn mark(&self, number: usize) -> Result<()> {
        let mut listed = self.marking.lock().await;
        if *listed >= number {
            return Ok(());
        }
        let (text, begun) = {
            let uploads = lock(&self.uploads);
            let text = uploads.iter().map(|(name, id)| format!("{id} {name}\n")).collect::<String>();
            (text, self.begun.load(Ordering::Relaxed))
        };
        self.marked.store(true, Ordering::Release);
        self.put_small(&marker_name(&self.run_id), text.into(), PutMode::Overwrite).await?;
        *listed = begun;
        Ok(())
    }

    async fn put_small(&self, name: &str, bytes: Bytes, mode: PutMode) -> Result<UpdateVersion> {
        let location = self.output.join(name);
        let path = key(&location)?;
        self.put(&path, bytes, mode).await.map_err(|error| self.remote.explain(&error, &location))
    }

    pub(super) async fn put(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<UpdateVersion, StoreError> {
        let store = &self.remote.store;
        let options = || PutOptions { mode: mode.clone(), attributes: self.attributes(), ..PutOptions::default() };
        let put = self.remote.retry.run(|| store.put_opts(path, PutPayload::from(bytes.clone()), options())).await?;
        Ok(UpdateVersion { e_tag: put.e_tag, version: put.version })
    }

    async fn delete(&self, name: &str) -> Result<()> {
        let location = self.output.join(name);
        let path = key(&location)?;
        match self.remote.retry.run(|| self.remote.store.delete(&path)).await {
            Ok(()) => Ok(()),
            Err(error) if classify(&error) == Fault::NotFound => Ok(()),
            Err(error) => Err(self.remote.explain(&error, &location)),
        }
    }

    /// Completes an upload. A lost answer, and an upload that is gone because an earlier try succeeded, are settled by a
    /// look at the object.
    async fn complete(&self, upload: &Upload) -> Result<()> {
        match self.try_complete(upload).await {
            Err(error) if !self.is_ours(&upload.path, upload.bytes).await => {
                Err(self.refused(&error, &upload.location).await)
            }
            _ => {
                self.forget(upload);
                Ok(())
            }
        }
    }

    /// The same for the manifest, where the look is at every byte: on a store that keeps no attributes two runs'
    /// manifests differ in nothing else.
    async fn complete_manifest(&self, upload: &Upload, manifest: &Bytes) -> Result<()> {
        if let Err(error) = self.try_complete(upload).await {
            let there = self.remote.read(&upload.location, LARGEST_MANIFEST).await;
            if !there.is_ok_and(|there| there.is_some_and(|(bytes, ..)| bytes == manifest)) {
                return Err(self.refused(&error, &upload.location).await);
            }
        }
        self.forget(upload);
        Ok(())
    }

    async fn try_complete(&self, upload: &Upload) -> Result<(), StoreError> {
        let store = &self.remote.store;
        let complete = || store.complete_multipart(&upload.path, &upload.id, upload.parts.clone());
        self.remote.retry.run(complete).await.map(|_| ())
    }

    /// The error of a request to an upload. Of one that is gone some stores say that access is denied: whether another
    /// run has ended it is seen from this run's marker and from the claim.
    pub(super) async fn refused(&self, error: &StoreError, location: &Location) -> Error {
        let ended = match classify(error) {
            Fault::NotFound => true,
            Fault::Denied => self.is_fenced_off().await,
            _ => false,
        };
        if ended {
            return busy(&self.output).hint("another run was first, and has ended this one's uploads");
        }
        self.remote.explain(error, location)
    }

    async fn is_fenced_off(&self) -> bool {
        let read = async |name: &str| self.remote.read(&self.output.join(name), LARGEST_MANIFEST).await;
        for _ in 0..10 {
            match read(&marker_name(&self.run_id)).await {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
            match read(&claim_name()).await {
                Ok(Some((claim, ..))) if holder(&claim) != self.run_id => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
            // The marker is removed right after the uploads.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    fn forget(&self, upload: &Upload) {
        lock(&self.uploads).retain(|(_, known)| *known != upload.id);
    }

    async fn is_ours(&self, path: &Path, bytes: u64) -> bool {
        match self.remote.head(path).await {
            Ok(found) => found.meta.size == bytes && run_of(&found.attributes).is_none_or(|run| run == self.run_id),
            Err(_) => false,
        }
    }

    /// The other runs that have begun and not ended, by their markers.
    async fn other_runs(&self) -> Result<Vec<String>> {
        let prefix = key(&self.output)?;
        let prefix = (!prefix.as_ref().is_empty()).then_some(&prefix);
        let listed = self
            .remote
            .retry
            .run(|| self.remote.store.list_with_delimiter(prefix))
            .await
            .map_err(|error| self.remote.explain(&error, &self.output))?;
        let names = listed.objects.iter().filter_map(|meta| meta.location.filename());
        Ok(names.filter_map(marked_run).filter(|run| *run != self.run_id).map(str::to_string).collect())
    }

    /// Aborts all uploads of a run, so that nothing of it can appear any more, and removes its marker.
    ///
    /// `settling`: the run was committing. Where one of its uploads is gone, its completion may have been accepted by a
    /// store that shows it only later; then that is waited for, at most so long.
    pub(super) async fn fence_off(&self, run: &str, settling: Option<Duration>) -> Result<()> {
        let marker = marker_name(run);
        let Some((text, ..)) = self.remote.read(&self.output.join(&marker), LARGEST_MANIFEST).await? else {
            return Ok(());
        };
        let until = settling.map(|longest| Instant::now() + longest);
        for line in String::from_utf8_lossy(&text).lines() {
            let Some((id, name)) = line.split_once(' ').filter(|(_, name)| super::plain(name)) else { continue };
            let aborted = self.abort_upload(name, id).await?;
            if let (false, Some(until)) = (aborted, until) {
                self.settle(name, run, until).await?;
            }
        }
        self.delete(&marker).await
    }

    /// Waits until an object is what a run has made of it.
    async fn settle(&self, name: &str, run: &str, until: Instant) -> Result<()> {
        let path = key(&self.output.join(name))?;
        while Instant::now() < until {
            match self.remote.head(&path).await {
                Ok(found) if run_of(&found.attributes).is_none_or(|made_by| made_by == run) => return Ok(()),
                _ => tokio::time::sleep(self.lease / 20).await,
            }
        }
        Ok(())
    }

    /// Whether there was an upload to abort.
    async fn abort_upload(&self, name: &str, id: &str) -> Result<bool> {
        let location = self.output.join(name);
        let path = key(&location)?;
        let id = id.to_string();
        match self.remote.retry.run(|| self.remote.store.abort_multipart(&path, &id)).await {
            Ok(()) => Ok(true),
            Err(error) if classify(&error) == Fault::Transient => Err(self.remote.explain(&error, &location)),
            // Stores differ in what they say of an upload that is gone (some: access denied), and there is no more to do.
            Err(_) => Ok(false),
        }
    }

    /// Aborts every upload of this run and removes its marker and its claim, as far as the store answers.
    pub(crate) async fn clean_up(&self) {
        let _nothing_more = tokio::time::timeout(LAST_REQUESTS, self.leaving.write()).await;
        let uploads = std::mem::take(&mut *lock(&self.uploads));
        let aborts = uploads.iter().map(|(name, id)| self.abort_upload(name, id));
        let mut all = true;
        let mut aborts = futures::stream::iter(aborts).buffer_unordered(REQUESTS);
        while let Some(aborted) = aborts.next().await {
            all &= aborted.is_ok();
        }
        // The marker stays where an upload may be left, for the next run to see.
        if all && self.marked.load(Ordering::Acquire) {
            let _ = self.delete(&marker_name(&self.run_id)).await;
        }
        if self.claimed.load(Ordering::Acquire) {
            self.release().await;
        }
    }

    async fn release(&self) {
        let claim = self.remote.read(&self.output.join(&claim_name()), LARGEST_MANIFEST).await;
        if let Ok(Some((claim, ..))) = claim
            && holder(&claim) == self.run_id
        {
            let _ = self.delete(&claim_name()).await;
        }
        self.set_claimed(false);
    }

    /// Whether there may be a claim of this run to remove.
    pub(super) fn set_claimed(&self, claimed: bool) {
        self.claimed.store(claimed, Ordering::Release);
    }
}

fn marker_name(run_id: &str) -> String {
    format!("{OWN_PREFIX}-{run_id}.uploads")
}

/// The run that a marker belongs to.
fn marked_run(name: &str) -> Option<&str> {
    name.strip_prefix(OWN_PREFIX)?.strip_prefix('-')?.strip_suffix(".uploads")
}
