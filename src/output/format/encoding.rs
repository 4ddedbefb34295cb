//! The two interfaces of a file format.

use crate::error::Result;
use bytes::Bytes;

/// Encodes samples, each once for all files that hold it.
pub(crate) trait RowEncoder {
    /// Appends the row of the sample at a place to `out`; nothing if no file of this content holds it.
    ///
    /// # Errors
    /// If the sample cannot be encoded.
    fn encode(&mut self, at: usize, out: &mut Vec<u8>) -> Result<()>;
}

/// Assembles one file from encoded rows.
pub(crate) trait FileAssembler: Send {
    /// Takes whole encoded rows, in order; returns the file's bytes that are ready.
    ///
    /// # Errors
    /// If the rows cannot be stored in this format.
    fn push(&mut self, rows: Vec<Bytes>) -> Result<Vec<Bytes>>;

    /// Whether a file is nothing but its rows, so that calling [`Self::push`] costs nothing.
    fn passes_through(&self) -> bool {
        false
    }

    /// Returns the file's last bytes.
    ///
    /// # Errors
    /// If the file cannot be completed.
    fn finish(self: Box<Self>) -> Result<Vec<Bytes>>;
}
