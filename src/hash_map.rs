//! Tables keyed by the hash of a text instead of the text.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The number of independently locked parts of a table that many threads fill; a power of two.
pub(crate) const SHARDS: usize = 64;

/// Gives texts their keys of 128 bits.
pub(crate) struct Keys {
    /// Drawn at random, so that nobody can prepare texts whose keys collide.
    seed: u64,
}

impl Default for Keys {
    fn default() -> Self {
        Self { seed: RandomState::new().hash_one(0) }
    }
}

impl Keys {
    pub(crate) fn key(&self, text: &[u8]) -> u128 {
        xxh3_128_with_seed(text, self.seed)
    }
}

/// The part of a table that holds a key.
pub(crate) fn shard(key: u128) -> usize {
    key as usize % SHARDS
}

/// A part of a table.
pub(crate) type HashKeyMap<V> = HashMap<u128, V, BuildHasherDefault<IdentityHasher>>;

/// Keys are hashes already.
#[derive(Default)]
pub(crate) struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u128")
    }
    fn write_u128(&mut self, key: u128) {
        // The low bits choose the shard.
        self.0 = (key >> 64) as u64;
    }
}

pub(crate) fn shards<T: Default>() -> Vec<Mutex<T>> {
    (0..SHARDS).map(|_| Mutex::default()).collect()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock means that another thread has panicked; that panic ends the run anyway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
