//! Compression of a file of rows while it is written.

use crate::error::{Error, ErrorKind, Result};
use crate::recipe::Compression;
use bytes::Bytes;
use std::io::{self, Write};

impl Compression {
    /// A file's name with the compression's ending.
    pub(crate) fn file_name(self, name: &str) -> String {
        match self {
            Self::None => name.to_owned(),
            Self::Gzip => format!("{name}.gz"),
            Self::Zstd => format!("{name}.zst"),
        }
    }
}

/// The encoders are fed blocks of this size: what zlib makes of a text depends on how it is cut, and how a file's rows are
/// cut depends on which other cuts are asked for.
const BLOCK: usize = 256 << 10;

/// Compresses one file. The bytes depend on the text alone, not on how it was cut into parts.
pub(crate) struct Compressor {
    encoder: Encoder,
    /// Less than a block.
    pending: Vec<u8>,
}

enum Encoder {
    /// Hands on what it gets.
    None,
    /// gzip without a time stamp.
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Compressor {
    /// A compressor for one file.
    pub(crate) fn new(compression: Compression) -> Result<Self> {
        let encoder = match compression {
            Compression::None => Encoder::None,
            Compression::Gzip => Encoder::Gzip(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6))),
            Compression::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 3).map_err(failed)?),
        };
        Ok(Self { encoder, pending: Vec::new() })
    }

    /// Takes more of the text; gives what is ready.
    pub(crate) async fn push(mut self, parts: Vec<Bytes>) -> Result<(Self, Vec<Bytes>)> {
        if matches!(self.encoder, Encoder::None) || parts.is_empty() {
            return Ok((self, parts));
        }
        on_a_thread(move || {
            for part in &parts {
                self.feed(part)?;
            }
            let ready = self.encoder.take();
            Ok((self, if ready.is_empty() { Vec::new() } else { vec![ready.into()] }))
        })
        .await
    }

    fn feed(&mut self, mut part: &[u8]) -> io::Result<()> {
        while self.pending.len() + part.len() >= BLOCK {
            let (head, rest) = part.split_at(BLOCK - self.pending.len());
            self.pending.extend_from_slice(head);
            self.encoder.write(&self.pending)?;
            self.pending.clear();
            part = rest;
        }
        self.pending.extend_from_slice(part);
        Ok(())
    }

    /// The end of the file.
    pub(crate) async fn finish(mut self) -> Result<Bytes> {
        on_a_thread(move || {
            self.encoder.write(&self.pending)?;
            Ok(match self.encoder {
                Encoder::None => Bytes::new(),
                Encoder::Gzip(encoder) => encoder.finish()?.into(),
                Encoder::Zstd(encoder) => encoder.finish()?.into(),
            })
        })
        .await
    }
}

impl Encoder {
    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Gzip(encoder) => encoder.write_all(block),
            Self::Zstd(encoder) => encoder.write_all(block),
        }
    }

    /// What is ready.
    fn take(&mut self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Gzip(encoder) => std::mem::take(encoder.get_mut()),
            Self::Zstd(encoder) => std::mem::take(encoder.get_mut()),
        }
    }
}

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::new(ErrorKind::Bug, "the compression panicked"))?
        .map_err(failed)
}

fn failed(error: io::Error) -> Error {
    Error::new(ErrorKind::Bug, "compressing in memory failed").caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[tokio::test]
    async fn what_is_compressed_comes_back_and_does_not_depend_on_the_parts() {
        let text = "a row of a mix\n".repeat(100_000).into_bytes();
        for compression in [Compression::Gzip, Compression::Zstd] {
            let mut files = Vec::new();
            for part in [1000, 77_777, text.len()] {
                let mut compressor = Compressor::new(compression).unwrap();
                let mut file = Vec::new();
                for part in text.chunks(part) {
                    let ready;
                    (compressor, ready) = compressor.push(vec![Bytes::copy_from_slice(part)]).await.unwrap();
                    file.extend(ready.concat());
                }
                file.extend_from_slice(&compressor.finish().await.unwrap());
                files.push(file);
            }
            assert!(files.iter().all(|file| *file == files[0]), "{compression:?}");
            let mut back = Vec::new();
            match compression {
                Compression::Gzip => flate2::read::GzDecoder::new(&files[0][..]).read_to_end(&mut back).unwrap(),
                _ => zstd::stream::read::Decoder::new(&files[0][..]).unwrap().read_to_end(&mut back).unwrap(),
            };
            assert!(back == text);
        }
    }
}
