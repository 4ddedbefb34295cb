//! Each summary's rank within its raw document: an order by hash, independent of positions and random numbers.

use super::row::Row;
use crate::index::{Hashes, Number};
use crate::recipe::Source;
use rayon::prelude::*;

/// Source, raw document, summary, and place in the table, which keeps input order within a summary.
type Key = (u32, Option<Number>, Option<Number>, u32);

/// Sets [`Row::rank`] and [`Row::pair`] of every row that is kept.
///
/// A summary's rank is its place when the distinct summaries of its raw document (within the source) are sorted by their
/// hashes (`km-rank-v1`, see [`crate::index`]). Rows of sources that cuts do not select from have rank 0. A row's pair is its number
/// among the rows of its summary, in input order, in every source that has summaries.
pub(crate) fn rank(rows: &mut [Row], sources: &[Source], hashes: &Hashes) {
    let mut keys: Vec<Key> = rows
        .par_iter()
        .enumerate()
        .filter(|(_, row)| row.is_kept())
        .map(|(at, row)| (row.record.source, row.record.document, row.record.summary, at as u32))
        .collect();
    keys.par_sort_unstable();
    let ranks: Vec<(u32, u32, u32)> = keys
        .par_chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
        .flat_map_iter(|document| rank_document(document, sources[document[0].0 as usize].by_cut, hashes))
        .collect();
    for (at, rank, pair) in ranks {
        let row = &mut rows[at as usize];
        row.rank = rank;
        row.pair = pair;
    }
}

/// Place, rank and pair of each row of one raw document of one source.
fn rank_document(keys: &[Key], ranked: bool, hashes: &Hashes) -> Vec<(u32, u32, u32)> {
    let mut summaries: Vec<&[Key]> = keys.chunk_by(|a, b| a.2 == b.2).collect();
    if ranked {
        summaries.sort_by_cached_key(|rows| rows[0].2.map(|summary| hashes.summaries.get(summary)));
    }
    let mut ranks = Vec::with_capacity(keys.len());
    for (rank, rows) in (0..).zip(summaries) {
        // Without a summary there is nothing that a row could be the second pair of.
        let pair = |at: u32| if rows[0].2.is_none() { 0 } else { at };
        let rank = if ranked { rank } else { 0 };
        ranks.extend((0..).zip(rows).map(|(at, row)| (row.3, rank, pair(at))));
    }
    ranks
}
