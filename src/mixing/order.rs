//! The one sequence of output rows that all files of a run share. Memory follows the table of rows, not their copies.

use super::plan::CutPlan;
use super::row::Row;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::ops::Range;

/// The name and version of the shuffled order: the first bytes of the generator's key.
const SHUFFLE: &[u8; 13] = b"km-shuffle-v1";

/// One copy of one row: encoded once and appended to every file that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutputRow {
    /// The row's place in the table.
    pub(crate) row: u32,
    /// Which copy, from 0. A file holds it if it holds more copies of the row.
    pub(crate) copy: u32,
}

/// How often each row is in the file that holds it most often.
pub(crate) fn most_copies(rows: &[Row], plans: &[CutPlan]) -> Vec<u32> {
    let copies = |plan: &CutPlan, at: usize, source: u32| plan.copies(at, source).max(plan.is_validation(at).into());
    let most =
        |(at, row): (usize, &Row)| plans.iter().map(|plan| copies(plan, at, row.record.source)).max().unwrap_or(0);
    rows.par_iter().enumerate().map(most).collect()
}

/// Every (row, copy) that a cut holds, in natural order: by source, copy and input order. Each file is a subsequence.
///
/// `sources` is the result of [`source_ranges`], `most` that of [`most_copies`].
pub(crate) fn natural_order<'a>(sources: &'a [Range<usize>], most: &'a [u32]) -> impl Iterator<Item = OutputRow> + 'a {
    sources.iter().flat_map(move |range| {
        let copies = most[range.clone()].iter().copied().max().unwrap_or(0);
        (0..copies).flat_map(move |copy| {
            range.clone().filter(move |&row| most[row] > copy).map(move |row| OutputRow { row: row as u32, copy })
        })
    })
}

/// The places of the rows of each source that has rows.
pub(crate) fn source_ranges(rows: &[Row]) -> Vec<Range<usize>> {
    let mut start = 0;
    let chunks = rows.chunk_by(|a, b| a.record.source == b.record.source);
    let range = |chunk: &[Row]| {
        let range = start..start + chunk.len();
        start = range.end;
        range
    };
    chunks.map(range).collect()
}

/// Every (row, copy) that a cut holds, by [`order_key`]: where a row stands relative to another does not depend on which
/// cuts are requested.
///
/// The sequence comes in buckets of keys, which are sorted one at a time: a repeat of 1000 does not cost 1000 keys a row.
pub(crate) struct ShuffledOrder<'a> {
    most: &'a [u32],
    /// Parts of the sources, small enough to be shared by threads.
    parts: Vec<Range<usize>>,
    seed: u64,
    buckets: u64,
}

/// The number of keys that are sorted at a time, if the table has fewer rows.
const BUCKET: u64 = 1 << 22;

/// The number of rows whose keys one thread computes at a time.
const PART: usize = 1 << 16;

impl<'a> ShuffledOrder<'a> {
    /// `sources` is the result of [`source_ranges`], `most` that of [`most_copies`].
    pub(crate) fn new(sources: &[Range<usize>], most: &'a [u32], seed: u64) -> Self {
        Self::with_bucket_size(sources, most, seed, BUCKET.max(most.len() as u64))
    }

    fn with_bucket_size(sources: &[Range<usize>], most: &'a [u32], seed: u64, size: u64) -> Self {
        let part = |range: Range<usize>| {
            let end = range.end;
            range.step_by(PART).map(move |start| start..end.min(start + PART))
        };
        let total: u64 = most.iter().map(|&copies| u64::from(copies)).sum();
        Self { most, parts: sources.iter().cloned().flat_map(part).collect(), seed, buckets: total.div_ceil(size) }
    }

    /// The number of buckets.
    pub(crate) fn buckets(&self) -> u64 {
        self.buckets
    }

    /// The rows of one bucket; the sequence is that of all buckets. Computes on the current rayon pool.
    pub(crate) fn bucket(&self, bucket: u64) -> Vec<OutputRow> {
        let of_key = |key: u64| (u128::from(key) * u128::from(self.buckets)) >> 64 == u128::from(bucket);
        let mut keyed: Vec<(u64, OutputRow)> = self
            .parts
            .par_iter()
            .flat_map_iter(|part| {
                let copies = self.most[part.clone()].iter().copied().max().unwrap_or(0);
                (0..copies).flat_map(move |copy| self.keys(part.clone(), copy))
            })
            .filter(|(key, _)| of_key(*key))
            .collect();
        keyed.par_sort_unstable_by_key(|(key, row)| (*key, row.row, row.copy));
        keyed.into_iter().map(|(_, row)| row).collect()
    }

    /// Keys and rows of one copy of a part: a walk along the copy's stream.
    fn keys(&self, part: Range<usize>, copy: u32) -> impl Iterator<Item = (u64, OutputRow)> {
        /// At least this many numbers of the stream are drawn in one go; farther away, seeking is cheaper than drawing.
        const SEEK: u32 = 64;
        let mut generator = generator(self.seed, copy);
        let mut next = 0;
        part.filter(move |&row| self.most[row] > copy).map(move |row| {
            let row = row as u32;
            if row - next > SEEK {
                generator.set_word_pos(u128::from(row) * 2);
            } else {
                (next..row).for_each(|_| _ = generator.next_u64());
            }
            next = row + 1;
            (generator.next_u64(), OutputRow { row, copy })
        })
    }
}

/// The generator whose 64-bit number number `row` is the place of a copy of a row in a shuffled mix: ChaCha8, its key made
/// of `km-shuffle-v1` and the seed, its stream the copy. Mixes ascend with it.
fn generator(seed: u64, copy: u32) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..SHUFFLE.len()].copy_from_slice(SHUFFLE);
    key[24..].copy_from_slice(&seed.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(u64::from(copy));
    generator
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Record;
    use proptest::prelude::*;

    fn order_key(seed: u64, row: u32, copy: u32) -> u64 {
        let mut generator = generator(seed, copy);
        generator.set_word_pos(u128::from(row) * 2);
        generator.next_u64()
    }

    /// Two sources, the second from row `second` on.
    fn rows(count: usize, second: usize) -> Vec<Row> {
        (0..count).map(|row| Row::new(Record { source: u32::from(row >= second), ..Record::default() })).collect()
    }

    #[test]
    fn order_keys_have_not_changed() {
        let keys =
            [(42, 0, 0), (42, 1, 0), (42, 0, 1), (7, 1_000_000, 3)].map(|(seed, row, copy)| order_key(seed, row, copy));
        assert_eq!(keys, [2530954509600685017, 1450401237223979975, 2208332896721199789, 13819526237909668524]);
    }

    proptest! {
        #[test]
        fn a_shuffle_is_sorted_by_its_keys_whatever_the_buckets(
            seed in 0u64..9,
            most in prop::collection::vec(prop_oneof![4 => Just(0u32), 2 => Just(1), 1 => 0..5u32], 1..700),
            second in 0usize..700,
            size in 1u64..300,
        ) {
            let rows = rows(most.len(), second);
            let order = ShuffledOrder::with_bucket_size(&source_ranges(&rows), &most, seed, size);
            let shuffled: Vec<OutputRow> = (0..order.buckets()).flat_map(|bucket| order.bucket(bucket)).collect();
            let mut model: Vec<OutputRow> = (0..).zip(&most)
                .flat_map(|(row, copies)| (0..*copies).map(move |copy| OutputRow { row, copy }))
                .collect();
            model.sort_by_key(|row| (order_key(seed, row.row, row.copy), row.row, row.copy));
            prop_assert_eq!(shuffled, model);
        }

        #[test]
        fn natural_order_is_by_source_copy_and_row(
            most in prop::collection::vec(0..4u32, 0..50),
            second in 0usize..50,
        ) {
            let rows = rows(most.len(), second);
            let order: Vec<OutputRow> = natural_order(&source_ranges(&rows), &most).collect();
            let mut model: Vec<OutputRow> = (0..).zip(&most)
                .flat_map(|(row, copies)| (0..*copies).map(move |copy| OutputRow { row, copy }))
                .collect();
            model.sort_by_key(|row| (rows[row.row as usize].record.source, row.copy, row.row));
            prop_assert_eq!(order, model);
        }
    }

    #[test]
    fn many_copies_of_a_few_rows_cost_nothing_for_the_others() {
        let count = 200_000;
        let mut most = vec![1; count];
        most[count - 3..].fill(1_000);
        // A key for each row and copy would be 1.6 GB.
        let rows = rows(count, count - 3);
        let order = ShuffledOrder::new(&source_ranges(&rows), &most, 42);
        assert_eq!(order.buckets(), 1);
        assert_eq!(order.bucket(0).len(), count - 3 + 3_000);
    }

    #[test]
    fn buckets_bound_the_memory_of_many_copies() {
        let (rows, most) = (rows(1_000, 1_000), vec![1_000; 1_000]);
        let order = ShuffledOrder::with_bucket_size(&source_ranges(&rows), &most, 42, 10_000);
        assert_eq!(order.buckets(), 100);
        let largest = (0..order.buckets()).map(|bucket| order.bucket(bucket).len()).max();
        assert!(largest < Some(11_000), "{largest:?}");
    }
}
