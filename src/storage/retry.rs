//! Retries of transient failures. The only place that retries: `object_store`'s own retries are disabled, so that every
//! attempt is signed again and a failing store in a test is treated like a failing network.

use super::environment::Environment;
use super::store_error::{StoreErrorKind, store_error};
use crate::hash_map::lock;
use crate::warnings::Warnings;
use object_store::Error as StoreError;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Limits of the attempts.
#[derive(Clone)]
pub(crate) struct Retry {
    pub(crate) max_retries: usize,
    pub(crate) timeout: Duration,
    /// The first pause. Each further one is twice as long, up to [`LONGEST`] times the first.
    pub(crate) pause: Duration,
    /// What does not respond, for the log: a bucket or a host. Never a URL of a request, which may be signed.
    pub(crate) place: Arc<str>,
    pub(crate) log: Arc<RetryLog>,
}

/// Logs retries. If a store is down, dozens of requests fail in the same instant and for the same reason: one line per place and
/// [`LOG_INTERVAL`] says it.
pub(crate) struct RetryLog {
    warnings: Warnings,
    environment: Environment,
    last: Mutex<HashMap<Arc<str>, Instant>>,
}

const LOG_INTERVAL: Duration = Duration::from_secs(1);

impl RetryLog {
    pub(crate) fn new(warnings: Warnings, environment: Environment) -> Arc<Self> {
        Arc::new(Self { warnings, environment, last: Mutex::default() })
    }

    fn log(&self, place: &Arc<str>, error: &StoreError, pause: Duration) {
        let mut last = lock(&self.last);
        if last.get(place).is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
            last.insert(Arc::clone(place), Instant::now());
            let error = store_error(error, place, &self.environment).line();
            self.warnings.note(&format!("{error}; trying again in {:.1} s", pause.as_secs_f64()));
        }
    }
}

/// The state of one operation's attempts.
pub(crate) struct Attempts {
    policy: Retry,
    began: Instant,
    failed: usize,
}

const LONGEST: u32 = 128;

impl Retry {
    pub(crate) fn begin(&self) -> Attempts {
        Attempts { policy: self.clone(), began: Instant::now(), failed: 0 }
    }

    /// Repeats an idempotent operation until it succeeds, fails permanently, or the limits are reached.
    pub(crate) async fn run<T, F>(&self, mut operation: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut attempts = self.begin();
        loop {
            match operation().await {
                Ok(value) => return Ok(value),
                Err(error) => match StoreErrorKind::of(&error) {
                    StoreErrorKind::Transient if attempts.pause(Some(&error)).await => {}
                    _ => return Err(error),
                },
            }
        }
    }
}

impl Attempts {
    /// Waits before the next attempt, and logs the error of the last one, if the caller does not. Returns false if the limits are
    /// reached.
    pub(crate) async fn pause(&mut self, error: Option<&StoreError>) -> bool {
        if self.failed >= self.policy.max_retries {
            return false;
        }
        let full = self.policy.pause.saturating_mul((1 << self.failed.min(16)).min(LONGEST));
        self.failed += 1;
        // Half of it is random, so that many pods do not retry at the same instant.
        let pause = full / 2 + full.mul_f64(random_fraction() / 2.0);
        if self.began.elapsed() + pause > self.policy.timeout {
            return false;
        }
        if let Some(error) = error {
            self.policy.log.log(&self.policy.place, error, pause);
        }
        tokio::time::sleep(pause).await;
        true
    }

    /// Resets the pauses after progress: the next failure counts as the first.
    pub(crate) fn progressed(&mut self) {
        self.failed = 0;
    }
}

/// A random number in `[0, 1)`. No published byte depends on it.
fn random_fraction() -> f64 {
    (random_bits() >> 11) as f64 / (1u64 << 53) as f64
}

/// Random bits from the randomly keyed hasher of the standard library.
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
    async fn only_transient_errors_are_retried() {
        let log = RetryLog::new(Warnings::silent(), Environment::default());
        let (timeout, pause) = (Duration::from_secs(60), Duration::from_millis(1));
        let policy = Retry { max_retries: 3, timeout, pause, place: "s3://bucket".into(), log };
        let tries = AtomicUsize::new(0);
        let recovered = policy
            .run(|| async { if tries.fetch_add(1, Ordering::Relaxed) < 3 { Err(broken()) } else { Ok(7) } })
            .await;
        assert_eq!((recovered.unwrap(), tries.swap(0, Ordering::Relaxed)), (7, 4));

        let permanent: Result<(), _> = policy
            .run(|| async {
                tries.fetch_add(1, Ordering::Relaxed);
                Err(broken())
            })
            .await;
        assert!(permanent.is_err());
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
