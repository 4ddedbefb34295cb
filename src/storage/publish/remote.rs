//! Publishing into an object store: every file is a multipart upload, and all uploads are completed together at the end.
//!
//! Two runs may work on one output. Nothing is locked while they work; at the end
//! - a *claim* object lets only one of them commit at a time. It is taken with a conditional put and renewed while it is
//!   held; one that stands still for the lease belongs to a dead run and is taken over;
//! - whoever holds the claim goes on only if the manifest is still the one that was there when the run began. Otherwise
//!   another run has won in the meantime, and this one ends with "try again".
//!
//! A *marker* object lists the uploads of a run. Whoever takes over a claim first aborts the dead run's uploads: even if
//! that run wakes up again, it has nothing left to complete. And whoever wins aborts the uploads of all runs that began
//! before: they are dead, or bound to lose. So nothing that a killed run has left lies around for ever.

use super::{LARGEST_MANIFEST, OWN_PREFIX, Stage, Staged, StagedFile, busy, lock};
use crate::dataset::manifest::MANIFEST_NAME;
use crate::error::Result;
use crate::storage::fault::{Fault, classify};
use crate::storage::remote::{Remote, key};
use crate::storage::{AbortOnDrop, Location, Storage};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error as StoreError, ObjectMeta, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, UpdateVersion,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Parts of all uploads together hold at most so much memory while they are in flight.
pub(crate) const UPLOAD_MEMORY_MIB: usize = 48;

/// So many parts of one upload are in flight.
const PARTS_IN_FLIGHT: usize = 4;

const MIB: usize = 1 << 20;

/// The first parts' size. S3 takes no less than 5 MiB and no more than 10,000 parts.
const FIRST_PART: usize = 8 * MIB;

/// The size doubles every so many parts: 10,000 of them reach 8 TiB, and the first 8 GB take small ones.
const PARTS_BEFORE_DOUBLING: usize = 1000;

/// Pieces shorter than this on average are copied into one before they are sent.
const SHORT: usize = 64 << 10;

/// Which run made an object: the answer to "was it this run's request that succeeded?". Azure takes no dashes here.
const RUN_ATTRIBUTE: &str = "knowledgemixingrun";

/// How long a store may take to agree with itself on who has created the claim.
const SETTLING: Duration = Duration::from_millis(100);

/// So many requests of one commit are under way at once.
const REQUESTS: usize = 8;

/// One run that publishes into a bucket.
pub(super) struct Run {
    storage: Storage,
    state: Arc<RunState>,
    /// What the manifest was when the run began.
    before: Option<ManifestVersion>,
}

/// What must be cleaned up if the run ends early.
pub(crate) struct RunState {
    remote: Remote,
    output: Location,
    run_id: String,
    lease: Duration,
    uploads: Mutex<Vec<(String, String)>>,
    marking: tokio::sync::Mutex<()>,
    marked: AtomicBool,
    claimed: AtomicBool,
}

type ManifestVersion = (Option<String>, chrono::DateTime<chrono::Utc>);

fn manifest_version(meta: &ObjectMeta) -> ManifestVersion {
    (meta.e_tag.clone(), meta.last_modified)
}

/// A finished upload, not yet completed.
pub(super) struct Upload {
    location: Location,
    path: Path,
    id: String,
    parts: Vec<PartId>,
    bytes: u64,
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
            lease: storage.options().claim_lease,
            uploads: Mutex::default(),
            marking: tokio::sync::Mutex::default(),
            marked: AtomicBool::new(false),
            claimed: AtomicBool::new(false),
        });
        lock(storage.runs()).push(Arc::clone(&state));
        let before = previous.as_ref().map(|(_, meta)| manifest_version(meta));
        Ok((Self { storage: storage.clone(), state, before }, previous.map(|(bytes, _)| bytes)))
    }

    pub(super) async fn create(&self, name: &str, stage: Stage) -> Result<UploadSink> {
        let location = self.state.output.join(name);
        let path = key(&location)?;
        let id = self.state.create_upload(&path).await.map_err(|error| self.state.remote.explain(&error, &location))?;
        lock(&self.state.uploads).push((name.to_string(), id.clone()));
        self.state.mark().await?;
        Ok(UploadSink {
            state: Arc::clone(&self.state),
            memory: self.storage.uploads(),
            upload: Upload { location, path, id, parts: Vec::new(), bytes: 0 },
            name: name.to_string(),
            stage,
            waiting: Vec::new(),
            waiting_bytes: 0,
            in_flight: std::collections::VecDeque::new(),
            parts_begun: 0,
            hasher: blake3::Hasher::new(),
        })
    }

    pub(super) async fn commit(self, staged: Vec<Staged>, manifest: Bytes, obsolete: Vec<String>) -> Result<()> {
        let committed = self.commit_claimed(staged, manifest, obsolete).await;
        // Also after a failure: what is not published is of no use to anybody.
        self.abort().await;
        committed
    }

    async fn commit_claimed(&self, staged: Vec<Staged>, manifest: Bytes, obsolete: Vec<String>) -> Result<()> {
        let state = &self.state;
        let claim = Claim::take(&self.storage, state).await?;
        let manifest_location = state.output.join(MANIFEST_NAME);
        let manifest_path = key(&manifest_location)?;
        let now = match state.remote.head(&manifest_path).await {
            Ok(found) => Some(manifest_version(&found.meta)),
            Err(error) if classify(&error) == Fault::NotFound => None,
            Err(error) => return Err(state.remote.explain(&error, &manifest_location)),
        };
        if now != self.before {
            return Err(busy(&state.output).hint("the other run has published its mix while this one was at work"));
        }
        // Listed before anything changes: all these runs began before this one published, so none of them can win.
        let others = state.other_markers().await?;

        claim.check()?;
        if now.is_some() {
            state.delete(MANIFEST_NAME).await?;
        }
        let uploads = staged.into_iter().filter_map(|staged| match staged {
            Staged::Remote(upload) => Some(upload),
            Staged::Local(_) => None,
        });
        futures::stream::iter(uploads.map(|upload| {
            let claim = &claim;
            async move {
                claim.check()?;
                state.complete(upload).await
            }
        }))
        .buffer_unordered(REQUESTS)
        .try_collect::<Vec<()>>()
        .await?;
        claim.check()?;
        state.put_manifest(&manifest_location, &manifest_path, manifest).await?;

        // The mix is whole. What goes wrong from here on is worth a warning, not an error.
        for name in obsolete {
            if let Err(error) = state.delete(&name).await {
                self.storage.warn(format!("a file of the earlier mix could not be removed: {}", error.line()));
            }
        }
        for marker in others {
            if let Err(error) = state.remove_left_overs(&marker).await {
                self.storage.warn(format!("what another run has left could not be removed: {}", error.line()));
            }
        }
        Ok(())
    }

    /// Aborts the uploads that are not completed, and removes marker and claim.
    pub(super) async fn abort(self) {
        self.state.clean_up().await;
        lock(self.storage.runs()).retain(|state| !Arc::ptr_eq(state, &self.state));
    }
}

impl RunState {
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

    /// Writes down which uploads this run has begun.
    async fn mark(&self) -> Result<()> {
        let _one_at_a_time = self.marking.lock().await;
        let text = lock(&self.uploads).iter().map(|(name, id)| format!("{id} {name}\n")).collect::<String>();
        self.marked.store(true, Ordering::Release);
        self.put_small(&marker_name(&self.run_id), text.into(), PutMode::Overwrite).await.map(|_| ())
    }

    async fn put_small(&self, name: &str, bytes: Bytes, mode: PutMode) -> Result<UpdateVersion> {
        let location = self.output.join(name);
        let path = key(&location)?;
        self.put(&path, bytes, mode).await.map_err(|error| self.remote.explain(&error, &location))
    }

    async fn put(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<UpdateVersion, StoreError> {
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
    async fn complete(&self, upload: Upload) -> Result<()> {
        let Upload { location, path, id, parts, bytes } = upload;
        let store = &self.remote.store;
        let outcome = self.remote.retry.run(|| store.complete_multipart(&path, &id, parts.clone())).await;
        let completed = match &outcome {
            Ok(_) => true,
            Err(_) => self.is_ours(&path, bytes).await,
        };
        if completed {
            lock(&self.uploads).retain(|(_, known)| *known != id);
            return Ok(());
        }
        let Err(error) = outcome else { return Ok(()) };
        Err(match classify(&error) {
            Fault::NotFound => busy(&self.output).hint("another run has taken over and ended this run's uploads"),
            _ => self.remote.explain(&error, &location),
        })
    }

    async fn is_ours(&self, path: &Path, bytes: u64) -> bool {
        let attribute = Attribute::Metadata(RUN_ATTRIBUTE.into());
        match self.remote.head(path).await {
            Ok(found) => {
                found.meta.size == bytes
                    && found
                        .attributes
                        .get(&attribute)
                        .is_none_or(|run: &object_store::AttributeValue| run.as_ref() == self.run_id)
            }
            Err(_) => false,
        }
    }

    /// The manifest is put only where there is none: one that appeared since the old one was removed is another run's.
    async fn put_manifest(&self, location: &Location, path: &Path, manifest: Bytes) -> Result<()> {
        let size = manifest.len() as u64;
        let mut outcome = self.put(path, manifest.clone(), PutMode::Create).await;
        if outcome.as_ref().is_err_and(|error| classify(error) == Fault::Unsupported) {
            outcome = self.put(path, manifest, PutMode::Overwrite).await;
        }
        let Err(error) = outcome else { return Ok(()) };
        if self.is_ours(path, size).await {
            return Ok(());
        }
        Err(match classify(&error) {
            Fault::Exists | Fault::Condition => busy(&self.output),
            _ => self.remote.explain(&error, location),
        })
    }

    /// The names of the markers of other runs.
    async fn other_markers(&self) -> Result<Vec<String>> {
        let prefix = key(&self.output)?;
        let prefix = (!prefix.as_ref().is_empty()).then_some(&prefix);
        let listed = self
            .remote
            .retry
            .run(|| self.remote.store.list_with_delimiter(prefix))
            .await
            .map_err(|error| self.remote.explain(&error, &self.output))?;
        let own = marker_name(&self.run_id);
        let names = listed.objects.iter().filter_map(|meta| meta.location.filename());
        Ok(names.filter(|name| is_marker(name) && *name != own).map(str::to_string).collect())
    }

    /// Aborts the uploads that a marker lists, then removes it.
    async fn remove_left_overs(&self, marker: &str) -> Result<()> {
        let Some((text, _)) = self.remote.read(&self.output.join(marker), LARGEST_MANIFEST).await? else {
            return Ok(());
        };
        for line in String::from_utf8_lossy(&text).lines() {
            if let Some((id, name)) = line.split_once(' ').filter(|(_, name)| super::plain(name)) {
                self.abort_upload(name, id).await?;
            }
        }
        self.delete(marker).await
    }

    async fn abort_upload(&self, name: &str, id: &str) -> Result<()> {
        let location = self.output.join(name);
        let path = key(&location)?;
        let id = id.to_string();
        match self.remote.retry.run(|| self.remote.store.abort_multipart(&path, &id)).await {
            Err(error) if classify(&error) == Fault::Transient => Err(self.remote.explain(&error, &location)),
            // Stores differ in what they say of an upload that is gone (some: access denied), and there is no more to do.
            _ => Ok(()),
        }
    }

    /// Aborts every upload of this run and removes its marker and its claim, as far as the store answers.
    pub(crate) async fn clean_up(&self) {
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
        if let Ok(Some((owner, _))) = claim
            && owner == self.run_id.as_bytes()
        {
            let _ = self.delete(&claim_name()).await;
        }
        self.claimed.store(false, Ordering::Release);
    }
}

fn marker_name(run_id: &str) -> String {
    format!("{OWN_PREFIX}-{run_id}.uploads")
}

fn is_marker(name: &str) -> bool {
    name.strip_prefix(OWN_PREFIX).is_some_and(|rest| rest.starts_with('-') && rest.ends_with(".uploads"))
}

fn claim_name() -> String {
    format!("{OWN_PREFIX}.claim")
}

/// The right to commit, renewed while it is held.
struct Claim {
    renewed: Arc<Mutex<Option<Instant>>>,
    lease: Duration,
    output: Location,
    _renewing: Option<AbortOnDrop<()>>,
}

impl Claim {
    async fn take(storage: &Storage, state: &Arc<RunState>) -> Result<Self> {
        let location = state.output.join(&claim_name());
        let path = key(&location)?;
        let owner = Bytes::from(state.run_id.clone());
        let mut seen: Option<(Option<String>, Instant)> = None;
        // Set before the first try: its answer may be lost.
        state.claimed.store(true, Ordering::Release);
        loop {
            let error = match state.put(&path, owner.clone(), PutMode::Create).await {
                Ok(version) => {
                    // Not every imitation of S3 looks and writes in one step: of two runs that both seem to have
                    // created the claim, the one whose name stands in it a moment later has it.
                    tokio::time::sleep(SETTLING).await;
                    match state.remote.read(&location, LARGEST_MANIFEST).await? {
                        Some((holder, _)) if holder == owner => return Ok(Self::held(state, path, version)),
                        _ => continue,
                    }
                }
                Err(error) => error,
            };
            match classify(&error) {
                Fault::Exists | Fault::Condition => {}
                Fault::Unsupported => {
                    storage.warn(format!(
                        "{}: the store has no conditional writes: let only one run write here",
                        state.output
                    ));
                    state.claimed.store(false, Ordering::Release);
                    return Ok(Self::none(state));
                }
                _ => return Err(state.remote.explain(&error, &location)),
            }
            let Some((holder, meta)) = state.remote.read(&location, LARGEST_MANIFEST).await? else { continue };
            let version = UpdateVersion { e_tag: meta.e_tag.clone(), version: meta.version.clone() };
            if holder == owner {
                return Ok(Self::held(state, path, version));
            }
            match &seen {
                Some((e_tag, since)) if *e_tag == meta.e_tag => {
                    if since.elapsed() > state.lease {
                        let dead = String::from_utf8_lossy(&holder).into_owned();
                        state.remove_left_overs(&marker_name(&dead)).await?;
                        match state.put(&path, owner.clone(), PutMode::Update(version)).await {
                            Ok(version) => return Ok(Self::held(state, path, version)),
                            Err(error) if matches!(classify(&error), Fault::Condition | Fault::NotFound) => seen = None,
                            Err(error) => return Err(state.remote.explain(&error, &location)),
                        }
                    }
                }
                _ => seen = Some((meta.e_tag.clone(), Instant::now())),
            }
            tokio::time::sleep((state.lease / 20).clamp(Duration::from_millis(20), Duration::from_millis(500))).await;
        }
    }

    fn held(state: &Arc<RunState>, path: Path, mut version: UpdateVersion) -> Self {
        let renewed = Arc::new(Mutex::new(Some(Instant::now())));
        let (shared, owner) = (Arc::clone(&renewed), Arc::clone(state));
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(owner.lease / 4).await;
                let began = Instant::now();
                let body = Bytes::from(owner.run_id.clone());
                match owner.put(&path, body, PutMode::Update(version.clone())).await {
                    Ok(next) => {
                        version = next;
                        *lock(&shared) = Some(began);
                    }
                    Err(error) if classify(&error) == Fault::Unsupported => return,
                    Err(_) => {
                        *lock(&shared) = None;
                        return;
                    }
                }
            }
        });
        Self { renewed, lease: state.lease, output: state.output.clone(), _renewing: Some(AbortOnDrop(renewing)) }
    }

    fn none(state: &Arc<RunState>) -> Self {
        Self { renewed: Arc::default(), lease: Duration::MAX, output: state.output.clone(), _renewing: None }
    }

    /// Fails where the claim may be another run's by now.
    fn check(&self) -> Result<()> {
        if self._renewing.is_none() {
            return Ok(());
        }
        match *lock(&self.renewed) {
            Some(at) if at.elapsed() < self.lease * 3 / 4 => Ok(()),
            _ => Err(busy(&self.output).hint("this run's claim on the output could not be renewed in time")),
        }
    }
}

/// Sends bytes as the parts of an upload.
pub(super) struct UploadSink {
    state: Arc<RunState>,
    memory: Arc<tokio::sync::Semaphore>,
    upload: Upload,
    name: String,
    stage: Stage,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    in_flight: std::collections::VecDeque<AbortOnDrop<Result<PartId>>>,
    parts_begun: usize,
    hasher: blake3::Hasher,
}

impl UploadSink {
    pub(super) async fn write(&mut self, parts: Vec<Bytes>) -> Result<()> {
        for mut part in parts {
            while !part.is_empty() {
                let room = part_size(self.parts_begun) - self.waiting_bytes;
                let piece = part.split_to(room.min(part.len()));
                self.waiting_bytes += piece.len();
                self.waiting.push(piece);
                if self.waiting_bytes == part_size(self.parts_begun) {
                    self.send().await?;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<StagedFile> {
        if self.waiting_bytes > 0 {
            self.send().await?;
        }
        while let Some(part) = self.in_flight.pop_front() {
            self.upload.parts.push(part.join().await?);
        }
        let bytes = self.upload.bytes;
        let digest = self.hasher.finalize().to_hex().to_string();
        lock(&self.stage).push(Staged::Remote(self.upload));
        Ok(StagedFile { name: self.name, bytes, digest })
    }

    /// Sends what is waiting as the next part.
    async fn send(&mut self) -> Result<()> {
        while self.in_flight.len() >= PARTS_IN_FLIGHT {
            if let Some(part) = self.in_flight.pop_front() {
                self.upload.parts.push(part.join().await?);
            }
        }
        let length = std::mem::take(&mut self.waiting_bytes);
        let index = self.parts_begun;
        self.parts_begun += 1;
        self.upload.bytes += length as u64;
        let permits = length.div_ceil(MIB).clamp(1, UPLOAD_MEMORY_MIB) as u32;
        let permit = Arc::clone(&self.memory).acquire_many_owned(permits).await;
        let payload = payload(std::mem::take(&mut self.waiting), length);
        for piece in &payload {
            self.hasher.update(piece);
        }
        let (state, path, id) = (Arc::clone(&self.state), self.upload.path.clone(), self.upload.id.clone());
        let location = self.upload.location.clone();
        let send = async move {
            let _held_while_in_flight = permit;
            let store = &state.remote.store;
            let sent = state.remote.retry.run(|| store.put_part(&path, &id, index, payload.clone())).await;
            sent.map_err(|error| match classify(&error) {
                Fault::NotFound => busy(&state.output).hint("another run has taken over and ended this run's uploads"),
                _ => state.remote.explain(&error, &location),
            })
        };
        self.in_flight.push_back(AbortOnDrop(tokio::spawn(send)));
        Ok(())
    }
}

fn payload(pieces: Vec<Bytes>, length: usize) -> PutPayload {
    if length >= pieces.len().saturating_mul(SHORT) {
        return PutPayload::from_iter(pieces);
    }
    let mut whole = Vec::with_capacity(length);
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    PutPayload::from(whole)
}

fn part_size(index: usize) -> usize {
    FIRST_PART << (index / PARTS_BEFORE_DOUBLING).min(9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_reach_five_terabytes() {
        let reach: u128 = (0..10_000).map(|index| part_size(index) as u128).sum();
        assert!(reach > 5_000_000_000_000);
        assert!((0..10_000).all(|index| part_size(index) <= 5 << 30));
        assert_eq!(part_size(0), 8 << 20);
        assert_eq!(part_size(999), 8 << 20);
        assert_eq!(part_size(1000), 16 << 20);
    }
}
