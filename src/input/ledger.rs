//! What became of each source's rows: read = kept + dropped, by reason.

use serde::Serialize;
use std::collections::BTreeMap;

/// Why a row that could be read cannot train anything.
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
    /// `response` is empty once the markers are removed.
    EmptyResponse,
    /// The question is a placeholder of a gpt-oss teacher (only with `--save-gpt-oss-format`).
    PlaceholderQuestion,
    /// A chat without a message.
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
    /// Not UTF-8.
    InvalidUtf8,
    /// Not JSON.
    MalformedJson,
    /// JSON, but not an object.
    NotAnObject,
    /// A needed column is not there.
    MissingColumn,
    /// A needed column holds something else than a string.
    WrongType,
    /// A string has an escape that is no character (half a surrogate pair).
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
    /// The line, or for Parquet the row, counted from 1.
    pub(crate) line: u64,
    /// Why.
    pub(crate) reason: RejectReason,
    /// What exactly.
    pub(crate) message: String,
}

/// The file that rows are parsed from, for messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileContext {
    /// The source's name.
    pub(crate) source: String,
    /// The file's key below the source's folder.
    pub(crate) key: String,
    /// The file's path or URL.
    pub(crate) place: String,
}

/// What became of a source's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourceLedger {
    /// Rows read.
    pub(crate) read: u64,
    /// Rows that became samples.
    pub(crate) kept: u64,
    /// Rows that did not, by reason.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
}

impl SourceLedger {
    /// Counts rows dropped for a reason.
    pub(crate) fn drop_rows(&mut self, reason: &'static str, rows: u64) {
        *self.dropped.entry(reason).or_default() += rows;
    }

    /// Takes another ledger's counts into this one.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.read += other.read;
        self.kept += other.kept;
        for (reason, rows) in &other.dropped {
            self.drop_rows(reason, *rows);
        }
    }
}
