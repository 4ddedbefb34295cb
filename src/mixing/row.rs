//! A sample as mixing sees it: its record, and what the steps of mixing decide about it.

use crate::index::Record;
use crate::recipe::{Flag, Flags};

/// One sample; its number is its place in the table of rows, which is in natural order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// What the survey knows of it.
    pub(crate) record: Record,
    /// What is suspicious about it.
    pub(crate) flags: Flags,
    /// The rank of its summary within its raw document; 0 outside of the summary sources. Set by [`super::rank()`].
    pub(crate) rank: u32,
    /// Its number among the rows of its summary, in input order. Set by [`super::rank()`].
    pub(crate) pair: u32,
    /// Rows of one group stay on one side of a validation split. Set by [`super::hold_out()`].
    pub(crate) group: u32,
    /// Whether it is kept, or why it was dropped.
    pub(crate) fate: Fate,
    /// Whether it is held out for validation. Set by [`super::hold_out()`].
    pub(crate) held_out: bool,
}

impl Row {
    /// An undecided row.
    pub(crate) fn new(record: Record) -> Self {
        Self { record, flags: Flags::default(), rank: 0, pair: 0, group: 0, fate: Fate::Kept, held_out: false }
    }

    /// Whether no filter dropped it.
    pub(crate) fn is_kept(&self) -> bool {
        self.fate == Fate::Kept
    }
}

/// What the filters decided about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fate {
    /// It is kept.
    #[default]
    Kept,
    /// It has more tokens than `max_tokens`.
    TooLong,
    /// Its response has fewer characters than `min_response_chars`.
    ShortResponse,
    /// It has a flag that the recipe drops.
    Flagged(Flag),
    /// Another row with the same messages is kept.
    Duplicate,
}

impl Fate {
    /// The reason in the ledger of dropped rows; empty for a row that is kept.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Kept => "",
            Self::TooLong => "too_long",
            Self::ShortResponse => "short_response",
            Self::Flagged(flag) => flag.name(),
            Self::Duplicate => "duplicate",
        }
    }
}
