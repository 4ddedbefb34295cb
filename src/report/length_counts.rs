//! An exact histogram of token lengths. Its memory follows the distinct lengths, not the samples or their copies.

use std::collections::BTreeMap;

/// Lengths below this have a slot in a vector, which takes at most 128 KiB. Almost all lengths are: to count a million of
/// them takes 6 ms, and 150 ms in a map alone.
const SHORT: u32 = 1 << 14;

/// The number of samples of each token length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LengthCounts {
    /// Samples of each length below [`SHORT`]. The last entry is not 0, so equal counts compare equal.
    short: Vec<u64>,
    /// Samples of each other length. No entry is 0.
    long: BTreeMap<u32, u64>,
}

/// The distribution of token lengths in a few numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LengthSummary {
    /// The shortest length.
    pub(crate) min: u32,
    /// The 50th percentile (see [`LengthCounts::percentile`]).
    pub(crate) median: u32,
    /// The 95th percentile (see [`LengthCounts::percentile`]).
    pub(crate) p95: u32,
    /// The longest length.
    pub(crate) max: u32,
}

/// What of the samples is beyond a given number of tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Overlong {
    /// Samples longer than the limit.
    pub(crate) samples: u64,
    /// Tokens of those samples beyond the limit.
    pub(crate) tokens: u64,
}

impl LengthCounts {
    /// Adds `copies` samples of `length` tokens.
    pub(crate) fn add(&mut self, length: u32, copies: u64) {
        if copies == 0 {
            return;
        }
        if length < SHORT {
            let slot = length as usize;
            if self.short.len() <= slot {
                self.short.resize(slot + 1, 0);
            }
            self.short[slot] += copies;
        } else {
            *self.long.entry(length).or_default() += copies;
        }
    }

    /// Adds all samples of `other`. The result is exact: the order of merging does not matter.
    pub(crate) fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(length, copies)| self.add(length, copies));
    }

    /// Each length that occurs and its number of samples, in ascending order of length.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let short = (0_u32..).zip(&self.short).filter(|(_, copies)| **copies > 0);
        short
            .map(|(length, copies)| (length, *copies))
            .chain(self.long.iter().map(|(length, copies)| (*length, *copies)))
    }

    /// Whether there are no samples.
    pub(crate) fn is_empty(&self) -> bool {
        self.short.is_empty() && self.long.is_empty()
    }

    /// The number of samples, copies included.
    pub(crate) fn samples(&self) -> u64 {
        self.iter().map(|(_, copies)| copies).sum()
    }

    /// The sum of all lengths, copies included.
    pub(crate) fn tokens(&self) -> u64 {
        self.iter().map(|(length, copies)| u64::from(length) * copies).sum()
    }

    /// The shortest length; `None` without samples.
    pub(crate) fn min(&self) -> Option<u32> {
        self.iter().next().map(|(length, _)| length)
    }

    /// The longest length; `None` without samples.
    pub(crate) fn max(&self) -> Option<u32> {
        let longest_short = || u32::try_from(self.short.len().checked_sub(1)?).ok();
        self.long.last_key_value().map(|(length, _)| *length).or_else(longest_short)
    }

    /// The length at a percentile, by the nearest rank; `None` without samples.
    ///
    /// The nearest rank of `percent` among n samples is ceil(percent / 100 * n), counted from 1, and at least 1: the smallest
    /// length that at least `percent` per cent of all samples do not exceed. The result is a length that occurs, without
    /// interpolation; the median of an even number of samples is the lower of the two in the middle. A `percent` above 100
    /// counts as 100.
    pub(crate) fn percentile(&self, percent: u32) -> Option<u32> {
        // 128 bits: the number of samples times a hundred may not fit into 64.
        let rank = (u128::from(self.samples()) * u128::from(percent.min(100))).div_ceil(100).max(1);
        let mut seen = 0_u128;
        let mut lengths = self.iter();
        lengths.find_map(|(length, copies)| {
            seen += u128::from(copies);
            (seen >= rank).then_some(length)
        })
    }

    /// Minimum, median, 95th percentile and maximum; `None` without samples.
    pub(crate) fn summary(&self) -> Option<LengthSummary> {
        Some(LengthSummary {
            min: self.min()?,
            median: self.percentile(50)?,
            p95: self.percentile(95)?,
            max: self.max()?,
        })
    }

    /// The samples longer than `limit`, and their tokens beyond it.
    pub(crate) fn longer_than(&self, limit: u32) -> Overlong {
        let longer = self.iter().filter(|(length, _)| *length > limit);
        longer.fold(Overlong::default(), |sum, (length, copies)| Overlong {
            samples: sum.samples + copies,
            tokens: sum.tokens + u64::from(length - limit) * copies,
        })
    }

    /// The number of samples in each bin of a chart.
    ///
    /// `edges` are the lower edges of the bins, ascending. A bin reaches up to the next edge, the last one without limit;
    /// lengths below the first edge belong to the first bin. Of bins with the same edge only the last one has samples.
    pub(crate) fn bins(&self, edges: &[u32]) -> Vec<u64> {
        let mut bins = vec![0; edges.len()];
        for (length, copies) in self.iter() {
            let bin = edges.partition_point(|edge| *edge <= length).saturating_sub(1);
            if let Some(samples) = bins.get_mut(bin) {
                *samples += copies;
            }
        }
        bins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(lengths: &[u32]) -> LengthCounts {
        let mut counts = LengthCounts::default();
        lengths.iter().for_each(|length| counts.add(*length, 1));
        counts
    }

    /// Lengths on both sides of the vector's end, up to the largest.
    fn any_length() -> impl Strategy<Value = u32> {
        prop_oneof![0_u32..50, 0_u32..10_000, SHORT - 3..SHORT + 3, any::<u32>()]
    }

    #[test]
    fn percentiles_are_lengths_that_occur() {
        assert_eq!(counts(&[]).percentile(50), None);
        assert_eq!(counts(&[7]).percentile(0), Some(7));
        assert_eq!(counts(&[7]).percentile(95), Some(7));
        assert_eq!(counts(&[1, 2, 3, 4]).percentile(50), Some(2), "the lower of the two in the middle");
        assert_eq!(counts(&[1, 2, 3, 4, 5]).percentile(50), Some(3));
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!(counts(&hundred).percentile(95), Some(95));
        assert_eq!(counts(&hundred).percentile(100), Some(100));
        assert_eq!(counts(&hundred).percentile(4000), Some(100));
        assert_eq!(counts(&hundred[..20]).percentile(95), Some(19));
        assert_eq!(counts(&hundred[..19]).percentile(95), Some(19), "18.05 rounds up to 19");
    }

    #[test]
    fn samples_as_long_as_the_limit_are_not_truncated() {
        assert_eq!(counts(&[10, 2048, 2049, 2100]).longer_than(2048), Overlong { samples: 2, tokens: 1 + 52 });
        assert_eq!(counts(&[]).longer_than(2048), Overlong::default());
    }

    #[test]
    fn adding_no_copies_changes_nothing() {
        let mut none = LengthCounts::default();
        none.add(5, 0);
        none.add(u32::MAX, 0);
        assert!(none.is_empty());
        assert_eq!(none, LengthCounts::default());
        assert_eq!((none.min(), none.max(), none.summary()), (None, None, None));
    }

    #[test]
    fn many_copies_take_no_more_memory_than_one() {
        let mut counts = LengthCounts::default();
        counts.add(100, 1 << 40);
        counts.add(20_000, 1 << 40);
        assert_eq!(counts.samples(), 1 << 41);
        assert_eq!(counts.tokens(), 20_100 << 40);
        assert_eq!(counts.percentile(50), Some(100));
        assert_eq!(counts.percentile(51), Some(20_000));
    }

    proptest! {
        #[test]
        fn figures_agree_with_the_list_of_all_samples(
            samples in prop::collection::vec((any_length(), 0_u64..5), 0..200),
            percent in 1_u32..=100,
            limit in any_length(),
        ) {
            let mut counts = LengthCounts::default();
            samples.iter().for_each(|(length, copies)| counts.add(*length, *copies));
            let mut list: Vec<u32> =
                samples.iter().flat_map(|(length, copies)| std::iter::repeat_n(*length, *copies as usize)).collect();
            list.sort_unstable();

            let total = |lengths: &[u32]| lengths.iter().map(|length| u64::from(*length)).sum::<u64>();
            let n = list.len() as u64;
            prop_assert_eq!(counts.samples(), n);
            prop_assert_eq!(counts.tokens(), total(&list));
            prop_assert_eq!(counts.is_empty(), list.is_empty());
            prop_assert_eq!((counts.min(), counts.max()), (list.first().copied(), list.last().copied()));
            prop_assert!(counts.iter().is_sorted_by(|a, b| a.0 < b.0));

            let nearest_rank = list.iter().copied().find(|length| {
                let not_longer = list.partition_point(|other| other <= length) as u64;
                not_longer * 100 >= u64::from(percent) * n
            });
            prop_assert_eq!(counts.percentile(percent), nearest_rank);
            let summary = (!list.is_empty()).then(|| LengthSummary {
                min: list[0],
                median: list[(list.len() - 1) / 2],
                p95: list[(list.len() * 95).div_ceil(100) - 1],
                max: list[list.len() - 1],
            });
            prop_assert_eq!(counts.summary(), summary);

            let overlong = counts.longer_than(limit);
            let truncated: Vec<u32> = list.iter().map(|length| *length.min(&limit)).collect();
            prop_assert_eq!(total(&truncated) + overlong.tokens, total(&list));
            prop_assert_eq!(overlong.samples, list.iter().filter(|length| **length > limit).count() as u64);
        }

        #[test]
        fn merging_is_exact_in_any_order(
            parts in prop::collection::vec(prop::collection::vec(any_length(), 0..40), 0..6),
        ) {
            let mut forward = LengthCounts::default();
            parts.iter().for_each(|part| forward.merge(&counts(part)));
            let mut backward = LengthCounts::default();
            parts.iter().rev().for_each(|part| backward.merge(&counts(part)));
            prop_assert_eq!(&forward, &backward);
            prop_assert_eq!(forward, counts(&parts.concat()));
        }

        #[test]
        fn bins_hold_every_sample_once(
            list in prop::collection::vec(any_length(), 0..100),
            mut edges in prop::collection::vec(any_length(), 1..20),
        ) {
            edges.sort_unstable();
            let bins = counts(&list).bins(&edges);
            prop_assert_eq!(bins.iter().sum::<u64>(), list.len() as u64);
            for (bin, samples) in bins.iter().enumerate() {
                let from = if bin == 0 { 0 } else { edges[bin] };
                let to = edges.get(bin + 1).copied();
                let inside = |length: &&u32| **length >= from && to.is_none_or(|to| **length < to);
                prop_assert_eq!(*samples, list.iter().filter(inside).count() as u64);
            }
        }
    }
}
