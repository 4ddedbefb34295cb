//! A reader of decoded bytes, for code that pulls.

use super::name::Codec;
use super::transform::Transform;
use bytes::Bytes;
use std::io::{self, Read};

/// The number of stored bytes that are read at a time.
const CHUNK: usize = 256 << 10;

/// Reads the content of one stored file.
pub(crate) struct DecodingReader<R> {
    stored: R,
    /// `None` once the stored bytes have ended.
    decoder: Option<Transform>,
    input: Bytes,
    output: Bytes,
}

impl<R: Read> DecodingReader<R> {
    /// A reader for `stored` bytes of a codec.
    ///
    /// # Errors
    /// If there is no decoder.
    pub(crate) fn new(codec: Codec, stored: R) -> io::Result<Self> {
        Ok(Self { stored, decoder: Some(codec.decoder()?), input: Bytes::new(), output: Bytes::new() })
    }

    /// Reads and decodes until there is output, or the file has ended.
    fn fill(&mut self) -> io::Result<()> {
        while self.output.is_empty()
            && let Some(decoder) = &mut self.decoder
        {
            if !self.input.is_empty() {
                self.output = decoder.push(&mut self.input)?.unwrap_or_default();
                continue;
            }
            let mut chunk = Vec::with_capacity(CHUNK);
            self.stored.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
            self.input = chunk.into();
            if self.input.is_empty()
                && let Some(decoder) = self.decoder.take()
            {
                self.output = decoder.finish()?;
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for DecodingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let length = buffer.len().min(self.output.len());
        buffer[..length].copy_from_slice(&self.output.split_to(length));
        Ok(length)
    }
}
