//! `metrics.json`: the figures of a run, flat, numbers only, for engines that draw metrics.

use super::format::line;
use super::statistics::{self, CutStatistics, LIMITS, Statistics};
use crate::manifest::Manifest;
use serde_json::{Map, Value};

/// The name of the metrics' file.
pub(crate) const METRICS_NAME: &str = "metrics.json";

/// All figures of a run by name.
///
/// In go the manifest (samples and tokens are its figures) and the statistics (everything about lengths); out comes a
/// flat object of whole numbers in a fixed order:
///
/// | key | |
/// |---|---|
/// | `samples`, `tokens`, `largest_cut` | of the largest cut that was written; absent where none was |
/// | `rows.read`, `rows.kept`, `rows.dropped`, `rows.dropped.REASON` | of all sources |
/// | `sources.SOURCE.read`, `.kept`, `.dropped`, `.documents`, `.summaries` | of one source |
/// | `cut_N.samples`, `.tokens` | of one mix |
/// | `cut_N.token_length.min`, `.median`, `.p95`, `.max` | nearest rank, see [`statistics::percentile`]; absent where the mix is empty |
/// | `cut_N.over_4096.samples`, `.tokens` | samples longer than 4096, and what a trainer with that limit would cut off (also 2048, 8192) |
/// | `cut_N.SOURCE.…` | the same of one source in one mix, `distinct`, and `shortfall_tokens` (with a budget of samples: `shortfall_samples`) where a recipe asks for something of any source |
/// | `cut_N.validation.samples`, `.tokens` | what a split keeps back |
///
/// In a REASON all but ASCII letters and digits is an underscore; a SOURCE's name is free of control characters.
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
        let prefix = format!("cut_{}", cut.cut);
        put(&mut map, &format!("{prefix}.samples"), cut.samples);
        put(&mut map, &format!("{prefix}.tokens"), cut.tokens);
        for (what, figure) in [("samples", cut.validation_samples), ("tokens", cut.validation_tokens)] {
            if let Some(figure) = figure {
                put(&mut map, &format!("{prefix}.validation.{what}"), figure);
            }
        }
        let details = statistics.cuts.iter().find(|details| details.cut == cut.cut);
        if let Some(details) = details {
            lengths(&mut map, &prefix, &details.lengths());
        }
        for share in &cut.sources {
            let prefix = format!("{prefix}.{}", line(&share.name));
            put(&mut map, &format!("{prefix}.samples"), share.samples);
            put(&mut map, &format!("{prefix}.tokens"), share.tokens);
            put(&mut map, &format!("{prefix}.distinct"), share.distinct);
            if let Some(requested) = share.requested {
                put(&mut map, &format!("{prefix}.shortfall_{}", requested.measure.name()), requested.shortfall);
            }
            if let Some(of_source) = details.and_then(|details| lengths_of(details, &share.name)) {
                lengths(&mut map, &prefix, of_source);
            }
        }
    }
    map
}

/// The text of `metrics.json`: one figure a line.
pub(crate) fn metrics_json(map: &Map<String, Value>) -> String {
    let mut text = String::from("{\n");
    for (place, (name, value)) in map.iter().enumerate() {
        let comma = if place + 1 < map.len() { "," } else { "" };
        text.push_str(&format!("  {}: {value}{comma}\n", Value::from(name.as_str())));
    }
    text.push_str("}\n");
    text
}

/// The part of a metric's name that stands for a reason of dropping.
pub(super) fn reason_key(reason: &str) -> String {
    reason.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

fn rows(map: &mut Map<String, Value>, manifest: &Manifest) {
    let sources = &manifest.sources;
    put(map, "rows.read", sources.iter().map(|source| source.read).sum());
    put(map, "rows.kept", sources.iter().map(|source| source.kept).sum());
    put(map, "rows.dropped", sources.iter().flat_map(|source| source.dropped.values()).sum());
    for (reason, rows) in sources.iter().flat_map(|source| &source.dropped) {
        let name = format!("rows.dropped.{}", reason_key(reason));
        let before = map.get(&name).and_then(Value::as_u64).unwrap_or_default();
        put(map, &name, before + rows);
    }
    for source in sources {
        let prefix = format!("sources.{}", line(&source.name));
        put(map, &format!("{prefix}.read"), source.read);
        put(map, &format!("{prefix}.kept"), source.kept);
        put(map, &format!("{prefix}.dropped"), source.dropped.values().sum());
        put(map, &format!("{prefix}.documents"), source.documents);
        put(map, &format!("{prefix}.summaries"), source.summaries);
    }
}

fn lengths(map: &mut Map<String, Value>, prefix: &str, sorted: &[u32]) {
    if let Some(summary) = statistics::summarise(sorted) {
        let figures = [("min", summary.min), ("median", summary.median), ("p95", summary.p95), ("max", summary.max)];
        for (name, value) in figures {
            put(map, &format!("{prefix}.token_length.{name}"), u64::from(value));
        }
    }
    for limit in LIMITS {
        let overlong = statistics::overlong(sorted, limit);
        put(map, &format!("{prefix}.over_{limit}.samples"), overlong.samples);
        put(map, &format!("{prefix}.over_{limit}.tokens"), overlong.tokens);
    }
}

fn lengths_of<'a>(details: &'a CutStatistics, source: &str) -> Option<&'a [u32]> {
    let found = details.sources.iter().find(|candidate| candidate.name == source);
    found.map(|found| found.lengths.as_slice())
}

fn put(map: &mut Map<String, Value>, name: &str, value: u64) {
    map.insert(name.to_owned(), Value::from(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;

    #[test]
    fn figures_are_flat_numbers_under_names_that_stay() {
        let (manifest, statistics) = synthetic::small();
        let map = metrics(&manifest, &statistics);
        assert!(map.values().all(Value::is_u64));
        let text = metrics_json(&map);
        assert_eq!(serde_json::from_str::<Map<String, Value>>(&text).unwrap(), map);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_run_that_wrote_nothing_has_no_figures_of_a_mix() {
        let (mut manifest, mut statistics) = synthetic::small();
        manifest.cuts.iter_mut().for_each(|cut| cut.written = false);
        statistics.cuts.clear();
        let map = metrics(&manifest, &statistics);
        assert!(!map.contains_key("samples") && map.contains_key("rows.read"));
        assert!(!map.keys().any(|name| name.starts_with("cut_")));
    }
}
