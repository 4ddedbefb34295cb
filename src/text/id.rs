//! The number of a distinct text within a process.

use std::num::NonZeroU32;

/// Number of shards, and the bits that they take in an id.
pub(super) const SHARD_BITS: u32 = crate::hash_map::SHARDS.trailing_zeros();

/// The id of a distinct, non-empty text; `Option<TextId>` is as small, and `None` means that the text is empty or absent.
///
/// Which id a text gets depends on threads: nothing that is written or compared across processes may depend on it. The index
/// ([`crate::index`]) identifies texts by content hashes instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TextId(NonZeroU32);

impl TextId {
    /// The number of texts that one shard can hold.
    pub(super) const PER_SHARD: u32 = (1 << (32 - SHARD_BITS)) - 1;

    /// The id of the text at a place of a shard; `place` is below [`Self::PER_SHARD`].
    pub(super) fn new(shard: usize, place: u32) -> Option<Self> {
        debug_assert!(place < Self::PER_SHARD);
        NonZeroU32::new(((place << SHARD_BITS) | shard as u32).checked_add(1)?).map(Self)
    }

    /// The shard and the place of the text in it.
    pub(super) fn place(self) -> (usize, usize) {
        let number = self.0.get() - 1;
        (number as usize & (crate::hash_map::SHARDS - 1), (number >> SHARD_BITS) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_shard_and_place() {
        for (shard, place) in [(0, 0), (63, 0), (0, 1), (63, TextId::PER_SHARD - 1)] {
            assert_eq!(TextId::new(shard, place).unwrap().place(), (shard, place as usize));
        }
        assert_eq!(size_of::<Option<TextId>>(), 4);
    }
}
