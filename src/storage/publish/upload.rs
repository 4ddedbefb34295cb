//! One file that is written to an object store: a multipart upload, whose parts are sent while they are produced.

use super::lease::{BegunUpload, Lease};
use super::run::Run;
use super::staged_file::StagedFile;
use crate::error::Result;
use crate::hash_map::lock;
use crate::storage::digest::Digest;
use crate::storage::shared::UPLOAD_MEMORY_MIB;
use crate::storage::task::AbortOnDrop;
use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{MultipartId, PutPayload};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// Maximum number of parts of one upload in flight.
const PARTS_IN_FLIGHT: usize = 4;

const MIB: usize = 1 << 20;

/// Size of the first parts. S3 accepts at least 5 MiB and at most 10,000 parts.
const FIRST_PART: usize = 8 * MIB;

/// Number of parts after which their size doubles: 10,000 parts reach 8 TiB, and the first 8 GB are sent in small ones.
const PARTS_BEFORE_DOUBLING: usize = 1000;

/// Pieces that are shorter on average are joined before they are sent.
const SHORT_PIECE: usize = 64 << 10;

/// An upload whose parts are all sent, and which is not completed yet.
pub(super) struct Upload {
    target: BegunUpload,
    parts: Vec<PartId>,
    file: StagedFile,
}

impl Upload {
    pub(super) fn id(&self) -> &MultipartId {
        &self.target.id
    }

    pub(super) fn path(&self) -> &Path {
        &self.target.path
    }

    /// What it holds.
    pub(super) fn file(&self) -> &StagedFile {
        &self.file
    }

    /// Makes the object visible. After a lost response, or if the upload is gone because an earlier attempt succeeded, the object's
    /// size and run decide.
    ///
    /// # Errors
    /// Another run has aborted the upload ([`crate::error::ErrorKind::TryAgain`]), or the store does not respond.
    pub(super) async fn complete(&self, run: &Run, lease: &Lease) -> Result<()> {
        let store = &run.remote.store;
        let complete = || store.complete_multipart(&self.target.path, &self.target.id, self.parts.clone());
        let Err(error) = run.remote.retry.run(complete).await else { return Ok(()) };
        match run.has_made(&self.target.path, self.file.bytes).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(lease.upload_error(&error, &self.target.location).await),
            Err(error) => Err(run.remote.error(&error, &self.target.location)),
        }
    }
}

/// Sends bytes as the parts of an upload.
pub(super) struct UploadSink {
    run: Arc<Run>,
    lease: Arc<Lease>,
    memory: Arc<Semaphore>,
    upload: Upload,
    staged: Arc<Mutex<Vec<Upload>>>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    in_flight: VecDeque<AbortOnDrop<Result<PartId>>>,
    parts_begun: usize,
    digest: Digest,
}

impl UploadSink {
    /// A sink for an upload that the lease names. The finished upload is added to `staged`.
    pub(super) fn new(
        run: Arc<Run>,
        lease: Arc<Lease>,
        memory: Arc<Semaphore>,
        target: BegunUpload,
        digest: Digest,
        name: &str,
        staged: Arc<Mutex<Vec<Upload>>>,
    ) -> Self {
        Self {
            run,
            lease,
            memory,
            upload: Upload {
                target,
                parts: Vec::new(),
                file: StagedFile { name: name.to_owned(), bytes: 0, digest: String::new() },
            },
            staged,
            waiting: Vec::new(),
            waiting_bytes: 0,
            in_flight: VecDeque::new(),
            parts_begun: 0,
            digest,
        }
    }

    pub(super) async fn write(&mut self, parts: Vec<Bytes>) -> Result<()> {
        for mut part in join_short(parts) {
            while !part.is_empty() {
                let available = part_size(self.parts_begun) - self.waiting_bytes;
                let piece = part.split_to(available.min(part.len()));
                self.waiting_bytes += piece.len();
                self.waiting.push(piece);
                if self.waiting_bytes == part_size(self.parts_begun) {
                    self.send().await?;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<StagedFile> {
        if self.waiting_bytes > 0 {
            self.send().await?;
        }
        while let Some(part) = self.in_flight.pop_front() {
            self.upload.parts.push(part.join().await?);
        }
        let Self { mut upload, digest, staged, .. } = self;
        upload.file.digest = digest.finish();
        let file = upload.file.clone();
        lock(&staged).push(upload);
        Ok(file)
    }

    /// Sends the waiting bytes as the next part.
    async fn send(&mut self) -> Result<()> {
        while self.in_flight.len() >= PARTS_IN_FLIGHT {
            if let Some(part) = self.in_flight.pop_front() {
                self.upload.parts.push(part.join().await?);
            }
        }
        let length = std::mem::take(&mut self.waiting_bytes);
        let index = self.parts_begun;
        self.parts_begun += 1;
        self.upload.file.bytes += length as u64;
        let permits = length.div_ceil(MIB).clamp(1, UPLOAD_MEMORY_MIB) as u32;
        let permit = Arc::clone(&self.memory).acquire_many_owned(permits).await;
        let payload = payload(std::mem::take(&mut self.waiting), length);
        self.digest.update(payload.iter().cloned().collect()).await?;
        let (run, path, id) = (Arc::clone(&self.run), self.upload.target.path.clone(), self.upload.target.id.clone());
        let (lease, location) = (Arc::clone(&self.lease), self.upload.target.location.clone());
        let send = async move {
            let _held_while_in_flight = permit;
            let store = &run.remote.store;
            let sent = run.remote.retry.run(|| store.put_part(&path, &id, index, payload.clone())).await;
            match sent {
                Ok(part) => Ok(part),
                Err(error) => Err(lease.upload_error(&error, &location).await),
            }
        };
        self.in_flight.push_back(AbortOnDrop(tokio::spawn(send)));
        Ok(())
    }
}

/// Joins pieces that are short on average. A slice keeps the whole buffer that it is part of in memory, so many short slices
/// that wait for a part to fill up would cost far more than the part.
fn join_short(pieces: Vec<Bytes>) -> Vec<Bytes> {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    if length >= pieces.len().saturating_mul(SHORT_PIECE) {
        return pieces;
    }
    vec![pieces.concat().into()]
}

fn payload(pieces: Vec<Bytes>, length: usize) -> PutPayload {
    if length >= pieces.len().saturating_mul(SHORT_PIECE) {
        return PutPayload::from_iter(pieces);
    }
    let mut joined = Vec::with_capacity(length);
    pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
    PutPayload::from(joined)
}

fn part_size(index: usize) -> usize {
    FIRST_PART << (index / PARTS_BEFORE_DOUBLING).min(9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_pieces_do_not_keep_their_buffers() {
        let buffer = Bytes::from(vec![7; 1 << 20]);
        let joined = join_short(vec![buffer.slice(..10), buffer.slice(20..30)]);
        assert_eq!(joined, [Bytes::from(vec![7; 20])]);
        drop(joined.clone());
        assert!(buffer.is_unique(), "no slice of the buffer is left");
        let long = vec![buffer.slice(..SHORT_PIECE), buffer.slice(SHORT_PIECE..)];
        assert_eq!(join_short(long.clone()), long);
    }

    #[test]
    fn ten_thousand_parts_reach_five_terabytes() {
        let total: u128 = (0..10_000).map(|index| part_size(index) as u128).sum();
        assert!(total > 5_000_000_000_000);
        assert!((0..10_000).all(|index| part_size(index) <= 5 << 30));
        assert_eq!(part_size(0), 8 << 20);
        assert_eq!(part_size(999), 8 << 20);
        assert_eq!(part_size(1000), 16 << 20);
    }
}
