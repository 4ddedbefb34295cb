//! Input files become samples: which files there are, decompression, rows of every generation of the generator, and the
//! ledger of what was dropped and why.

mod discover;
mod format;
mod ledger;
mod lines;
mod parquet;
mod parse;
mod read;

pub(crate) use discover::{FileOfSource, discover, discover_in_source};
pub(crate) use format::{Container, FileFormat};
pub(crate) use ledger::{RejectedRow, SourceLedger};
pub(crate) use read::{Artifacts, InputObject, ReadOptions, read};
