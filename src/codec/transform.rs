//! The push interface: bytes go in as they come, pieces of bounded size come out.

use super::decode::{GzipDecoder, ZstdDecoder};
use super::encode::{Blocks, GzipEncoder, ZstdEncoder};
use bytes::Bytes;
use std::io;

/// A decoder or encoder for one file.
pub(crate) enum Transform {
    /// Passes the bytes through without a copy.
    None,
    /// Stored gzip to content.
    GzipDecoder(Box<GzipDecoder>),
    /// Stored Zstandard to content.
    ZstdDecoder(ZstdDecoder),
    /// Content to gzip.
    GzipEncoder(Blocks<GzipEncoder>),
    /// Content to Zstandard.
    ZstdEncoder(Blocks<ZstdEncoder>),
}

impl Transform {
    /// Whether bytes pass through unchanged, so that calling it costs nothing.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Consumes bytes from the front of `input`. Returns early with a piece of output as soon as one is complete, so that
    /// the caller decides how much output exists at a time; call it until `input` is empty.
    pub(crate) fn push(&mut self, input: &mut Bytes) -> io::Result<Option<Bytes>> {
        match self {
            Self::None => Ok(Some(std::mem::take(input)).filter(|bytes| !bytes.is_empty())),
            Self::GzipDecoder(decoder) => decoder.push(input),
            Self::ZstdDecoder(decoder) => decoder.push(input),
            Self::GzipEncoder(encoder) => encoder.push(input),
            Self::ZstdEncoder(encoder) => encoder.push(input),
        }
    }

    /// Ends the file. Returns the rest of the output, at most a little more than a piece.
    pub(crate) fn finish(self) -> io::Result<Bytes> {
        match self {
            Self::None => Ok(Bytes::new()),
            Self::GzipDecoder(decoder) => decoder.finish(),
            Self::ZstdDecoder(decoder) => decoder.finish(),
            Self::GzipEncoder(encoder) => encoder.finish(),
            Self::ZstdEncoder(encoder) => encoder.finish(),
        }
    }
}
