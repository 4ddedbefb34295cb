//! What can encode texts.

use std::fmt;

/// Encodes texts: to a number of tokens (`u32`), which includes those that the tokenizer adds to every text, or to their ids
/// (`Vec<u32>`), which does not.
pub(super) trait TextEncoder<E>: Send + Sync {
    /// The encoded text, or why it cannot be encoded.
    fn encode(&self, text: &str) -> Result<E, String>;
}

/// What encoded the texts of a run.
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
