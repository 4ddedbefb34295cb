//! The number of summaries per raw document, and whether it is enough for each cut.

use super::charts::{self, Caption, Chart, Histogram, color};
use crate::manifest::Manifest;
use crate::report::format::{counted, cut_name, line, short, thousands};
use crate::report::statistics::{DocumentStatistics, SourceStatistics, Statistics};
use minijinja::context;
use minijinja::value::{Serde, Value};

/// The number of raw documents listed per source: those with the fewest summaries.
const DOCUMENTS_SHOWN: usize = 15;

/// The largest number of bars in a histogram.
const MAX_BARS: u32 = 40;

/// The longest outline in the list, in characters.
const OUTLINE_SHOWN: usize = 120;

/// The raw documents of each summary source.
pub(super) fn documents(manifest: &Manifest, statistics: &Statistics) -> Vec<Value> {
    let mut cuts: Vec<u32> = manifest.cuts.iter().map(|cut| cut.cut).collect();
    cuts.sort_unstable();
    cuts.dedup();
    // The color is that of the source in the other charts, which show the sources of a mix only.
    let place = |source: &SourceStatistics| {
        let mix = statistics.cuts.last()?;
        mix.sources.iter().position(|of_mix| of_mix.name == source.name)
    };
    let sources = statistics.sources.iter().enumerate();
    sources
        .filter_map(|(at, source)| documents_of(manifest, source, (at, color(place(source).unwrap_or(at))), &cuts))
        .collect()
}

/// The raw documents of one source; `None` if it has none.
fn documents_of(
    manifest: &Manifest,
    source: &SourceStatistics,
    (index, color): (usize, usize),
    cuts: &[u32],
) -> Option<Value> {
    let mut available: Vec<u32> = source.documents.iter().map(|document| document.summaries).collect();
    available.sort_unstable();
    let (fewest, most) = (*available.first()?, *available.last()?);
    // The nearest rank, as in LengthCounts::percentile.
    let median = available[(available.len() - 1) / 2];
    let bins = bins(&available, cuts);
    let table: Vec<Value> = bins.counts.iter().map(|(from, to, documents)| context! { from, to, documents }).collect();
    Some(context! {
        name => line(&source.name),
        color,
        chart => Serde(chart(source, (index, color), cuts, &bins)),
        bins => table,
        cuts => cuts.iter().map(|cut| cut_view(manifest, &available, *cut)).collect::<Vec<_>>(),
        list => shortest_list(source, cuts, most),
        count => source.documents.len(),
        fewest, most, median,
        average => source.average_summaries().map(|average| format!("{average:.1}")),
    })
}

/// Raw documents by number of summaries, in bins of whole numbers.
struct Bins {
    /// The bins that are not empty: from, to (inclusive), raw documents.
    counts: Vec<(u64, u64, u64)>,
    /// The numbers of summaries in one bin.
    width: u32,
    /// The first number beyond all bins and cuts.
    end: u32,
}

fn bins(available: &[u32], cuts: &[u32]) -> Bins {
    let most = available.iter().chain(cuts).max().copied().unwrap_or(0);
    let end = most.saturating_add(1);
    let width = end / MAX_BARS + 1;
    let same_bin = |a: &u32, b: &u32| a / width == b / width;
    let count = |bin: &[u32]| {
        let from = u64::from(bin[0] / width * width);
        (from, from + u64::from(width) - 1, bin.len() as u64)
    };
    Bins { counts: available.chunk_by(same_bin).map(count).collect(), width, end }
}

fn chart(source: &SourceStatistics, (index, color): (usize, usize), cuts: &[u32], bins: &Bins) -> Chart {
    let at = |value: u64| i64::try_from(value.saturating_mul(1000)).unwrap_or(i64::MAX);
    let end = u64::from(bins.end).next_multiple_of(u64::from(bins.width));
    let step = u64::from(bins.end / 12 + 1).next_multiple_of(u64::from(bins.width));
    // If there is one bar per number, its tick is below the middle of the bar.
    let middle = if bins.width == 1 { 500 } else { 0 };
    let ticks = (0..=u64::from(bins.end) / step).map(|tick| tick * step);
    let histogram = Histogram {
        bins: bins.counts.iter().map(|(from, to, documents)| (at(*from), at(to + 1), *documents)).collect(),
        range: (0, at(end)),
        ticks: ticks.map(|value| (at(value) + middle, thousands(value))).collect(),
        markers: cuts.iter().map(|cut| (at(u64::from(*cut)), cut_name(*cut))).collect(),
        color,
        titles: ["distinct summaries of a raw document", "raw documents"],
    };
    let caption = Caption {
        id: format!("documents-{index}"),
        title: format!("Summaries per raw document in {}", line(&source.name)),
        description: format!(
            "A histogram of {} by number of distinct summaries, with a line at each requested cut size. The table below has \
             its data.",
            counted(source.documents.len() as u64, "raw document", "raw documents"),
        ),
    };
    charts::histogram(caption, &histogram)
}

/// How many raw documents have enough summaries for a cut, and how many summaries there are for it.
fn cut_view(manifest: &Manifest, available: &[u32], cut: u32) -> Value {
    let with_fewer = available.partition_point(|summaries| *summaries < cut);
    let missing: u64 = available[..with_fewer].iter().map(|summaries| u64::from(cut - summaries)).sum();
    let requested = u64::from(cut) * available.len() as u64;
    context! {
        name => cut_name(cut),
        with_enough => available.len() - with_fewer,
        with_fewer,
        requested,
        available => requested - missing,
        written => manifest.cuts.iter().any(|record| record.cut == cut && record.written),
    }
}

/// The raw documents with the fewest summaries, and what each lacks for the cuts.
fn shortest_list(source: &SourceStatistics, cuts: &[u32], most: u32) -> Vec<Value> {
    let mut documents: Vec<&DocumentStatistics> = source.documents.iter().collect();
    documents.sort_by_key(|document| document.summaries);
    let scale = u64::from(most.max(cuts.last().copied().unwrap_or(0)).max(1));
    let view = |document: &&DocumentStatistics| {
        let outline = short(&document.outline, OUTLINE_SHOWN);
        let missing = cuts.iter().filter(|cut| **cut > document.summaries);
        let missing =
            missing.map(|cut| format!("{}: {}", cut_name(*cut), thousands(u64::from(cut - document.summaries))));
        context! {
            outline => if outline.is_empty() { "(no outline)".to_owned() } else { outline },
            summaries => document.summaries,
            percent => u64::from(document.summaries) * 100 / scale,
            missing => missing.collect::<Vec<_>>(),
        }
    };
    documents.iter().take(DOCUMENTS_SHOWN).map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_own_bin_if_there_are_few() {
        let bins = bins(&[2, 2, 5], &[4]);
        assert_eq!(bins.counts, [(2, 2, 2), (5, 5, 1)]);
        assert_eq!((bins.width, bins.end), (1, 6));
    }

    #[test]
    fn bins_are_few_and_hold_every_document() {
        let available: Vec<u32> = (0..5_000).collect();
        let bins = bins(&available, &[50, 9_999]);
        assert!(bins.counts.len() as u32 <= MAX_BARS);
        assert_eq!(bins.counts.iter().map(|(_, _, documents)| documents).sum::<u64>(), 5_000);
        assert_eq!(bins.end, 10_000);
    }
}
