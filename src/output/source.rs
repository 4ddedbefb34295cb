//! What is written: the samples, and what their rows are made with.

use crate::mixing::CutPlan;
use crate::recipe::Source;
use crate::sample::{RowLayout, Sample};
use crate::text::TextStore;
use crate::tokens::{ChatTemplate, DocumentEncoder, TrainingEncoder};
use fixedbitset::FixedBitSet;
use std::ops::Range;
use std::sync::Arc;

/// What is written, shared by the threads.
#[derive(Debug)]
pub(crate) struct WriteSource {
    /// The sources, in the order of the mix.
    pub(crate) sources: Vec<Source>,
    /// All samples, in natural order.
    pub(crate) samples: Vec<Sample>,
    /// Their texts.
    pub(crate) texts: TextStore,
    /// Each sample's token length.
    pub(crate) token_lengths: Vec<u32>,
    /// The columns and keys of all rows.
    pub(crate) layout: RowLayout,
    /// What rows of tokens are made with, if a format has them.
    pub(crate) training: Option<Training>,
    /// What rows of the tokens of documents are made with, if a format has them.
    pub(crate) documents: Option<DocumentEncoder>,
    /// The cuts.
    pub(crate) plans: Vec<CutPlan>,
    /// See [`crate::mixing::source_ranges`].
    pub(crate) source_ranges: Vec<Range<usize>>,
    /// See [`crate::mixing::most_copies`].
    pub(crate) most_copies: Vec<u32>,
}

/// What rows of tokens are made with.
#[derive(Debug)]
pub(crate) struct Training {
    /// Renders conversations.
    pub(crate) template: Arc<ChatTemplate>,
    /// Encodes them.
    pub(crate) encoder: TrainingEncoder,
    /// The places of the samples that the trainer trains on; only these are in tokens files.
    pub(crate) kept: FixedBitSet,
    /// Whether rows have `attention_mask`.
    pub(crate) attention_mask: bool,
}
