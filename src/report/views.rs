//! What the page's template is given: the run's statistics in the order in which a reader meets them.

use super::charts::{self, Bar, Caption, Histogram, SERIES};
use super::format::{counted, line, percent, short, thousands};
use super::metrics::reason_key;
use super::statistics::{CutStatistics, DocumentStatistics, LIMITS, SourceStatistics, Statistics, percentile};
use super::table::{UNASKED, cut_name};
use crate::error::Result;
use crate::manifest::{Manifest, Measure};
use minijinja::context;
use minijinja::value::Value;
use std::collections::BTreeMap;

/// At most so many raw documents are listed of a source: those with the fewest summaries.
const DOCUMENTS_SHOWN: usize = 15;

/// At most so many characters of a sample conversation are shown.
const CONVERSATION_SHOWN: usize = 20_000;

/// A drawing, which is markup and not text.
fn drawing(svg: String) -> Value {
    Value::from_safe_string(svg)
}

/// The number of a source's colour: the last one is shared where there are more sources than colours.
fn colour(place: usize) -> usize {
    place.min(SERIES.len() - 1)
}

/// Every cut that was written: its name, whether it is feasible, what each source gives and what was asked of it.
pub(crate) fn cuts(manifest: &Manifest, statistics: &Statistics) -> Vec<Value> {
    let written = manifest.cuts.iter().filter(|cut| cut.written);
    let cuts = written.map(|cut| {
        let details = statistics.cuts.iter().find(|details| details.cut == cut.cut);
        let sources = cut.sources.iter().enumerate().map(|(place, share)| {
            context! {
                name => share.name.as_str(),
                colour => colour(place),
                wish => share.rule.as_deref().map_or_else(|| UNASKED.to_owned(), line),
                asked => share.requested.map(|requested| requested.target),
                available => share.requested.map(|requested| requested.available),
                got => share.requested.map(|requested| requested.actual),
                shortfall => share.requested.map(|requested| requested.shortfall),
            }
        });
        let sources: Vec<Value> = sources.collect();
        let mix = manifest
            .outputs
            .iter()
            .find(|output| output.cut == Some(cut.cut) && output.kind == crate::manifest::OutputKind::Mix);
        context! {
            cut => cut.cut,
            name => cut_name(cut.cut),
            feasible => cut.feasible,
            file => mix.map(|output| output.name.as_str()),
            bytes => mix.map(|output| output.bytes),
            wishes => details.is_some_and(CutStatistics::has_wishes),
            measure => details.and_then(CutStatistics::measure).map(Measure::name),
            validation => cut.validation_samples.is_some(),
            sources,
        }
    });
    cuts.collect()
}

/// The stacked bars of samples and of tokens.
pub(crate) fn bars(statistics: &Statistics) -> Result<Vec<Value>> {
    let chart = |id: &str, title: &str, of_source: &dyn Fn(&CutStatistics, usize) -> u64| -> Result<Value> {
        let bars = statistics.cuts.iter().map(|cut| {
            let mut parts: Vec<(usize, u64)> = Vec::new();
            for place in 0..cut.sources.len() {
                match parts.last_mut() {
                    Some((last, sum)) if *last == colour(place) => *sum += of_source(cut, place),
                    _ => parts.push((colour(place), of_source(cut, place))),
                }
            }
            let total = parts.iter().map(|part| part.1).sum();
            Bar { label: cut_name(cut.cut), total: thousands(total), parts }
        });
        let bars: Vec<Bar> = bars.collect();
        let totals: Vec<String> = bars.iter().map(|bar| format!("{} {}", bar.label, bar.total)).collect();
        let description = format!("Of each cut: {}. The parts by source are in the table below.", totals.join(", "));
        let caption = Caption { id, title, description: &description };
        Ok(context! { title => title, svg => drawing(charts::stacked_bars(&caption, &bars)?) })
    };
    if statistics.cuts.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![
        chart("bars-samples", "Samples", &|cut, place| cut.sources[place].samples())?,
        chart("bars-tokens", "Tokens", &|cut, place| cut.sources[place].tokens())?,
    ])
}

/// Why rows were dropped, the commonest reason first: for each reason what it took from each source.
pub(crate) fn drops(manifest: &Manifest) -> Vec<Value> {
    // Reasons that share a name among the metrics are one reason here, too.
    let mut by_key: BTreeMap<String, (String, Vec<Value>, u64)> = BTreeMap::new();
    for source in &manifest.sources {
        for (reason, rows) in &source.dropped {
            let entry = by_key.entry(reason_key(reason)).or_insert_with(|| (line(reason), Vec::new(), 0));
            let name = line(&source.name);
            entry.1.push(context! { name, rows => rows, of_read => percent(*rows, source.read) });
            entry.2 += rows;
        }
    }
    let mut reasons: Vec<_> = by_key.into_iter().collect();
    reasons.sort_by_key(|(_, (_, _, rows))| std::cmp::Reverse(*rows));
    reasons.into_iter().map(|(key, (reason, sources, _))| context! { key, reason, sources }).collect()
}

/// The lower edges of the bins of token lengths: four to each doubling, so that 2048, 4096 and 8192 are edges.
fn edges() -> Vec<u32> {
    // 2 to the power of 0, 1/4, 1/2, 3/4, in millionths: written down, so that no machine rounds otherwise.
    const QUARTERS: [u64; 4] = [1_000_000, 1_189_207, 1_414_214, 1_681_793];
    let edge = |octave: u32, quarter: u64| ((1_u64 << octave) * quarter / 1_000_000) as u32;
    (0..31).flat_map(|octave| QUARTERS.map(|quarter| edge(octave, quarter))).collect()
}

/// How token lengths are distributed in the largest cut: for each source a histogram over a doubling axis.
pub(crate) fn distributions(statistics: &Statistics) -> Result<Vec<Value>> {
    let Some(cut) = statistics.cuts.last() else { return Ok(Vec::new()) };
    let edges = edges();
    let bin = |length: u32| edges.partition_point(|edge| *edge <= length).saturating_sub(1);
    let shortest = cut.sources.iter().filter_map(|source| source.lengths.first()).min().copied().unwrap_or(1);
    let longest = cut.sources.iter().filter_map(|source| source.lengths.last()).max().copied().unwrap_or(1);
    // One axis for all sources, so that they can be compared, with all limits on it.
    let from = (bin(shortest) / 4).min(10) as i64 * 1000;
    let to = (bin(longest) / 4 + 1).max(14) as i64 * 1000;
    let ticks: Vec<(i64, String)> = (from / 1000..=to / 1000).map(|octave| (octave * 1000, power(octave))).collect();
    let lines: Vec<(i64, String)> =
        LIMITS.iter().map(|limit| (i64::from(limit.ilog2()) * 1000, limit.to_string())).collect();
    let charts = cut.sources.iter().enumerate().filter(|(_, source)| !source.lengths.is_empty());
    let charts = charts.map(|(place, source)| {
        let mut counts = vec![0_u64; edges.len()];
        for length in &source.lengths {
            counts[bin(*length)] += 1;
        }
        let bins = counts.iter().enumerate().map(|(bin, count)| (bin as i64 * 250, bin as i64 * 250 + 250, *count));
        let histogram = Histogram {
            bins: bins.filter(|bin| bin.2 > 0).collect(),
            range: (from, to),
            ticks: ticks.clone(),
            lines: lines.clone(),
            colour: colour(place),
        };
        let name = line(&source.name);
        let title = format!("Token length of {name} in cut {}", cut_name(cut.cut));
        let description = format!(
            "A histogram of {} over an axis of tokens that doubles from mark to mark, with lines at 2048, 4096 and 8192. \
             Its figures are in the tables below.",
            counted(source.samples(), "sample", "samples"),
        );
        let id = format!("lengths-{place}");
        let caption = Caption { id: &id, title: &title, description: &description };
        let svg = drawing(charts::histogram(&caption, &histogram)?);
        let upper = |bin: i64| edges.get(bin as usize / 250 + 1).copied().unwrap_or(u32::MAX) - 1;
        let table: Vec<Value> = histogram
            .bins
            .iter()
            // The lowest edges share a length: such a bin reaches down to its own edge.
            .map(|bin| (edges[bin.0 as usize / 250], upper(bin.0), bin.2))
            .map(|(from, to, samples)| context! { from => from, to => to.max(from), samples })
            .collect();
        Ok(context! { name, svg, bins => table })
    });
    charts.collect()
}

/// `16`, `512`, `2k`
fn power(octave: i64) -> String {
    match octave {
        0..=9 => (1_u32 << octave).to_string(),
        10..=19 => format!("{}k", 1_u32 << (octave - 10)),
        _ => format!("{}M", 1_u64 << (octave - 20).clamp(0, 40)),
    }
}

/// For each summary source: the summaries that its raw documents have, against those that the cuts ask for.
pub(crate) fn documents(manifest: &Manifest, statistics: &Statistics) -> Result<Vec<Value>> {
    let sources = statistics.sources.iter().enumerate().filter(|(_, source)| !source.documents.is_empty());
    sources.map(|(place, source)| documents_of(manifest, source, place)).collect()
}

fn documents_of(manifest: &Manifest, source: &SourceStatistics, place: usize) -> Result<Value> {
    let mut available: Vec<u32> = source.documents.iter().map(|document| document.summaries).collect();
    available.sort_unstable();
    let (fewest, most) = (available[0], available[available.len() - 1]);
    let mut asked: Vec<u32> = manifest.cuts.iter().map(|cut| cut.cut).collect();
    asked.sort_unstable();
    asked.dedup();

    // Bins of whole numbers, at most forty of them.
    let end = most.max(asked.last().copied().unwrap_or(0)).saturating_add(1);
    let width = (end / 40 + 1).max(1);
    let mut counts = vec![0_u64; (most / width) as usize + 1];
    for summaries in &available {
        counts[(summaries / width) as usize] += 1;
    }
    let bins: Vec<(u64, u64, u64)> = counts
        .iter()
        .enumerate()
        .map(|(bin, count)| (bin as u64 * u64::from(width), (bin as u64 + 1) * u64::from(width) - 1, *count))
        .filter(|bin| bin.2 > 0)
        .collect();
    let step = (end / 12 + 1).next_multiple_of(width);
    let at = |value: u64| i64::try_from(value.saturating_mul(1000)).unwrap_or(i64::MAX);
    let histogram = Histogram {
        bins: bins.iter().map(|(from, to, count)| (at(*from), at(to + 1), *count)).collect(),
        range: (0, at(u64::from(end.next_multiple_of(width)))),
        // A mark stands under the middle of its number where every number has a bar of its own.
        ticks: (0..=end / step)
            .map(|mark| u64::from(mark * step))
            .map(|value| (at(value) + if width == 1 { 500 } else { 0 }, thousands(value)))
            .collect(),
        lines: asked.iter().map(|cut| (at(u64::from(*cut)), cut_name(*cut))).collect(),
        colour: colour(place),
    };
    let name = line(&source.name);
    let count = source.documents.len() as u64;
    let title = format!("Summaries of each raw document in {name}");
    let description = format!(
        "A histogram of {} by their number of distinct summaries, from {fewest} to {most}, with a line at each cut that \
         was asked for. Its figures are in the table below.",
        counted(count, "raw document", "raw documents"),
    );
    let id = format!("documents-{place}");
    let svg = drawing(charts::histogram(&Caption { id: &id, title: &title, description: &description }, &histogram)?);

    let cuts = asked.iter().map(|cut| {
        let short = available.partition_point(|summaries| summaries < cut);
        let missing: u64 = available[..short].iter().map(|summaries| u64::from(cut - summaries)).sum();
        let wanted = u64::from(*cut) * count;
        context! {
            name => cut_name(*cut),
            enough => count - short as u64,
            short,
            wanted,
            given => wanted - missing,
            missing,
            written => manifest.cuts.iter().any(|record| record.cut == *cut && record.written),
        }
    });
    let cuts: Vec<Value> = cuts.collect();

    let mut by_need: Vec<&DocumentStatistics> = source.documents.iter().collect();
    by_need.sort_by_key(|document| document.summaries);
    let largest = asked.last().copied().unwrap_or(0);
    let list: Vec<Value> = by_need
        .iter()
        .take(DOCUMENTS_SHOWN)
        .map(|document| {
            let outline = short(&document.outline, 120);
            context! {
                outline => if outline.is_empty() { "(no outline)".to_owned() } else { outline },
                summaries => document.summaries,
                // Of a scale on which the most and the largest cut find room.
                part => u64::from(document.summaries) * 100 / u64::from(most.max(largest).max(1)),
                short_of => asked
                    .iter()
                    .filter(|cut| **cut > document.summaries)
                    .map(|cut| format!("{} by {}", cut_name(*cut), thousands(u64::from(cut - document.summaries))))
                    .collect::<Vec<_>>(),
            }
        })
        .collect();
    let bins: Vec<Value> = bins.iter().map(|(from, to, count)| context! { from, to, count }).collect();
    Ok(context! {
        name, svg, bins, cuts, list, count, fewest, most,
        colour => colour(place),
        median => percentile(&available, 50),
        mean => source.mean_summaries().map(|mean| format!("{mean:.1}")),
    })
}

/// The sample conversations, by source.
pub(crate) fn conversations(statistics: &Statistics) -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for example in &statistics.examples {
        if !names.contains(&example.source.as_str()) {
            names.push(&example.source);
        }
    }
    let of_source = |name: &str| -> Vec<Value> {
        let examples = statistics.examples.iter().filter(|example| example.source == name);
        let shown = examples.map(|example| {
            let (text, left_out) = visible(&example.text, CONVERSATION_SHOWN);
            context! { text, left_out, tokens => u64::from(example.tokens) }
        });
        shown.collect()
    };
    names.iter().map(|name| context! { name => line(name), examples => of_source(name) }).collect()
}

/// The first `max` characters, what cannot be seen replaced by signs that can; and how many characters are left out.
fn visible(text: &str, max: usize) -> (String, u64) {
    let mut characters = text.chars();
    let shown = characters.by_ref().take(max).map(|c| match c {
        '\n' | '\t' => c,
        // Unicode has a picture of every control character of ASCII.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    });
    let shown = shown.collect();
    (shown, characters.count() as u64)
}

/// The settings in their order, each with the text of its value.
pub(crate) fn settings(settings: &serde_json::Value) -> Vec<(String, String)> {
    let written = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => line(text),
        serde_json::Value::Array(values) => values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    let entries = settings.as_object().into_iter().flatten().filter(|(name, _)| *name != "recipe");
    entries.map(|(name, value)| (name.replace('_', "-"), written(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_edges_of_bins() {
        let edges = edges();
        assert!(edges.is_sorted());
        assert!(LIMITS.iter().all(|limit| edges.contains(limit) && limit.is_power_of_two()));
        assert_eq!(edges[44], 2048);
    }

    #[test]
    fn control_characters_are_made_visible_and_long_texts_cut() {
        assert_eq!(visible("a\0b\u{1b}c\n\u{85}", 99), ("a\u{2400}b\u{241b}c\n\u{fffd}".to_owned(), 0));
        assert_eq!(visible("äöü", 2), ("äö".to_owned(), 1));
    }
}
