//! The files of a mix: one row's JSON, and the writers of all cuts.

mod encode;
mod writer;

pub(crate) use encode::{RowEncoder, RowLayout};
pub(crate) use writer::{Rows, RowsFile, write_rows};
