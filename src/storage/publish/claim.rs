//! The claim on an output: an object by which only one run at a time commits.
//!
//! It is taken with a conditional put and renewed while it is held; one that stands still for the lease belongs to a dead
//! run and is taken over. The claim keeps runs out of each other's way. That two of them never blend does not hang on it:
//! a run that was taken for dead, and a request that arrives late, are fenced off by the aborting of their uploads.

use super::remote::RunState;
use super::{LARGEST_MANIFEST, OWN_PREFIX, busy, lock};
use crate::error::{Error, Result};
use crate::storage::fault::{Fault, classify};
use crate::storage::{AbortOnDrop, Location, Storage};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, PutMode, UpdateVersion};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The right to commit, renewed while it is held.
pub(super) struct Claim {
    renewed: Arc<Mutex<Option<Instant>>>,
    lease: Duration,
    output: Location,
    renewing: Option<AbortOnDrop<()>>,
}

pub(super) fn claim_name() -> String {
    format!("{OWN_PREFIX}.claim")
}

/// What stands in a claim. The count makes every renewal a change that others see: stores name a version by its content,
/// so the same bytes again would look like a claim that stands still.
fn body(run_id: &str, count: u64) -> Bytes {
    format!("{run_id} {count}").into()
}

/// The run that a claim belongs to.
pub(super) fn holder(claim: &[u8]) -> String {
    let text = String::from_utf8_lossy(claim);
    text.split(' ').next().unwrap_or_default().to_string()
}

fn version(meta: &ObjectMeta) -> UpdateVersion {
    UpdateVersion { e_tag: meta.e_tag.clone(), version: meta.version.clone() }
}

/// Puts the claim, to its end: what a signal has cut off must not appear behind the run's back.
async fn put(
    state: &Arc<RunState>,
    path: &Path,
    body: Bytes,
    mode: PutMode,
) -> Result<Result<UpdateVersion, StoreError>> {
    let (owner, path) = (Arc::clone(state), path.clone());
    state.to_its_end(async move { Ok(owner.put(&path, body, mode).await) }).await
}

impl Claim {
    /// Waits for the claim until it is free, or its holder has stood still for the lease.
    pub(super) async fn take(storage: &Storage, state: &Arc<RunState>) -> Result<Self> {
        let location = state.output.join(&claim_name());
        let path = crate::storage::remote::key(&location)?;
        let told = |error: &StoreError| state.remote.explain(error, &location);
        let mut seen: Option<(Bytes, Instant)> = None;
        // Set before the first try: its answer may be lost.
        state.set_claimed(true);
        loop {
            match put(state, &path, body(&state.run_id, 0), PutMode::Create).await? {
                // Not every imitation of S3 looks and writes in one step: of two runs that both seem to have created
                // the claim, the one whose name stands in it a moment later has it.
                Ok(_) => tokio::time::sleep(state.lease / 300).await,
                Err(error) => match classify(&error) {
                    Fault::Exists | Fault::Condition => {}
                    Fault::Unsupported => {
                        storage.warn(format!(
                            "{}: the store has no conditional writes: let only one run write here",
                            state.output
                        ));
                        state.set_claimed(false);
                        return Ok(Self::none(state));
                    }
                    _ => return Err(told(&error)),
                },
            }
            let Some((claim, meta, _)) = state.remote.read(&location, LARGEST_MANIFEST).await? else { continue };
            let owner = holder(&claim);
            if owner == state.run_id {
                return Ok(Self::held(state, path, version(&meta)));
            }
            match &seen {
                Some((before, since)) if *before == claim => {
                    if since.elapsed() > state.lease {
                        // Before the claim is taken over: whoever has it may then rely on this.
                        state.fence_off(&owner, Some(state.lease)).await?;
                        match put(state, &path, body(&state.run_id, 0), PutMode::Update(version(&meta))).await? {
                            Ok(_) => tokio::time::sleep(state.lease / 300).await,
                            Err(error) if matches!(classify(&error), Fault::Condition | Fault::NotFound) => {}
                            Err(error) => return Err(told(&error)),
                        }
                        // The next turn finds whose claim it is now.
                        seen = None;
                        continue;
                    }
                }
                _ => seen = Some((claim, Instant::now())),
            }
            tokio::time::sleep((state.lease / 20).clamp(Duration::from_millis(5), Duration::from_millis(500))).await;
        }
    }

    fn held(state: &Arc<RunState>, path: Path, version: UpdateVersion) -> Self {
        let renewed = Arc::new(Mutex::new(Some(Instant::now())));
        let renewing = tokio::spawn(renew(Arc::clone(state), path, version, Arc::clone(&renewed)));
        Self { renewed, lease: state.lease, output: state.output.clone(), renewing: Some(AbortOnDrop(renewing)) }
    }

    fn none(state: &Arc<RunState>) -> Self {
        Self { renewed: Arc::default(), lease: Duration::MAX, output: state.output.clone(), renewing: None }
    }

    /// Fails where the claim may be another run's by now.
    pub(super) fn check(&self) -> Result<()> {
        if self.renewing.is_none() {
            return Ok(());
        }
        match *lock(&self.renewed) {
            Some(at) if at.elapsed() < self.lease * 3 / 4 => Ok(()),
            _ => Err(lost(&self.output)),
        }
    }
}

fn lost(output: &Location) -> Error {
    busy(output).hint("this run's claim on the output could not be renewed in time")
}

/// Renews the claim until it is another's.
async fn renew(state: Arc<RunState>, path: Path, mut held: UpdateVersion, renewed: Arc<Mutex<Option<Instant>>>) {
    let mut conditional = true;
    for count in 1.. {
        tokio::time::sleep(state.lease / 4).await;
        let began = Instant::now();
        let body = body(&state.run_id, count);
        let mode = if conditional { PutMode::Update(held.clone()) } else { PutMode::Overwrite };
        let fault = match state.put(&path, body.clone(), mode).await {
            Ok(next) => {
                held = next;
                *lock(&renewed) = Some(began);
                continue;
            }
            Err(error) => classify(&error),
        };
        match fault {
            Fault::Unsupported => conditional = false,
            // Another's, or an earlier try of this very request has succeeded and its answer was lost.
            Fault::Condition | Fault::Exists | Fault::NotFound => {
                match state.remote.read(&state.output.join(&claim_name()), LARGEST_MANIFEST).await {
                    Ok(Some((claim, meta, _))) if claim == body => {
                        held = version(&meta);
                        *lock(&renewed) = Some(began);
                    }
                    Ok(_) => {
                        *lock(&renewed) = None;
                        return;
                    }
                    Err(_) => {}
                }
            }
            // As long as it is not known to be lost it is tried again; its age is what counts.
            _ => {}
        }
    }
}
