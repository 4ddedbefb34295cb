//! A sample of any kind.

use super::chat::Chat;
use super::document::Document;
use super::json::RowLayout;
use super::kind::SampleKind;
use super::pair::Pair;
use crate::recipe::{Columns, Source};
use crate::text::TextStore;

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
    /// A document.
    Document(Document),
}

impl Body {
    /// What the sample's kind knows of it.
    pub(crate) fn kind(&self) -> &dyn SampleKind {
        match self {
            Self::Pair(pair) => pair,
            Self::Chat(chat) => chat,
            Self::Document(document) => document,
        }
    }
}

/// The layout of all rows of a run, and which optional keys each of them has.
pub(crate) fn row_layout(columns: Columns, sources: &[Source], samples: &[Sample], texts: &TextStore) -> RowLayout {
    let mut layout = RowLayout::new(columns);
    for (at, sample) in samples.iter().enumerate() {
        let source = &sources[sample.source as usize];
        sample.body.kind().optional_keys(source, texts, &mut |key| layout.add_key(at, key, samples.len()));
    }
    layout
}
