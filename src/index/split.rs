//! The index of one split of the input.

use super::dictionary::{Dictionary, Number};
use super::hash::{Hash128, RankHasher};
use super::record::Record;
use crate::recipe::Flags;
use crate::text::{TextId, TextStore};
use rayon::prelude::*;
use std::collections::HashMap;

/// The records of one split, in the order of its rows, with dictionaries of their own: built without looking at any other
/// split.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SplitIndex {
    pub(super) records: Vec<Record>,
    /// The flags of each sample; empty if they were not looked for.
    pub(super) flags: Vec<Flags>,
    pub(super) documents: Dictionary,
    pub(super) outlines: Dictionary,
    pub(super) summaries: Dictionary,
}

impl SplitIndex {
    /// Sets the flags of all samples, in their order.
    pub(crate) fn set_flags(&mut self, flags: Vec<Flags>) {
        debug_assert_eq!(flags.len(), self.records.len());
        self.flags = flags;
    }

    /// Changes records in parallel; `change` is given a record and its place in the split.
    pub(crate) fn update(&mut self, change: impl Fn(usize, &mut Record) + Sync) {
        self.records.par_iter_mut().enumerate().for_each(|(row, record)| change(row, record));
    }
}

/// Builds a [`SplitIndex`]; texts are numbered here, and hashed in [`Self::finish`].
pub(crate) struct SplitBuilder<'t> {
    texts: &'t TextStore,
    seed: u64,
    source: &'t str,
    records: Vec<Record>,
    documents: Numbers<Option<TextId>>,
    outlines: Numbers<TextId>,
    summaries: Numbers<(Option<TextId>, Option<TextId>)>,
}

impl<'t> SplitBuilder<'t> {
    /// A builder for `rows` rows of one source. The seed and the source's name for ranks go into the rank hashes.
    pub(crate) fn new(texts: &'t TextStore, seed: u64, source: &'t str, rows: usize) -> Self {
        Self {
            texts,
            seed,
            source,
            records: Vec::with_capacity(rows),
            documents: Numbers::default(),
            outlines: Numbers::default(),
            summaries: Numbers::default(),
        }
    }

    /// The number of a raw document.
    pub(crate) fn document(&mut self, document: Option<TextId>) -> Number {
        self.documents.number(document)
    }

    /// The number of an outline.
    pub(crate) fn outline(&mut self, outline: TextId) -> Number {
        self.outlines.number(outline)
    }

    /// The number of a summary of a raw document.
    pub(crate) fn summary(&mut self, document: Option<TextId>, summary: Option<TextId>) -> Number {
        self.summaries.number((document, summary))
    }

    /// Adds the next row's record.
    pub(crate) fn push(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Hashes the distinct texts.
    pub(crate) fn finish(self) -> SplitIndex {
        let Self { texts, seed, source, records, documents, outlines, summaries } = self;
        SplitIndex {
            records,
            flags: Vec::new(),
            documents: dictionary(documents.keys, |id| texts.get(id)),
            outlines: dictionary(outlines.keys, |id| texts.get(id)),
            summaries: Dictionary::new(rank_hashes(texts, seed, source, &summaries.keys)),
        }
    }
}

/// Keys numbered by their first appearance.
struct Numbers<K> {
    numbers: HashMap<K, Number>,
    keys: Vec<K>,
    /// Neighbouring rows mostly repeat their texts.
    last: Option<(K, Number)>,
}

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), keys: Vec::new(), last: None }
    }
}

impl<K: Copy + Eq + std::hash::Hash> Numbers<K> {
    fn number(&mut self, key: K) -> Number {
        if let Some((last, number)) = self.last
            && last == key
        {
            return number;
        }
        let number = *self.numbers.entry(key).or_insert_with(|| {
            self.keys.push(key);
            Number::from_place(self.keys.len() - 1)
        });
        self.last = Some((key, number));
        number
    }
}

fn dictionary<'t, K: Copy + Send + Sync>(keys: Vec<K>, text: impl Fn(K) -> &'t str + Sync) -> Dictionary {
    Dictionary::new(keys.par_iter().map(|key| Hash128::of(text(*key))).collect())
}

/// The rank hash of each (raw document, summary), in the given order; each raw document is hashed once.
fn rank_hashes(texts: &TextStore, seed: u64, source: &str, keys: &[(Option<TextId>, Option<TextId>)]) -> Vec<Hash128> {
    let mut by_document: Vec<usize> = (0..keys.len()).collect();
    by_document.par_sort_unstable_by_key(|place| (keys[*place].0, *place));
    let hashed: Vec<(usize, Hash128)> = by_document
        .par_chunk_by(|a, b| keys[*a].0 == keys[*b].0)
        .flat_map_iter(|places| {
            let hasher = RankHasher::new(seed, source, texts.get(keys[places[0]].0));
            places.iter().map(move |place| (*place, hasher.summary(texts.get(keys[*place].1))))
        })
        .collect();
    let mut hashes = vec![Hash128::default(); keys.len()];
    for (place, hash) in hashed {
        hashes[place] = hash;
    }
    hashes
}
