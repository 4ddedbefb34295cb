//! Lists and reads local folders and files.

use super::location::Location;
use super::object::{FileVersion, ObjectInfo, ObjectVersion};
use super::store_error::{changed, io_error, too_large};
use crate::error::{Error, ErrorKind, Result};
use crate::hash_map::lock;
use bytes::Bytes;
use std::fs::{DirEntry, File, Metadata};
use std::io::{ErrorKind as Io, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Size of the ranges in which a file is read: a range fits a processor's cache.
pub(crate) const RANGE: u64 = 1 << 20;

/// Number of ranges of one file that are read ahead.
pub(crate) const READ_AHEAD: usize = 4;

/// Folders nested deeper than this count as an endless chain of links.
const MAX_DEPTH: usize = 64;

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
    let mut bytes = Vec::new();
    open_regular(path)?.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(std::io::Error::new(Io::FileTooLarge, format!("too large: expected at most {max_bytes} bytes")));
    }
    Ok(bytes)
}

fn check_regular(metadata: &Metadata) -> std::io::Result<()> {
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => return Err(Io::IsADirectory.into()),
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(std::io::Error::new(Io::InvalidInput, format!("it is {what}, not a regular file")))
}

/// The path of a location that is known to be local.
fn path(location: &Location) -> &Path {
    location.local_path().unwrap_or(Path::new(""))
}

/// A folder that is still to be listed.
struct Pending {
    path: PathBuf,
    key: String,
    /// Device and inode of the folder and of those that contain it: a link back to one of them is not followed.
    ancestors: Vec<(u64, u64)>,
}

/// Returns every file below a folder, unsorted.
pub(crate) fn list(folder: &Location) -> Result<Vec<ObjectInfo>> {
    let root = path(folder);
    let metadata = match std::fs::metadata(root) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(io_error(error, "read the folder's metadata", folder)),
    };
    if !metadata.is_dir() {
        return Ok(stat(folder)?.into_iter().collect());
    }
    let mut found = Vec::new();
    let identity = (metadata.dev(), metadata.ino());
    let mut pending = vec![Pending { path: root.to_path_buf(), key: String::new(), ancestors: vec![identity] }];
    while let Some(folder) = pending.pop() {
        let failed = |error| io_error(error, "list the folder", folder.path.display());
        for entry in std::fs::read_dir(&folder.path).map_err(failed)? {
            let Some((name, path, metadata)) = inspect(&entry.map_err(failed)?)? else { continue };
            let key = if folder.key.is_empty() { name } else { format!("{}/{name}", folder.key) };
            if metadata.is_file() {
                found.push(info(key, Location::local(path), &metadata));
            } else if metadata.is_dir() {
                let identity = (metadata.dev(), metadata.ino());
                if !folder.ancestors.contains(&identity) && folder.ancestors.len() < MAX_DEPTH {
                    let ancestors = folder.ancestors.iter().copied().chain([identity]).collect();
                    pending.push(Pending { path, key, ancestors });
                }
            }
        }
    }
    Ok(found)
}

/// Name, path and metadata of an entry; `None` for one that is to be ignored.
fn inspect(entry: &DirEntry) -> Result<Option<(String, PathBuf, Metadata)>> {
    let path = entry.path();
    let Some(name) = entry.file_name().to_str().map(str::to_string) else {
        return Err(Error::new(ErrorKind::Io, "the file's name is not valid UTF-8").at(path.display()));
    };
    match std::fs::metadata(&path) {
        Ok(metadata) => Ok(Some((name, path, metadata))),
        // Removed since the folder was listed, or a hidden dangling link, as editors leave them.
        Err(error) if error.kind() == Io::NotFound && (name.starts_with('.') || !path.is_symlink()) => Ok(None),
        Err(error) => Err(io_error(error, "read the file's metadata", path.display())),
    }
}

fn info(key: String, location: Location, metadata: &Metadata) -> ObjectInfo {
    ObjectInfo { key, location, size: metadata.len(), version: ObjectVersion::Local(FileVersion::of(metadata)) }
}

/// Describes a file; `None` if it does not exist.
pub(crate) fn stat(location: &Location) -> Result<Option<ObjectInfo>> {
    match std::fs::metadata(path(location)) {
        Ok(metadata) if metadata.is_dir() => Ok(None),
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
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| io_error(error, "read the file", location))?;
    if bytes.len() as u64 > max_bytes {
        return Err(too_large(location, max_bytes));
    }
    Ok(Some(bytes.into()))
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
