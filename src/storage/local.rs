//! Opens and reads local files.

use super::location::Location;
use super::object::{FileVersion, ObjectInfo, ObjectVersion};
use super::store_error::{changed, io_error, too_large};
use crate::error::Result;
use crate::hash_map::lock;
use bytes::Bytes;
use std::fs::{File, Metadata};
use std::io::{ErrorKind as Io, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Size of the ranges in which a file is read: a range fits a processor's cache.
pub(crate) const RANGE: u64 = 1 << 20;

/// Number of ranges of one file that are read ahead.
pub(crate) const READ_AHEAD: usize = 4;

/// Opens a file for reading. Everything else that may have a name is an error: opening a named pipe waits for a writer, perhaps for ever,
/// and opening a device may do anything.
///
/// # Errors
/// What the file system reports, or that `path` is not a regular file.
pub(crate) fn open_regular(path: &Path) -> std::io::Result<File> {
    check_regular(&std::fs::metadata(path)?)?;
    // If the file has been replaced by a pipe since, opening does not wait either.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

/// Reads a small regular file.
///
/// # Errors
/// As [`open_regular`], or that the file is larger than `max_bytes`.
pub(crate) fn read_small(path: &Path, max_bytes: u64) -> std::io::Result<Vec<u8>> {
    read_at_most(open_regular(path)?, max_bytes)?
        .ok_or_else(|| std::io::Error::new(Io::FileTooLarge, format!("too large: expected at most {max_bytes} bytes")))
}

/// The content of a file; `None` if it is larger than `max_bytes`.
fn read_at_most(file: File, max_bytes: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max_bytes).then_some(bytes))
}

fn check_regular(metadata: &Metadata) -> std::io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(not_regular(metadata)) }
}

/// The error for what is not a regular file.
pub(crate) fn not_regular(metadata: &Metadata) -> std::io::Error {
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    std::io::Error::new(Io::InvalidInput, format!("it is {what}, not a regular file"))
}

/// The path of a location that is known to be local.
fn path(location: &Location) -> &Path {
    location.local_path().unwrap_or(Path::new(""))
}

fn info(key: String, location: Location, metadata: &Metadata) -> ObjectInfo {
    ObjectInfo { key, location, size: metadata.len(), version: ObjectVersion::Local(FileVersion::of(metadata)) }
}

/// Describes a file; `None` if it does not exist.
pub(crate) fn stat(location: &Location) -> Result<Option<ObjectInfo>> {
    match std::fs::metadata(path(location)) {
        Ok(metadata) if metadata.is_dir() => Ok(None),
        Ok(metadata) if !metadata.is_file() => Err(io_error(not_regular(&metadata), "read the file", location)),
        Ok(metadata) => Ok(Some(info(location.name().to_string(), location.clone(), &metadata))),
        Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => Ok(None),
        Err(error) => Err(io_error(error, "read the file's metadata", location)),
    }
}

/// Reads a small file; `None` if it does not exist.
pub(crate) fn read(location: &Location, max_bytes: u64) -> Result<Option<Bytes>> {
    let file = match open_regular(path(location)) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => return Ok(None),
        Err(error) => return Err(io_error(error, "open the file", location)),
    };
    match read_at_most(file, max_bytes) {
        Ok(Some(bytes)) => Ok(Some(bytes.into())),
        Ok(None) => Err(too_large(location, max_bytes)),
        Err(error) => Err(io_error(error, "read the file", location)),
    }
}

/// One version of a file, open for reading.
#[derive(Clone)]
pub(crate) struct OpenFile {
    file: Arc<File>,
    path: Arc<PathBuf>,
    version: FileVersion,
    buffers: Buffers,
}

/// Reusable buffers of one file: a new one for each range would be zeroed and paged in each time, which takes longer
/// than reading into it.
type Buffers = Arc<Mutex<Vec<Vec<u8>>>>;

/// A buffer that returns to its pool when the last reference to its bytes is dropped.
struct PooledBuffer {
    buffer: Vec<u8>,
    buffers: Buffers,
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        lock(&self.buffers).push(std::mem::take(&mut self.buffer));
    }
}

impl OpenFile {
    /// Opens the version of a file that was listed.
    pub(crate) fn open(location: &Location, version: &FileVersion) -> Result<Self> {
        let path = path(location);
        let file = open_regular(path).map_err(|error| io_error(error, "open the file", location))?;
        let metadata = file.metadata().map_err(|error| io_error(error, "read the file's metadata", location))?;
        if *version != FileVersion::of(&metadata) {
            return Err(changed(location));
        }
        Ok(Self {
            file: Arc::new(file),
            path: Arc::new(path.to_path_buf()),
            version: version.clone(),
            buffers: Buffers::default(),
        })
    }

    /// Reads a range, then checks that the file has not changed.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let failed = |error| io_error(error, "read the file", self.path.display());
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let buffer = lock(&self.buffers).pop().unwrap_or_default();
        let mut pooled = PooledBuffer { buffer, buffers: Arc::clone(&self.buffers) };
        pooled.buffer.resize(length, 0);
        match self.file.read_exact_at(&mut pooled.buffer, range.start) {
            Ok(()) => {}
            Err(error) if error.kind() == Io::UnexpectedEof => return Err(changed(self.path.display())),
            Err(error) => return Err(failed(error)),
        }
        if FileVersion::of(&self.file.metadata().map_err(failed)?) != self.version {
            return Err(changed(self.path.display()));
        }
        Ok(Bytes::from_owner(pooled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some FUSE file systems make the numbers up anew for every request.
    #[test]
    fn a_file_is_the_same_whatever_its_inode_number() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("rows"), folder.path().join("other"));
        for path in [&path, &other] {
            std::fs::write(path, "row").unwrap();
            File::options().append(true).open(path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        let location = Location::local(&path);
        let ObjectVersion::Local(listed) = stat(&location).unwrap().unwrap().version else { panic!("not local") };
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(OpenFile::open(&location, &listed).unwrap().read(0..3).unwrap(), "row");
        // Size and time tell another version.
        File::options().append(true).open(&path).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
        assert!(OpenFile::open(&location, &listed).is_err());
    }

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "x").unwrap();
        assert_eq!(read_small(&folder.path().join("file"), 1).unwrap(), b"x");
        assert_eq!(read_small(&folder.path().join("file"), 0).unwrap_err().kind(), Io::FileTooLarge);
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for (path, what) in
            [(pipe.as_path(), "a pipe"), (Path::new("/dev/null"), "a device"), (folder.path(), "a folder")]
        {
            let error = open_regular(path).unwrap_err().to_string();
            assert_eq!(error, format!("it is {what}, not a regular file"));
        }
    }
}
