//! Compression of a file of rows while it is written.

use crate::error::{Error, ErrorKind, Result};
use crate::recipe::Compression;
use bytes::Bytes;
use std::io::{self, Write};

impl Compression {
    /// A file's name with the compression's ending.
    pub fn file_name(self, name: &str) -> String {
        match self {
            Self::None => name.to_owned(),
            Self::Gzip => format!("{name}.gz"),
            Self::Zstd => format!("{name}.zst"),
        }
    }
}

/// Compresses one file. The bytes depend on the text alone, not on how it was cut into parts.
pub enum Compressor {
    /// Hands on what it gets.
    None,
    /// gzip without a time stamp.
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    /// Zstandard.
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Compressor {
    /// A compressor for one file.
    pub fn new(compression: Compression) -> Result<Self> {
        Ok(match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6))),
            Compression::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 3).map_err(failed)?),
        })
    }

    /// Takes more of the text; gives what is ready.
    pub async fn push(self, parts: Vec<Bytes>) -> Result<(Self, Vec<Bytes>)> {
        if matches!(self, Self::None) || parts.is_empty() {
            return Ok((self, parts));
        }
        on_a_thread(move || {
            let mut compressor = self;
            let ready = match &mut compressor {
                Self::None => Vec::new(),
                Self::Gzip(encoder) => {
                    parts.iter().try_for_each(|part| encoder.write_all(part))?;
                    std::mem::take(encoder.get_mut())
                }
                Self::Zstd(encoder) => {
                    parts.iter().try_for_each(|part| encoder.write_all(part))?;
                    std::mem::take(encoder.get_mut())
                }
            };
            Ok((compressor, if ready.is_empty() { Vec::new() } else { vec![ready.into()] }))
        })
        .await
    }

    /// The end of the file.
    pub async fn finish(self) -> Result<Bytes> {
        on_a_thread(|| {
            Ok(match self {
                Self::None => Bytes::new(),
                Self::Gzip(encoder) => encoder.finish()?.into(),
                Self::Zstd(encoder) => encoder.finish()?.into(),
            })
        })
        .await
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
