//! Row counts of each source: read = kept + dropped, by reason.

use serde::Serialize;
use std::collections::BTreeMap;

/// Why a row that was read is not useful for training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DropReason {
    /// `question` is `null`.
    NullQuestion,
    /// `response` is `null`.
    NullResponse,
    /// `document_outline` is `null`.
    NullOutline,
    /// The summary is `null`.
    NullSummary,
    /// `question` is empty.
    EmptyQuestion,
    /// `response` is empty after its markers are removed.
    EmptyResponse,
    /// The question is a placeholder left by a gpt-oss teacher (only with `--save-gpt-oss-format`).
    PlaceholderQuestion,
    /// The chat has no messages.
    EmptyMessages,
}

impl DropReason {
    /// The reason's name in tables, manifests and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NullQuestion => "null_question",
            Self::NullResponse => "null_response",
            Self::NullOutline => "null_outline",
            Self::NullSummary => "null_summary",
            Self::EmptyQuestion => "empty_question",
            Self::EmptyResponse => "empty_response",
            Self::PlaceholderQuestion => "placeholder_question",
            Self::EmptyMessages => "empty_messages",
        }
    }
}

/// Why a row could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RejectReason {
    /// Not valid UTF-8.
    InvalidUtf8,
    /// Not valid JSON.
    MalformedJson,
    /// JSON, but not an object.
    NotAnObject,
    /// A required column is missing.
    MissingColumn,
    /// A required column has another type than expected.
    WrongType,
    /// A string has an escape that is not a character (half a surrogate pair).
    InvalidEscape,
}

impl RejectReason {
    /// The reason's name in tables, manifests and `rejected.jsonl`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidUtf8 => "invalid_utf8",
            Self::MalformedJson => "malformed_json",
            Self::NotAnObject => "not_an_object",
            Self::MissingColumn => "missing_column",
            Self::WrongType => "wrong_type",
            Self::InvalidEscape => "invalid_escape",
        }
    }
}

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
}

impl SourceLedger {
    /// Adds dropped rows of one reason.
    pub(crate) fn drop_rows(&mut self, reason: &'static str, rows: u64) {
        *self.dropped.entry(reason).or_default() += rows;
    }

    /// Adds the counts of another ledger.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.read += other.read;
        self.kept += other.kept;
        for (reason, rows) in &other.dropped {
            self.drop_rows(reason, *rows);
        }
    }
}
