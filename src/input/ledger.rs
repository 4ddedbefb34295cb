//! Row counts of each source: read = kept + dropped, by reason.

use crate::sample::RejectReason;
use serde::Serialize;
use std::collections::BTreeMap;

/// A row that could not be read: one line of `rejected.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RejectedRow {
    /// The source's name.
    pub(crate) source: String,
    /// The file's key below the source's folder.
    pub(crate) file: String,
    /// The line, or the row of a Parquet file, counted from 1.
    pub(crate) line: u64,
    /// The reason.
    pub(crate) reason: RejectReason,
    /// The error message.
    pub(crate) message: String,
}

/// Row counts of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourceLedger {
    /// Rows read.
    pub(crate) read: u64,
    /// Rows that became samples.
    pub(crate) kept: u64,
    /// Rows that did not become samples, by reason.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
    /// Samples with reasoning that is left out.
    pub(crate) reasoning_left_out: u64,
}

impl SourceLedger {
    /// The numbers of dropped rows by reason, most frequent first: `2 empty_response, 1 null_question`.
    pub(crate) fn reasons(&self) -> String {
        let mut reasons: Vec<_> = self.dropped.iter().collect();
        reasons.sort_by_key(|(reason, rows)| (std::cmp::Reverse(**rows), **reason));
        let reasons = reasons.iter().map(|(reason, rows)| format!("{rows} {reason}"));
        reasons.collect::<Vec<_>>().join(", ")
    }

    /// Adds dropped rows of one reason.
    pub(crate) fn drop_rows(&mut self, reason: &'static str, rows: u64) {
        *self.dropped.entry(reason).or_default() += rows;
    }

    /// Adds the counts of another ledger.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.read += other.read;
        self.kept += other.kept;
        self.reasoning_left_out += other.reasoning_left_out;
        for (reason, rows) in &other.dropped {
            self.drop_rows(reason, *rows);
        }
    }
}
