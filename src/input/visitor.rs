//! What a reader makes of the rows of one file: samples for a mix, or whatever else a sub-command needs of them.

use crate::error::Result;

/// Makes something of the rows of one file, in parallel: the rows of each chunk give a result, and the results are put together in
/// the order of the file.
pub(crate) trait RowVisitor: Send + Sync + 'static {
    /// What some neighbouring rows result in.
    type Rows: Default + Send + 'static;

    /// The path or URL of the file, for messages.
    fn place(&self) -> &str;

    /// The columns that are read of a Parquet file.
    fn columns(&self) -> Vec<&str>;

    /// What to do about a file that is damaged.
    fn advice(&self) -> &'static str {
        "check that the file is complete, and that its name says what it holds"
    }

    /// Adds the row on a line to those before it in its chunk.
    ///
    /// # Errors
    /// If nothing can be made of the file because of the row.
    fn visit(&self, line: u64, row: &[u8], rows: &mut Self::Rows) -> Result<()>;

    /// Adds the rows of the next chunk.
    fn append(&self, rows: &mut Self::Rows, next: Self::Rows);
}
