//! Each summary's place within its raw document: a stable hash of content and seed, never a draw, never a position.

use super::{NO_TEXT, Row, Source};
use crate::recipe::Kind;
use rayon::prelude::*;
use std::cmp::Ordering;

/// The name and version of the hash. Whoever changes one byte of what goes in gives it a new name.
pub(crate) const RANK_HASH: &str = "km-rank-v1";

/// Fills [`Row::rank`] and [`Row::pair`] of every row that no filter took away.
///
/// A summary's rank is its place when the distinct summaries of its raw document (within the source) are sorted by
/// [`rank_hash`]; equal hashes are ordered by the texts. Rows outside of the summary sources have rank 0. A row's pair
/// is its place among the rows of its summary, in input order, in every source that has summaries.
pub(crate) fn rank<'t>(rows: &mut [Row], sources: &[Source], seed: u64, text: impl Fn(u32) -> &'t str + Sync) {
    let text = |id: u32| if id == NO_TEXT { "" } else { text(id) };
    // (source, raw document, summary, place in the table): the last keeps input order within a summary.
    let mut keys: Vec<(u32, u32, u32, u32)> = rows
        .par_iter()
        .enumerate()
        .filter(|(_, row)| row.is_kept())
        .map(|(at, row)| (row.source, row.document, row.summary, at as u32))
        .collect();
    keys.par_sort_unstable();
    let ranks: Vec<(u32, u32, u32)> = keys
        .par_chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
        .flat_map_iter(|document| {
            let (source, raw, ..) = document[0];
            let source = &sources[source as usize];
            rank_document(document, source, || RankHasher::new(seed, &source.name, text(raw)), text)
        })
        .collect();
    for (at, rank, pair) in ranks {
        let row = &mut rows[at as usize];
        row.rank = rank;
        row.pair = pair;
    }
}

/// The (place, rank, pair) of each row of one raw document of one source.
fn rank_document<'t>(
    keys: &[(u32, u32, u32, u32)],
    source: &Source,
    hasher: impl Fn() -> RankHasher,
    text: impl Fn(u32) -> &'t str,
) -> Vec<(u32, u32, u32)> {
    let summaries: Vec<&[(u32, u32, u32, u32)]> = keys.chunk_by(|a, b| a.2 == b.2).collect();
    let mut place = vec![0u32; summaries.len()];
    if source.kind == Kind::SummaryQa && summaries.len() > 1 {
        let hasher = hasher();
        let mut sorted: Vec<([u8; 16], usize)> =
            summaries.iter().enumerate().map(|(at, rows)| (hasher.summary(text(rows[0].2)), at)).collect();
        sorted.sort_unstable_by(|a, b| {
            let texts = || -> Ordering { text(summaries[a.1][0].2).cmp(text(summaries[b.1][0].2)) };
            a.0.cmp(&b.0).then_with(texts)
        });
        for (rank, (_, at)) in sorted.into_iter().enumerate() {
            place[at] = rank as u32;
        }
    }
    let mut ranks = Vec::with_capacity(keys.len());
    for (rows, rank) in summaries.into_iter().zip(place) {
        // Without a summary there is nothing that a row could be the second pair of.
        let pair = |at: usize| if rows[0].2 == NO_TEXT { 0 } else { at as u32 };
        ranks.extend(rows.iter().enumerate().map(|(at, row)| (row.3, rank, pair(at))));
    }
    ranks
}

/// [`rank_hash`] of many summaries of one raw document: what they have in common is absorbed once.
#[derive(Debug, Clone)]
pub(crate) struct RankHasher(blake3::Hasher);

impl RankHasher {
    /// For the summaries of one raw document of one source.
    pub(crate) fn new(seed: u64, source: &str, raw_document: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        absorb(&mut hasher, RANK_HASH.as_bytes());
        absorb(&mut hasher, &seed.to_le_bytes());
        absorb(&mut hasher, source.as_bytes());
        absorb(&mut hasher, raw_document.as_bytes());
        Self(hasher)
    }

    /// The hash of one summary.
    pub(crate) fn summary(&self, summary: &str) -> [u8; 16] {
        let mut hasher = self.0.clone();
        absorb(&mut hasher, summary.as_bytes());
        first_half(&hasher)
    }
}

/// The first 16 bytes of BLAKE3 over `km-rank-v1`, seed, source, raw document and summary, each with its length in
/// bytes before it (8 bytes, little-endian); the seed is 8 bytes, little-endian. Ranks ascend with these bytes.
pub(crate) fn rank_hash(seed: u64, source: &str, raw_document: &str, summary: &str) -> [u8; 16] {
    RankHasher::new(seed, source, raw_document).summary(summary)
}

/// Puts a part into a hash, its length before it: no two lists of parts look alike.
pub(super) fn absorb(hasher: &mut blake3::Hasher, part: &[u8]) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part);
}

/// The first 16 bytes of a hash.
pub(super) fn first_half(hasher: &blake3::Hasher) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    half
}
