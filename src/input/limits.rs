//! How much memory one file may take: a few kilobytes can decompress to more than any machine has.

use super::array::{SplitError, SplitProblem};
use crate::error::{Error, ErrorKind};
use std::fmt::Display;

/// The largest row, in bytes, unless the user sets another.
pub(crate) const DEFAULT_MAX_ROW_BYTES: usize = 256 << 20;

/// How many bytes may come of each stored one. 60 rows for each raw document reach 101 with Zstandard if it has 100 KB, 144 if it has
/// 1 MB, and 31 with gzip.
const MAX_EXPANSION: u64 = 1000;

/// What any file may hold: a small file of repetitive rows may exceed the ratio.
const EXPANSION_FLOOR: u64 = 64 << 20;

/// The number of bytes of content that a file of `stored` bytes may hold.
pub(super) fn max_content(stored: u64) -> u64 {
    stored.saturating_mul(MAX_EXPANSION).saturating_add(EXPANSION_FLOOR)
}

/// The error for a file whose content exceeds [`max_content`].
pub(super) fn expands_too_much(place: impl Display) -> Error {
    let floor = EXPANSION_FLOOR >> 20;
    let message = format!(
        "the file expands to more than {MAX_EXPANSION} times its compressed size (and {floor} MiB): \
         it is damaged or made to exhaust memory"
    );
    Error::new(ErrorKind::Data, message)
        .at(place)
        .hint("generate the file again; if it is what it should be, store it uncompressed, as .jsonl")
}

/// The error for a row on a line that is larger than `limit` bytes.
pub(super) fn row_too_large(place: impl Display, line: u64, limit: usize) -> Error {
    Error::new(ErrorKind::Data, format!("the row is larger than {limit} bytes (--max-row-bytes)"))
        .at(format_args!("{place}:{line}"))
        .hint("check that each line of the file is one row; if the row is what it should be, pass a larger --max-row-bytes")
}

/// The error for a file that cannot be split into rows.
pub(super) fn cannot_split(place: impl Display, error: SplitError, max_row_bytes: usize) -> Error {
    match error.problem {
        SplitProblem::Malformed(message) => {
            Error::new(ErrorKind::Data, message).at(format_args!("{place}:{}", error.line))
        }
        SplitProblem::RowTooLarge => row_too_large(place, error.line, max_row_bytes),
    }
}
