//! Publishing into a folder of this machine: staging files, flushed, renamed, the folder synced.

use super::{LARGEST_MANIFEST, OWN_PREFIX, Stage, Staged, StagedFile, busy, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::MANIFEST_NAME;
use crate::storage::fault::explain_io;
use crate::storage::local::{blocking, read};
use crate::storage::{AbortOnDrop, Location, Storage};
use bytes::{Buf, Bytes};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind as Io, IoSlice, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// So many batches of bytes wait for the writing thread at most.
const QUEUE: usize = 2;

/// Smaller pieces than this are gathered before they are hashed and written: both work best on long runs.
const SHORT: usize = 32 << 10;
const GATHERED: usize = 256 << 10;

/// An output folder, held by this run.
pub(super) struct Folder {
    path: Arc<PathBuf>,
    run_id: String,
    flush: bool,
    storage: Storage,
    /// Held until the folder is dropped; `None` where the file system has no locks.
    _lock: Option<FolderLock>,
}

impl Folder {
    pub(super) async fn open(storage: &Storage, output: &Location, run_id: String) -> Result<(Self, Option<Bytes>)> {
        let (flush, owner) = (storage.options().flush, storage.clone());
        let (folder, warning, previous) = blocking(output, move |output| {
            let path = output.local_path().unwrap_or(Path::new("")).to_path_buf();
            std::fs::create_dir_all(&path).map_err(|error| explain_io(as_io(error), "create the folder", output))?;
            let (lock, warning) = FolderLock::take(&path, output)?;
            if lock.is_some() {
                remove_left_overs(&path)?;
            }
            let previous = read(&output.join(MANIFEST_NAME), LARGEST_MANIFEST)?;
            let held = Self { path: Arc::new(path), run_id, flush, storage: owner, _lock: lock };
            Ok((held, warning, previous))
        })
        .await?;
        if let Some(warning) = warning {
            storage.warn(warning);
        }
        Ok((folder, previous))
    }

    pub(super) async fn create(&self, name: &str, stage: Stage) -> Result<FileSink> {
        let held = Arc::clone(self.storage.writers()).read_owned().await;
        let (file, staging) = self.staging(name)?;
        let (sender, receiver) = tokio::sync::mpsc::channel(QUEUE);
        let flush = self.flush;
        let writer = AbortOnDrop(tokio::task::spawn_blocking(move || {
            let written = write_all(file, staging, receiver, flush);
            drop(held);
            written
        }));
        Ok(FileSink { sender, writer, name: name.to_string(), stage })
    }

    /// Gives up: when it is over, no staging file is left.
    pub(super) async fn abort(self, staged: Vec<Staged>) {
        drop(staged);
        self.storage.writers_ended().await;
    }

    fn staging(&self, name: &str) -> Result<(File, StagingFile)> {
        let staging = self.path.join(format!("{OWN_PREFIX}-{}.{name}.staging", self.run_id));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&staging)
            .map_err(|error| explain_io(as_io(error), "write", staging.display()))?;
        Ok((file, StagingFile { staging, target: self.path.join(name), whole: false }))
    }

    pub(super) async fn commit(self, staged: Vec<Staged>, manifest: Bytes, obsolete: Vec<String>) -> Result<()> {
        // It goes on where nobody waits any more: then it is waited for like a writer.
        let held = Arc::clone(self.storage.writers()).read_owned().await;
        let commit = move || {
            let committed = self.commit_now(staged, &manifest, &obsolete);
            drop(held);
            committed
        };
        AbortOnDrop(tokio::task::spawn_blocking(commit)).join().await
    }

    fn commit_now(self, staged: Vec<Staged>, manifest: &Bytes, obsolete: &[String]) -> Result<()> {
        let (mut file, new_manifest) = self.staging(MANIFEST_NAME)?;
        let told = |error| explain_io(error, "write", new_manifest.target.display());
        file.write_all(manifest).map_err(told)?;
        if self.flush {
            file.sync_all().map_err(told)?;
        }
        drop(file);

        match std::fs::remove_file(&new_manifest.target) {
            Ok(()) => self.sync()?,
            Err(error) if error.kind() == Io::NotFound => {}
            Err(error) => return Err(explain_io(error, "remove the earlier manifest", new_manifest.target.display())),
        }
        for file in staged {
            if let Staged::Local(file) = file {
                file.publish()?;
            }
        }
        // The names must be on the disk before the manifest that vouches for them is.
        self.sync()?;
        new_manifest.publish()?;
        self.storage.published().store(true, Ordering::Release);
        self.sync()?;
        for name in obsolete {
            let path = self.path.join(name);
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == Io::NotFound => {}
                // The mix is whole: this is worth a warning, not an error.
                Err(error) => {
                    self.storage.warn(explain_io(error, "remove a file of the earlier mix", path.display()).line())
                }
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        if !self.flush {
            return Ok(());
        }
        let synced = File::open(self.path.as_path()).and_then(|folder| folder.sync_all());
        match synced {
            Ok(()) => Ok(()),
            // Some network file systems cannot sync a folder, and need not.
            Err(error) if matches!(error.kind(), Io::InvalidInput | Io::Unsupported) => Ok(()),
            Err(error) => Err(explain_io(error, "flush the folder", self.path.display())),
        }
    }
}

/// Not found, for a file that is to be written, is a failure to write.
fn as_io(error: std::io::Error) -> std::io::Error {
    if error.kind() == Io::NotFound { std::io::Error::other(error) } else { error }
}

/// The lock on an output folder, held for a whole run. The system lets go of it when the run ends, however it ends.
struct FolderLock {
    file: File,
    path: PathBuf,
}

impl FolderLock {
    /// The lock, or a warning where the file system has none.
    fn take(folder: &Path, output: &Location) -> Result<(Option<Self>, Option<String>)> {
        let path = folder.join(format!("{OWN_PREFIX}.lock"));
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(|error| explain_io(as_io(error), "write into the folder", output))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(busy(output)),
                Err(TryLockError::Error(error)) => {
                    let warning =
                        format!("{output}: the file system has no locks ({error}): let only one run write here");
                    return Ok((None, Some(warning)));
                }
            }
            // The run before may have removed the file between opening and locking: then this lock holds nobody off.
            let held = file.metadata().map_err(|error| explain_io(error, "lock", path.display()))?;
            match std::fs::metadata(&path) {
                Ok(found) if (found.dev(), found.ino()) == (held.dev(), held.ino()) => {
                    return Ok((Some(Self { file, path }), None));
                }
                Ok(_) => {}
                Err(error) if error.kind() == Io::NotFound => {}
                Err(error) => return Err(explain_io(error, "lock", path.display())),
            }
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Removed while it is held; see `take` for why that is safe.
        let _ = std::fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

/// Removes what killed runs have left. Only whoever holds the lock may.
fn remove_left_overs(folder: &Path) -> Result<()> {
    let told = |error| explain_io(error, "list the folder", folder.display());
    for entry in std::fs::read_dir(folder).map_err(told)? {
        let entry = entry.map_err(told)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.strip_prefix(OWN_PREFIX).is_some_and(|rest| rest.starts_with('-') && rest.ends_with(".staging")) {
            match std::fs::remove_file(entry.path()) {
                Ok(()) => {}
                // A writing thread of a run that was cut off may be cleaning up this very moment.
                Err(error) if error.kind() == Io::NotFound => {}
                Err(error) => {
                    return Err(explain_io(error, "remove what a killed run has left", entry.path().display()));
                }
            }
        }
    }
    Ok(())
}

/// Has the system write a file to the disk while there is still more to come, so that the flush at its end finds little to do.
struct Flusher {
    wake: std::sync::mpsc::SyncSender<()>,
    unflushed: usize,
}

impl Flusher {
    /// So much is gathered before the disk gets it: nothing at all of small files.
    const EVERY: usize = 8 << 20;

    /// On a thread of its own, which ends with the sender: handing pages to a busy disk takes a while.
    fn start(file: &File) -> std::io::Result<Self> {
        let file = file.try_clone()?;
        let (wake, woken) = std::sync::mpsc::sync_channel::<()>(1);
        let flush = move || woken.into_iter().for_each(|()| begin_to_flush(&file));
        std::thread::Builder::new().name("flush".to_owned()).spawn(flush)?;
        Ok(Self { wake, unflushed: 0 })
    }

    fn written(&mut self, bytes: usize) {
        self.unflushed += bytes;
        if self.unflushed >= Self::EVERY {
            self.unflushed = 0;
            // Full: it will be done for these bytes, too.
            let _ = self.wake.try_send(());
        }
    }
}

/// Begins to write what a file holds to the disk and waits for nothing, neither for the bytes nor for the disk's own cache, as
/// `fdatasync` would. Only a hint: the flush at the end of the file tells what fails.
fn begin_to_flush(file: &File) {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        // SAFETY: the descriptor is open as long as `file` is, and the call touches no memory of this program.
        #[expect(unsafe_code, reason = "neither the standard library nor rustix has sync_file_range")]
        unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// A file under its staging name, removed unless it is published.
pub(super) struct StagingFile {
    staging: PathBuf,
    target: PathBuf,
    whole: bool,
}

impl StagingFile {
    fn publish(mut self) -> Result<()> {
        std::fs::rename(&self.staging, &self.target)
            .map_err(|error| explain_io(as_io(error), "write", self.target.display()))?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for StagingFile {
    fn drop(&mut self) {
        if !self.whole {
            let _ = std::fs::remove_file(&self.staging);
        }
    }
}

/// Hands bytes to the thread that writes them.
pub(super) struct FileSink {
    sender: tokio::sync::mpsc::Sender<Message>,
    writer: AbortOnDrop<Result<(StagingFile, u64, String)>>,
    name: String,
    stage: Stage,
}

enum Message {
    Bytes(Vec<Bytes>),
    /// Without it the file is given up when the sender is gone.
    End,
}

impl FileSink {
    pub(super) async fn write(&mut self, parts: Vec<Bytes>) -> Result<()> {
        match self.sender.send(Message::Bytes(parts)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure().await),
        }
    }

    pub(super) async fn finish(mut self) -> Result<StagedFile> {
        if self.sender.send(Message::End).await.is_err() {
            return Err(self.failure().await);
        }
        let (staging, bytes, digest) = self.writer.join().await?;
        lock(&self.stage).push(Staged::Local(staging));
        Ok(StagedFile { name: self.name, bytes, digest })
    }

    /// Why the writing thread has ended.
    async fn failure(&mut self) -> Error {
        match (&mut self.writer.0).await {
            Ok(Err(error)) => error,
            _ => Error::new(ErrorKind::Bug, "writing ended too early").at(&self.name),
        }
    }
}

fn write_all(
    mut file: File,
    staging: StagingFile,
    mut receiver: tokio::sync::mpsc::Receiver<Message>,
    flush: bool,
) -> Result<(StagingFile, u64, String)> {
    let told = |error| explain_io(error, "write", staging.target.display());
    let mut hasher = blake3::Hasher::new();
    let mut gathered = Vec::new();
    let mut bytes = 0;
    let mut flusher = if flush { Some(Flusher::start(&file).map_err(told)?) } else { None };
    loop {
        match receiver.blocking_recv() {
            Some(Message::Bytes(parts)) => {
                let length: usize = parts.iter().map(Bytes::len).sum();
                bytes += length as u64;
                if length < parts.len().saturating_mul(SHORT) {
                    write_gathered(&mut file, &mut hasher, &mut gathered, &parts).map_err(told)?;
                } else {
                    parts.iter().for_each(|part| {
                        hasher.update(part);
                    });
                    write_vectored(&mut file, parts).map_err(told)?;
                }
                if let Some(flusher) = &mut flusher {
                    flusher.written(length);
                }
            }
            Some(Message::End) => break,
            None => return Err(Error::new(ErrorKind::Bug, "given up").at(staging.target.display())),
        }
    }
    if flush {
        file.sync_all().map_err(told)?;
    }
    Ok((staging, bytes, hasher.finalize().to_hex().to_string()))
}

/// Many short pieces: copied together first.
fn write_gathered(
    file: &mut File,
    hasher: &mut blake3::Hasher,
    gathered: &mut Vec<u8>,
    parts: &[Bytes],
) -> std::io::Result<()> {
    for part in parts {
        if gathered.len() + part.len() > GATHERED && !gathered.is_empty() {
            hasher.update(gathered);
            file.write_all(gathered)?;
            gathered.clear();
        }
        gathered.extend_from_slice(part);
    }
    hasher.update(gathered);
    file.write_all(gathered)?;
    gathered.clear();
    Ok(())
}

fn write_vectored(file: &mut File, parts: Vec<Bytes>) -> std::io::Result<()> {
    let mut parts: std::collections::VecDeque<Bytes> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    while !parts.is_empty() {
        let slices: Vec<IoSlice<'_>> = parts.iter().take(1024).map(|part| IoSlice::new(part)).collect();
        let mut written = match file.write_vectored(&slices) {
            Ok(0) => return Err(Io::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == Io::Interrupted => continue,
            Err(error) => return Err(error),
        };
        while written > 0 {
            let Some(first) = parts.front_mut() else { break };
            let step = written.min(first.len());
            first.advance(step);
            written -= step;
            if first.is_empty() {
                parts.pop_front();
            }
        }
    }
    Ok(())
}
