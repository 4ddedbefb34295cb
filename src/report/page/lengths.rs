//! Histograms of token lengths, on an axis that doubles from tick to tick.

use super::charts::{self, Caption, Histogram, color};
use crate::report::format::{counted, cut_name, line};
use crate::report::statistics::{CutSourceStatistics, LIMITS, Statistics};
use minijinja::context;
use minijinja::value::{Serde, Value};

/// Bins per doubling.
const PER_OCTAVE: usize = 4;

/// The width of a bin in thousandths of a doubling, the unit of the axis.
const BIN: i64 = 1000 / PER_OCTAVE as i64;

/// A histogram for each source of the largest cut.
pub(super) fn distributions(statistics: &Statistics) -> Vec<Value> {
    let Some(cut) = statistics.cuts.last() else { return Vec::new() };
    let edges = edges();
    let axis = Axis::new(&cut.sources, &edges);
    let sources = cut.sources.iter().enumerate().filter(|(_, source)| !source.lengths.is_empty());
    sources.map(|(index, source)| distribution(cut.cut, source, index, &edges, &axis)).collect()
}

/// What all histograms have in common, so that they can be compared.
struct Axis {
    range: (i64, i64),
    ticks: Vec<(i64, String)>,
    markers: Vec<(i64, String)>,
}

impl Axis {
    /// An axis for all lengths and all limits.
    fn new(sources: &[CutSourceStatistics], edges: &[u32]) -> Self {
        let octave =
            |length: u32| (edges.partition_point(|edge| *edge <= length).saturating_sub(1) / PER_OCTAVE) as i64;
        let shortest = sources.iter().filter_map(|source| source.lengths.min()).min().unwrap_or(1);
        let longest = sources.iter().filter_map(|source| source.lengths.max()).max().unwrap_or(1);
        let octaves = octave(shortest).min(10)..=(octave(longest) + 1).max(14);
        Self {
            range: (octaves.start() * 1000, octaves.end() * 1000),
            ticks: octaves.map(|octave| (octave * 1000, power_of_two(octave))).collect(),
            markers: LIMITS.map(|limit| (i64::from(limit.ilog2()) * 1000, limit.to_string())).into(),
        }
    }
}

fn distribution(cut: u32, source: &CutSourceStatistics, index: usize, edges: &[u32], axis: &Axis) -> Value {
    let counts = source.lengths.bins(edges);
    let bins: Vec<(usize, u64)> = counts.into_iter().enumerate().filter(|(_, samples)| *samples > 0).collect();
    let histogram = Histogram {
        bins: bins.iter().map(|(bin, samples)| (*bin as i64 * BIN, (*bin as i64 + 1) * BIN, *samples)).collect(),
        range: axis.range,
        ticks: axis.ticks.clone(),
        markers: axis.markers.clone(),
        color: color(index),
    };
    let name = line(&source.name);
    let caption = Caption {
        id: format!("lengths-{index}"),
        title: format!("Token lengths of {name} in cut {}", cut_name(cut)),
        description: format!(
            "A histogram of {} on a logarithmic axis, with lines at {}, {} and {} tokens. The table below has its data.",
            counted(source.samples(), "sample", "samples"),
            LIMITS[0],
            LIMITS[1],
            LIMITS[2],
        ),
    };
    let row = |(bin, samples): &(usize, u64)| {
        // Only samples without tokens are below the first edge.
        let from = if *bin == 0 { 0 } else { edges[*bin] };
        let to = edges.get(bin + 1).map_or(u32::MAX, |next| next - 1);
        context! { from, to, samples }
    };
    let table: Vec<Value> = bins.iter().map(row).collect();
    context! { name, chart => Serde(charts::histogram(caption, &histogram)), bins => table }
}

/// The lower edges of the bins: four per doubling, so that every limit is an edge. The lowest edges are equal.
fn edges() -> Vec<u32> {
    // 2 to the power of 0, 1/4, 1/2, 3/4 in millionths. Literals are the same on every machine.
    const QUARTERS: [u64; PER_OCTAVE] = [1_000_000, 1_189_207, 1_414_214, 1_681_793];
    let edge = |octave: u32, quarter: u64| ((1_u64 << octave) * quarter / 1_000_000) as u32;
    (0..31).flat_map(|octave| QUARTERS.map(|quarter| edge(octave, quarter))).collect()
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

    #[test]
    fn limits_are_edges_of_bins() {
        let edges = edges();
        assert!(edges.is_sorted());
        assert!(LIMITS.iter().all(|limit| edges.contains(limit) && limit.is_power_of_two()));
        assert_eq!(edges[44], 2048);
    }

    #[test]
    fn powers_of_two_are_short() {
        assert_eq!([0, 9, 10, 13, 20, 31].map(power_of_two), ["1", "512", "1k", "8k", "1M", "2048M"]);
    }
}
