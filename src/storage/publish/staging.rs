//! One local file under its staging name, written by a thread.

use super::created_folders::CreatedFolders;
use super::staged_file::StagedFile;
use crate::error::{Error, ErrorKind, Result};
use crate::hash_map::lock;
use crate::storage::descriptor::{close, start_writeback};
use crate::storage::digest::Digest;
use crate::storage::rename::rename;
use crate::storage::store_error::{io_error, write_error};
use bytes::{Buf, Bytes};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind as Io, IoSlice, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use tokio::sync::OwnedRwLockReadGuard;
use tokio::sync::{mpsc, oneshot};

/// Maximum number of batches of bytes that wait for the writing thread.
const QUEUE: usize = 2;

/// Pieces that are shorter on average are joined before they are hashed and written: both are fastest on long runs.
const SHORT_PIECE: usize = 32 << 10;

/// Size of the buffer that short pieces are joined in.
const JOINED: usize = 1 << 20;

/// Maximum number of pieces of one vectored write.
const MAX_SLICES: usize = 1024;

/// A file under its staging name, which is removed unless it is published.
pub(super) struct StagingFile {
    staging: PathBuf,
    target: PathBuf,
    /// What it holds, once it is complete.
    pub(super) file: StagedFile,
    is_published: bool,
    /// Removed with the last file that is not published.
    _created: Arc<CreatedFolders>,
    /// The last field: whoever waits for writers waits for the removal, too.
    writer_guard: Option<OwnedRwLockReadGuard<()>>,
}

impl StagingFile {
    /// Creates an empty staging file for a file of this name.
    pub(super) fn create(
        staging: PathBuf,
        target: PathBuf,
        name: &str,
        created: Arc<CreatedFolders>,
    ) -> Result<(File, Self)> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&staging)
            .map_err(|error| write_error(error, "write", staging.display()))?;
        let content = StagedFile { name: name.to_owned(), bytes: 0, digest: String::new() };
        Ok((file, Self { staging, target, file: content, is_published: false, _created: created, writer_guard: None }))
    }

    /// What it holds.
    pub(super) fn file(&self) -> &StagedFile {
        &self.file
    }

    /// Checks that everything is there: some file systems report no error when they lose what was written.
    pub(super) fn check(&self) -> Result<()> {
        let bytes = self.file.bytes;
        let failed = |error| write_error(error, "write", self.target.display());
        let found = std::fs::metadata(&self.staging).map_err(failed)?.len();
        if found == bytes {
            return Ok(());
        }
        let message = format!("the file system has lost data: expected {bytes} bytes, found {found}");
        Err(Error::new(ErrorKind::Io, message).at(self.target.display()).hint("write to another file system"))
    }

    /// Renames the file to its final path.
    pub(super) fn publish(mut self) -> Result<()> {
        rename(&self.staging, &self.target).map_err(|error| write_error(error, "write", self.target.display()))?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for StagingFile {
    fn drop(&mut self) {
        if !self.is_published {
            let _ = std::fs::remove_file(&self.staging);
        }
    }
}

/// Sends bytes to the thread that writes them.
pub(super) struct FileSink {
    tx: mpsc::Sender<Message>,
    writer: oneshot::Receiver<Result<StagingFile>>,
    name: String,
    staged: Arc<Mutex<Vec<StagingFile>>>,
}

enum Message {
    Bytes(Vec<Bytes>),
    /// The file is complete. If the sender is dropped without it, the file is discarded.
    End,
}

impl FileSink {
    /// Starts the writing thread. `writer_guard` is held until the file is published or removed. The finished file is added to
    /// `staged`.
    ///
    /// # Errors
    /// The system gives no thread. One of the runtime's would make the file wait for the end of another one instead, which may
    /// wait for this one.
    pub(super) fn start(
        name: &str,
        (file, staging): (File, StagingFile),
        staged: Arc<Mutex<Vec<StagingFile>>>,
        digest: Digest,
        flush: bool,
        writer_guard: OwnedRwLockReadGuard<()>,
    ) -> Result<Self> {
        let (tx, rx) = mpsc::channel(QUEUE);
        let (writer_tx, writer) = oneshot::channel();
        let place = staging.target.display().to_string();
        let write = move || {
            let written = write_all(file, staging, rx, digest, flush).map(|mut staging| {
                // Nobody may be left to take the result: then this thread removes the file.
                staging.writer_guard = Some(writer_guard);
                staging
            });
            let _ = writer_tx.send(written);
        };
        match std::thread::Builder::new().name("write".to_owned()).spawn(write) {
            Ok(_) => Ok(Self { tx, writer, name: name.to_string(), staged }),
            Err(error) => Err(Error::no_thread("start a thread that writes the file", error).at(place)),
        }
    }

    pub(super) async fn write(&mut self, parts: Vec<Bytes>) -> Result<()> {
        match self.tx.send(Message::Bytes(parts)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.writer_error().await),
        }
    }

    pub(super) async fn finish(mut self) -> Result<StagedFile> {
        if self.tx.send(Message::End).await.is_err() {
            return Err(self.writer_error().await);
        }
        let staging = (&mut self.writer).await.map_err(|_| ended_early(&self.name))??;
        let file = staging.file().clone();
        lock(&self.staged).push(staging);
        Ok(file)
    }

    /// Why the writing thread has ended early.
    async fn writer_error(&mut self) -> Error {
        match (&mut self.writer).await {
            Ok(Err(error)) => error,
            _ => ended_early(&self.name),
        }
    }
}

/// The error if the writing thread has panicked.
fn ended_early(name: &str) -> Error {
    Error::new(ErrorKind::Bug, "the writing thread ended early").at(name)
}

/// Writes all messages to the file, up to the end.
fn write_all(
    file: File,
    mut staging: StagingFile,
    mut rx: mpsc::Receiver<Message>,
    digest: Digest,
    flush: bool,
) -> Result<StagingFile> {
    let target = staging.target.display().to_string();
    let failed = |error| io_error(error, "write", &target);
    let mut writer = Writer::new(file, digest, flush);
    loop {
        match rx.blocking_recv() {
            Some(Message::Bytes(parts)) => writer.write(parts).map_err(failed)?,
            Some(Message::End) => break,
            None => return Err(Error::new(ErrorKind::Bug, "discarded").at(&target)),
        }
    }
    (staging.file.bytes, staging.file.digest) = writer.finish(flush).map_err(failed)?;
    staging.check()?;
    Ok(staging)
}

/// Hashes bytes and writes them to a file.
struct Writer {
    file: File,
    digest: Digest,
    joined: Vec<u8>,
    bytes: u64,
    flusher: Option<Flusher>,
}

impl Writer {
    fn new(file: File, digest: Digest, flush: bool) -> Self {
        Self { file, digest, joined: Vec::new(), bytes: 0, flusher: flush.then(Flusher::default) }
    }

    fn write(&mut self, parts: Vec<Bytes>) -> std::io::Result<()> {
        let length: usize = parts.iter().map(Bytes::len).sum();
        self.bytes += length as u64;
        if length < parts.len().saturating_mul(SHORT_PIECE) {
            self.write_joined(&parts)?;
        } else {
            for part in &parts {
                self.digest.update_and_wait(part);
            }
            write_vectored(&mut self.file, parts)?;
        }
        if let Some(flusher) = &mut self.flusher {
            flusher.written(&self.file, length);
        }
        Ok(())
    }

    fn write_joined(&mut self, parts: &[Bytes]) -> std::io::Result<()> {
        for part in parts {
            if self.joined.len() + part.len() > JOINED && !self.joined.is_empty() {
                self.write_buffer()?;
            }
            self.joined.extend_from_slice(part);
        }
        self.write_buffer()
    }

    fn write_buffer(&mut self) -> std::io::Result<()> {
        self.digest.update_and_wait(&self.joined);
        self.file.write_all(&self.joined)?;
        self.joined.clear();
        Ok(())
    }

    /// Returns the size and the digest.
    fn finish(self, flush: bool) -> std::io::Result<(u64, String)> {
        let Self { file, digest, bytes, .. } = self;
        if flush {
            file.sync_all()?;
        }
        close(file)?;
        Ok((bytes, digest.finish()))
    }
}

fn write_vectored(file: &mut File, parts: Vec<Bytes>) -> std::io::Result<()> {
    let mut parts: std::collections::VecDeque<Bytes> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    while !parts.is_empty() {
        let slices: Vec<IoSlice<'_>> = parts.iter().take(MAX_SLICES).map(|part| IoSlice::new(part)).collect();
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

/// Starts writeback of a file's pages while the file is still being written, so that the flush at its end has little to
/// do.
#[derive(Default)]
struct Flusher {
    unflushed: usize,
    /// Whether a writeback waits for the flushing thread.
    is_queued: Arc<AtomicBool>,
}

/// A file whose writeback is to be started.
struct Writeback {
    file: File,
    is_queued: Arc<AtomicBool>,
}

/// Sends to the one flushing thread of the process: starting writeback on a busy disk blocks, and all files share the disk. `None`
/// if the system gives no thread: then the flush at the end of a file has more to do.
static FLUSHING_THREAD: LazyLock<Option<std::sync::mpsc::Sender<Writeback>>> = LazyLock::new(|| {
    let (tx, rx) = std::sync::mpsc::channel::<Writeback>();
    let flush = move || {
        for writeback in rx {
            writeback.is_queued.store(false, Ordering::Release);
            start_writeback(&writeback.file);
        }
    };
    std::thread::Builder::new().name("flush".to_owned()).spawn(flush).ok().map(|_| tx)
});

impl Flusher {
    /// Bytes between two writebacks. Small files need none.
    const INTERVAL: usize = 8 << 20;

    fn written(&mut self, file: &File, bytes: usize) {
        self.unflushed += bytes;
        if self.unflushed < Self::INTERVAL {
            return;
        }
        self.unflushed = 0;
        // If one is waiting, it covers these bytes, too.
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        // A second descriptor, only for the moment: the writer keeps the file, and closes it itself.
        if let (Some(tx), Ok(file)) = (&*FLUSHING_THREAD, file.try_clone()) {
            let _ = tx.send(Writeback { file, is_queued: Arc::clone(&self.is_queued) });
        }
    }
}
