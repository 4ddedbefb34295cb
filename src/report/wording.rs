//! Phrases that several reports share.

use super::format::{cut_name, line};
use super::statistics::{SourceStatistics, Statistics};
use crate::manifest::Manifest;

/// The command that a report belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunKind {
    /// `mix`: the files are written.
    Mix,
    /// `plan`: no file is written.
    Plan,
}

/// The rule of a source for which the recipe has none: each sample is in the mix once.
pub(super) const DEFAULT_RULE: &str = "once";

/// A sentence for each infeasible cut that says whether it was written.
pub(super) fn infeasible_cuts(manifest: &Manifest, run: RunKind) -> impl Iterator<Item = String> {
    manifest.cuts.iter().filter(|cut| !cut.feasible).map(move |cut| {
        let consequence = match (cut.written, run) {
            (true, RunKind::Mix) => "but was written anyway",
            (true, RunKind::Plan) => "but would be written anyway",
            (false, RunKind::Mix) => "and was not written",
            (false, RunKind::Plan) => "and would not be written",
        };
        format!("cut {} is not feasible {consequence}", cut_name(cut.cut))
    })
}

/// The figures that decide feasibility: a cut N needs an average of N summaries per raw document in each of these sources.
pub(super) fn average_summaries(statistics: &Statistics) -> Option<String> {
    let average =
        |source: &SourceStatistics| Some(format!("{} {:.1}", line(&source.name), source.average_summaries()?));
    let averages: Vec<String> = statistics.sources.iter().filter_map(average).collect();
    (!averages.is_empty()).then(|| format!("average summaries per document: {}", averages.join(", ")))
}
