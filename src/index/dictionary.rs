//! Numbers for hashes: records refer to documents, outlines and summaries by small numbers.

use super::hash::Hash128;
use std::collections::HashMap;
use std::num::NonZeroU32;

/// The number of a hash in a [`Dictionary`], by first appearance in natural order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Number(NonZeroU32);

impl Number {
    /// The number of the entry at a place.
    pub(crate) fn from_place(place: usize) -> Self {
        // A dictionary has at most as many entries as there are samples, whose number `check_samples` limits.
        debug_assert!(place < u32::MAX as usize);
        Self(NonZeroU32::MIN.saturating_add(place as u32))
    }

    /// The place of its entry.
    pub(crate) fn place(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Distinct hashes in the order of their first appearance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dictionary(Vec<Hash128>);

impl Dictionary {
    /// The hash behind a number of this dictionary.
    pub(crate) fn get(&self, number: Number) -> Hash128 {
        self.0[number.place()]
    }

    /// A dictionary of distinct hashes.
    pub(crate) fn new(hashes: Vec<Hash128>) -> Self {
        Self(hashes)
    }
}

/// Merges the dictionaries of several splits.
#[derive(Default)]
pub(super) struct Merger {
    numbers: HashMap<Hash128, Number>,
    hashes: Vec<Hash128>,
}

impl Merger {
    /// The merged numbers of a dictionary's entries, by their places.
    pub(super) fn add(&mut self, dictionary: &Dictionary) -> Vec<Number> {
        let Self { numbers, hashes } = self;
        let number = |hash: &Hash128| {
            *numbers.entry(*hash).or_insert_with(|| {
                hashes.push(*hash);
                Number::from_place(hashes.len() - 1)
            })
        };
        dictionary.0.iter().map(number).collect()
    }

    pub(super) fn finish(self) -> Dictionary {
        Dictionary(self.hashes)
    }
}
