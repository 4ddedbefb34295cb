//! The numbers behind every report, computed once by the mixing run.

use crate::manifest::{Measure, Requested};

/// What a person wants to know of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statistics {
    /// Each source, in the order of the sources.
    pub(crate) sources: Vec<SourceStatistics>,
    /// Each cut that was written (or, for `plan`, would be), ascending.
    pub(crate) cuts: Vec<CutStatistics>,
    /// A few sample conversations of each source, as the chat template renders them.
    pub(crate) examples: Vec<Example>,
    /// Every warning of the run.
    pub(crate) warnings: Vec<String>,
    /// Which library counted: `fastokens`, checked against `tokenizers`, or `tokenizers` itself.
    pub(crate) counted_by: String,
}

/// What became of a source's rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceStatistics {
    /// The source's name.
    pub(crate) name: String,
    /// Rows read.
    pub(crate) read: u64,
    /// Rows that became samples.
    pub(crate) kept: u64,
    /// Rows dropped: reason and number, the largest first.
    pub(crate) dropped: Vec<(String, u64)>,
    /// For a summary source: each raw document with the distinct summaries it has, in input order.
    pub(crate) documents: Vec<DocumentStatistics>,
}

/// The summaries that a raw document offers.
#[derive(Debug, Clone, Default)]
pub(crate) struct DocumentStatistics {
    /// The document's outline, by which a person knows it.
    pub(crate) outline: String,
    /// Distinct summaries.
    pub(crate) summaries: u32,
}

/// One mix.
#[derive(Debug, Clone, Default)]
pub(crate) struct CutStatistics {
    /// The cut size N.
    pub(crate) cut: u32,
    /// What each source gives, in the order of the sources.
    pub(crate) sources: Vec<CutSourceStatistics>,
    /// Samples and tokens that a split keeps back, where the recipe splits.
    pub(crate) validation: Option<(u64, u64)>,
}

/// What one source gives to one mix.
#[derive(Debug, Clone, Default)]
pub(crate) struct CutSourceStatistics {
    /// The source's name.
    pub(crate) name: String,
    /// The token length of every sample, copies counted, ascending.
    pub(crate) lengths: Vec<u32>,
    /// Distinct samples.
    pub(crate) distinct: u64,
    /// What the recipe asked for, in words, where it asked for something.
    pub(crate) rule: Option<String>,
    /// Asked, available, got and short in numbers, where the recipe asks for something of any source of the mix.
    pub(crate) requested: Option<Requested>,
}

/// A conversation as the chat template renders it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Example {
    /// The source it is from.
    pub(crate) source: String,
    /// The rendered text.
    pub(crate) text: String,
    /// Its token length.
    pub(crate) tokens: u32,
}

/// The context lengths that trainers are commonly run with, in tokens.
pub(crate) const LIMITS: [u32; 3] = [2048, 4096, 8192];

/// The token lengths of some samples in a few numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LengthSummary {
    /// The shortest.
    pub(crate) min: u32,
    /// The 50th percentile (see [`percentile`]).
    pub(crate) median: u32,
    /// The 95th percentile (see [`percentile`]).
    pub(crate) p95: u32,
    /// The longest.
    pub(crate) max: u32,
}

/// What a trainer that reads at most `limit` tokens of a sample would miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overlong {
    /// The trainer's limit.
    pub(crate) limit: u32,
    /// Samples that are longer than the limit.
    pub(crate) samples: u64,
    /// Tokens of those samples behind the limit.
    pub(crate) tokens: u64,
}

/// The value of `sorted` (ascending) at a percentile, by the nearest rank.
///
/// The nearest rank of `percent` among n values is ceil(percent / 100 * n), counted from 1, and at least 1: the smallest
/// value that at least `percent` per cent of all values do not exceed. So the result is always a length that occurs (no
/// interpolation), and the median of an even number of values is the lower of the two in the middle. `percent` above 100
/// counts as 100; an empty list has no percentile.
pub(crate) fn percentile(sorted: &[u32], percent: u32) -> Option<u32> {
    // 128 bits: a length times a hundred may not fit into the machine's word everywhere.
    let rank = (sorted.len() as u128 * u128::from(percent.min(100))).div_ceil(100).max(1);
    sorted.get(usize::try_from(rank - 1).ok()?).copied()
}

/// Minimum, median, 95th percentile and maximum of `sorted` (ascending); nothing where there are no samples.
pub(crate) fn summarise(sorted: &[u32]) -> Option<LengthSummary> {
    Some(LengthSummary {
        min: *sorted.first()?,
        median: percentile(sorted, 50)?,
        p95: percentile(sorted, 95)?,
        max: *sorted.last()?,
    })
}

/// How many of `sorted` (ascending) are longer than `limit`, and how many tokens stand behind it.
pub(crate) fn overlong(sorted: &[u32], limit: u32) -> Overlong {
    let longer = &sorted[sorted.partition_point(|length| *length <= limit)..];
    Overlong {
        limit,
        samples: longer.len() as u64,
        tokens: longer.iter().map(|length| u64::from(length - limit)).sum(),
    }
}

impl SourceStatistics {
    /// The number of rows that were dropped, whatever for.
    pub(crate) fn dropped_rows(&self) -> u64 {
        self.dropped.iter().map(|(_, rows)| rows).sum()
    }

    /// The number of distinct summaries of all raw documents.
    pub(crate) fn summaries(&self) -> u64 {
        self.documents.iter().map(|document| u64::from(document.summaries)).sum()
    }

    /// The mean number of distinct summaries of a raw document; nothing where the source has no documents.
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    pub(crate) fn mean_summaries(&self) -> Option<f64> {
        (!self.documents.is_empty()).then(|| self.summaries() as f64 / self.documents.len() as f64)
    }
}

impl CutStatistics {
    /// Samples of all sources, copies counted.
    pub(crate) fn samples(&self) -> u64 {
        self.sources.iter().map(CutSourceStatistics::samples).sum()
    }

    /// Tokens of all sources, copies counted.
    pub(crate) fn tokens(&self) -> u64 {
        self.sources.iter().map(CutSourceStatistics::tokens).sum()
    }

    /// The token lengths of all sources' samples, ascending.
    pub(crate) fn lengths(&self) -> Vec<u32> {
        let mut lengths: Vec<u32> = self.sources.iter().flat_map(|source| source.lengths.iter().copied()).collect();
        // The stable sort merges runs that are in order, and each source's lengths are one.
        lengths.sort();
        lengths
    }

    /// What the numbers of a recipe's wishes count.
    pub(crate) fn measure(&self) -> Option<Measure> {
        self.sources.iter().find_map(|source| source.requested).map(|requested| requested.measure)
    }

    /// Whether a recipe asked something of any source.
    pub(crate) fn has_wishes(&self) -> bool {
        self.sources.iter().any(|source| source.requested.is_some())
    }
}

impl CutSourceStatistics {
    /// Samples, copies counted.
    pub(crate) fn samples(&self) -> u64 {
        self.lengths.len() as u64
    }

    /// Tokens, copies counted.
    pub(crate) fn tokens(&self) -> u64 {
        self.lengths.iter().map(|length| u64::from(*length)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_nearest_rank_is_a_value_that_occurs() {
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(percentile(&[7], 0), Some(7));
        assert_eq!(percentile(&[7], 95), Some(7));
        assert_eq!(percentile(&[1, 2, 3, 4], 50), Some(2), "the lower of the two in the middle");
        assert_eq!(percentile(&[1, 2, 3, 4, 5], 50), Some(3));
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 95), Some(95));
        assert_eq!(percentile(&hundred, 100), Some(100));
        assert_eq!(percentile(&hundred, 4000), Some(100));
        let twenty: Vec<u32> = (1..=20).collect();
        assert_eq!(percentile(&twenty, 95), Some(19));
        assert_eq!(percentile(&twenty[..19], 95), Some(19), "18.05 goes up to 19");
    }

    #[test]
    fn a_sample_as_long_as_the_limit_loses_nothing() {
        assert_eq!(overlong(&[10, 2048, 2049, 2100], 2048), Overlong { limit: 2048, samples: 2, tokens: 1 + 52 });
        assert_eq!(overlong(&[], 2048), Overlong { limit: 2048, samples: 0, tokens: 0 });
    }

    proptest! {
        #[test]
        fn the_numbers_agree_with_their_definitions(
            mut lengths in prop::collection::vec(0_u32..10_000, 1..300),
            percent in 1_u32..=100,
            limit in 0_u32..10_000,
        ) {
            lengths.sort_unstable();
            let n = lengths.len() as u64;
            let smallest = lengths.iter().copied().find(|value| {
                let not_above = lengths.iter().filter(|other| *other <= value).count() as u64;
                not_above * 100 >= u64::from(percent) * n
            });
            prop_assert_eq!(percentile(&lengths, percent), smallest);

            let kept: u64 = lengths.iter().map(|length| u64::from(*length.min(&limit))).sum();
            let all: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
            let cut_off = overlong(&lengths, limit);
            prop_assert_eq!(kept + cut_off.tokens, all);
            prop_assert_eq!(cut_off.samples, lengths.iter().filter(|length| **length > limit).count() as u64);
        }

        #[test]
        fn a_cut_is_the_sum_of_its_sources(lists in prop::collection::vec(prop::collection::vec(0_u32..99, 0..20), 0..5)) {
            let sources = lists.iter().map(|list| {
                let mut lengths = list.clone();
                lengths.sort_unstable();
                CutSourceStatistics { lengths, ..Default::default() }
            });
            let cut = CutStatistics { cut: 1, sources: sources.collect(), validation: None };
            let all = cut.lengths();
            prop_assert!(all.is_sorted());
            prop_assert_eq!(all.len() as u64, cut.samples());
            prop_assert_eq!(all.iter().map(|length| u64::from(*length)).sum::<u64>(), cut.tokens());
        }
    }
}
