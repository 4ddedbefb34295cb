//! Exact duplicates: of rows with the same conversation, one is kept.

use super::row::{Fate, Row};
use crate::index::{Hash128, Hashes};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Of the rows with the same content hash, keeps the best: of the first source, then of the lowest rank, then by the hashes
/// of raw document and summary, then the first pair; the position decides only if all of these are equal. Marks the others
/// and returns their number. Rows have to be ranked, and ranked again if any were dropped.
pub(crate) fn drop_duplicates(rows: &mut [Row], hashes: &Hashes) -> u64 {
    let mut best: HashMap<Hash128, usize> = HashMap::with_capacity(rows.len());
    let mut dropped = 0;
    for at in 0..rows.len() {
        if !rows[at].is_kept() {
            continue;
        }
        let loser = match best.entry(rows[at].record.content) {
            Entry::Vacant(entry) => {
                entry.insert(at);
                continue;
            }
            Entry::Occupied(mut entry) => {
                if preference(&rows[at], hashes) < preference(&rows[*entry.get()], hashes) {
                    entry.insert(at)
                } else {
                    at
                }
            }
        };
        rows[loser].fate = Fate::Duplicate;
        dropped += 1;
    }
    dropped
}

/// The smallest is kept.
fn preference(row: &Row, hashes: &Hashes) -> (u32, u32, Option<Hash128>, Option<Hash128>, u32) {
    let document = row.record.document.map(|number| hashes.documents.get(number));
    let summary = row.record.summary.map(|number| hashes.summaries.get(number));
    (row.record.source, row.rank, document, summary, row.pair)
}
