//! File formats: how samples become rows, and rows become a file.
//!
//! A format is a content (messages or tokens, of conversations or of documents) in a container (JSON lines or Parquet). Rows are encoded once for each content,
//! as lines of JSON; a Parquet file is made from these lines.

mod documents;
mod encoding;
mod jsonl;
mod messages;
mod parquet;
mod tokens;

pub(super) use encoding::{FileAssembler, RowEncoder};
pub(crate) use parquet::{PARQUET_TAIL_BYTES, parquet_footer_bytes, parquet_rows};

use super::source::WriteSource;
use crate::error::Result;
use crate::manifest::MixKind;
use crate::recipe::{Compression, Format};

/// What the rows of a format hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Conversations.
    Messages,
    /// Token ids and labels.
    Tokens,
    /// Documents.
    Documents,
    /// Token ids of documents.
    DocumentTokens,
}

impl Content {
    /// The content of a format in a mix of this kind.
    pub(super) fn of(format: Format, mix: MixKind) -> Self {
        match (mix, format.is_tokens()) {
            (MixKind::Chat, false) => Self::Messages,
            (MixKind::Chat, true) => Self::Tokens,
            (MixKind::Document, false) => Self::Documents,
            (MixKind::Document, true) => Self::DocumentTokens,
        }
    }

    /// An encoder for a batch of neighbouring samples.
    pub(super) fn encoder(self, source: &WriteSource) -> Box<dyn RowEncoder + '_> {
        match self {
            Self::Messages => Box::new(messages::MessageRows::new(source)),
            Self::Tokens => Box::new(tokens::TokenRows::new(source)),
            Self::Documents => Box::new(documents::DocumentRows::new(source)),
            Self::DocumentTokens => Box::new(documents::DocumentTokenRows::new(source)),
        }
    }
}

/// An assembler for one file of a format.
///
/// # Errors
/// If a Parquet file cannot have these columns.
pub(super) fn assembler(
    format: Format,
    mix: MixKind,
    source: &WriteSource,
    compression: Compression,
) -> Result<Box<dyn FileAssembler>> {
    if !format.is_parquet() {
        return Ok(Box::new(jsonl::Concatenation));
    }
    let schema = match Content::of(format, mix) {
        Content::Messages => messages::parquet_schema(source),
        Content::Tokens => tokens::parquet_schema(source),
        Content::Documents => documents::parquet_schema(source),
        Content::DocumentTokens => documents::tokens_parquet_schema(),
    };
    Ok(Box::new(parquet::ParquetFile::new(schema, compression)?))
}
