//! Decompression of a stream of bytes, in pieces of bounded size.

use super::Codec;
use bytes::Bytes;
use std::io::{self, Read};

/// How many decompressed bytes are handed on at a time.
const PIECE: usize = 4 << 20;

/// Hands the pieces of a file on, decompressed.
///
/// `chunks` gives the stored bytes in order. A stream that ends in the middle of a gzip member or a Zstandard frame is an
/// error of kind [`io::ErrorKind::UnexpectedEof`].
pub(crate) fn decode(
    codec: Codec,
    chunks: impl Iterator<Item = io::Result<Bytes>>,
    mut hand_on: impl FnMut(Bytes) -> io::Result<()>,
) -> io::Result<()> {
    let mut reader = ChunksReader { chunks, current: Bytes::new() };
    match codec {
        Codec::Plain => reader.chunks.try_for_each(|chunk| hand_on(chunk?)),
        Codec::Gzip => {
            // A file of no bytes is no gzip member; the decoder would take it for an empty one.
            reader.refill()?;
            if reader.current.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty, which no gzip file is"));
            }
            pieces(flate2::read::MultiGzDecoder::new(reader), hand_on)
        }
        Codec::Zstd => pieces(zstd::stream::read::Decoder::new(reader)?, hand_on),
    }
}

fn pieces(mut decoder: impl Read, mut hand_on: impl FnMut(Bytes) -> io::Result<()>) -> io::Result<()> {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let read = decoder.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        hand_on(piece.into())?;
    }
}

struct ChunksReader<I> {
    chunks: I,
    current: Bytes,
}

impl<I: Iterator<Item = io::Result<Bytes>>> ChunksReader<I> {
    fn refill(&mut self) -> io::Result<()> {
        while self.current.is_empty() {
            match self.chunks.next() {
                Some(chunk) => self.current = chunk?,
                None => break,
            }
        }
        Ok(())
    }
}

impl<I: Iterator<Item = io::Result<Bytes>>> Read for ChunksReader<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.refill()?;
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(codec: Codec, stored: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let chunks = stored.chunks(7).map(|chunk| Ok(Bytes::copy_from_slice(chunk)));
        decode(codec, chunks, |piece| {
            out.extend_from_slice(&piece);
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn every_codec_gives_the_text_back() {
        let text = "knowledge ".repeat(1000).into_bytes();
        let members = [gzip(&text[..500]), gzip(&text[500..])].concat();
        let frames = [zstd::encode_all(&text[..9], 3).unwrap(), zstd::encode_all(&text[9..], 3).unwrap()].concat();
        for (codec, stored) in [(Codec::Plain, &text), (Codec::Gzip, &members), (Codec::Zstd, &frames)] {
            assert_eq!(decoded(codec, stored).unwrap(), text, "{codec:?}");
        }
    }

    #[test]
    fn what_is_cut_short_or_something_else_is_an_error() {
        let text = "knowledge ".repeat(1000).into_bytes();
        let (gz, zst) = (gzip(&text), zstd::encode_all(&text[..], 3).unwrap());
        for end in [1, 9, 20, gz.len() - 9, gz.len() - 1] {
            assert!(decoded(Codec::Gzip, &gz[..end]).is_err(), "gzip cut at {end} of {}", gz.len());
        }
        for end in [1, 4, 9, zst.len() - 1] {
            assert!(decoded(Codec::Zstd, &zst[..end]).is_err(), "zstd cut at {end} of {}", zst.len());
        }
        assert!(decoded(Codec::Gzip, b"").is_err());
        assert!(decoded(Codec::Gzip, b"{\"a\": 1}\n").is_err());
        assert!(decoded(Codec::Zstd, b"{\"a\": 1}\n").is_err());
    }
}
