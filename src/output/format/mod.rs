//! File formats: how samples become rows, and rows become a file.
//!
//! A format is a content (messages or tokens) in a container (JSON lines or Parquet). Rows are encoded once for each content,
//! as lines of JSON; a Parquet file is made from these lines.

mod encoding;
mod jsonl;
mod messages;
mod parquet;
mod tokens;

pub(super) use encoding::{FileAssembler, RowEncoder};
pub(crate) use parquet::{PARQUET_TAIL_BYTES, parquet_footer_bytes, parquet_rows};

use super::source::WriteSource;
use crate::error::Result;
use crate::recipe::{Compression, Format};

/// What the rows of a format hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Conversations.
    Messages,
    /// Token ids and labels.
    Tokens,
}

impl Content {
    /// The content of a format.
    pub(super) fn of(format: Format) -> Self {
        if format.is_tokens() { Self::Tokens } else { Self::Messages }
    }

    /// An encoder for a batch of neighbouring samples.
    pub(super) fn encoder(self, source: &WriteSource) -> Box<dyn RowEncoder + '_> {
        match self {
            Self::Messages => Box::new(messages::MessageRows::new(source)),
            Self::Tokens => Box::new(tokens::TokenRows::new(source)),
        }
    }
}

/// An assembler for one file of a format.
///
/// # Errors
/// If a Parquet file cannot have these columns.
pub(super) fn assembler(
    format: Format,
    source: &WriteSource,
    compression: Compression,
) -> Result<Box<dyn FileAssembler>> {
    let schema = match format {
        Format::Messages | Format::Tokens => return Ok(Box::new(jsonl::Concatenation)),
        Format::MessagesParquet => messages::parquet_schema(source),
        Format::TokensParquet => tokens::parquet_schema(source),
    };
    Ok(Box::new(parquet::ParquetFile::new(schema, compression)?))
}
