//! The token lengths of each source, on an axis that doubles from tick to tick.

use super::charts::{Caption, Chart, color};
use super::ridges::{Axis, Ridge, ridgeline};
use crate::report::format::{counted, cut_name, line, thousands};
use crate::report::statistics::{CutSourceStatistics, LIMITS, Statistics};

/// Bins per doubling.
const PER_OCTAVE: usize = 8;

/// The width of a bin in thousandths of a doubling, the unit of the axis.
const BIN: i64 = 1000 / PER_OCTAVE as i64;

/// The number of sources drawn: those with the most samples.
const SOURCES_SHOWN: usize = 12;

/// The token lengths of the sources of the largest cut, those with samples; `None` if there are none. `max_seq_len` is the
/// sequence length of the reader's training.
pub(super) fn lengths(statistics: &Statistics, max_seq_len: Option<u32>) -> Option<Chart> {
    let cut = statistics.cuts.last()?;
    let edges = edges();
    let mut sources: Vec<(usize, &CutSourceStatistics)> =
        cut.sources.iter().enumerate().filter(|(_, source)| !source.lengths.is_empty()).collect();
    if sources.is_empty() {
        return None;
    }
    sources.sort_by_key(|(index, source)| (std::cmp::Reverse(source.samples()), *index));
    sources.truncate(SOURCES_SHOWN);
    sources.sort_by_key(|(index, _)| *index);
    let axis = axis(&sources, &edges, max_seq_len);
    let ridges: Vec<Ridge> = sources.iter().map(|(index, source)| ridge(*index, source, &edges)).collect();
    let caption = Caption {
        id: "lengths-chart".to_owned(),
        title: format!("Token lengths in cut {} by source", cut_name(cut.cut)),
        description: format!(
            "A histogram of {} on a logarithmic axis. The table below has shortest, median and longest samples.",
            counted(sources.len() as u64, "source", "sources"),
        ),
    };
    Some(ridgeline(caption, &ridges, &axis))
}

fn ridge(index: usize, source: &CutSourceStatistics, edges: &[u32]) -> Ridge {
    let counts = source.lengths.bins(edges);
    let bins = counts.into_iter().enumerate().filter(|(_, samples)| *samples > 0);
    let median = source.lengths.percentile(50).unwrap_or_default();
    Ridge {
        label: format!(
            "{}: {}, median {}",
            line(&source.name),
            thousands(source.samples()),
            thousands(u64::from(median)),
        ),
        color: color(index),
        bins: bins.map(|(bin, samples)| (bin as i64 * BIN, (bin as i64 + 1) * BIN, samples)).collect(),
        median: position(median, edges),
    }
}

/// An axis that all lengths fill, from one power of two to another; it reaches to the reader's own limit, if there is one.
fn axis(sources: &[(usize, &CutSourceStatistics)], edges: &[u32], max_seq_len: Option<u32>) -> Axis {
    let octave = |length: u32| position(length, edges).div_euclid(1000);
    let shortest = sources.iter().filter_map(|(_, source)| source.lengths.min()).min().unwrap_or(1);
    let longest = sources.iter().filter_map(|(_, source)| source.lengths.max()).max().unwrap_or(1);
    let from = octave(shortest.min(max_seq_len.unwrap_or(shortest)));
    let to = (octave(longest.max(max_seq_len.unwrap_or(longest))) + 1).max(from + 2);
    let mut markers: Vec<(i64, String, bool)> =
        LIMITS.map(|limit| (position(limit, edges), thousands(u64::from(limit)), false)).into();
    if let Some(own) = max_seq_len {
        markers.retain(|(_, label, _)| *label != thousands(u64::from(own)));
        // First: its label is never left out.
        markers.insert(0, (position(own, edges), format!("{} (max-seq-len)", thousands(u64::from(own))), true));
    }
    Axis {
        title: "tokens per sample; each tick is twice the one before",
        range: (from * 1000, to * 1000),
        ticks: (from..=to).map(|octave| (octave * 1000, power_of_two(octave))).collect(),
        markers,
    }
}

/// The lower edges of the bins: eight per doubling, so that every limit is an edge. The lowest edges are equal.
fn edges() -> Vec<u32> {
    // 2 to the power of 0, 1/8, 2/8, ... in millionths. Literals are the same on every machine.
    const EIGHTHS: [u64; PER_OCTAVE] =
        [1_000_000, 1_090_508, 1_189_207, 1_296_840, 1_414_214, 1_542_211, 1_681_793, 1_834_008];
    let edge = |octave: u32, eighth: u64| ((1_u64 << octave) * eighth / 1_000_000) as u32;
    (0..31).flat_map(|octave| EIGHTHS.map(|eighth| edge(octave, eighth))).collect()
}

/// Where a length is on the axis, exact at the edges of bins.
fn position(length: u32, edges: &[u32]) -> i64 {
    let bin = edges.partition_point(|edge| *edge <= length).saturating_sub(1);
    let (from, to) = (i64::from(edges[bin]), edges.get(bin + 1).map_or(i64::from(u32::MAX), |edge| i64::from(*edge)));
    let within = (i64::from(length) - from).max(0) * BIN / (to - from).max(1);
    bin as i64 * BIN + within
}

/// A power of two as people write it: `16`, `512`, `2k`
fn power_of_two(exponent: i64) -> String {
    match exponent {
        0..=9 => (1_u32 << exponent).to_string(),
        10..=19 => format!("{}k", 1_u32 << (exponent - 10)),
        _ => format!("{}M", 1_u64 << (exponent - 20).clamp(0, 40)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::length_counts::LengthCounts;

    #[test]
    fn limits_are_edges_of_bins() {
        let edges = edges();
        assert!(edges.is_sorted());
        assert!(LIMITS.iter().all(|limit| edges.contains(limit) && limit.is_power_of_two()));
        assert_eq!(edges[88], 2048);
        assert_eq!([1, 2048, 4096, 2233].map(|length| position(length, &edges)), [875, 11_000, 12_000, 11_125]);
    }

    #[test]
    fn bars_and_positions_agree() {
        let edges = edges();
        for length in [1, 16, 100, 2047, 2048, 70_000] {
            let mut lengths = LengthCounts::default();
            lengths.add(length, 3);
            let source = CutSourceStatistics { lengths, ..Default::default() };
            let ridge = ridge(0, &source, &edges);
            let [(from, to, 3)] = ridge.bins[..] else { panic!("{:?}", ridge.bins) };
            assert!((from..to).contains(&position(length, &edges)), "{length}: {from} to {to}");
        }
    }

    #[test]
    fn powers_of_two_are_short() {
        assert_eq!([0, 9, 10, 13, 20, 31].map(power_of_two), ["1", "512", "1k", "8k", "1M", "2048M"]);
    }
}
