//! Small files, written so that a reader never sees a partial one.

use crate::error::{Error, ErrorKind, Result};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Creates a folder and its parents.
///
/// # Errors
/// The folder cannot be created.
pub(super) fn create_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::new(ErrorKind::Io, "cannot create the folder").at(folder.display()).caused_by(error))
}

/// Creates the folder that a file belongs to.
///
/// # Errors
/// The folder cannot be created.
pub(super) fn create_parent(path: &Path) -> Result<()> {
    create_folder(path.parent().unwrap_or(Path::new("/")))
}

/// Opens a file for reading.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn open(path: &Path) -> Result<std::fs::File> {
    std::fs::File::open(path)
        .map_err(|error| Error::new(ErrorKind::Io, "cannot read").at(path.display()).caused_by(error))
}

/// Writes everything that `reader` yields to a file, which appears under its name when it is complete.
///
/// # Errors
/// The reader fails, or the file cannot be written.
pub(super) fn write_atomically(path: &Path, mut reader: impl Read) -> Result<()> {
    create_parent(path)?;
    let staging = staging_path(path);
    let mut write = || {
        let mut file = std::fs::File::create(&staging)?;
        std::io::copy(&mut reader, &mut file)?;
        std::fs::rename(&staging, path)
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&staging);
        Error::new(ErrorKind::Io, "cannot write").at(path.display()).caused_by(error)
    })
}

/// The name of a file until it is complete.
pub(super) fn staging_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}
