//! Hash maps keyed by a 128-bit hash of a text instead of the text.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Number of shards, each with its own lock, of a map that many threads fill. A power of two.
pub(crate) const SHARDS: usize = 64;

/// Computes the keys of texts.
pub(crate) struct Keys {
    /// Random, so that input cannot be crafted to collide.
    seed: u64,
}

impl Default for Keys {
    fn default() -> Self {
        Self { seed: RandomState::new().hash_one(0) }
    }
}

impl Keys {
    /// The key of a text.
    pub(crate) fn key(&self, text: &[u8]) -> u128 {
        xxh3_128_with_seed(text, self.seed)
    }
}

/// The index of the shard that holds a key.
pub(crate) fn shard(key: u128) -> usize {
    key as usize % SHARDS
}

/// A map from keys to values, for instance one shard.
pub(crate) type HashKeyMap<V> = HashMap<u128, V, BuildHasherDefault<IdentityHasher>>;

/// Passes keys through: they are hashes already.
#[derive(Default)]
pub(crate) struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("every key is a u128")
    }
    fn write_u128(&mut self, key: u128) {
        // The low bits select the shard.
        self.0 = (key >> 64) as u64;
    }
}

/// Empty shards.
pub(crate) fn shards<T: Default>() -> Vec<Mutex<T>> {
    (0..SHARDS).map(|_| Mutex::default()).collect()
}

/// Locks a shard.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A lock is poisoned if another thread panicked; that panic ends the run anyway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
