//! How the rows of a source are parsed.

use super::reasoning::{Reasoning, TemplateProbe};
use std::sync::Arc;

/// How the rows of a source are parsed.
#[derive(Debug, Clone)]
pub(crate) struct ParseOptions {
    /// Whether placeholder questions are dropped.
    pub(crate) drop_placeholders: bool,
    /// Where the teacher's reasoning is.
    pub(crate) reasoning: Reasoning,
    /// The chat template, which decides what of ready chats is written, and how.
    pub(crate) template: Arc<dyn TemplateProbe>,
}
