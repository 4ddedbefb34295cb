//! The lease on an output: an object by which only one run at a time commits.
//!
//! A run acquires it with a conditional put and renews it while it holds it. A lease that is not renewed for its
//! timeout belongs to a dead run and is taken over. The lease keeps runs from disturbing each other; it is not what
//! keeps their files apart: a run that was taken for dead, and a request that arrives late, are fenced off
//! ([`super::fence`]).

use super::fence::fence_off;
use super::options::contention;
use super::records::{lease_content, lease_holder, lease_name};
use super::run::Run;
use crate::error::{Error, Result};
use crate::hash_map::lock;
use crate::storage::location::Location;
use crate::storage::remote::object_path;
use crate::storage::store_error::StoreErrorKind;
use crate::storage::task::AbortOnDrop;
use crate::warnings::Warnings;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, PutMode, UpdateVersion};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The right to commit.
pub(super) enum Lease {
    Held(HeldLease),
    /// The store has no conditional writes, so there is no lease.
    Unsupported,
}

/// A lease that a task renews until it is dropped.
pub(super) struct HeldLease {
    /// When the last successful renewal was sent; `None` once the lease is lost.
    renewed: Arc<Mutex<Option<Instant>>>,
    timeout: Duration,
    output: Location,
    _renewal: AbortOnDrop<()>,
}

impl Lease {
    /// Waits until the lease is free, or its holder has not renewed it for its timeout.
    pub(super) async fn acquire(run: &Arc<Run>, warnings: &Warnings) -> Result<Self> {
        let object = LeaseObject::new(run)?;
        // Set before the first request: its response may be lost.
        run.set_may_hold_lease(true);
        let mut seen: Option<(Bytes, Instant)> = None;
        loop {
            if let Err(error) = object.put(PutMode::Create).await? {
                match StoreErrorKind::of(&error) {
                    StoreErrorKind::AlreadyExists | StoreErrorKind::PreconditionFailed => {}
                    StoreErrorKind::Unsupported => {
                        warnings.warn(format!(
                            "{}: the store does not support conditional writes: let only one run publish here",
                            run.output
                        ));
                        run.set_may_hold_lease(false);
                        return Ok(Self::Unsupported);
                    }
                    _ => return Err(object.error(&error)),
                }
            }
            let Some(lease) = run.read_record(&lease_name(&run.options)).await? else { continue };
            let holder = lease_holder(&lease.bytes);
            if holder == run.id {
                return Ok(Self::Held(HeldLease::new(object, version(&lease.meta))));
            }
            match &seen {
                Some((content, since)) if *content == lease.bytes => {
                    if since.elapsed() > run.lease_timeout {
                        object.take_over(&holder, version(&lease.meta)).await?;
                        // The next iteration reads whose lease it is now.
                        seen = None;
                        continue;
                    }
                }
                _ => seen = Some((lease.bytes, Instant::now())),
            }
            let poll = run.lease_timeout / 20;
            tokio::time::sleep(poll.clamp(Duration::from_millis(5), Duration::from_millis(500))).await;
        }
    }

    /// Fails if another run may hold the lease.
    pub(super) fn check(&self) -> Result<()> {
        let Self::Held(lease) = self else { return Ok(()) };
        match *lock(&lease.renewed) {
            Some(at) if at.elapsed() < lease.timeout * 3 / 4 => Ok(()),
            _ => Err(contention(&lease.output).hint(
                "this run could not renew its lease in time: run again, with a longer --lease-timeout if this repeats",
            )),
        }
    }
}

/// Releases the lease if the run holds it, as far as the store responds.
pub(super) async fn release(run: &Run) {
    if !run.may_hold_lease() {
        return;
    }
    let name = lease_name(&run.options);
    if let Ok(Some(lease)) = run.read_record(&name).await
        && lease_holder(&lease.bytes) == run.id
    {
        let _ = run.delete(&name).await;
    }
    run.set_may_hold_lease(false);
}

/// The object of the lease, as a run sees it.
struct LeaseObject {
    run: Arc<Run>,
    location: Location,
    path: Path,
}

impl LeaseObject {
    fn new(run: &Arc<Run>) -> Result<Self> {
        let location = run.output.join(&lease_name(&run.options));
        Ok(Self { run: Arc::clone(run), path: object_path(&location)?, location })
    }

    fn error(&self, error: &StoreError) -> Error {
        self.run.remote.error(error, &self.location)
    }

    /// Writes the lease. The request is tracked: if a signal drops the run, the lease must not appear after the
    /// cleanup.
    async fn put(&self, mode: PutMode) -> Result<Result<(), StoreError>> {
        let (run, path) = (Arc::clone(&self.run), self.path.clone());
        let put = async move { Ok(run.put(&path, lease_content(&run.id, 0), mode).await.map(|_| ())) };
        let put = self.run.run_tracked(put).await?;
        if put.is_ok() {
            // Some S3-compatible stores do not check and write atomically: if two runs both seem to have written the
            // lease, the one that a read a moment later returns holds it.
            tokio::time::sleep(self.run.lease_timeout / 300).await;
        }
        Ok(put)
    }

    /// Takes the lease over from a dead run, unless another run does so first.
    async fn take_over(&self, holder: &str, version: UpdateVersion) -> Result<()> {
        // Fenced off first: the next holder relies on it.
        fence_off(&self.run, holder, Some(self.run.lease_timeout)).await?;
        match self.put(PutMode::Update(version)).await? {
            Err(error)
                if !matches!(
                    StoreErrorKind::of(&error),
                    StoreErrorKind::PreconditionFailed | StoreErrorKind::NotFound
                ) =>
            {
                Err(self.error(&error))
            }
            _ => Ok(()),
        }
    }

    /// Renews the lease until another run holds it.
    async fn renew(self, mut held: UpdateVersion, renewed: Arc<Mutex<Option<Instant>>>) {
        let run = &self.run;
        let mut is_conditional = true;
        for renewals in 1.. {
            tokio::time::sleep(run.lease_timeout / 4).await;
            let sent = Instant::now();
            let content = lease_content(&run.id, renewals);
            let mode = if is_conditional { PutMode::Update(held.clone()) } else { PutMode::Overwrite };
            let kind = match run.put(&self.path, content.clone(), mode).await {
                Ok(version) => {
                    held = version;
                    *lock(&renewed) = Some(sent);
                    continue;
                }
                Err(error) => StoreErrorKind::of(&error),
            };
            match kind {
                StoreErrorKind::Unsupported => is_conditional = false,
                // Either another run holds the lease, or an earlier attempt of this request succeeded and its response
                // was lost.
                StoreErrorKind::PreconditionFailed | StoreErrorKind::AlreadyExists | StoreErrorKind::NotFound => {
                    match run.read_record(&lease_name(&run.options)).await {
                        Ok(Some(lease)) if lease.bytes == content => {
                            held = version(&lease.meta);
                            *lock(&renewed) = Some(sent);
                        }
                        Ok(_) => {
                            *lock(&renewed) = None;
                            return;
                        }
                        Err(_) => {}
                    }
                }
                // The renewal is repeated until the lease is known to be lost; `check` looks at its age.
                _ => {}
            }
        }
    }
}

impl HeldLease {
    fn new(object: LeaseObject, version: UpdateVersion) -> Self {
        let renewed = Arc::new(Mutex::new(Some(Instant::now())));
        let (timeout, output) = (object.run.lease_timeout, object.run.output.clone());
        let renewal = AbortOnDrop(tokio::spawn(object.renew(version, Arc::clone(&renewed))));
        Self { renewed, timeout, output, _renewal: renewal }
    }
}

fn version(meta: &ObjectMeta) -> UpdateVersion {
    UpdateVersion { e_tag: meta.e_tag.clone(), version: meta.version.clone() }
}
