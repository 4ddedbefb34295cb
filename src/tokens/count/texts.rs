//! The texts that are encoded, and the result.

use super::backend::Backend;
use crate::error::Result;

/// A longer buffer is freed after its text.
const KEEP_BUFFER: usize = 1 << 20;

/// The texts of a run, by index, and the callbacks of whoever encodes them.
pub(crate) struct TextSource<'a> {
    /// The number of texts.
    pub(crate) count: usize,
    /// Appends the text with an index to an empty buffer. Called from any thread.
    pub(crate) text: &'a (dyn Fn(usize, &mut String) -> Result<()> + Sync),
    /// Receives the number of texts encoded so far, from any thread. A fallback starts again at 0.
    pub(crate) progress: &'a (dyn Fn(usize) + Sync),
    /// Called often, from any thread. Its error ends the encoding.
    pub(crate) check: &'a (dyn Fn() -> Result<()> + Sync),
}

impl TextSource<'_> {
    /// The text with an index, in a buffer that is reused.
    pub(super) fn get<'b>(&self, index: usize, buffer: &'b mut String) -> Result<&'b str> {
        buffer.clear();
        buffer.shrink_to(KEEP_BUFFER);
        (self.text)(index, buffer)?;
        Ok(buffer)
    }
}

/// What became of a run's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncodedTexts<T> {
    /// What was made of each text, by index.
    pub(crate) values: Vec<T>,
    /// What encoded them.
    pub(crate) backend: Backend,
    /// A warning: why the reference encoded everything again.
    pub(crate) fallback: Option<String>,
    /// For the log of a long run: why the word cache does not support this tokenizer.
    pub(crate) info: Option<String>,
}
