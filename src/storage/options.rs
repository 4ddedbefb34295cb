//! The limits within which storage works.

use std::time::Duration;

/// Limits of retries and times.
#[derive(Debug, Clone)]
pub struct StorageOptions {
    /// Maximum number of retries of a request that fails with a transient error; 0 disables retries.
    pub max_retries: usize,
    /// The pause before the first retry. Each further pause is twice as long, up to 128 times the first.
    pub retry_pause: Duration,
    /// Time limit for one request, all its retries included.
    pub retry_timeout: Duration,
    /// Time limit for one attempt, its body included.
    pub request_timeout: Duration,
    /// Time without a renewal after which the lease on an output counts as abandoned.
    pub lease_timeout: Duration,
    /// Whether local files are flushed to the disk before they get their final names. Without it, a power failure right
    /// after a run may lose published files; a killed process never does.
    pub flush: bool,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            max_retries: 10,
            retry_pause: Duration::from_millis(100),
            retry_timeout: Duration::from_secs(180),
            request_timeout: Duration::from_secs(60),
            lease_timeout: Duration::from_secs(30),
            flush: true,
        }
    }
}
