//! Compression.

use bytes::{Buf, Bytes};
use std::io::{self, Write};

/// Encoders receive the content in blocks of this size. zlib's output depends on how its input is cut, and the cut of the
/// rows of one file depends on which other files are written.
const BLOCK: usize = 256 << 10;

/// Compressed bytes per piece: enough to be worth a write, few enough that many files at once need little memory.
const PIECE: usize = 256 << 10;

pub(crate) type GzipEncoder = flate2::write::GzEncoder<Vec<u8>>;
pub(crate) type ZstdEncoder = zstd::stream::write::Encoder<'static, Vec<u8>>;

/// A gzip encoder without a time stamp.
pub(super) fn gzip() -> GzipEncoder {
    GzipEncoder::new(Vec::new(), flate2::Compression::new(6))
}

pub(super) fn zstd() -> io::Result<ZstdEncoder> {
    ZstdEncoder::new(Vec::new(), 3)
}

/// An encoder that writes to memory.
pub(crate) trait Encoder: Write {
    fn output(&mut self) -> &mut Vec<u8>;
    fn finish(self) -> io::Result<Vec<u8>>;
}

impl Encoder for GzipEncoder {
    fn output(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        self.finish()
    }
}

impl Encoder for ZstdEncoder {
    fn output(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        self.finish()
    }
}

/// Feeds an encoder blocks of a fixed size.
pub(crate) struct Blocks<E> {
    encoder: E,
    /// Less than a block.
    pending: Vec<u8>,
}

impl<E: Encoder> Blocks<E> {
    pub(super) fn new(encoder: E) -> Self {
        Self { encoder, pending: Vec::with_capacity(BLOCK) }
    }

    pub(super) fn push(&mut self, input: &mut Bytes) -> io::Result<Option<Bytes>> {
        while !input.is_empty() {
            let taken = input.len().min(BLOCK - self.pending.len());
            self.pending.extend_from_slice(&input[..taken]);
            input.advance(taken);
            if self.pending.len() == BLOCK {
                self.encoder.write_all(&self.pending)?;
                self.pending.clear();
                if self.encoder.output().len() >= PIECE {
                    return Ok(Some(std::mem::take(self.encoder.output()).into()));
                }
            }
        }
        Ok(None)
    }

    pub(super) fn finish(mut self) -> io::Result<Bytes> {
        self.encoder.write_all(&self.pending)?;
        Ok(self.encoder.finish()?.into())
    }
}
