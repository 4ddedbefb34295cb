//! The files of a mix: one row's JSON, the writers of all cuts, the manifest.

mod compress;
mod encode;
pub mod manifest;
mod write;

pub use encode::{RowEncoder, RowLayout};
pub use write::{Rows, RowsFile, write_rows};
