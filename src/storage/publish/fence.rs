//! Fencing: a run aborts the uploads of the others, after which nothing of theirs can become visible.

use super::options::contention;
use super::records::{journal_name, journal_owner, lease_holder, lease_name, parse_journal};
use super::run::{Run, is_made_by};
use crate::error::{Error, Result};
use crate::storage::location::Location;
use crate::storage::remote::object_path;
use crate::storage::store_error::StoreErrorKind;
use object_store::Error as StoreError;
use std::time::{Duration, Instant};

/// Fences off every other run that has begun and not ended.
pub(super) async fn fence_off_others(run: &Run) -> Result<()> {
    for name in run.names().await? {
        match journal_owner(&run.options, &name) {
            Some(other) if other != run.id => fence_off(run, other, None).await?,
            _ => {}
        }
    }
    Ok(())
}

/// Aborts all uploads of another run, then removes its journal.
///
/// `settle_timeout` is given for a run that was committing. If one of its uploads is gone, the store may have accepted
/// its completion and show the object only later: that is waited for.
pub(super) async fn fence_off(run: &Run, other: &str, settle_timeout: Option<Duration>) -> Result<()> {
    let journal = journal_name(&run.options, other);
    let Some(content) = run.read_record(&journal).await? else { return Ok(()) };
    let deadline = settle_timeout.map(|timeout| Instant::now() + timeout);
    for entry in parse_journal(&content.bytes) {
        let existed = run.abort_upload(&entry.name, &entry.id).await?;
        if let (false, Some(deadline)) = (existed, deadline) {
            wait_for_completion(run, &entry.name, other, deadline).await?;
        }
    }
    run.delete(&journal).await
}

/// Waits until another run's object is visible.
async fn wait_for_completion(run: &Run, name: &str, other: &str, deadline: Instant) -> Result<()> {
    let path = object_path(&run.output.join(name))?;
    while Instant::now() < deadline {
        match run.remote.head(&path).await {
            Ok(found) if is_made_by(&found, other) => return Ok(()),
            _ => tokio::time::sleep(run.lease_timeout / 20).await,
        }
    }
    Ok(())
}

/// Describes a failed request to an upload. Some stores deny access to an upload that is gone, so this run's journal
/// and the lease tell whether another run has aborted it.
pub(super) async fn upload_error(run: &Run, error: &StoreError, location: &Location) -> Error {
    let is_aborted = match StoreErrorKind::of(error) {
        StoreErrorKind::NotFound => true,
        StoreErrorKind::AccessDenied => is_fenced_off(run).await,
        _ => false,
    };
    if is_aborted {
        return contention(&run.output).hint("another run published first and aborted this run's uploads");
    }
    run.remote.error(error, location)
}

/// Whether another run has fenced off this one.
async fn is_fenced_off(run: &Run) -> bool {
    for _ in 0..10 {
        match run.read_record(&journal_name(&run.options, &run.id)).await {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
        match run.read_record(&lease_name(&run.options)).await {
            Ok(Some(lease)) if lease_holder(&lease.bytes) != run.id => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
        // The journal is removed right after the uploads are aborted.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}
