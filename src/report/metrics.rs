//! `metrics.json`: the figures of a run as a flat object of numbers, for engines that plot metrics.

use super::format::line;
use super::length_counts::LengthCounts;
use super::statistics::{CutStatistics, LIMITS, Statistics};
use crate::manifest::{CutRecord, Manifest, Preflight, ShareRecord, TrainingRecord};
use serde_json::{Map, Value};

/// All figures of a run by name.
///
/// Samples and tokens come from the manifest, figures about lengths from the statistics. The result is a flat object of
/// whole numbers in a fixed order:
///
/// | key | figure |
/// |---|---|
/// | `samples`, `tokens`, `largest_cut` | the largest cut that was written; absent if none was |
/// | `rows.read`, `rows.kept`, `rows.dropped`, `rows.dropped.REASON` | all sources |
/// | `rows.flagged`, `rows.flagged.FLAG` | samples with signs of a broken question or answer, dropped or not; FLAG only if it occurs |
/// | `sources.SOURCE.read`, `.kept`, `.dropped`, `.flagged`, `.documents`, `.summaries` | one source |
/// | `cut_N.samples`, `.tokens` | one mix |
/// | `cut_N.training.samples`, `.tokens`, `.loss_tokens`, `.left_out.REASON` | what the trainer gets of it; absent unless that was counted (tokens files, loss tokens) |
/// | `cut_N.preflight.samples`, `.tokens`, `.loss_tokens`, `.dropped`, `.dropped.REASON`, `.steps_per_epoch`, `.steps`, `.tokens_per_step`, `.micro_batches_at_least`, `.micro_batches_at_most`, `.balance_percent_at_least` | what the trainer will do with it in one epoch (`steps`: in all); absent unless the settings say how it is trained |
/// | `cut_N.token_length.min`, `.median`, `.p95`, `.max` | by nearest rank ([`LengthCounts::percentile`]); absent if the mix is empty |
/// | `cut_N.over_4096.samples`, `.tokens` | samples longer than 4096 tokens, and their tokens beyond it (also 2048, 8192) |
/// | `cut_N.validation.samples`, `.tokens` | held out for validation, if the recipe holds out documents |
/// | `cut_N.documents.samples`, `.tokens`, `.token_length.…`, `.over_4096.…`, `.validation.…`, `.preflight.…`, `.SOURCE.samples`, `.tokens`, `.distinct`, `.shortfall_tokens` | the document mix of a run that has conversations as well; without any, all figures of a cut are those of its document mix |
/// | `cut_N.preflight.blocks` | the blocks of a document mix (also `cut_N.documents.preflight.blocks`) |
/// | `cut_N.SOURCE.…` | the same figures for one source in one mix, `distinct`, and, if the recipe has a rule for any source, `shortfall_tokens` (with a budget of samples: `shortfall_samples`) |
///
/// In REASON, every character other than ASCII letters and digits becomes an underscore. In SOURCE, control characters are
/// replaced.
pub(crate) fn metrics(manifest: &Manifest, statistics: &Statistics) -> Map<String, Value> {
    let mut map = Map::new();
    let written = manifest.cuts.iter().filter(|cut| cut.written);
    if let Some(largest) = written.clone().max_by_key(|cut| cut.cut) {
        put(&mut map, "samples", largest.samples);
        put(&mut map, "tokens", largest.tokens);
        put(&mut map, "largest_cut", u64::from(largest.cut));
    }
    rows(&mut map, manifest);
    for cut in written {
        let details = statistics.cuts.iter().find(|details| details.cut == cut.cut);
        mix(&mut map, &format!("cut_{}", cut.cut), cut, details, details);
    }
    for cut in manifest.document_cuts.iter().filter(|cut| cut.written) {
        // Beside conversations, a document mix has only the lengths of all its sources together.
        let details = statistics.document_cuts.iter().find(|details| details.cut == cut.cut);
        mix(&mut map, &format!("cut_{}.documents", cut.cut), cut, details, None);
    }
    map
}

/// The part of a metric's name that names a reason to drop rows.
pub(super) fn reason_key(reason: &str) -> String {
    reason.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

fn rows(map: &mut Map<String, Value>, manifest: &Manifest) {
    let sources = &manifest.sources;
    // The rows that documents are made of count at their own sources.
    let read = || sources.iter().filter(|source| source.made_of.is_empty());
    put(map, "rows.read", read().map(|source| source.read).sum());
    put(map, "rows.kept", read().map(|source| source.kept).sum());
    put(map, "rows.dropped", read().flat_map(|source| source.dropped.values()).sum());
    for (reason, rows) in read().flat_map(|source| &source.dropped) {
        let name = format!("rows.dropped.{}", reason_key(reason));
        let sum = map.get(&name).and_then(Value::as_u64).unwrap_or_default();
        put(map, &name, sum + rows);
    }
    put(map, "rows.flagged", manifest.judged().map(|source| source.flagged).sum());
    for (flag, samples) in manifest.judged().flat_map(|source| &source.flags) {
        let name = format!("rows.flagged.{}", reason_key(flag));
        let sum = map.get(&name).and_then(Value::as_u64).unwrap_or_default();
        put(map, &name, sum + samples);
    }
    for source in sources {
        let prefix = format!("sources.{}", line(&source.name));
        put(map, &format!("{prefix}.read"), source.read);
        put(map, &format!("{prefix}.kept"), source.kept);
        put(map, &format!("{prefix}.dropped"), source.dropped.values().sum());
        put(map, &format!("{prefix}.flagged"), source.flagged);
        put(map, &format!("{prefix}.documents"), source.documents);
        put(map, &format!("{prefix}.summaries"), source.summaries);
    }
}

/// The figures of one mix; `of_sources` has the token lengths of its sources, if they are shown.
fn mix(
    map: &mut Map<String, Value>,
    prefix: &str,
    cut: &CutRecord,
    details: Option<&CutStatistics>,
    of_sources: Option<&CutStatistics>,
) {
    put(map, &format!("{prefix}.samples"), cut.samples);
    put(map, &format!("{prefix}.tokens"), cut.tokens);
    if let Some(training) = cut.training() {
        put_training(map, prefix, &training);
    }
    if let Some(preflight) = &cut.preflight {
        put_preflight(map, prefix, preflight);
    }
    for (unit, figure) in [("samples", cut.validation_samples), ("tokens", cut.validation_tokens)] {
        if let Some(figure) = figure {
            put(map, &format!("{prefix}.validation.{unit}"), figure);
        }
    }
    if let Some(details) = details {
        lengths(map, prefix, &details.lengths());
    }
    for share in &cut.sources {
        let details = of_sources.and_then(|details| details.sources.iter().find(|source| source.name == share.name));
        source_in_mix(map, prefix, share, details.map(|details| &details.lengths));
    }
}

fn source_in_mix(map: &mut Map<String, Value>, mix: &str, share: &ShareRecord, counts: Option<&LengthCounts>) {
    let prefix = format!("{mix}.{}", line(&share.name));
    put(map, &format!("{prefix}.samples"), share.samples);
    put(map, &format!("{prefix}.tokens"), share.tokens);
    put(map, &format!("{prefix}.distinct"), share.distinct);
    if let Some(training) = &share.training {
        put_training(map, &prefix, training);
    }
    if let Some(requested) = share.requested {
        put(map, &format!("{prefix}.shortfall_{}", requested.measure.name()), requested.shortfall);
    }
    if let Some(counts) = counts {
        lengths(map, &prefix, counts);
    }
}

fn put_preflight(map: &mut Map<String, Value>, cut: &str, preflight: &Preflight) {
    let mut put = |name: &str, value: u64| put(map, &format!("{cut}.preflight.{name}"), value);
    put("samples", preflight.samples);
    put("tokens", preflight.tokens);
    put("loss_tokens", preflight.loss_tokens);
    put("dropped", preflight.dropped_samples());
    preflight.dropped.iter().for_each(|(reason, samples)| put(&format!("dropped.{}", reason_key(reason)), *samples));
    let [at_least, at_most] = preflight.micro_batches.map_or([None, None], |bounds| bounds.map(Some));
    for (name, value) in [
        ("steps_per_epoch", preflight.steps_per_epoch),
        ("steps", preflight.steps),
        ("tokens_per_step", preflight.tokens_per_step),
        ("blocks", preflight.blocks),
        ("micro_batches_at_least", at_least),
        ("micro_batches_at_most", at_most),
        ("balance_percent_at_least", preflight.balance_percent),
    ] {
        if let Some(value) = value {
            put(name, value);
        }
    }
}

fn put_training(map: &mut Map<String, Value>, prefix: &str, training: &TrainingRecord) {
    put(map, &format!("{prefix}.training.samples"), training.samples);
    put(map, &format!("{prefix}.training.tokens"), training.tokens);
    put(map, &format!("{prefix}.training.loss_tokens"), training.loss_tokens);
    for (reason, samples) in &training.left_out {
        put(map, &format!("{prefix}.training.left_out.{}", reason_key(reason)), *samples);
    }
}

fn lengths(map: &mut Map<String, Value>, prefix: &str, counts: &LengthCounts) {
    if let Some(summary) = counts.summary() {
        let figures = [("min", summary.min), ("median", summary.median), ("p95", summary.p95), ("max", summary.max)];
        for (name, value) in figures {
            put(map, &format!("{prefix}.token_length.{name}"), u64::from(value));
        }
    }
    for limit in LIMITS {
        let overlong = counts.longer_than(limit);
        put(map, &format!("{prefix}.over_{limit}.samples"), overlong.samples);
        put(map, &format!("{prefix}.over_{limit}.tokens"), overlong.tokens);
    }
}

fn put(map: &mut Map<String, Value>, name: &str, value: u64) {
    map.insert(name.to_owned(), Value::from(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;

    #[test]
    fn names_are_stable_and_values_are_whole_numbers() {
        let (manifest, statistics) = synthetic::small();
        let map = metrics(&manifest, &statistics);
        assert!(map.values().all(Value::is_u64));
        insta::assert_snapshot!(serde_json::to_string_pretty(&map).unwrap());
    }

    #[test]
    fn a_run_without_a_mix_has_no_figures_of_mixes() {
        let (mut manifest, mut statistics) = synthetic::small();
        manifest.cuts.iter_mut().for_each(|cut| cut.written = false);
        statistics.cuts.clear();
        let map = metrics(&manifest, &statistics);
        assert!(!map.contains_key("samples") && map.contains_key("rows.read"));
        assert!(!map.keys().any(|name| name.starts_with("cut_")));
    }
}
