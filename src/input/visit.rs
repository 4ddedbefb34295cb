//! Reads one file for a visitor of its rows.

use super::file::{FileReader, FileRows};
use super::format::{Container, FileFormat};
use super::limits::DEFAULT_MAX_ROW_BYTES;
use super::visitor::RowVisitor;
use crate::codec::Codec;
use crate::error::Result;
use crate::progress::ProgressCounter;
use crate::storage::{ObjectInfo, Storage};
use std::sync::Arc;

/// The rows of a file, and the digest of its bytes as stored.
#[derive(Debug)]
pub(crate) struct Visited<R> {
    /// What the visitor made of them.
    pub(crate) rows: R,
    /// BLAKE3, in hexadecimal.
    pub(crate) digest: String,
}

/// Reads a file of any format and compression; a name without a known extension is one of lines. Everything that computes runs on
/// `pool`.
///
/// # Errors
/// Errors of storage, a damaged file, and those of the visitor.
pub(crate) async fn visit<V: RowVisitor>(
    storage: &Storage,
    object: &ObjectInfo,
    visitor: V,
    pool: &Arc<rayon::ThreadPool>,
    progress: &ProgressCounter,
) -> Result<Visited<V::Rows>> {
    let lines = FileFormat { container: Container::LinesOrArray, codec: Codec::None };
    let reader = FileReader {
        format: FileFormat::of_name(object.location.name()).unwrap_or(lines),
        max_row_bytes: DEFAULT_MAX_ROW_BYTES,
        parser: Arc::new(visitor),
        pool: pool.clone(),
        progress: progress.clone(),
    };
    let FileRows { rows, digest, .. } = reader.read(storage.stream(object)).await?;
    Ok(Visited { rows, digest })
}
