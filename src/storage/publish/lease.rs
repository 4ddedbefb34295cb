//! The lease on an output in a bucket: an object that says which run may publish, and that names the uploads which the next holder
//! has to abort.
//!
//! A run takes the lease before its first upload, by a conditional write on the version that it has read, and renews it while it
//! works. A lease that is not renewed for its timeout belongs to a dead run and is taken over. Uploads are what keeps runs apart: an
//! upload cannot be completed after it was aborted, so the new holder begins by aborting all uploads that the lease names. Nothing
//! that a former holder does, and none of its requests, however late it arrives, can change a file after that.
//!
//! The lease object stays in the output: no store can delete it on a condition, and a late deletion would hit a later holder.

use super::lease_record::{BegunCommit, LeaseRecord, MAX_LEASE_BYTES, OpenUpload};
use super::options::contention;
use super::run::{CONCURRENT_REQUESTS, Put, Run, is_made_by, version};
use super::staged_file::StagedFile;
use crate::error::{Error, ErrorKind, Result};
use crate::hash_map::lock;
use crate::storage::location::Location;
use crate::storage::remote::object_path;
use crate::storage::task::AbortOnDrop;
use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, MultipartId, UpdateVersion};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often a write is repeated if the store refuses it although the object is as it was read.
const ATTEMPTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(50);

/// A lease that a task renews until it is dropped.
pub(super) struct Lease {
    state: Arc<State>,
    /// The last commit that has begun and is not known to be complete.
    pub(super) commit_before: Option<BegunCommit>,
    _renewal: AbortOnDrop<()>,
}

struct State {
    run: Arc<Run>,
    location: Location,
    path: Path,
    /// The lease as it was last written. Locked while it is written.
    held: tokio::sync::Mutex<Held>,
    uploads: Mutex<Uploads>,
    is_lost: AtomicBool,
}

struct Held {
    record: LeaseRecord,
    version: UpdateVersion,
    /// Number of uploads begun that it names.
    recorded: usize,
}

/// The uploads that the lease has to name.
#[derive(Default)]
struct Uploads {
    /// Those that are neither completed nor aborted.
    open: Vec<OpenUpload>,
    /// Number of uploads that were ever begun.
    begun: usize,
}

/// An upload without any parts yet.
pub(super) struct BegunUpload {
    pub(super) location: Location,
    pub(super) path: Path,
    pub(super) id: MultipartId,
}

impl Lease {
    /// Takes the lease when it is free, or when its holder has not renewed it for its timeout. Before anything else, the new holder
    /// has to [fence off](Self::fence_off) former ones.
    ///
    /// # Errors
    /// Another run holds the lease ([`ErrorKind::TryAgain`]), or the store does not respond.
    pub(super) async fn take(run: &Arc<Run>) -> Result<Self> {
        let location = run.output.join(&run.options.lease_name());
        let path = object_path(&location)?;
        let (record, version) = take_over(run, &location, &path).await?;
        let commit_before = record.commit.clone();
        let uploads = Mutex::new(Uploads { open: record.uploads.clone(), begun: 0 });
        let held = tokio::sync::Mutex::new(Held { record, version, recorded: 0 });
        let state =
            Arc::new(State { run: Arc::clone(run), location, path, held, uploads, is_lost: AtomicBool::new(false) });
        let renewal = AbortOnDrop(tokio::spawn(renew(Arc::clone(&state))));
        Ok(Self { state, commit_before, _renewal: renewal })
    }

    /// Aborts the uploads of former holders.
    ///
    /// # Errors
    /// The store does not respond, or does not permit it.
    pub(super) async fn fence_off(&self) -> Result<()> {
        let run = &self.state.run;
        let former = lock(&self.state.uploads).open.clone();
        let deadline = Instant::now() + run.lease_timeout;
        let aborts = former.iter().map(|upload| async move {
            let existed = run.abort_upload(&upload.name, &upload.id).await?;
            if let (false, Some(commit)) = (existed, &self.commit_before) {
                wait_for_completion(run, commit, &upload.name, deadline).await?;
            }
            Ok::<_, Error>(upload.id.clone())
        });
        let mut aborts = futures::stream::iter(aborts).buffer_unordered(CONCURRENT_REQUESTS);
        while let Some(aborted) = aborts.next().await {
            self.forget(&aborted?);
        }
        Ok(())
    }

    /// Begins an upload and has the lease name it.
    ///
    /// # Errors
    /// The lease is lost, or the store does not respond.
    pub(super) async fn begin_upload(&self, name: &str) -> Result<BegunUpload> {
        let (state, name) = (Arc::clone(&self.state), name.to_string());
        let begin = async move {
            let run = &state.run;
            let location = run.output.join(&name);
            let path = object_path(&location)?;
            let id = run.create_upload(&path).await.map_err(|error| run.remote.error(&error, &location))?;
            let number = {
                let mut uploads = lock(&state.uploads);
                uploads.open.push(OpenUpload { id: id.clone(), name });
                uploads.begun += 1;
                uploads.begun
            };
            // Uploads that are begun while the lease is being written share the next write.
            let mut held = state.held.lock().await;
            if held.recorded < number {
                state.write(&mut held, |_| {}).await?;
            }
            Ok(BegunUpload { location, path, id })
        };
        self.state.run.run_tracked(begin).await
    }

    /// Forgets an upload that is completed or aborted. The next write of the lease no longer names it.
    pub(super) fn forget(&self, id: &MultipartId) {
        lock(&self.state.uploads).open.retain(|upload| upload.id != *id);
    }

    /// Proves that the run still holds the lease, and records what it is about to publish.
    ///
    /// # Errors
    /// The lease is lost ([`ErrorKind::TryAgain`]), or the store does not respond.
    pub(super) async fn confirm(&self, files: &[StagedFile]) -> Result<()> {
        let mut held = self.state.held.lock().await;
        let commit = BegunCommit { run: self.state.run.id.clone(), files: files.to_vec() };
        self.state.write(&mut held, |record| record.commit = Some(commit)).await
    }

    /// Proves that the run still holds the lease.
    ///
    /// # Errors
    /// The lease is lost ([`ErrorKind::TryAgain`]), or the store does not respond.
    pub(super) async fn prove(&self) -> Result<()> {
        let mut held = self.state.held.lock().await;
        self.state.write(&mut held, |_| {}).await
    }

    /// Aborts this run's open uploads and gives the lease back, as far as the store responds.
    pub(super) async fn release(&self) {
        let state = &self.state;
        let open = lock(&state.uploads).open.clone();
        let aborts = open.into_iter().map(|upload| async move {
            // One that may be left is for the next holder to abort.
            if state.run.abort_upload(&upload.name, &upload.id).await.is_ok() {
                self.forget(&upload.id);
            }
        });
        futures::stream::iter(aborts).buffer_unordered(CONCURRENT_REQUESTS).collect::<Vec<()>>().await;
        let mut held = state.held.lock().await;
        let _ = state.write(&mut held, |record| record.run = None).await;
        // The renewal ends: the lease belongs to somebody else now.
        state.is_lost.store(true, Ordering::Release);
    }

    /// Has the released lease name no commit: the manifest is complete.
    pub(super) async fn forget_commit(&self) {
        self.state.held.lock().await.record.commit = None;
    }

    /// Describes a failed request to an upload. Some stores deny access to an upload that is gone.
    pub(super) async fn upload_error(&self, error: &StoreError, location: &Location) -> Error {
        use crate::storage::store_error::StoreErrorKind as Kind;
        let kind = Kind::of(error);
        let may_be_aborted = match kind {
            Kind::NotFound => true,
            Kind::AccessDenied => self.prove().await.is_err_and(|error| error.kind() == ErrorKind::TryAgain),
            _ => false,
        };
        if may_be_aborted {
            return contention(&self.state.run.output)
                .hint("another run took this one for dead and aborted its uploads: run again");
        }
        self.state.run.remote.error(error, location)
    }
}

impl State {
    /// Writes the lease with the uploads that are open now.
    async fn write(&self, held: &mut Held, change: impl FnOnce(&mut LeaseRecord)) -> Result<()> {
        if self.is_lost.load(Ordering::Acquire) {
            return Err(self.lost());
        }
        let mut record = held.record.clone();
        let begun = {
            let uploads = lock(&self.uploads);
            record.uploads.clone_from(&uploads.open);
            uploads.begun
        };
        change(&mut record);
        let mut answer = None;
        for _ in 0..ATTEMPTS {
            record.beat += 1;
            // Kept even if this write fails: no two contents may be equal.
            held.record.beat = record.beat;
            let content = record.content();
            let put = self.run.put_on(&self.path, &content, Some(&held.version)).await;
            match put.map_err(|error| self.run.remote.error(&error, &self.location))? {
                Put::Done(version) => {
                    *held = Held { record, version, recorded: begun };
                    return Ok(());
                }
                Put::Refused(error) => answer = Some(error),
            }
            // Either another run holds the lease, or an earlier write succeeded and its response was lost.
            let Some((Some(found), version)) = read(&self.run).await? else { break };
            if found == record {
                *held = Held { record, version, recorded: begun };
                return Ok(());
            }
            if found.written_by != self.run.id || found.run.is_none() {
                break;
            }
            held.version = version;
            tokio::time::sleep(PAUSE).await;
        }
        self.is_lost.store(true, Ordering::Release);
        let lost = self.lost();
        Err(match answer {
            Some(answer) => lost.caused_by(self.run.remote.error(&answer, &self.location).line()),
            None => lost,
        })
    }

    fn lost(&self) -> Error {
        contention(&self.run.output).hint(
            "this run could not renew its lease in time: run again, with a longer --lease-timeout if this repeats",
        )
    }
}

/// Renews the lease until it is lost.
async fn renew(state: Arc<State>) {
    loop {
        tokio::time::sleep(state.run.lease_timeout / 4).await;
        let mut held = state.held.lock().await;
        // A renewal that fails is repeated; a lease that is lost stays so.
        let _ = state.write(&mut held, |_| {}).await;
        if state.is_lost.load(Ordering::Acquire) {
            return;
        }
    }
}

/// Reads the lease; the content is `None` if it is not one.
async fn read(run: &Run) -> Result<Option<(Option<LeaseRecord>, UpdateVersion)>> {
    let found = run.read(&run.options.lease_name(), MAX_LEASE_BYTES).await?;
    Ok(found.map(|object| (LeaseRecord::parse(&object.bytes), version(&object.meta))))
}

/// Waits until the lease may be taken, and takes it. Returns what it says now: uploads and commit of the last holder included.
async fn take_over(run: &Arc<Run>, location: &Location, path: &Path) -> Result<(LeaseRecord, UpdateVersion)> {
    let mut seen: Option<(Bytes, Instant)> = None;
    let mut refused = 0;
    let mut record = LeaseRecord { run: Some(run.id.clone()), written_by: run.id.clone(), ..LeaseRecord::default() };
    loop {
        let found = run.read(&run.options.lease_name(), MAX_LEASE_BYTES).await?;
        if let Some(object) = &found {
            let former = LeaseRecord::parse(&object.bytes);
            let holder = former.as_ref().map(|former| former.run.clone());
            if holder == Some(Some(run.id.clone())) {
                // An earlier write succeeded and its response was lost.
                return Ok((former.unwrap_or_default(), version(&object.meta)));
            }
            // What is not a lease counts as one that nobody renews.
            if holder != Some(None) && !is_abandoned(run, &object.bytes, &mut seen).await? {
                continue;
            }
            let former = former.unwrap_or_default();
            (record.uploads, record.commit) = (former.uploads, former.commit);
        }
        record.beat += 1;
        let expected = found.as_ref().map(|object| version(&object.meta));
        let put = run.put_on(path, &record.content(), expected.as_ref()).await;
        let refusal = match put.map_err(|error| run.remote.error(&error, location))? {
            Put::Done(version) => {
                if run.is_conditional() {
                    // Some S3-compatible stores do not check and write atomically: if two runs both seem to have written the
                    // lease, the one that a read a moment later returns holds it.
                    tokio::time::sleep(run.lease_timeout / 300).await;
                    match read(run).await? {
                        Some((Some(found), version)) if found.run.as_ref() == Some(&run.id) => {
                            return Ok((found, version));
                        }
                        _ => return Err(contention(&run.output)),
                    }
                }
                return Ok((record, version));
            }
            Put::Refused(refusal) => refusal,
        };
        refused += 1;
        if refused == ATTEMPTS {
            let state = if found.is_some() { "as it was read" } else { "not found" };
            let message = format!("cannot take the lease: the store refuses to write an object that is {state}");
            let cause = run.remote.error(&refusal, location).line();
            return Err(Error::new(ErrorKind::Io, message).at(location).caused_by(cause));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the holder of a lease is dead: its lease has stayed the same for its timeout. Waits a moment if that is not known yet.
///
/// # Errors
/// The lease has changed, so its holder is alive.
async fn is_abandoned(run: &Run, content: &Bytes, seen: &mut Option<(Bytes, Instant)>) -> Result<bool> {
    match seen {
        Some((first, _)) if first != content => return Err(contention(&run.output)),
        Some((_, since)) if since.elapsed() > run.lease_timeout => return Ok(true),
        Some(_) => {}
        None => {
            let seconds = run.lease_timeout.as_secs_f64();
            run.note(&format!(
                "{}: another run holds the lease: waiting for up to {seconds} s to see whether it is alive",
                run.output
            ));
            *seen = Some((content.clone(), Instant::now()));
        }
    }
    let poll = run.lease_timeout / 20;
    tokio::time::sleep(poll.clamp(Duration::from_millis(5), Duration::from_millis(500))).await;
    Ok(false)
}

/// Waits until a file of a former commit is visible: if its upload is gone although the commit had not ended, the store may have
/// accepted the completion and show the object only later.
async fn wait_for_completion(run: &Run, commit: &BegunCommit, name: &str, deadline: Instant) -> Result<()> {
    let path = object_path(&run.output.join(name))?;
    while Instant::now() < deadline && commit.files.iter().any(|file| file.name == name) {
        match run.remote.head(&path).await {
            Ok(found) if is_made_by(&found.attributes, &commit.run) => return Ok(()),
            _ => tokio::time::sleep(run.lease_timeout / 20).await,
        }
    }
    Ok(())
}
