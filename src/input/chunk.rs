//! Some complete rows of a file: the unit of parsing.

use bytes::Bytes;

/// The approximate size of a chunk: large enough to be worth a job on the thread pool, small enough that every thread
/// gets some.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// Complete rows of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Lines; the last one may lack its line ending.
    Lines {
        /// The number of the first line, counted from 1.
        first: u64,
        /// The lines' bytes.
        bytes: Bytes,
    },
    /// Elements of an array, each with the number of the line on which it begins.
    Elements(Vec<(u64, Bytes)>),
}

impl Chunk {
    /// The rows of the chunk, each with the line on which it begins. Blank lines are not rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let (lines, elements) = match self {
            Self::Lines { first, bytes } => (Some((*first, bytes)), None),
            Self::Elements(elements) => (None, Some(elements)),
        };
        let lines = lines.into_iter().flat_map(|(first, bytes)| (first..).zip(lines_of(bytes)));
        let elements = elements.into_iter().flatten().map(|(line, element)| (*line, &element[..]));
        lines.chain(elements).filter(|(_, row)| !row.iter().all(u8::is_ascii_whitespace))
    }
}

/// Lines with their endings.
fn lines_of(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
        let (line, rest) = bytes.split_at(end);
        bytes = rest;
        Some(line)
    })
}
