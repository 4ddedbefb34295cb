//! Input files become samples: finds the files, reads and decompresses them, parses rows of every generator version, and
//! counts what was dropped and why.

mod array;
mod chunk;
mod discover;
mod file;
mod find;
#[cfg(test)]
mod fixtures;
mod foreign;
mod format;
mod ledger;
mod limits;
mod lines;
mod parquet;
mod parquet_pages;
mod parse;
mod places;
mod read;
mod refused;
mod row_filter;
mod rows;
mod start;
mod stored;
mod unread;
mod visit;
mod visitor;

pub(crate) use find::{FindOptions, InputObject, MIX_FOLDER, SOURCE_FILES, SourceLocations, check_output, find};
pub(crate) use ledger::{RejectedRow, SourceLedger};
pub(crate) use parse::RowParser;
pub(crate) use places::Places;
pub(crate) use read::{Artifacts, ReadOptions, read};
pub(crate) use visit::{Visited, visit};
pub(crate) use visitor::RowVisitor;
