//! Samples. Each kind is one file that knows how to parse itself, its identity, its conversation and its row; the two
//! functions here that name the kinds are the only places where they are told apart.

mod chat;
mod clean;
mod columns;
mod conversation;
mod json;
mod outcome;
mod pair;
mod reasoning;

pub(crate) use chat::Chat;
pub(crate) use columns::Columns;
pub(crate) use conversation::Conversation;
pub(crate) use json::{RowJson, RowLayout};
pub(crate) use outcome::{ParsedRow, RejectReason, RowError};
pub(crate) use pair::Pair;
pub(crate) use reasoning::Reasoning;

use crate::index::{PartsHasher, Record, SplitBuilder};
use crate::recipe::{Kind, Source};
use crate::text::{Interner, TextStore};
use std::collections::BTreeSet;

/// One sample: a row of a training file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The place of its source in the run's list of sources.
    pub(crate) source: u32,
    /// Its texts.
    pub(crate) body: Body,
}

/// A sample of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Body {
    /// A QA pair.
    Pair(Pair),
    /// A ready chat.
    Chat(Chat),
}

impl Body {
    /// What the sample's kind knows of it.
    pub(crate) fn kind(&self) -> &dyn SampleKind {
        match self {
            Self::Pair(pair) => pair,
            Self::Chat(chat) => chat,
        }
    }
}

/// What a kind of sample knows of one sample.
pub(crate) trait SampleKind {
    /// The sample's record: which document, outline and summary it belongs to.
    fn record(&self, source: &Source, split: &mut SplitBuilder<'_>) -> Record;

    /// Hashes what a template renders of the sample: equal for exact duplicates only, and the same on every machine.
    fn hash_content(&self, source: &Source, texts: &TextStore, hasher: &mut PartsHasher);

    /// The characters of the assistant's messages.
    fn response_chars(&self, texts: &TextStore) -> usize;

    /// The conversation that a chat template renders.
    fn conversation<'t>(&self, source: &Source, texts: &'t TextStore) -> Conversation<'t>;

    /// The bytes of all texts of the conversation.
    fn text_bytes(&self, texts: &TextStore) -> usize;

    /// About how many bytes the row takes with all columns.
    fn full_row_bytes(&self, texts: &TextStore) -> usize;

    /// The outline of the sample's document, by which a person knows it; empty if it has none.
    fn outline<'t>(&self, _texts: &'t TextStore) -> &'t str {
        ""
    }

    /// Whether the sample has the teacher's reasoning.
    fn has_reasoning(&self) -> bool {
        false
    }

    /// Adds the keys of the sample's messages that not every message has.
    fn message_keys(&self, _texts: &TextStore, _keys: &mut BTreeSet<String>) {}

    /// Appends the sample's row as one line of JSON.
    fn write_json(&self, source: &Source, token_length: u32, row: &mut RowJson<'_>, out: &mut Vec<u8>);
}

/// How the rows of a source are parsed.
#[derive(Debug, Clone)]
pub(crate) struct ParseOptions {
    /// Whether placeholder questions are dropped.
    pub(crate) drop_placeholders: bool,
    /// Where the teacher's reasoning is.
    pub(crate) reasoning: Reasoning,
}

/// The columns that rows of a source may need.
pub(crate) fn columns(kind: Kind, options: &ParseOptions) -> Vec<String> {
    match kind {
        Kind::Messages => chat::COLUMNS.map(str::to_owned).to_vec(),
        _ => pair::COLUMNS.map(str::to_owned).into_iter().chain(options.reasoning.columns()).collect(),
    }
}

/// Parses a row of a source, given the [`columns`] of its kind.
///
/// # Errors
/// [`RowError::Bad`] for a row that is not readable.
pub(crate) fn parse(
    columns: &Columns<'_>,
    source: &Source,
    options: &ParseOptions,
    texts: &Interner,
) -> Result<ParsedRow, RowError> {
    match source.kind {
        Kind::Messages => chat::parse(columns, source, texts),
        _ => pair::parse(columns, source, options.drop_placeholders, &options.reasoning, texts),
    }
}
