//! Files of rows: formats, and the writer that feeds up to 64 files in one pass over the samples.

mod first_rows;
mod format;
mod passes;
mod source;
mod writer;

pub(crate) use format::{PARQUET_TAIL_BYTES, parquet_footer_bytes, parquet_rows};
pub(crate) use passes::write_rows;
pub(crate) use source::{Training, WriteSource};
pub(crate) use writer::{FileRows, RowsFile, WriteOptions};
