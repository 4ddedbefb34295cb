//! Samples: one file per kind of sample.

mod clean;
mod pair;
mod source;

pub(crate) use clean::{clean_response, is_placeholder_question};
pub(crate) use pair::user_content;
pub(crate) use source::{Source, SourceKind, known_sources};

use crate::text::TextId;

/// One row that was kept, as ids of its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The index of its source.
    pub(crate) source: u32,
    /// Its texts.
    pub(crate) body: Body,
}

/// The texts of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Body {
    /// A QA pair.
    Pair {
        /// `document_outline`
        outline: TextId,
        /// The raw document; empty where the row has none.
        raw: TextId,
        /// The summary.
        summary: TextId,
        /// `question`
        question: TextId,
        /// `response`, cleaned.
        response: TextId,
        /// The teacher's reasoning; empty where the row has none.
        thinking: TextId,
    },
    /// A ready chat.
    Chat {
        /// The messages as compact JSON.
        messages: TextId,
        /// The tools as compact JSON; empty where the row has none.
        tools: TextId,
        /// Whether the trainer learns from all messages.
        unmask: bool,
    },
}
