//! Trying again what can heal. The one place that does so: `object_store`'s own retries are switched off, so that every
//! attempt signs anew and a failing store in a test is treated like a failing network.

use super::fault::{Fault, classify};
use object_store::Error as StoreError;
use std::time::{Duration, Instant};

/// How often and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    pub(crate) max_retries: usize,
    pub(crate) timeout: Duration,
    /// The first pause; each next one is twice as long, up to [`LONGEST`] times the first.
    pub(crate) pause: Duration,
}

/// The state of one operation's attempts.
pub(crate) struct Attempts {
    policy: Retry,
    began: Instant,
    failed: usize,
}

const LONGEST: u32 = 128;

impl Retry {
    pub(crate) fn begin(self) -> Attempts {
        Attempts { policy: self, began: Instant::now(), failed: 0 }
    }

    /// Runs an operation that may safely be repeated until it succeeds, fails for good, or the limits are reached.
    pub(crate) async fn run<T, F>(self, mut operation: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut attempts = self.begin();
        loop {
            match operation().await {
                Ok(value) => return Ok(value),
                Err(error) if classify(&error) == Fault::Transient && attempts.pause().await => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Attempts {
    /// Waits before the next attempt; false where the limits are reached.
    pub(crate) async fn pause(&mut self) -> bool {
        if self.failed >= self.policy.max_retries {
            return false;
        }
        let full = self.policy.pause.saturating_mul((1 << self.failed.min(16)).min(LONGEST));
        self.failed += 1;
        // Half of it at random, so that many pods do not come back in the same instant.
        let pause = full / 2 + full.mul_f64(random_fraction() / 2.0);
        if self.began.elapsed() + pause > self.policy.timeout {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }

    /// Some of the work was done: the next failure counts as the first.
    pub(crate) fn progressed(&mut self) {
        self.failed = 0;
    }
}

/// A number in `[0, 1)`. Nothing that is published depends on it.
pub(crate) fn random_fraction() -> f64 {
    (random_bits() >> 11) as f64 / (1u64 << 53) as f64
}

/// Random bits from the standard library's randomly keyed hasher.
pub(crate) fn random_bits() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn broken() -> StoreError {
        StoreError::Generic {
            store: "test",
            source: "Server returned non-2xx status code: 503 Service Unavailable: ".into(),
        }
    }

    #[tokio::test]
    async fn what_heals_is_tried_again_and_what_does_not_is_told_at_once() {
        let policy = Retry { max_retries: 3, timeout: Duration::from_secs(60), pause: Duration::from_millis(1) };
        let tries = AtomicUsize::new(0);
        let healed = policy
            .run(|| async { if tries.fetch_add(1, Ordering::Relaxed) < 3 { Err(broken()) } else { Ok(7) } })
            .await;
        assert_eq!((healed.unwrap(), tries.swap(0, Ordering::Relaxed)), (7, 4));

        let lasting: Result<(), _> = policy
            .run(|| async {
                tries.fetch_add(1, Ordering::Relaxed);
                Err(broken())
            })
            .await;
        assert!(lasting.is_err());
        assert_eq!(tries.swap(0, Ordering::Relaxed), 4);

        let denied: Result<(), _> = policy
            .run(|| async {
                tries.fetch_add(1, Ordering::Relaxed);
                Err(StoreError::PermissionDenied { path: "k".into(), source: "403".into() })
            })
            .await;
        assert!(denied.is_err());
        assert_eq!(tries.load(Ordering::Relaxed), 1);
    }
}
