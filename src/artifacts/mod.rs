//! step_02 artifacts become samples: which files, which generation of rows, the interned texts, the ledger of what was
//! dropped and why.

mod clean;
mod decode;
mod discover;
mod format;
mod ledger;
mod message;
mod parquet;
mod read;
mod row;
mod source;
mod split;
mod texts;

pub use clean::{clean_response, is_placeholder_question};
pub use discover::{Discovered, FileOfSource, discover, discover_in_source};
pub use format::{Codec, Container, FileFormat};
pub use ledger::{DropReason, RejectReason, RejectedRow, SourceLedger};
pub use message::user_content;
pub use read::{Artifacts, InputObject, ReadOptions, read};
pub use row::{AUTO_REASONING, Reasoning};
pub use source::{Source, SourceKind, known_sources};
pub use texts::{Body, Sample, TextId, Texts};

/// What the benchmarks measure and nobody else needs.
#[doc(hidden)]
pub mod hot {
    pub use super::ledger::FileContext;
    pub use super::row::{ParsedRow, RowParser};
    pub use super::texts::Interner;
}
