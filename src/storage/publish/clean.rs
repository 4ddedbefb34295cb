//! Deletes what earlier mixes have left over.

use super::found::{left_over, no_mix};
use super::head::{EncodeCleaned, ManifestHead};
use super::lease::Lease;
use super::local::LocalPublication;
use super::options::{PublishOptions, contention};
use super::remote::OpenRun;
use super::run::{Put, Run, version};
use crate::error::Result;
use crate::storage::location::Location;
use crate::storage::remote::{Remote, object_path};
use crate::storage::retry::random_bits;
use crate::storage::shared::Shared;
use bytes::Bytes;
use std::sync::Arc;

/// Deletes the files that the manifest of an output names as left over. Returns their names.
pub(in crate::storage) async fn clean(
    shared: &Arc<Shared>,
    output: &Location,
    options: PublishOptions,
    encode: impl Fn(&Bytes, &ManifestHead) -> Result<Bytes> + Send + Sync + 'static,
) -> Result<Vec<String>> {
    let encode: EncodeCleaned = Box::new(encode);
    let run_id = format!("{:016x}", random_bits());
    match shared.remote(output).await? {
        Some(remote) => clean_bucket(shared, remote, output, options, run_id, encode).await,
        None => LocalPublication::open(shared, output, options, run_id).await?.clean(encode).await,
    }
}

async fn clean_bucket(
    shared: &Arc<Shared>,
    remote: Remote,
    output: &Location,
    options: PublishOptions,
    run_id: String,
    encode: EncodeCleaned,
) -> Result<Vec<String>> {
    let (timeout, warnings) = (shared.options.lease_timeout, shared.warnings.clone());
    let run = Arc::new(Run::new(remote, output.clone(), options, run_id, timeout, warnings));
    let (open_run, lease) = OpenRun::take_lease(shared, &run).await?;
    let cleaned = clean_under_lease(&run, &lease, &encode).await;
    open_run.end().await;
    cleaned
}

async fn clean_under_lease(run: &Run, lease: &Lease, encode: &EncodeCleaned) -> Result<Vec<String>> {
    lease.fence_off().await?;
    let options = &run.options;
    let place = run.output.join(options.manifest_name);
    let Some(manifest) = run.read(options.manifest_name, options.max_manifest_bytes).await? else {
        return Err(no_mix(&run.output));
    };
    let (head, names) = left_over(Some(&manifest.bytes), options, &run.output)?;
    if names.is_empty() {
        return Ok(names);
    }
    for name in &names {
        // Each time: a run that has taken the lease meanwhile may have published a file of this name.
        lease.prove().await?;
        run.delete(name).await?;
    }
    let content = encode(&manifest.bytes, &ManifestHead { left_over: Vec::new(), ..head })?;
    let put = run.put_on(&object_path(&place)?, &content, Some(&version(&manifest.meta))).await;
    match put.map_err(|error| run.remote.error(&error, &place))? {
        Put::Done(_) => Ok(names),
        Put::Refused(_) => match run.version_if(&content).await? {
            Some(_) => Ok(names),
            None => Err(contention(&run.output)),
        },
    }
}
