//! Compares `metrics.json` with the manifest and the rows.

use super::compare::{Differences, TalliedFile};
use crate::manifest::{CutRecord, Manifest, MixKind, OutputKind};
use crate::pipeline::finish::METRICS;
use crate::report::metrics::metrics;
use crate::report::statistics::{CutSourceStatistics, CutStatistics, Statistics};
use serde_json::{Map, Value};

/// Compares each figure of `metrics.json` with what manifest and rows come to.
pub(super) fn compare(
    manifest: &Manifest,
    files: &[TalliedFile<'_>],
    recorded: &Map<String, Value>,
    differences: &mut Differences,
) {
    let statistics = Statistics {
        cuts: statistics_of(&manifest.cuts, files),
        document_cuts: statistics_of(&manifest.document_cuts, files),
        ..Statistics::default()
    };
    let found = metrics(manifest, &statistics);
    for (name, figure) in &found {
        match recorded.get(name) {
            Some(recorded) if recorded == figure => {}
            Some(recorded) => differences.add(format!("{METRICS}: {name}: expected {recorded}, found {figure}")),
            None => differences.add(format!("{METRICS}: {name}: expected none, found {figure}")),
        }
    }
    for (name, figure) in recorded.iter().filter(|(name, _)| !found.contains_key(*name)) {
        // Without texts, nothing says how long the samples of a mix or a source are.
        if !(name.contains(".token_length.") || name.contains(".over_")) {
            differences.add(format!("{METRICS}: {name}: expected {figure}, found none"));
        }
    }
}

/// The lengths of the samples of all mixes that have a file of texts.
fn statistics_of(cuts: &[CutRecord], files: &[TalliedFile<'_>]) -> Vec<CutStatistics> {
    cuts.iter().filter_map(|cut| of_cut(cut, files)).collect()
}

fn of_cut(cut: &CutRecord, files: &[TalliedFile<'_>]) -> Option<CutStatistics> {
    // The tokens of a document are counted as the trainer reads them.
    let (.., tally) = files.iter().find(|(file, format, _)| {
        file.kind == OutputKind::Mix
            && file.cut == Some(cut.cut)
            && file.mix == cut.mix
            && (!format.is_tokens() || cut.mix == MixKind::Document)
    })?;
    let sources = tally.sources.iter().map(|(name, source)| CutSourceStatistics {
        name: name.clone(),
        lengths: source.lengths.clone(),
        ..CutSourceStatistics::default()
    });
    Some(CutStatistics { cut: cut.cut, sources: sources.collect(), validation: None })
}
