//! The limit of open files of this process, which containers and batch systems may set low.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::Once;

/// Open files that reading may not use: the streams of the process, its event loops, the folder that is listed, locks, and the first
/// outputs.
const RESERVED: u64 = 16;

/// Raises the limit to what the process may set it to. May be called any number of times.
pub(crate) fn raise_limit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let limits = getrlimit(Resource::Nofile);
        // If it fails, the limit stays as it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits });
    });
}

/// The number of files or connections, at most `wanted` and at least one, that may be open for reading.
pub(crate) fn at_most(wanted: usize) -> usize {
    share(wanted, limit())
}

fn share(wanted: usize, limit: Option<u64>) -> usize {
    let free = limit.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVED));
    wanted.min(usize::try_from(free).unwrap_or(usize::MAX)).max(1)
}

/// `None` if there is no limit.
fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_leaves_open_files_to_the_rest() {
        for (wanted, limit, share) in [(16, None, 16), (16, Some(1024), 16), (16, Some(24), 8), (6, Some(3), 1)] {
            assert_eq!(super::share(wanted, limit), share, "{wanted} of {limit:?}");
        }
        assert!(at_most(usize::MAX) >= 1);
    }
}
