//! Folders and files of this machine, read.

use super::fault::explain_io;
use super::{AbortOnDrop, Location, ObjectInfo, Version};
use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use std::fs::{File, Metadata};
use std::io::{ErrorKind as Io, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What changes when a file does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileVersion {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Runs file system work on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    location: &Location,
    work: impl FnOnce(&Location) -> Result<T> + Send + 'static,
) -> Result<T> {
    let location = location.clone();
    AbortOnDrop(tokio::task::spawn_blocking(move || work(&location))).join().await
}

/// The path of a location that is known to be local.
fn path(location: &Location) -> &Path {
    location.local_path().unwrap_or(Path::new(""))
}

/// Folders deeper than this are taken for an endless nest of links.
const DEEPEST: usize = 64;

/// Every file below a folder, unsorted.
pub(crate) fn list(folder: &Location) -> Result<Vec<ObjectInfo>> {
    let root = path(folder);
    let metadata = match std::fs::metadata(root) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(explain_io(error, "look at the folder", folder)),
    };
    if !metadata.is_dir() {
        return Ok(stat(folder)?.into_iter().collect());
    }
    let mut found = Vec::new();
    // Each folder with its key and the folders that it lies in, by which a link back to one of them is known.
    let mut open = vec![(root.to_path_buf(), String::new(), vec![(metadata.dev(), metadata.ino())])];
    while let Some((path, key, outer)) = open.pop() {
        let entries = std::fs::read_dir(&path).map_err(|error| explain_io(error, "list the folder", path.display()))?;
        for entry in entries {
            let entry = entry.map_err(|error| explain_io(error, "list the folder", path.display()))?;
            let place = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_string) else {
                return Err(Error::new(ErrorKind::Io, "the file's name is not UTF-8").at(place.display()));
            };
            let metadata = match std::fs::metadata(&place) {
                Ok(metadata) => metadata,
                // Gone since the folder was listed, or a hidden link to nothing, as editors leave them.
                Err(error) if error.kind() == Io::NotFound && (name.starts_with('.') || !place.is_symlink()) => {
                    continue;
                }
                Err(error) => return Err(explain_io(error, "look at the file", place.display())),
            };
            let key = if key.is_empty() { name } else { format!("{key}/{name}") };
            if metadata.is_file() {
                found.push(info(key, Location::local(place), &metadata));
            } else if metadata.is_dir() {
                let identity = (metadata.dev(), metadata.ino());
                if !outer.contains(&identity) && outer.len() < DEEPEST {
                    let mut outer = outer.clone();
                    outer.push(identity);
                    open.push((place, key, outer));
                }
            }
        }
    }
    Ok(found)
}

fn info(key: String, location: Location, metadata: &Metadata) -> ObjectInfo {
    ObjectInfo { key, location, size: metadata.len(), version: Version::Local(FileVersion::of(metadata)) }
}

/// What a file is now.
pub(crate) fn stat(location: &Location) -> Result<Option<ObjectInfo>> {
    match std::fs::metadata(path(location)) {
        Ok(metadata) if metadata.is_dir() => Ok(None),
        Ok(metadata) => Ok(Some(info(location.name().to_string(), location.clone(), &metadata))),
        Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => Ok(None),
        Err(error) => Err(explain_io(error, "look at the file", location)),
    }
}

/// A small file whole.
pub(crate) fn read(location: &Location, max_bytes: u64) -> Result<Option<Bytes>> {
    let file = match File::open(path(location)) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => return Ok(None),
        Err(error) => return Err(explain_io(error, "open the file", location)),
    };
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| explain_io(error, "read the file", location))?;
    if bytes.len() as u64 > max_bytes {
        return Err(too_large(location, max_bytes));
    }
    Ok(Some(bytes.into()))
}

pub(crate) fn too_large(location: &Location, max_bytes: u64) -> Error {
    Error::new(ErrorKind::Data, format!("larger than the {max_bytes} bytes that such a file may have")).at(location)
}

/// The error of an object that is not what it was when it was listed.
pub(crate) fn changed(place: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Io, "changed while it was read").at(place).hint("start again when nobody writes to the input")
}

/// One version of a file, open for reading.
#[derive(Clone)]
pub(crate) struct OpenFile {
    file: Arc<File>,
    path: Arc<PathBuf>,
    version: FileVersion,
    buffers: Buffers,
}

/// Buffers of one file, used again and again: a new one for every range would be zeroed and paged in each time, which takes
/// longer than the reading.
type Buffers = Arc<Mutex<Vec<Vec<u8>>>>;

/// A buffer that goes back when nobody looks at its bytes any more.
struct Lent {
    buffer: Vec<u8>,
    buffers: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        lock(&self.buffers).push(std::mem::take(&mut self.buffer));
    }
}

fn lock(buffers: &Buffers) -> MutexGuard<'_, Vec<Vec<u8>>> {
    buffers.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OpenFile {
    pub(crate) fn open(location: &Location, version: &Version) -> Result<Self> {
        let file = File::open(path(location)).map_err(|error| explain_io(error, "open the file", location))?;
        let metadata = file.metadata().map_err(|error| explain_io(error, "look at the file", location))?;
        let version = match version {
            Version::Local(version) if *version == FileVersion::of(&metadata) => version.clone(),
            _ => return Err(changed(location)),
        };
        Ok(Self {
            file: Arc::new(file),
            path: Arc::new(path(location).to_path_buf()),
            version,
            buffers: Buffers::default(),
        })
    }

    /// Reads a range, and looks afterwards whether the file is still the same.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let told = |error| explain_io(error, "read the file", self.path.display());
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let buffer = lock(&self.buffers).pop().unwrap_or_default();
        let mut lent = Lent { buffer, buffers: Arc::clone(&self.buffers) };
        lent.buffer.resize(length, 0);
        match self.file.read_exact_at(&mut lent.buffer, range.start) {
            Ok(()) => {}
            Err(error) if error.kind() == Io::UnexpectedEof => return Err(changed(self.path.display())),
            Err(error) => return Err(told(error)),
        }
        if FileVersion::of(&self.file.metadata().map_err(told)?) != self.version {
            return Err(changed(self.path.display()));
        }
        Ok(Bytes::from_owner(lent))
    }
}
