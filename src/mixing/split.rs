//! Whole documents to the validation side: nothing that was trained on is validated on.

use super::rank::{absorb, first_half};
use super::{NO_TEXT, Row, Source};
use crate::recipe::Decimal;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The name and version of the hash that chooses the documents of the validation side.
pub(crate) const SPLIT_HASH: &str = "km-split-v1";

/// What rows have in common that have to stand on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Document(u32),
    Outline(u32),
    /// Rows that know neither, like chats: equal messages belong together.
    Content([u8; 16]),
}

/// Fills [`Row::group`] and [`Row::validation`].
///
/// Rows that share a raw document, or where that is unknown an outline, are one group; a row without a raw document
/// joins all documents of its outline. Of the groups, `part` goes to the validation side (rounded, at least one and
/// not all where there are two): those with the lowest hash of seed and text. Chats, that know neither document nor
/// outline, are divided for each source on its own, so that a large source of them leaves the documents their part.
/// Returns a warning where there is too little to divide.
pub(crate) fn split<'t>(
    rows: &mut [Row],
    sources: &[Source],
    part: Decimal,
    seed: u64,
    text: impl Fn(u32) -> &'t str,
) -> Vec<String> {
    let keys = group(rows);
    // What is divided on its own: the documents, and the rest source by source.
    let mut strata: BTreeMap<Option<u32>, Vec<([u8; 16], u32)>> = BTreeMap::new();
    let mut sources_of: HashMap<u32, u32> = HashMap::new();
    for row in rows.iter().filter(|row| row.is_kept()) {
        sources_of.entry(row.group).or_insert(row.source);
    }
    for (group, keys) in keys.iter().enumerate() {
        let group = group as u32;
        let of_documents = keys.iter().any(|key| !matches!(key, Key::Content(_)));
        let stratum = if of_documents { None } else { sources_of.get(&group).copied() };
        // The smallest, so that the order in which a group was put together has no say.
        let Some(hash) = keys.iter().map(|key| key_hash(seed, *key, &text)).min() else { continue };
        strata.entry(stratum).or_default().push((hash, group));
    }
    let mut chosen = HashSet::new();
    let mut warnings = Vec::new();
    for (stratum, mut groups) in strata {
        if groups.len() < 2 {
            let what = stratum.map_or("all documents".to_owned(), |source| sources[source as usize].name.clone());
            warnings.push(format!("{what}: only one group of rows that belong together, none is left for validation"));
            continue;
        }
        groups.sort_unstable();
        let many = part.of(groups.len() as u64).clamp(u64::from(part > Decimal::ZERO), groups.len() as u64 - 1);
        chosen.extend(groups.iter().take(many as usize).map(|(_, group)| *group));
    }
    for row in rows.iter_mut().filter(|row| row.is_kept()) {
        row.validation = chosen.contains(&row.group);
    }
    warnings
}

/// Fills [`Row::group`] of the rows that are kept (numbers from 0, in the order of the table); returns what the rows of
/// each group have in common.
pub(super) fn group(rows: &mut [Row]) -> Vec<Vec<Key>> {
    // The outlines by which rows are known that do not know their document.
    let bare: HashSet<u32> =
        rows.iter().filter(|row| row.is_kept() && row.document == NO_TEXT).map(|row| row.outline).collect();
    let mut nodes: HashMap<Key, usize> = HashMap::new();
    let mut parents: Vec<usize> = Vec::new();
    let mut names: Vec<Key> = Vec::new();
    let mut of_row: Vec<usize> = Vec::with_capacity(rows.len());
    for row in rows.iter() {
        let mut node = |key: Key, parents: &mut Vec<usize>| {
            *nodes.entry(key).or_insert_with(|| {
                parents.push(parents.len());
                names.push(key);
                parents.len() - 1
            })
        };
        of_row.push(match (row.is_kept(), row.document, row.outline) {
            (false, ..) => usize::MAX,
            (_, NO_TEXT, NO_TEXT) => node(Key::Content(row.content), &mut parents),
            (_, NO_TEXT, outline) => node(Key::Outline(outline), &mut parents),
            (_, document, outline) => {
                let of_document = node(Key::Document(document), &mut parents);
                if outline != NO_TEXT && bare.contains(&outline) {
                    let of_outline = node(Key::Outline(outline), &mut parents);
                    let (a, b) = (root(&mut parents, of_document), root(&mut parents, of_outline));
                    parents[a.max(b)] = a.min(b);
                }
                of_document
            }
        });
    }
    let mut numbers: HashMap<usize, u32> = HashMap::new();
    let mut keys: Vec<Vec<Key>> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let number = *numbers.entry(root(&mut parents, at)).or_insert_with(|| {
            keys.push(Vec::new());
            keys.len() as u32 - 1
        });
        keys[number as usize].push(*name);
    }
    for (row, node) in rows.iter_mut().zip(of_row).filter(|(_, node)| *node != usize::MAX) {
        row.group = numbers[&root(&mut parents, node)];
    }
    keys
}

fn root(parents: &mut [usize], mut at: usize) -> usize {
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

/// The first 16 bytes of BLAKE3 over `km-split-v1`, seed, `document`, `outline` or `content`, and the text or the
/// content's hash, written as in [`rank_hash`](super::rank::rank_hash).
fn key_hash<'t>(seed: u64, key: Key, text: impl Fn(u32) -> &'t str) -> [u8; 16] {
    match key {
        Key::Document(id) => split_hash(seed, "document", text(id).as_bytes()),
        Key::Outline(id) => split_hash(seed, "outline", text(id).as_bytes()),
        Key::Content(hash) => split_hash(seed, "content", &hash),
    }
}

/// The hash behind a split and behind the order of documents: see [`split()`].
pub(crate) fn split_hash(seed: u64, what: &str, bytes: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in [SPLIT_HASH.as_bytes(), &seed.to_le_bytes(), what.as_bytes(), bytes] {
        absorb(&mut hasher, part);
    }
    first_half(&hasher)
}
