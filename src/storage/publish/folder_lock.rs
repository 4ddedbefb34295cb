//! The lock on an output folder.

use super::options::{PublishOptions, contention};
use crate::error::Result;
use crate::storage::location::Location;
use crate::storage::store_error::{io_error, write_error};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind as Io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The lock on an output folder, held for a whole run. The system releases it when the process ends, however it ends.
pub(super) struct FolderLock {
    file: File,
    path: PathBuf,
}

/// The outcome of locking a folder.
pub(super) enum Locked {
    Held(FolderLock),
    /// The file system does not support locks.
    Unsupported(std::io::Error),
}

impl FolderLock {
    /// Locks a folder.
    ///
    /// # Errors
    /// Another run holds the lock, or the folder cannot be written.
    pub(super) fn acquire(folder: &Path, output: &Location, options: &PublishOptions) -> Result<Locked> {
        let path = folder.join(options.lock_name());
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(|error| write_error(error, "write to the folder", output))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(contention(output)),
                Err(TryLockError::Error(error)) => return Ok(Locked::Unsupported(error)),
            }
            // The previous run may have removed the file between `open` and `try_lock`: such a lock excludes nobody.
            let held = file.metadata().map_err(|error| io_error(error, "lock the folder", path.display()))?;
            match std::fs::metadata(&path) {
                Ok(found) if (found.dev(), found.ino()) == (held.dev(), held.ino()) => {
                    return Ok(Locked::Held(Self { file, path }));
                }
                Ok(_) => {}
                Err(error) if error.kind() == Io::NotFound => {}
                Err(error) => return Err(io_error(error, "lock the folder", path.display())),
            }
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Removed while the lock is held; `acquire` detects that its file is gone.
        let _ = std::fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}
