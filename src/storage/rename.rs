//! Gives a file its final name.

use std::io::ErrorKind as Io;
use std::path::Path;

/// Renames a file of this size. A network file system may have done so although it reports an error: if the response to a request is
/// lost, it sends the request again and finds the old name gone.
///
/// # Errors
/// What the file system reports, if the file has not got its new name.
pub(crate) fn rename(from: &Path, to: &Path, bytes: u64) -> std::io::Result<()> {
    let Err(error) = std::fs::rename(from, to) else { return Ok(()) };
    let is_gone = std::fs::symlink_metadata(from).is_err_and(|error| error.kind() == Io::NotFound);
    let has_moved = || std::fs::symlink_metadata(to).is_ok_and(|found| found.is_file() && found.len() == bytes);
    if is_gone && has_moved() { Ok(()) } else { Err(error) }
}
