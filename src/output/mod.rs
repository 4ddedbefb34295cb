//! Files of rows: formats, and the writer that feeds all files of a run in one pass.

mod format;
mod writer;

pub(crate) use format::Format;
pub(crate) use writer::{FileRows, RowsFile, WriteOptions, WriteSource, write_rows};
