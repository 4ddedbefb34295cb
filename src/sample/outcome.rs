//! What becomes of an input row: a sample, a drop with its reason, or an error.

use crate::error::Error;
use serde::Serialize;

/// A row that was read.
#[derive(Debug)]
pub(crate) enum ParsedRow<T> {
    /// It is a sample.
    Kept(T),
    /// It is a sample, and reasoning of it is left out.
    KeptWithoutReasoning(T),
    /// It cannot train anything.
    Dropped(DropReason),
    /// It does not meet the source's condition: it belongs to another source, or, with the value that decides, to none.
    Elsewhere(Option<String>),
}

impl<T> ParsedRow<T> {
    /// The sample, if it is one.
    pub(crate) fn sample(self) -> Option<T> {
        match self {
            Self::Kept(sample) | Self::KeptWithoutReasoning(sample) => Some(sample),
            Self::Dropped(_) | Self::Elsewhere(_) => None,
        }
    }

    /// Changes the sample.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> ParsedRow<U> {
        match self {
            Self::Kept(sample) => ParsedRow::Kept(change(sample)),
            Self::KeptWithoutReasoning(sample) => ParsedRow::KeptWithoutReasoning(change(sample)),
            Self::Dropped(reason) => ParsedRow::Dropped(reason),
            Self::Elsewhere(value) => ParsedRow::Elsewhere(value),
        }
    }
}

/// Why a readable row cannot train anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// `response` is empty after cleaning.
    EmptyResponse,
    /// The question is a placeholder of a gpt-oss teacher (only with `--save-gpt-oss-format`).
    PlaceholderQuestion,
    /// A chat without messages.
    EmptyMessages,
    /// The text of a document is `null`.
    NullDocument,
    /// The text of a document is empty, or only white space.
    EmptyDocument,
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
            Self::NullDocument => "null_document",
            Self::EmptyDocument => "empty_document",
        }
    }
}

/// Why a row is not readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RejectReason {
    /// Not UTF-8.
    InvalidUtf8,
    /// Not JSON.
    MalformedJson,
    /// JSON, but not an object.
    NotAnObject,
    /// A required column is missing.
    MissingColumn,
    /// A required column does not have the expected type.
    WrongType,
    /// A string has an escape that is not a character (half a surrogate pair).
    InvalidEscape,
    /// The chat template does not render its conversation.
    TemplateRefused,
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
            Self::TemplateRefused => "template_refused",
        }
    }
}

/// A row that is not readable.
#[derive(Debug)]
pub(crate) struct BadRow {
    /// Why.
    pub(crate) reason: RejectReason,
    /// What exactly is wrong.
    pub(crate) message: String,
}

/// Why a row gave no [`ParsedRow`].
#[derive(Debug)]
pub(crate) enum RowError {
    /// The row is bad; `--bad-rows` decides whether the run continues.
    Bad(BadRow),
    /// The run cannot continue.
    Fatal(Error),
}

impl RowError {
    /// A bad row.
    pub(crate) fn bad(reason: RejectReason, message: impl Into<String>) -> Self {
        Self::Bad(BadRow { reason, message: message.into() })
    }
}

impl From<Error> for RowError {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}
