//! What neither std nor rustix can do with a descriptor. With `process.rs`, all `unsafe` code of the program:
//! `tests/integration/architecture.rs` checks it.

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

/// Starts to write a file's dirty pages to the disk. Unlike `fdatasync`, this waits neither for the pages nor for the
/// disk's cache. Errors are ignored: the flush at the end of the file reports them.
#[cfg_attr(target_os = "linux", expect(unsafe_code, reason = "neither std nor rustix has `sync_file_range`"))]
pub(crate) fn start_writeback(file: &File) {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        // SAFETY: the descriptor is open as long as `file` is, and the call touches no memory of this program.
        unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}
