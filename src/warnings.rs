//! Warnings: each is logged once, immediately, and kept for the report.

use crate::hash_map::lock;
use crate::message;
use crate::progress::Progress;
use std::sync::{Arc, Mutex};

/// The warnings of a run. Cheap to clone; all clones share one list.
#[derive(Debug, Clone)]
pub struct Warnings {
    progress: Progress,
    list: Arc<Mutex<Vec<String>>>,
}

impl Warnings {
    /// An empty list whose warnings are logged through `progress`.
    pub(crate) fn new(progress: Progress) -> Self {
        Self { progress, list: Arc::default() }
    }

    /// A list whose warnings are not logged.
    pub(crate) fn silent() -> Self {
        Self::new(Progress::silent())
    }

    /// Logs a warning and keeps it; a warning that is already in the list is ignored.
    pub(crate) fn warn(&self, warning: impl Into<String>) {
        // As it is logged, so it is in the report.
        let warning = message::line(&warning.into());
        let mut list = lock(&self.list);
        if !list.contains(&warning) {
            self.progress.warning(&warning);
            list.push(warning);
        }
    }

    /// Logs what is no warning, and keeps nothing.
    pub(crate) fn note(&self, message: &str) {
        self.progress.info(message);
    }

    /// All warnings so far, in the order in which they were raised.
    pub fn all(&self) -> Vec<String> {
        lock(&self.list).clone()
    }
}
