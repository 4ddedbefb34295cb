//! The one sequence of samples that all files of a run share, and the order within a source that parts are taken in.

use super::plan::CutPlan;
use super::rank::{absorb, first_half};
use super::{Row, Source};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// The name and version of the hash that orders rows of equal rank within a source.
pub(crate) const ORDER_HASH: &str = "km-order-v1";

/// The name and version of the shuffled order: the first bytes of the generator's key.
pub(crate) const SHUFFLE: &[u8; 13] = b"km-shuffle-v1";

/// One copy of one row: what is encoded once and appended to every file that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// The row's place in the table.
    pub(crate) row: u32,
    /// Which copy, from 0. A cut's file holds it where [`CutPlan::copies`] of the row is larger.
    pub(crate) copy: u32,
}

/// Every (row, copy) that any of the cuts holds, in the order in which the files hold them: each file is a
/// subsequence.
///
/// The natural order: by source, copy and input order. Shuffled: by [`order_key`], so that where a sample stands
/// relative to another does not depend on which cuts were asked for.
pub(crate) fn units(rows: &[Row], plans: &[CutPlan], seed: u64, shuffle: bool) -> Vec<Unit> {
    let copies: Vec<u32> =
        (0..rows.len()).map(|row| plans.iter().map(|plan| plan.copies[row]).max().unwrap_or(0)).collect();
    let mut all = Vec::with_capacity(copies.iter().map(|&n| n as usize).sum());
    let mut start = 0;
    for source in rows.chunk_by(|a, b| a.source == b.source) {
        let range = start..start + source.len();
        start = range.end;
        let most = copies[range.clone()].iter().copied().max().unwrap_or(0);
        for copy in 0..most {
            all.extend(range.clone().filter(|&row| copies[row] > copy).map(|row| Unit { row: row as u32, copy }));
        }
    }
    if shuffle {
        shuffle_units(&mut all, seed);
    }
    all
}

/// So many numbers of a stream are drawn in one go at least; farther away, seeking is cheaper than drawing.
const SEEK: u32 = 64;

/// Sorts units by their [`order_key`]. One key a unit and no more: a small source that goes in a thousand times must not
/// cost a thousand keys for each row of a large one.
fn shuffle_units(units: &mut [Unit], seed: u64) {
    let mut keyed: Vec<(u64, u32, u32)> = units
        .par_chunks(1 << 16)
        .flat_map_iter(|part| part.chunk_by(|a, b| a.copy == b.copy && a.row < b.row))
        .flat_map_iter(|run| keys_of_run(run, seed))
        .collect();
    keyed.par_sort_unstable();
    for (unit, (_, row, copy)) in units.iter_mut().zip(keyed) {
        *unit = Unit { row, copy };
    }
}

/// Key, row and copy of units of one copy with ascending rows: a walk along the copy's stream.
fn keys_of_run(run: &[Unit], seed: u64) -> impl Iterator<Item = (u64, u32, u32)> {
    let mut generator = generator(seed, run[0].copy);
    let mut next = 0;
    run.iter().map(move |unit| {
        if unit.row - next > SEEK {
            generator.set_word_pos(u128::from(unit.row) * 2);
        } else {
            (next..unit.row).for_each(|_| _ = generator.next_u64());
        }
        next = unit.row + 1;
        (generator.next_u64(), unit.row, unit.copy)
    })
}

/// The place of a copy of a row in a shuffled mix: the 64-bit number number `row` of the ChaCha8 stream `copy`, its key
/// made of `km-shuffle-v1` and the seed. Mixes ascend with it.
pub(crate) fn order_key(seed: u64, row: u32, copy: u32) -> u64 {
    let mut generator = generator(seed, copy);
    generator.set_word_pos(u128::from(row) * 2);
    generator.next_u64()
}

fn generator(seed: u64, copy: u32) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..SHUFFLE.len()].copy_from_slice(SHUFFLE);
    key[24..].copy_from_slice(&seed.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(u64::from(copy));
    generator
}

/// The places of these rows of one source in the source's one order: by rank, then by [`order_hash`], then as they
/// stand in the table (rows of equal messages).
pub(super) fn source_order(rows: &[Row], source: &Source, seed: u64, mut places: Vec<u32>) -> Vec<u32> {
    let base = order_hasher(seed, &source.name);
    places.par_sort_by_cached_key(|&at| {
        let row = &rows[at as usize];
        let mut hasher = base.clone();
        absorb(&mut hasher, &row.content);
        (row.rank, first_half(&hasher))
    });
    places
}

/// The first 16 bytes of BLAKE3 over `km-order-v1`, seed, source and content, written as in
/// [`rank_hash`](super::rank::rank_hash).
pub(crate) fn order_hash(seed: u64, source: &str, content: &[u8]) -> [u8; 16] {
    let mut hasher = order_hasher(seed, source);
    absorb(&mut hasher, content);
    first_half(&hasher)
}

fn order_hasher(seed: u64, source: &str) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    absorb(&mut hasher, ORDER_HASH.as_bytes());
    absorb(&mut hasher, &seed.to_le_bytes());
    absorb(&mut hasher, source.as_bytes());
    hasher
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Measure;
    use proptest::prelude::*;

    fn plan(copies: Vec<u32>) -> CutPlan {
        CutPlan { cut: 1, copies, sources: Vec::new(), measure: Measure::Tokens }
    }

    /// Two sources, the second from row `second` on.
    fn rows(count: usize, second: usize) -> Vec<Row> {
        (0..count).map(|row| Row::new(u32::from(row >= second), 0, 0, 0)).collect()
    }

    proptest! {
        #[test]
        fn a_shuffle_is_the_order_of_its_keys(
            seed in 0u64..9,
            copies in prop::collection::vec(prop_oneof![4 => Just(0u32), 2 => Just(1), 1 => 0..5u32], 1..700),
            second in 0usize..700,
        ) {
            let rows = rows(copies.len(), second);
            let shuffled = units(&rows, &[plan(copies.clone())], seed, true);
            let all = copies.iter().enumerate();
            let mut model: Vec<(u64, u32, u32)> = all
                .flat_map(|(row, copies)| (0..*copies).map(move |copy| (order_key(seed, row as u32, copy), row as u32, copy)))
                .collect();
            model.sort_unstable();
            let model: Vec<Unit> = model.into_iter().map(|(_, row, copy)| Unit { row, copy }).collect();
            prop_assert_eq!(shuffled, model);
        }
    }

    #[test]
    fn many_copies_of_a_few_rows_cost_nothing_for_the_others() {
        let count = 200_000;
        let mut copies = vec![1; count];
        copies[count - 3..].fill(1_000);
        // A key for each row and copy would be 1.6 GB.
        let started = std::time::Instant::now();
        let shuffled = units(&rows(count, count - 3), &[plan(copies)], 42, true);
        assert_eq!(shuffled.len(), count - 3 + 3_000);
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }
}
