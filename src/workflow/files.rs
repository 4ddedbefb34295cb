//! Small files, written so that a reader never sees a partial one.

use crate::error::{Error, ErrorKind, Result};
use crate::storage::{close, random_bits, rename, write_error};
use std::fs::File;
use std::io::{ErrorKind as Io, Read};
use std::path::{Path, PathBuf};

/// The files and folders that a step has created. Unless they are [kept](Self::keep), dropping this removes them, one by one: what
/// was there before, or what somebody else puts beside them, stays.
pub(super) struct CreatedFiles<'s> {
    files: Vec<PathBuf>,
    /// Outer folders first.
    folders: Vec<PathBuf>,
    is_stopping: &'s dyn Fn() -> bool,
}

impl<'s> CreatedFiles<'s> {
    /// None yet. Nothing more is written once `is_stopping` returns true.
    pub(super) fn new(is_stopping: &'s dyn Fn() -> bool) -> Self {
        Self { files: Vec::new(), folders: Vec::new(), is_stopping }
    }

    /// Writes everything that `reader` yields to a file, which appears under its name when it is complete.
    ///
    /// # Errors
    /// The reader fails, the file cannot be written, or the run is stopping.
    pub(super) fn write(&mut self, path: &Path, reader: impl Read) -> Result<()> {
        self.create_parent(path)?;
        let is_new = !exists(path);
        write_atomically(path, StoppableReader { reader, is_stopping: self.is_stopping })?;
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
        let linked = std::fs::hard_link(source, &staging).and_then(|()| std::fs::rename(&staging, path)).is_ok();
        // Still there if both names are the same file already: then renaming does nothing.
        let _ = std::fs::remove_file(&staging);
        if linked && is_new {
            self.files.push(path.to_path_buf());
        }
        Ok(linked)
    }

    /// Keeps everything.
    ///
    /// # Errors
    /// The run is stopping: then everything is removed.
    pub(super) fn keep(mut self) -> Result<()> {
        if (self.is_stopping)() {
            return Err(Error::new(ErrorKind::Interrupted, "stopped before the outputs of the step were complete"));
        }
        self.files.clear();
        self.folders.clear();
        Ok(())
    }

    fn create_parent(&mut self, path: &Path) -> Result<()> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        let missing: Vec<_> = parent.ancestors().take_while(|folder| !exists(folder)).map(Path::to_path_buf).collect();
        create_folder(parent)?;
        self.folders.extend(missing.into_iter().rev());
        Ok(())
    }
}

impl Drop for CreatedFiles<'_> {
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

/// Writes everything that `reader` yields to a file in a folder that exists. The file appears under its name when it is complete.
///
/// # Errors
/// The reader fails, or the file cannot be written.
pub(super) fn write_atomically(path: &Path, mut reader: impl Read) -> Result<()> {
    let staging = staging_path(path);
    let mut write = || {
        let mut file = File::create_new(&staging)?;
        std::io::copy(&mut reader, &mut file)?;
        close(file)?;
        rename(&staging, path)
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&staging);
        // What the reader reports as an error of this program is the cause, not a failure to write.
        match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => write_error(error, "write", path.display()),
        }
    })
}

fn exists(path: &Path) -> bool {
    !matches!(std::fs::symlink_metadata(path), Err(error) if error.kind() == Io::NotFound)
}

/// The name of a file until it is complete. Another run at the same path has another one.
fn staging_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:016x}.partial", random_bits()));
    PathBuf::from(name)
}

/// A reader that fails once the run is stopping.
struct StoppableReader<'s, R> {
    reader: R,
    is_stopping: &'s dyn Fn() -> bool,
}

impl<R: Read> Read for StoppableReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match (self.is_stopping)() {
            true => Err(std::io::Error::other("the run is stopping")),
            false => self.reader.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn names(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_stopping_run_writes_no_more_and_removes_what_it_has_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("other"), "").unwrap();
        let calls = Cell::new(0);
        let is_stopping = || calls.replace(calls.get() + 1) >= 20;
        let mut created = CreatedFiles::new(&is_stopping);
        created.write(&folder.path().join("first"), &b"first"[..]).unwrap();
        created.write(&folder.path().join("new/endless"), std::io::repeat(0)).unwrap_err();
        assert_eq!(names(folder.path()), ["first", "new", "other"]);
        assert_eq!(names(&folder.path().join("new")), [""; 0]);
        assert_eq!(created.keep().unwrap_err().kind(), ErrorKind::Interrupted);
        assert_eq!(names(folder.path()), ["other"]);
    }

    /// What has the name of another run's staging file is neither written nor removed.
    #[test]
    fn staging_names_differ_from_run_to_run() {
        let path = Path::new("/outputs/dataset");
        assert_ne!(staging_path(path), staging_path(path));
        assert_eq!(staging_path(path).parent(), path.parent());
    }
}
