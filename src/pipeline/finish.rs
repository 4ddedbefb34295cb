//! Stage 5: writes metrics, summary, report and manifest, and publishes the mix.

use super::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::input::RejectedRow;
use crate::manifest::{MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, MixKind, OutputFile, OutputKind};
use crate::recipe::Format;
use crate::report::{self, card::CARD, statistics::Statistics};
use crate::settings::Settings;
use crate::storage::{Location, ManifestHead, Publication, PublishOptions, Published};
use bytes::Bytes;

/// The files of every mix besides its rows.
pub(super) const METRICS: &str = "metrics.json";
pub(super) const SUMMARY: &str = "summary.md";
pub(super) const REPORT: &str = "report.html";

/// How a mix is published; with `overwrite`, files that belong to no mix are replaced.
pub(super) fn publish_options(overwrite: bool) -> PublishOptions {
    PublishOptions {
        manifest_name: MANIFEST_NAME,
        max_manifest_bytes: MAX_MANIFEST_BYTES,
        private_prefix: ".knowledge-mixing",
        parse_manifest: |bytes| {
            let Manifest { state, run, left_over, outputs, .. } = serde_json::from_slice(bytes).ok()?;
            Some(ManifestHead { state, run, files: outputs.into_iter().map(|file| file.name).collect(), left_over })
        },
        overwrite,
    }
}

/// Opens the output of a mix. What is in the way of the files that every mix has is found here, before anything is read.
///
/// # Errors
/// If another run is publishing there, files that belong to no mix are in the way, or the output cannot be written.
pub(super) async fn open_output(settings: &Settings, context: &Context) -> Result<Publication> {
    let publication = context.storage.publish(&settings.output, publish_options(settings.overwrite)).await?;
    match publication.check_names(&[METRICS, SUMMARY, REPORT, CARD]).await {
        Ok(()) => Ok(publication),
        Err(error) => {
            publication.abort().await;
            Err(error)
        }
    }
}

/// What a run made, or would make.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the mix was made of and what it holds.
    pub(crate) manifest: Manifest,
    /// The numbers behind the reports.
    pub(crate) statistics: Statistics,
    /// The flat numbers of `metrics.json`.
    pub(crate) metrics: serde_json::Map<String, serde_json::Value>,
    /// The cut that is passed to a next step.
    pub(crate) selected_cut: u32,
    /// The text of `summary.md`; empty for a plan.
    pub(crate) summary_md: String,
    /// The text of `report.html`; empty for a plan.
    pub(crate) report_html: String,
    /// Keeps other runs from the output until it is dropped; `None` for a plan.
    pub(crate) published: Option<Published>,
}

impl Outcome {
    /// The outcome of a plan: nothing is written.
    pub(super) fn of_plan(manifest: Manifest, statistics: Statistics, selected_cut: u32) -> Self {
        let metrics = report::metrics::metrics(&manifest, &statistics);
        Self {
            manifest,
            statistics,
            metrics,
            selected_cut,
            summary_md: String::new(),
            report_html: String::new(),
            published: None,
        }
    }
}

/// Writes the remaining files and makes the mix visible.
///
/// # Errors
/// If a file cannot be written, or another run is publishing to the same output.
pub(super) async fn finish(
    manifest: Manifest,
    statistics: Statistics,
    selected_cut: u32,
    rejected: &[RejectedRow],
    publication: Publication,
    settings: &Settings,
    context: &Context,
) -> Result<Outcome> {
    let format = settings.selected_format;
    let written = write_small_files(manifest, statistics, (selected_cut, format), rejected, &publication).await;
    let mut outcome = match written {
        Ok(outcome) => outcome,
        Err(error) => {
            publication.abort().await;
            return Err(error);
        }
    };
    let manifest = outcome.manifest.clone();
    let published = publication.commit(move |head| json_file(&with_head(manifest.clone(), head))).await?;
    outcome.manifest = with_head(outcome.manifest, published.head());
    warn_of_other_files(published.others(), &settings.output, context);
    outcome.published = Some(published);
    Ok(outcome)
}

/// A manifest with what publishing decides.
pub(super) fn with_head(manifest: Manifest, head: &ManifestHead) -> Manifest {
    let ManifestHead { state, run, left_over, .. } = head.clone();
    Manifest { state, run, left_over, ..manifest }
}

/// Writes all files but the mixes and the manifest, under staging names.
async fn write_small_files(
    manifest: Manifest,
    statistics: Statistics,
    (selected_cut, selected_format): (u32, Format),
    rejected: &[RejectedRow],
    publication: &Publication,
) -> Result<Outcome> {
    let card = report::card::card(&manifest, selected_cut, selected_format);
    let mut outcome = Outcome::of_plan(manifest, statistics, selected_cut);
    outcome.summary_md = report::summary::summary(&outcome.manifest, &outcome.statistics);
    outcome.report_html = report::page::page(&outcome.manifest, &outcome.statistics)?;
    let mut files = vec![
        (METRICS, OutputKind::Metrics, json_file(&outcome.metrics)?),
        (SUMMARY, OutputKind::Report, outcome.summary_md.clone().into()),
        (REPORT, OutputKind::Report, outcome.report_html.clone().into()),
        (CARD, OutputKind::Card, card.into()),
    ];
    if !rejected.is_empty() {
        files.push(("rejected.jsonl", OutputKind::Rejected, json_lines(rejected)?));
    }
    for (name, kind, bytes) in files {
        let mut sink = publication.create(name).await?;
        sink.write(vec![bytes]).await?;
        let file = sink.finish().await?;
        outcome.manifest.outputs.push(OutputFile {
            name: file.name,
            kind,
            mix: MixKind::default(),
            cut: None,
            format: None,
            rows: None,
            tokens: None,
            loss_tokens: None,
            bytes: file.bytes,
            digest: file.digest,
        });
    }
    Ok(outcome)
}

fn json_lines(rows: &[RejectedRow]) -> Result<Bytes> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row).map_err(not_json)?;
        lines.push(b'\n');
    }
    Ok(lines.into())
}

pub(super) fn json_file(value: &impl serde::Serialize) -> Result<Bytes> {
    let mut text = serde_json::to_vec_pretty(value).map_err(not_json)?;
    text.push(b'\n');
    Ok(text.into())
}

fn not_json(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Bug, "cannot serialize as JSON").caused_by(error)
}

/// Files in the output that this mix does not name are left untouched; the user should know of them.
fn warn_of_other_files(others: &[String], output: &Location, context: &Context) {
    const SHOWN: usize = 5;
    if others.is_empty() {
        return;
    }
    let shown = others[..others.len().min(SHOWN)].join(", ");
    let more = match others.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    context.warnings.warn(format!("{output}: not part of the mix, left untouched: {shown}{more}"));
}
