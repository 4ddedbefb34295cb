//! Gives a file its final name.

use std::fs::{Metadata, symlink_metadata};
use std::io::ErrorKind as Io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Renames a file. A network file system may have done so although it reports an error: if the response to a request is lost, it sends
/// the request again and finds the old name gone. Then the new name has to be that of the same file: the old one is also gone if
/// another run has taken this one for dead and removed its file.
///
/// # Errors
/// What the file system reports, if the file has not got its new name.
pub(crate) fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    let before = symlink_metadata(from);
    let Err(error) = std::fs::rename(from, to) else { return Ok(()) };
    let is_gone = symlink_metadata(from).is_err_and(|error| error.kind() == Io::NotFound);
    let identity = |file: &Metadata| (file.dev(), file.ino(), file.len());
    let has_moved =
        || before.is_ok_and(|before| symlink_metadata(to).is_ok_and(|to| identity(&to) == identity(&before)));
    if is_gone && has_moved() { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another run has removed this run's file and published its own, of the same size.
    #[test]
    fn a_file_of_the_same_size_is_not_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&to, "x").unwrap();
        assert_eq!(rename(&from, &to).unwrap_err().kind(), Io::NotFound);
        std::fs::write(&from, "y").unwrap();
        rename(&from, &to).unwrap();
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "y");
    }
}
