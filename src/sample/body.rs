//! A sample of any kind.

use super::chat::Chat;
use super::json::RowLayout;
use super::kind::SampleKind;
use super::pair::Pair;
use crate::recipe::{Columns, Kind, Source};
use crate::text::TextStore;
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

/// The layout of all rows of a run: the same keys in every row.
pub(crate) fn row_layout(columns: Columns, sources: &[Source], samples: &[Sample], texts: &TextStore) -> RowLayout {
    let mut extra_keys = BTreeSet::new();
    for sample in samples {
        sample.body.kind().message_keys(texts, &mut extra_keys);
    }
    RowLayout::new(columns, sources.iter().any(|source| source.kind == Kind::Messages), extra_keys)
}
