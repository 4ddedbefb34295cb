//! One file on its way into an object store: a multipart upload, its parts sent while they are made.

use super::remote::RunState;
use super::{Stage, Staged, StagedFile, lock};
use crate::error::Result;
use crate::storage::{AbortOnDrop, Location};
use bytes::Bytes;
use object_store::PutPayload;
use object_store::multipart::PartId;
use object_store::path::Path;
use std::collections::VecDeque;
use std::sync::Arc;

/// Parts of all uploads together hold at most so much memory while they are in flight.
pub(crate) const UPLOAD_MEMORY_MIB: usize = 48;

/// So many parts of one upload are in flight.
const PARTS_IN_FLIGHT: usize = 4;

const MIB: usize = 1 << 20;

/// The first parts' size. S3 takes no less than 5 MiB and no more than 10,000 parts.
const FIRST_PART: usize = 8 * MIB;

/// The size doubles every so many parts: 10,000 of them reach 8 TiB, and the first 8 GB take small ones.
const PARTS_BEFORE_DOUBLING: usize = 1000;

/// Pieces shorter than this on average are copied into one before they are sent.
const SHORT: usize = 64 << 10;

/// A finished upload, not yet completed.
pub(super) struct Upload {
    pub(super) location: Location,
    pub(super) path: Path,
    pub(super) id: String,
    pub(super) parts: Vec<PartId>,
    pub(super) bytes: u64,
}

/// Sends bytes as the parts of an upload.
pub(super) struct UploadSink {
    state: Arc<RunState>,
    memory: Arc<tokio::sync::Semaphore>,
    upload: Upload,
    name: String,
    stage: Stage,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    in_flight: VecDeque<AbortOnDrop<Result<PartId>>>,
    parts_begun: usize,
    hasher: blake3::Hasher,
}

impl UploadSink {
    /// Sends to an upload that was begun and marked.
    pub(super) fn new(
        state: Arc<RunState>,
        memory: Arc<tokio::sync::Semaphore>,
        upload: Upload,
        name: &str,
        stage: Stage,
    ) -> Self {
        Self {
            state,
            memory,
            upload,
            name: name.to_string(),
            stage,
            waiting: Vec::new(),
            waiting_bytes: 0,
            in_flight: VecDeque::new(),
            parts_begun: 0,
            hasher: blake3::Hasher::new(),
        }
    }

    pub(super) async fn write(&mut self, parts: Vec<Bytes>) -> Result<()> {
        for mut part in parts {
            while !part.is_empty() {
                let room = part_size(self.parts_begun) - self.waiting_bytes;
                let piece = part.split_to(room.min(part.len()));
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
        let bytes = self.upload.bytes;
        let digest = self.hasher.finalize().to_hex().to_string();
        lock(&self.stage).push(Staged::Remote(self.upload));
        Ok(StagedFile { name: self.name, bytes, digest })
    }

    /// Sends what is waiting as the next part.
    async fn send(&mut self) -> Result<()> {
        while self.in_flight.len() >= PARTS_IN_FLIGHT {
            if let Some(part) = self.in_flight.pop_front() {
                self.upload.parts.push(part.join().await?);
            }
        }
        let length = std::mem::take(&mut self.waiting_bytes);
        let index = self.parts_begun;
        self.parts_begun += 1;
        self.upload.bytes += length as u64;
        let permits = length.div_ceil(MIB).clamp(1, UPLOAD_MEMORY_MIB) as u32;
        let permit = Arc::clone(&self.memory).acquire_many_owned(permits).await;
        let payload = payload(std::mem::take(&mut self.waiting), length);
        for piece in &payload {
            self.hasher.update(piece);
        }
        let (state, path, id) = (Arc::clone(&self.state), self.upload.path.clone(), self.upload.id.clone());
        let location = self.upload.location.clone();
        let send = async move {
            let _held_while_in_flight = permit;
            let store = &state.remote.store;
            let sent = state.remote.retry.run(|| store.put_part(&path, &id, index, payload.clone())).await;
            match sent {
                Ok(part) => Ok(part),
                Err(error) => Err(state.refused(&error, &location).await),
            }
        };
        self.in_flight.push_back(AbortOnDrop(tokio::spawn(send)));
        Ok(())
    }
}

fn payload(pieces: Vec<Bytes>, length: usize) -> PutPayload {
    if length >= pieces.len().saturating_mul(SHORT) {
        return PutPayload::from_iter(pieces);
    }
    let mut whole = Vec::with_capacity(length);
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    PutPayload::from(whole)
}

fn part_size(index: usize) -> usize {
    FIRST_PART << (index / PARTS_BEFORE_DOUBLING).min(9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_reach_five_terabytes() {
        let reach: u128 = (0..10_000).map(|index| part_size(index) as u128).sum();
        assert!(reach > 5_000_000_000_000);
        assert!((0..10_000).all(|index| part_size(index) <= 5 << 30));
        assert_eq!(part_size(0), 8 << 20);
        assert_eq!(part_size(999), 8 << 20);
        assert_eq!(part_size(1000), 16 << 20);
    }
}
