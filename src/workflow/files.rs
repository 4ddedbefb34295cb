//! Small files, written so that a reader never sees a partial one.

use crate::error::{Error, ErrorKind, Result};
use crate::storage::close;
use std::io::{ErrorKind as Io, Read};
use std::path::{Path, PathBuf};

/// The files and folders that a step has created. Unless they are [kept](Self::keep), dropping this removes them, one by one: what
/// was there before, or what somebody else puts beside them, stays.
#[derive(Debug, Default)]
pub(super) struct CreatedFiles {
    files: Vec<PathBuf>,
    /// Outer folders first.
    folders: Vec<PathBuf>,
}

impl CreatedFiles {
    /// Writes everything that `reader` yields to a file, which appears under its name when it is complete.
    ///
    /// # Errors
    /// The reader fails, or the file cannot be written.
    pub(super) fn write(&mut self, path: &Path, reader: impl Read) -> Result<()> {
        self.create_parent(path)?;
        let is_new = !exists(path);
        write_atomically(path, reader)?;
        if is_new {
            self.files.push(path.to_path_buf());
        }
        Ok(())
    }

    /// Gives a file a second name, without a copy. Returns false if the file system cannot.
    ///
    /// # Errors
    /// The folder of the new name cannot be created.
    pub(super) fn link(&mut self, source: &Path, path: &Path) -> Result<bool> {
        self.create_parent(path)?;
        let is_new = !exists(path);
        let staging = staging_path(path);
        let _ = std::fs::remove_file(&staging);
        let linked = std::fs::hard_link(source, &staging).and_then(|()| std::fs::rename(&staging, path)).is_ok();
        // Still there if both names are the same file already: then renaming does nothing.
        let _ = std::fs::remove_file(&staging);
        if linked && is_new {
            self.files.push(path.to_path_buf());
        }
        Ok(linked)
    }

    /// Keeps everything.
    pub(super) fn keep(mut self) {
        self.files.clear();
        self.folders.clear();
    }

    fn create_parent(&mut self, path: &Path) -> Result<()> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        let missing: Vec<_> = parent.ancestors().take_while(|folder| !exists(folder)).map(Path::to_path_buf).collect();
        create_folder(parent)?;
        self.folders.extend(missing.into_iter().rev());
        Ok(())
    }
}

impl Drop for CreatedFiles {
    fn drop(&mut self) {
        // Failures are ignored: the step's own error is the one to report.
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
        // `remove_dir` refuses a folder that holds anything.
        for folder in self.folders.iter().rev() {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Creates a folder and its parents.
///
/// # Errors
/// The folder cannot be created.
pub(super) fn create_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::new(ErrorKind::Io, "cannot create the folder").at(folder.display()).caused_by(error))
}

/// Opens a file for reading.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn open(path: &Path) -> Result<std::fs::File> {
    std::fs::File::open(path)
        .map_err(|error| Error::new(ErrorKind::Io, "cannot read").at(path.display()).caused_by(error))
}

/// Writes everything that `reader` yields to a file in a folder that exists. The file appears under its name when it is complete.
///
/// # Errors
/// The reader fails, or the file cannot be written.
pub(super) fn write_atomically(path: &Path, mut reader: impl Read) -> Result<()> {
    let staging = staging_path(path);
    let mut write = || {
        let mut file = std::fs::File::create(&staging)?;
        std::io::copy(&mut reader, &mut file)?;
        close(file)?;
        std::fs::rename(&staging, path)
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&staging);
        Error::new(ErrorKind::Io, "cannot write").at(path.display()).caused_by(error)
    })
}

fn exists(path: &Path) -> bool {
    !matches!(std::fs::symlink_metadata(path), Err(error) if error.kind() == Io::NotFound)
}

/// The name of a file until it is complete.
fn staging_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}
