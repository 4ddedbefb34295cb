//! Recomputes the figures of a finished mix from its rows.

mod compare;
mod figures;
mod recount;
mod tally;

use super::context::Context;
use super::finish::METRICS;
use super::verify::{Verified, check_run, read_manifest, verify};
use crate::error::{Error, ErrorKind, Result};
use crate::input::visit;
use crate::manifest::{Manifest, OutputFile, OutputKind};
use crate::progress::{ProgressCounter, ProgressUnit};
use crate::recipe::Format;
use crate::storage::Location;
use compare::Differences;
pub(crate) use recount::DeepOptions;
use recount::Recount;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::Arc;
use tally::{RowTally, Tally};

/// Size limit of `metrics.json`.
const MAX_METRICS_BYTES: u64 = 64 << 20;

/// What reading all rows of a mix has found.
#[derive(Debug)]
pub(crate) struct DeeplyVerified {
    /// What was verified.
    pub(crate) verified: Verified,
    /// Whether tokens were counted again, for people.
    pub(crate) counting: String,
    /// Every figure that differs: file, figure, expected, found.
    pub(crate) differences: Vec<String>,
}

/// Checks a mix against its manifest, reads all of its rows, and compares the figures of manifest and metrics with theirs.
///
/// # Errors
/// Those of [`verify`]; a tokenizer that is not that of the mix or not valid.
pub(crate) async fn verify_deep(mix: &Location, options: DeepOptions, context: &Context) -> Result<DeeplyVerified> {
    let bar = |bytes| context.progress.bar("verifying", bytes, ProgressUnit::Bytes);
    let verified = verify(&context.storage, mix, &bar).await?;
    let manifest = read_manifest(&context.storage, mix).await?;
    let metrics = read_metrics(mix, context).await?;
    let (recount, counting) = recount::load(&manifest, options, context).await?;
    let recount = recount.map(Arc::new);
    let mut differences = Differences::default();
    let of_rows: Vec<&OutputFile> = manifest.outputs.iter().filter(|file| has_samples(file)).collect();
    let bar = context.progress.bar("reading", of_rows.iter().map(|file| file.bytes).sum(), ProgressUnit::Bytes);
    let mut tallies = Vec::new();
    for file in of_rows {
        match file.format.as_deref().and_then(Format::parse) {
            Some(format) => {
                let tally = read_rows(mix, file, format, &manifest, recount.clone(), context, &bar.counter()).await?;
                tallies.push((file, format, tally));
            }
            None => differences.add(format!("{}: format: expected one that is known", file.name)),
        }
    }
    drop(bar);
    check_run(&context.storage, mix, &manifest).await?;
    compare::compare(&manifest, &tallies, &mut differences);
    figures::compare(&manifest, &tallies, &metrics, &mut differences);
    Ok(DeeplyVerified { verified, counting, differences: differences.into_lines() })
}

/// Whether the rows of a file are samples.
fn has_samples(file: &OutputFile) -> bool {
    matches!(file.kind, OutputKind::Mix | OutputKind::Validation)
}

async fn read_rows(
    mix: &Location,
    file: &OutputFile,
    format: Format,
    manifest: &Manifest,
    recount: Option<Arc<Recount>>,
    context: &Context,
    progress: &ProgressCounter,
) -> Result<Tally> {
    let place = mix.join(&file.name);
    let object = context.storage.stat(&place).await?.ok_or_else(|| changed(&place))?;
    let tally = RowTally {
        place: place.to_string(),
        mix: file.mix,
        format,
        sources: Arc::new(manifest.sources.iter().map(|source| source.name.clone()).collect::<HashSet<_>>()),
        attention_mask: manifest.settings.attention_mask,
        max_tokens_per_gpu: manifest.settings.max_tokens_per_gpu,
        recount,
    };
    let visited = visit(&context.storage, &object, tally, &context.pool, progress).await?;
    if visited.digest == file.digest { Ok(visited.rows) } else { Err(changed(&place)) }
}

async fn read_metrics(mix: &Location, context: &Context) -> Result<Map<String, Value>> {
    let place = mix.join(METRICS);
    let bytes = context.storage.read(&place, MAX_METRICS_BYTES).await?.ok_or_else(|| changed(&place))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::new(ErrorKind::Data, "not an object of figures").at(&place).caused_by(error))
}

/// The error for a file that is not what was verified before.
fn changed(place: &Location) -> Error {
    Error::new(ErrorKind::TryAgain, "the file has changed while the mix was verified").at(place).hint("verify it again")
}
