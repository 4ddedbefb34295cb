//! Closes files that were written.

use std::fs::File;
use std::os::fd::IntoRawFd;

/// Closes a file and reports the error, which dropping a [`File`] would ignore. Mounted buckets upload a file when it is closed, so
/// only then is it known whether it was written.
///
/// # Errors
/// What the file system reports: the bytes may be lost.
#[expect(unsafe_code, reason = "std has no stable function that closes a file and reports the error")]
pub(crate) fn close(file: File) -> std::io::Result<()> {
    // SAFETY: the descriptor is open and owned by this function, which closes it once.
    match unsafe { libc::close(file.into_raw_fd()) } {
        0 => Ok(()),
        _ => match std::io::Error::last_os_error() {
            // Linux has closed the descriptor all the same.
            error if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        },
    }
}
