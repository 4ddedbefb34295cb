//! The lock on an output folder.

use super::options::{PublishOptions, contention};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::location::Location;
use crate::storage::store_error::{io_error, write_error};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind as Io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a lock file that vanishes is opened again: each time, a run must have ended in the same instant.
const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// The lock on an output folder, held for a whole run. The system releases it when the process ends, however it ends.
#[derive(Debug)]
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
        for _ in 0..ATTEMPTS {
            let Some(file) = open(&path, output)? else {
                // A run that had created the folder has failed and removed it.
                std::fs::create_dir_all(folder).map_err(|error| write_error(error, "create the folder", output))?;
                continue;
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(contention(output)),
                Err(TryLockError::Error(error)) if is_unsupported(&error) => return Ok(Locked::Unsupported(error)),
                Err(TryLockError::Error(error)) => return Err(io_error(error, "lock the folder", path.display())),
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
            std::thread::sleep(PAUSE);
        }
        // File systems in user space may give a file another number each time.
        Ok(Locked::Unsupported(std::io::Error::other("the lock file is another one each time it is looked at")))
    }
}

/// Whether a file system has no locks, as opposed to one whose lock fails.
fn is_unsupported(error: &std::io::Error) -> bool {
    const WITHOUT_LOCKS: [i32; 5] = [libc::ENOLCK, libc::ENOSYS, libc::EOPNOTSUPP, libc::EINVAL, libc::EBADF];
    error.raw_os_error().is_some_and(|code| WITHOUT_LOCKS.contains(&code))
}

/// Opens the lock file; `None` if its folder does not exist.
fn open(path: &Path, output: &Location) -> Result<Option<File>> {
    let not_a_file = || Error::new(ErrorKind::Io, "cannot lock the folder: not a regular file").at(path.display());
    // A pipe of this name must not block the run.
    let opened = OpenOptions::new().write(true).create(true).truncate(false).custom_flags(libc::O_NONBLOCK).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) => {
            return Err(not_a_file().caused_by(error));
        }
        Err(error) if error.kind() == Io::NotFound => return Ok(None),
        Err(error) => return Err(write_error(error, "write to the folder", output)),
    };
    match file.metadata() {
        Ok(found) if found.is_file() => Ok(Some(file)),
        Ok(_) => Err(not_a_file()),
        Err(error) => Err(io_error(error, "lock the folder", path.display())),
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Removed while the lock is held; `acquire` detects that its file is gone. A lock file that stays does no harm: the
        // next run locks it and removes it.
        let _ = std::fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run that had created the folder has removed it in between.
    #[test]
    fn a_folder_that_is_gone_is_created_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("gone/out");
        let options = PublishOptions {
            manifest_name: "manifest",
            max_manifest_bytes: 0,
            private_prefix: ".own",
            parse_manifest: |_| None,
            overwrite: false,
        };
        let locked = FolderLock::acquire(&folder, &Location::local(&folder), &options).unwrap();
        assert!(matches!(locked, Locked::Held(_)) && folder.join(".own.lock").exists());
    }
}
