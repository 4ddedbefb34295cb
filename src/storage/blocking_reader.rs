//! Reads a stream of bytes on a thread that may block.

use super::object::ObjectInfo;
use super::reader;
use super::shared::Shared;
use crate::error::Result;
use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::stream::BoxStream;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// How often a reader that waits for bytes looks whether a signal is ending the run.
const POLL: Duration = Duration::from_millis(50);

/// The bytes of a stream, for code that is not asynchronous. Only for threads that may block. An error of the stream is the inner error
/// of the [`std::io::Error`].
pub(crate) struct BlockingReader {
    stream: BoxStream<'static, Result<Bytes>>,
    bytes: Bytes,
    object: ObjectInfo,
    runtime: Handle,
    shared: Arc<Shared>,
}

impl BlockingReader {
    /// Reads `stream`, which has the bytes of the object.
    pub(super) fn new(
        stream: BoxStream<'static, Result<Bytes>>,
        object: ObjectInfo,
        runtime: Handle,
        shared: Arc<Shared>,
    ) -> Self {
        Self { stream, bytes: Bytes::new(), object, runtime, shared }
    }

    /// Whether the file is gone or another one since it was opened: then an error of the stream means no more than that.
    pub(crate) fn is_replaced(&self) -> bool {
        match self.runtime.block_on(reader::stat(&self.shared, &self.object.location)) {
            Ok(Some(now)) => now.size != self.object.size || now.version != self.object.version,
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// The next bytes; `None` at the end.
    fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        loop {
            let stream = &mut self.stream;
            match self.runtime.block_on(async { tokio::time::timeout(POLL, stream.next()).await }) {
                Ok(next) => return next.transpose().map_err(std::io::Error::other),
                Err(_) if self.shared.is_stopping() => return Err(std::io::Error::other("the run is stopping")),
                Err(_) => {}
            }
        }
    }
}

impl Read for BlockingReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.bytes.is_empty() {
            match self.next()? {
                Some(bytes) => self.bytes = bytes,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.bytes.len());
        self.bytes.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
