//! What can count tokens.

use std::fmt;

/// Counts a text's tokens, including those that the tokenizer adds to every text.
pub(super) trait TokenCounter: Send + Sync {
    /// The number of tokens, or why the text cannot be counted.
    fn count(&self, text: &str) -> Result<u32, String>;
}

/// What counted the tokens of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// `tokenizers` on every text.
    Reference,
    /// `tokenizers` once on each distinct word, checked against the reference on a sample.
    WordCache,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "tokenizers",
            Self::WordCache => "tokenizers with a word cache",
        })
    }
}
