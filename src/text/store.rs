//! All distinct texts of a run, read-only.

use super::id::TextId;

/// The distinct texts of a run, by their ids.
#[derive(Default)]
pub(crate) struct TextStore {
    shards: Vec<Vec<Box<str>>>,
}

impl TextStore {
    pub(super) fn new(shards: Vec<Vec<Box<str>>>) -> Self {
        Self { shards }
    }

    /// The text of an id from this store's interner; `None` is the empty text.
    pub(crate) fn get(&self, id: impl Into<Option<TextId>>) -> &str {
        match id.into() {
            None => "",
            Some(id) => {
                let (shard, place) = id.place();
                &self.shards[shard][place]
            }
        }
    }
}

impl std::fmt::Debug for TextStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TextStore({} texts)", self.shards.iter().map(Vec::len).sum::<usize>())
    }
}
