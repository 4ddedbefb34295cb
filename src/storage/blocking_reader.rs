//! Reads a stream of bytes on a thread that may block.

use crate::error::Result;
use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::stream::BoxStream;
use std::io::Read;
use tokio::runtime::Handle;

/// The bytes of a stream, for code that is not asynchronous. Only for threads that may block.
pub(crate) struct BlockingReader {
    stream: BoxStream<'static, Result<Bytes>>,
    bytes: Bytes,
    runtime: Handle,
}

impl BlockingReader {
    pub(super) fn new(stream: BoxStream<'static, Result<Bytes>>, runtime: Handle) -> Self {
        Self { stream, bytes: Bytes::new(), runtime }
    }
}

impl Read for BlockingReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.bytes.is_empty() {
            match self.runtime.block_on(self.stream.next()).transpose() {
                Ok(Some(bytes)) => self.bytes = bytes,
                Ok(None) => return Ok(0),
                Err(error) => return Err(std::io::Error::other(error.line())),
            }
        }
        let count = buffer.len().min(self.bytes.len());
        self.bytes.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
