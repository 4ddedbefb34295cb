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
    /// Rows of its files that are another source's, or nobody's; they are not among the rows read.
    pub(crate) elsewhere: u64,
    /// Those of them that no source takes, by value.
    pub(crate) unwanted: BTreeMap<String, u64>,
}

/// The number of different values of unwanted rows that are named; a column of texts has as many as rows.
const UNWANTED_VALUES: usize = 100;

/// The name under which the values beyond that are counted.
const OTHER_VALUES: &str = "other values";

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

    /// Adds rows that belong to another source, or, with a value, to none.
    pub(crate) fn leave_rows(&mut self, unwanted: Option<&str>, rows: u64) {
        self.elsewhere += rows;
        let Some(value) = unwanted else { return };
        let is_named = self.unwanted.contains_key(value) || self.unwanted.len() < UNWANTED_VALUES;
        *self.unwanted.entry(if is_named { value } else { OTHER_VALUES }.to_owned()).or_default() += rows;
    }

    /// Adds the counts of another ledger.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.read += other.read;
        self.kept += other.kept;
        self.reasoning_left_out += other.reasoning_left_out;
        for (reason, rows) in &other.dropped {
            self.drop_rows(reason, *rows);
        }
        self.elsewhere += other.elsewhere - other.unwanted.values().sum::<u64>();
        other.unwanted.iter().for_each(|(value, rows)| self.leave_rows(Some(value), *rows));
    }
}
