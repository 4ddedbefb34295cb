//! Stores each distinct text once. Rows repeat their raw documents and summaries; memory follows the distinct texts.

use crate::error::{Error, ErrorKind, Result};
use crate::hash_map::{HashKeyMap, Keys, SHARDS, lock, shard, shards};
use std::sync::{Mutex, PoisonError};

const SHARD_BITS: u32 = SHARDS.trailing_zeros();

/// Identifies a distinct text. The number depends on the order in which threads work; no output may depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct TextId(u32);

impl TextId {
    /// The empty text.
    pub(crate) const EMPTY: Self = Self(0);

    /// The number, for tables without texts.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// The id with a number that [`Self::number`] returned.
    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }
}

#[derive(Default)]
struct Shard {
    ids: HashKeyMap<u32>,
    texts: Vec<Box<str>>,
}

/// Collects distinct texts from many threads.
pub(crate) struct Interner {
    keys: Keys,
    shards: Vec<Mutex<Shard>>,
    /// The ids of texts by their escaped bytes in JSON, so that a repeated text is unescaped only once.
    escaped: Vec<Mutex<HashKeyMap<u32>>>,
}

impl Default for Interner {
    fn default() -> Self {
        let interner = Self { keys: Keys::default(), shards: shards(), escaped: shards() };
        lock(&interner.shards[0]).texts.push(Box::from(""));
        interner
    }
}

impl Interner {
    /// The id of a text.
    pub(crate) fn intern(&self, text: &str) -> Result<TextId> {
        if text.is_empty() {
            return Ok(TextId::EMPTY);
        }
        let key = self.keys.key(text.as_bytes());
        let number = shard(key);
        let mut shard = lock(&self.shards[number]);
        let shard = &mut *shard;
        if let Some(id) = shard.ids.get(&key) {
            return Ok(TextId(*id));
        }
        let index = shard.texts.len() as u32;
        if index >= 1 << (32 - SHARD_BITS) {
            return Err(Error::new(ErrorKind::Data, "too many distinct texts: at most 4 billion")
                .hint("divide the input among several runs"));
        }
        let id = index << SHARD_BITS | number as u32;
        shard.texts.push(text.into());
        shard.ids.insert(key, id);
        Ok(TextId(id))
    }

    /// The id of a text that is escaped in JSON. `unescape` is called if these bytes are new.
    pub(crate) fn intern_escaped<'t, E: From<Error>>(
        &self,
        escaped: &[u8],
        unescape: impl FnOnce() -> Result<std::borrow::Cow<'t, str>, E>,
    ) -> Result<TextId, E> {
        let key = self.keys.key(escaped);
        let known = &self.escaped[shard(key)];
        if let Some(id) = lock(known).get(&key) {
            return Ok(TextId(*id));
        }
        let id = self.intern(&unescape()?)?;
        lock(known).insert(key, id.0);
        Ok(id)
    }

    /// Ends the collection.
    pub(crate) fn freeze(self) -> Texts {
        let shards = self.shards.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner));
        Texts { shards: shards.map(|shard| shard.texts).collect() }
    }
}

/// The distinct texts of a run.
#[derive(Default)]
pub(crate) struct Texts {
    shards: Vec<Vec<Box<str>>>,
}

impl Texts {
    /// The text of an id from the interner of this table.
    pub(crate) fn get(&self, id: TextId) -> &str {
        if id == TextId::EMPTY {
            return "";
        }
        &self.shards[id.0 as usize % SHARDS][id.0 as usize >> SHARD_BITS]
    }
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Texts({})", self.shards.iter().map(Vec::len).sum::<usize>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn equal_texts_share_an_id_that_leads_back_to_them() {
        let interner = Interner::default();
        let texts: Vec<String> = (0..1000).map(|i| format!("text {}", i % 700)).collect();
        let ids: Vec<TextId> = texts.iter().map(|text| interner.intern(text).unwrap()).collect();
        assert_eq!(ids[3], ids[703]);
        assert_eq!(interner.intern("").unwrap(), TextId::EMPTY);
        let table = interner.freeze();
        for (id, text) in ids.iter().zip(&texts) {
            assert_eq!(table.get(*id), text);
        }
        assert_eq!(table.get(TextId::EMPTY), "");
    }

    #[test]
    fn different_escapes_of_a_text_share_its_id() {
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
