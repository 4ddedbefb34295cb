//! A run: the rooms put together. `mix` makes the files, `plan` says what it would make.

mod diff;
mod inputs;
mod prepare;
mod record;
mod sources;
mod verify;

pub(crate) use diff::{Change, Diff, Difference, diff};
pub(crate) use verify::{Verified, verify};

use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{MANIFEST_NAME, Manifest, OutputFile, OutputKind};
use crate::mixing;
use crate::output::{Rows, RowsFile, write_rows};
use crate::progress::{Progress, ProgressUnit};
use crate::recipe::Order;
use crate::report::{self, statistics::Statistics};
use crate::settings::Settings;
use crate::storage::{Publication, Storage};
use crate::warnings::Warnings;
use bytes::Bytes;
use prepare::{Prepared, prepare};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a run made, or would make.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the mix was made of and what it holds.
    pub(crate) manifest: Manifest,
    /// The numbers behind the reports.
    pub(crate) statistics: Statistics,
    /// The flat numbers of `metrics.json`.
    pub(crate) metrics: serde_json::Map<String, serde_json::Value>,
    /// The cut that is handed on to a next step.
    pub(crate) selected_cut: u32,
    /// The text of `summary.md`; empty for a plan.
    pub(crate) summary_md: String,
    /// The text of `report.html`; empty for a plan.
    pub(crate) report_html: String,
}

/// What a run needs besides its settings.
#[derive(Clone)]
pub(crate) struct Context {
    /// The stores.
    pub(crate) storage: Storage,
    /// Log lines and progress.
    pub(crate) progress: Progress,
    /// The run's warnings.
    pub(crate) warnings: Warnings,
    /// The threads that parse, count and encode.
    pub(crate) pool: Arc<rayon::ThreadPool>,
}

impl Context {
    /// A context with so many threads.
    ///
    /// # Errors
    /// Where the system gives no threads.
    pub(crate) fn new(storage: Storage, progress: Progress, warnings: Warnings, threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("mix-{number}"))
            // Whoever waits for the result of a job that panics sees that it never comes, and says so.
            .panic_handler(|_| ())
            .build()
            .map_err(|error| Error::new(ErrorKind::Io, "cannot start the worker threads").caused_by(error))?;
        Ok(Self { storage, progress, warnings, pool: Arc::new(pool) })
    }
}

/// Says what [`mix`] would make, and whether it is what the recipe asks for; writes nothing.
///
/// # Errors
/// All that [`mix`] finds before it writes.
pub(crate) async fn plan(settings: &Settings, context: &Context) -> Result<(Outcome, Result<()>)> {
    let prepared = prepare(settings, context).await?;
    let manifest = record::manifest(settings, &prepared);
    Ok((outcome(settings, manifest, prepared.statistics)?, prepared.enough))
}

/// Makes the mix and publishes it.
///
/// # Errors
/// Each with its kind and exit code; nothing is published then, and an earlier mix is as it was.
pub(crate) async fn mix(settings: &Settings, context: &Context) -> Result<Outcome> {
    // Opened before anything is read: an output that cannot be written should not cost a run.
    let publication = context.storage.publish(&settings.output).await?;
    match prepare(settings, context).await {
        Ok(Prepared { enough: Err(error), .. }) | Err(error) => {
            publication.abort().await;
            Err(error)
        }
        Ok(prepared) => write(settings, context, prepared, publication).await,
    }
}

async fn write(
    settings: &Settings,
    context: &Context,
    prepared: Prepared,
    publication: Publication,
) -> Result<Outcome> {
    let earlier = earlier_names(&publication);
    match stage(settings, context, prepared, &publication).await {
        Ok(outcome) => {
            let manifest = json_file(&outcome.manifest)?;
            let names: BTreeSet<&str> = outcome.manifest.outputs.iter().map(|file| file.name.as_str()).collect();
            let obsolete: Vec<String> = earlier.iter().filter(|name| !names.contains(name.as_str())).cloned().collect();
            publication.commit(manifest, &obsolete).await?;
            warn_of_strangers(settings, context, &names).await;
            Ok(outcome)
        }
        Err(error) => {
            publication.abort().await;
            Err(error)
        }
    }
}

/// Makes all files but the manifest, under staging names.
async fn stage(
    settings: &Settings,
    context: &Context,
    prepared: Prepared,
    publication: &Publication,
) -> Result<Outcome> {
    let mut manifest = record::manifest(settings, &prepared);
    let Prepared { artifacts, token_lengths, layout, table, plans, statistics, .. } = prepared;
    let mut files = Vec::new();
    let mut outputs = Vec::new();
    for plan in &plans {
        for (kind, name, validation) in [
            (OutputKind::Mix, format!("combined_cut_{}x.jsonl", plan.cut), false),
            (OutputKind::Validation, format!("combined_cut_{}x.validation.jsonl", plan.cut), true),
        ] {
            let on_this_side =
                |(copies, row): (&u32, &mixing::Row)| if row.validation == validation { *copies } else { 0 };
            let copies: Vec<u32> = plan.copies.iter().zip(&table).map(on_this_side).collect();
            let held = || copies.iter().zip(&table).map(|(copies, row)| (u64::from(*copies), u64::from(row.tokens)));
            let rows: u64 = held().map(|(copies, _)| copies).sum();
            if rows == 0 {
                continue;
            }
            outputs.push((kind, plan.cut, rows, held().map(|(copies, tokens)| copies * tokens).sum::<u64>()));
            files.push(RowsFile { name, copies });
        }
    }
    let units = mixing::units(&table, &plans, settings.seed, settings.order == Order::Shuffle);
    drop((table, plans));
    let bar = context.progress.bar("writing", units.len() as u64, ProgressUnit::Rows);
    let rejected = rejected_rows(&artifacts.rejected)?;
    let rows = Arc::new(Rows { artifacts, token_lengths, layout });
    let staged =
        write_rows(&rows, units, files, settings.compression, publication, &context.pool, &bar.counter()).await?;
    drop(bar);
    for ((kind, cut, rows, tokens), file) in outputs.into_iter().zip(staged) {
        manifest.outputs.push(OutputFile {
            name: file.name,
            kind,
            cut: Some(cut),
            rows: Some(rows),
            tokens: Some(tokens),
            bytes: file.bytes,
            digest: file.digest,
        });
    }
    let mut outcome = outcome(settings, manifest, statistics)?;
    outcome.summary_md = report::summary::summary(&outcome.manifest, &outcome.statistics);
    outcome.report_html = report::page::page(&outcome.manifest, &outcome.statistics)?;
    let mut small = vec![
        ("metrics.json", OutputKind::Metrics, json_file(&outcome.metrics)?),
        ("summary.md", OutputKind::Report, outcome.summary_md.clone().into()),
        ("report.html", OutputKind::Report, outcome.report_html.clone().into()),
    ];
    if !rejected.is_empty() {
        small.push(("rejected.jsonl", OutputKind::Rejected, rejected));
    }
    for (name, kind, bytes) in small {
        let mut sink = publication.create(name).await?;
        sink.write(vec![bytes]).await?;
        let file = sink.finish().await?;
        outcome.manifest.outputs.push(OutputFile {
            name: file.name,
            kind,
            cut: None,
            rows: None,
            tokens: None,
            bytes: file.bytes,
            digest: file.digest,
        });
    }
    Ok(outcome)
}

fn outcome(settings: &Settings, manifest: Manifest, statistics: Statistics) -> Result<Outcome> {
    let metrics = report::metrics::metrics(&manifest, &statistics);
    let written: Vec<u32> = manifest.cuts.iter().filter(|cut| cut.written).map(|cut| cut.cut).collect();
    let selected_cut = mixing::select_cut(&written, settings.select_cut)?;
    Ok(Outcome { manifest, statistics, metrics, selected_cut, summary_md: String::new(), report_html: String::new() })
}

fn rejected_rows(rejected: &[crate::input::RejectedRow]) -> Result<Bytes> {
    let mut lines = Vec::new();
    for row in rejected {
        serde_json::to_writer(&mut lines, row).map_err(cannot_serialise)?;
        lines.push(b'\n');
    }
    Ok(lines.into())
}

fn json_file(value: &impl serde::Serialize) -> Result<Bytes> {
    let mut text = serde_json::to_vec_pretty(value).map_err(cannot_serialise)?;
    text.push(b'\n');
    Ok(text.into())
}

fn cannot_serialise(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Bug, "cannot be written as JSON").caused_by(error)
}

/// The files of the mix that stands in the output now; a manifest that cannot be read names none.
fn earlier_names(publication: &Publication) -> Vec<String> {
    publication
        .previous_manifest()
        .and_then(|bytes| serde_json::from_slice::<Manifest>(bytes).ok())
        .map(|manifest| manifest.outputs.into_iter().map(|file| file.name).collect())
        .unwrap_or_default()
}

/// Files in the output that this mix does not name are never touched; somebody should know of them.
async fn warn_of_strangers(settings: &Settings, context: &Context, names: &BTreeSet<&str>) {
    let Ok(there) = context.storage.list(&settings.output).await else { return };
    let strangers: Vec<&str> = there
        .iter()
        .map(|object| object.key.as_str())
        .filter(|key| {
            *key != MANIFEST_NAME && !names.contains(key) && !key.split('/').any(|part| part.starts_with('.'))
        })
        .collect();
    if !strangers.is_empty() {
        let shown = strangers.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let more = if strangers.len() > 5 { format!(" and {} more", strangers.len() - 5) } else { String::new() };
        context
            .progress
            .warning(&format!("{}: left alone, because no manifest names them: {shown}{more}", settings.output));
    }
}
