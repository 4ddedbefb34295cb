//! The order within a source from which fractions, shares and budgets take a prefix.

use super::row::Row;
use crate::index::PartsHasher;
use crate::recipe::Source;
use rayon::prelude::*;

/// The name and version of the hash that orders rows of equal rank within a source.
const ORDER_HASH: &str = "km-order-v1";

/// Sorts rows of one source, given by their places: by rank, then by the hash of `km-order-v1`, seed, source and content
/// hash, then by their place in the table (rows with the same conversation).
pub(super) fn source_order(rows: &[Row], source: &Source, seed: u64, mut places: Vec<u32>) -> Vec<u32> {
    let mut base = PartsHasher::named(ORDER_HASH);
    base.part(seed.to_le_bytes()).part(&source.name);
    places.par_sort_by_cached_key(|&at| {
        let row = &rows[at as usize];
        (row.rank, base.clone().part(row.record.content).finish())
    });
    places
}

#[cfg(test)]
pub(super) fn order_hash(seed: u64, source: &str, content: crate::index::Hash128) -> crate::index::Hash128 {
    PartsHasher::named(ORDER_HASH).part(seed.to_le_bytes()).part(source).part(content).finish()
}
