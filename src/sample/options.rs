//! How the rows of a source are parsed.

use super::reasoning::{KeptReasoning, Reasoning};

/// How the rows of a source are parsed.
#[derive(Debug, Clone)]
pub(crate) struct ParseOptions {
    /// Whether placeholder questions are dropped.
    pub(crate) drop_placeholders: bool,
    /// Where the teacher's reasoning is.
    pub(crate) reasoning: Reasoning,
    /// Which of it is kept.
    pub(crate) kept_reasoning: KeptReasoning,
}
