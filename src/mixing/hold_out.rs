//! Whole documents are held out for validation: nothing that is trained on is validated on.

use super::row::Row;
use crate::index::{Hash128, Hashes, Number, PartsHasher};
use crate::recipe::{Decimal, Source};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The name and version of the hash that chooses the documents of the validation side.
const SPLIT_HASH: &str = "km-split-v2";

/// What the rows of one group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Document(Number),
    Outline(Number),
    /// Rows that know neither, like chats: equal conversations belong together.
    Content(Hash128),
}

/// Sets [`Row::group`] and [`Row::held_out`]; returns a warning if there is too little to divide.
///
/// Rows that share a raw document, or an outline if that is unknown, are one group; a row without a raw document joins all
/// documents of its outline. Of the groups, `part` is held out (rounded; at least one and not all if there are two or more):
/// those with the lowest [`split_hash`]. Chats, which know neither document nor outline, are divided source by source, so
/// that a large source of them does not use up the part of the documents.
pub(crate) fn hold_out(rows: &mut [Row], sources: &[Source], part: Decimal, seed: u64, hashes: &Hashes) -> Vec<String> {
    let keys = group_by_keys(rows);
    // Documents are divided together, everything else source by source.
    let mut strata: BTreeMap<Option<u32>, Vec<(Hash128, u32)>> = BTreeMap::new();
    let mut sources_of: HashMap<u32, u32> = HashMap::new();
    for row in rows.iter().filter(|row| row.is_kept()) {
        sources_of.entry(row.group).or_insert(row.record.source);
    }
    for (group, keys) in (0..).zip(&keys) {
        let of_documents = keys.iter().any(|key| !matches!(key, Key::Content(_)));
        let stratum = if of_documents { None } else { sources_of.get(&group).copied() };
        // The smallest, so that the order in which a group was put together does not matter.
        let Some(hash) = keys.iter().map(|key| key_hash(seed, *key, hashes)).min() else { continue };
        strata.entry(stratum).or_default().push((hash, group));
    }
    let mut chosen = HashSet::new();
    let mut warnings = Vec::new();
    for (stratum, mut groups) in strata {
        if groups.len() < 2 {
            let what =
                stratum.map_or("documents".to_owned(), |source| format!("source {}", sources[source as usize].name));
            warnings.push(format!("{what}: all rows belong to one group, so none are held out for validation"));
            continue;
        }
        groups.sort_unstable();
        let all = groups.len() as u64;
        let count = part.of(all).clamp(u64::from(part > Decimal::ZERO), all - 1);
        chosen.extend(groups.iter().take(count as usize).map(|(_, group)| *group));
    }
    for row in rows.iter_mut().filter(|row| row.is_kept()) {
        row.held_out = chosen.contains(&row.group);
    }
    warnings
}

/// Sets [`Row::group`] of the rows that are kept: numbers from 0, in the order of the table.
pub(crate) fn group(rows: &mut [Row]) {
    group_by_keys(rows);
}

/// Sets [`Row::group`]; returns the keys of each group.
fn group_by_keys(rows: &mut [Row]) -> Vec<Vec<Key>> {
    let kept = || rows.iter().filter(|row| row.is_kept());
    // The outlines of rows that do not know their document.
    let bare: HashSet<Number> =
        kept().filter(|row| row.record.document.is_none()).filter_map(|row| row.record.outline).collect();
    let mut forest = Forest::default();
    let nodes: Vec<usize> = kept()
        .map(|row| match (row.record.document, row.record.outline) {
            (None, None) => forest.node(Key::Content(row.record.content)),
            (None, Some(outline)) => forest.node(Key::Outline(outline)),
            (Some(document), outline) => {
                let of_document = forest.node(Key::Document(document));
                if let Some(outline) = outline.filter(|outline| bare.contains(outline)) {
                    let of_outline = forest.node(Key::Outline(outline));
                    forest.join(of_document, of_outline);
                }
                of_document
            }
        })
        .collect();
    let (groups, keys) = forest.groups();
    for (row, node) in rows.iter_mut().filter(|row| row.is_kept()).zip(nodes) {
        row.group = groups[node];
    }
    keys
}

/// Disjoint sets of keys (union-find).
#[derive(Default)]
struct Forest {
    nodes: HashMap<Key, usize>,
    parents: Vec<usize>,
    keys: Vec<Key>,
}

impl Forest {
    fn node(&mut self, key: Key) -> usize {
        *self.nodes.entry(key).or_insert_with(|| {
            self.parents.push(self.parents.len());
            self.keys.push(key);
            self.parents.len() - 1
        })
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.parents[at] != at {
            self.parents[at] = self.parents[self.parents[at]];
            at = self.parents[at];
        }
        at
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
    }

    /// The group of each node, and the keys of each group.
    fn groups(mut self) -> (Vec<u32>, Vec<Vec<Key>>) {
        let mut numbers: HashMap<usize, u32> = HashMap::new();
        let mut keys: Vec<Vec<Key>> = Vec::new();
        let mut groups = Vec::with_capacity(self.keys.len());
        for at in 0..self.keys.len() {
            let group = *numbers.entry(self.root(at)).or_insert_with(|| {
                keys.push(Vec::new());
                keys.len() as u32 - 1
            });
            keys[group as usize].push(self.keys[at]);
            groups.push(group);
        }
        (groups, keys)
    }
}

fn key_hash(seed: u64, key: Key, hashes: &Hashes) -> Hash128 {
    match key {
        Key::Document(number) => split_hash(seed, "document", hashes.documents.get(number)),
        Key::Outline(number) => split_hash(seed, "outline", hashes.outlines.get(number)),
        Key::Content(hash) => split_hash(seed, "content", hash),
    }
}

/// The hash that orders groups: `km-split-v2`, seed, `document`, `outline` or `content`, and the hash of the document, the
/// outline or the conversation.
fn split_hash(seed: u64, what: &str, hash: Hash128) -> Hash128 {
    PartsHasher::named(SPLIT_HASH).part(seed.to_le_bytes()).part(what).part(hash).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_hashes_have_not_changed() {
        let hash = split_hash(42, "document", Hash128::of("raw"));
        let hex: String = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "3714edb87dbb0331a0fe2d6d5ab0cc41");
    }
}
