//! Collects distinct texts from many threads.

use super::id::TextId;
use super::store::TextStore;
use crate::error::{Error, ErrorKind, Result};
use crate::hash_map::{HashKeyMap, Keys, lock, shard, shards};
use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

#[derive(Default)]
struct Shard {
    ids: HashKeyMap<TextId>,
    texts: Vec<Box<str>>,
}

/// Gives each distinct text an id, from many threads at once.
pub(crate) struct Interner {
    keys: Keys,
    shards: Vec<Mutex<Shard>>,
    /// The ids of texts by their bytes as they are escaped in JSON: a text that comes again is not unescaped again.
    escaped: Vec<Mutex<HashKeyMap<Option<TextId>>>>,
}

impl Default for Interner {
    fn default() -> Self {
        Self { keys: Keys::default(), shards: shards(), escaped: shards() }
    }
}

impl Interner {
    /// The id of a text; `None` for the empty text.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] if there are more distinct texts than ids.
    pub(crate) fn intern(&self, text: &str) -> Result<Option<TextId>> {
        if text.is_empty() {
            return Ok(None);
        }
        let key = self.keys.key(text.as_bytes());
        let number = shard(key);
        let mut shard = lock(&self.shards[number]);
        if let Some(id) = shard.ids.get(&key) {
            return Ok(Some(*id));
        }
        let place = u32::try_from(shard.texts.len()).ok().filter(|place| *place < TextId::PER_SHARD);
        let Some(id) = place.and_then(|place| TextId::new(number, place)) else {
            return Err(Error::new(ErrorKind::Data, "the input has more than 4 billion distinct texts")
                .hint("split the input and mix the parts in several runs"));
        };
        shard.texts.push(text.into());
        shard.ids.insert(key, id);
        Ok(Some(id))
    }

    /// The id of a text that is escaped in JSON. `unescape` is called only for bytes that were not seen before.
    ///
    /// # Errors
    /// Those of `unescape` and of [`Self::intern`].
    pub(crate) fn intern_escaped<'t, E: From<Error>>(
        &self,
        escaped: &[u8],
        unescape: impl FnOnce() -> Result<Cow<'t, str>, E>,
    ) -> Result<Option<TextId>, E> {
        let key = self.keys.key(escaped);
        let known = &self.escaped[shard(key)];
        if let Some(id) = lock(known).get(&key) {
            return Ok(*id);
        }
        let id = self.intern(&unescape()?)?;
        lock(known).insert(key, id);
        Ok(id)
    }

    /// The finished, read-only store.
    pub(crate) fn freeze(self) -> TextStore {
        let shards = self.shards.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner));
        TextStore::new(shards.map(|shard| shard.texts).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_stored_once_and_comes_back() {
        let interner = Interner::default();
        let texts: Vec<String> = (0..1000).map(|i| format!("text {}", i % 700)).collect();
        let ids: Vec<_> = texts.iter().map(|text| interner.intern(text).unwrap()).collect();
        assert_eq!(ids[3], ids[703]);
        assert_eq!(interner.intern("").unwrap(), None);
        let store = interner.freeze();
        for (id, text) in ids.iter().zip(&texts) {
            assert_eq!(store.get(*id), text);
        }
        assert_eq!(store.get(None), "");
    }

    #[test]
    fn two_ways_to_escape_a_text_give_one_id() {
        let interner = Interner::default();
        let mut unescaped = 0;
        let mut id = |escaped: &str| {
            interner
                .intern_escaped::<Error>(escaped.as_bytes(), || {
                    unescaped += 1;
                    Ok(Cow::Owned(serde_json::from_str(escaped).unwrap()))
                })
                .unwrap()
        };
        let (a, b, c) = (id(r#""caf\u00e9""#), id(r#""café""#), id(r#""caf\u00e9""#));
        assert_eq!((a, b), (b, c));
        assert_eq!(unescaped, 2);
    }
}
