//! The digest of a file that is written, computed on the run's thread pool, which `--threads` bounds.

use crate::error::Result;
use crate::pool::spawn;
use bytes::Bytes;
use rayon::ThreadPool;
use std::sync::Arc;

/// BLAKE3 of the bytes of one file, in order.
pub(super) struct Digest {
    hasher: blake3::Hasher,
    /// Without a pool, the calling thread computes.
    pool: Option<Arc<ThreadPool>>,
}

impl Digest {
    pub(super) fn new(pool: Option<Arc<ThreadPool>>) -> Self {
        Self { hasher: blake3::Hasher::new(), pool }
    }

    /// Takes the next bytes, for threads that may wait.
    pub(super) fn update_and_wait(&mut self, bytes: &[u8]) {
        let hasher = &mut self.hasher;
        match &self.pool {
            Some(pool) => pool.install(|| _ = hasher.update(bytes)),
            None => _ = hasher.update(bytes),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// If the pool has panicked.
    pub(super) async fn update(&mut self, parts: Vec<Bytes>) -> Result<()> {
        let mut hasher = std::mem::take(&mut self.hasher);
        let hash = move || {
            parts.iter().for_each(|part| _ = hasher.update(part));
            hasher
        };
        self.hasher = match &self.pool {
            Some(pool) => spawn(pool, hash).join("hashing a file").await?,
            None => hash(),
        };
        Ok(())
    }

    /// The digest in hexadecimal.
    pub(super) fn finish(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_digest_does_not_depend_on_the_pool() {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
        for pool in [None, Some(pool)] {
            let mut digest = Digest::new(pool);
            digest.update_and_wait(b"know");
            digest.update(vec![Bytes::from_static(b"led"), Bytes::from_static(b"ge")]).await.unwrap();
            assert_eq!(digest.finish(), blake3::hash(b"knowledge").to_hex().to_string());
        }
    }
}
