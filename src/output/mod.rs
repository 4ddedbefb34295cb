//! Files of rows: formats, and the writer that feeds all files of a run in one pass.

mod first_rows;
mod format;
mod source;
mod writer;

pub(crate) use format::{PARQUET_TAIL_BYTES, parquet_footer_bytes, parquet_rows};
pub(crate) use source::{Training, WriteSource};
pub(crate) use writer::{FileRows, RowsFile, WriteOptions, write_rows};
