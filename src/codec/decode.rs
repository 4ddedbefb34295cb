//! Decompression.

use bytes::{Buf, Bytes};
use flate2::write::GzDecoder;
use std::io::{self, Write};
use zstd::stream::raw::{InBuffer, Operation, OutBuffer};

/// Decompressed bytes per piece.
const PIECE: usize = 4 << 20;

/// The largest window of a Zstandard frame, 128 MiB: what every decoder accepts unless it is asked for more. Each file that is read
/// at a time may take that much memory.
const MAX_WINDOW_LOG: u32 = 27;

/// One call of the gzip decoder writes at most two of its buffers of 32 KiB: with this much space behind a piece, the
/// piece is never moved to a larger allocation.
const GZIP_SLACK: usize = 64 << 10;

/// Decompresses gzip: members, one after another, and zeros behind them, with which tapes and block devices fill up.
pub(crate) struct GzipDecoder(GzDecoder<Vec<u8>>);

impl Default for GzipDecoder {
    fn default() -> Self {
        Self(GzDecoder::new(Self::new_piece()))
    }
}

impl GzipDecoder {
    fn new_piece() -> Vec<u8> {
        Vec::with_capacity(PIECE + GZIP_SLACK)
    }

    pub(super) fn push(&mut self, input: &mut Bytes) -> io::Result<Option<Bytes>> {
        while !input.is_empty() {
            match self.0.write(input)? {
                // The member has ended.
                0 => match input.iter().take_while(|byte| **byte == 0).count() {
                    0 => self.start_member()?,
                    zeros => input.advance(zeros),
                },
                used => input.advance(used),
            }
            if self.0.get_ref().len() >= PIECE {
                return Ok(Some(std::mem::replace(self.0.get_mut(), Self::new_piece()).into()));
            }
        }
        Ok(None)
    }

    fn start_member(&mut self) -> io::Result<()> {
        let ended = std::mem::replace(&mut self.0, GzDecoder::new(Vec::new()));
        self.0 = GzDecoder::new(ended.finish()?);
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Bytes> {
        if let Err(error) = self.0.try_finish() {
            // The decoder reports an incomplete trailer like a wrong checksum. Only an incomplete one accepts more bytes.
            let is_truncated = error.kind() != io::ErrorKind::UnexpectedEof && matches!(self.0.write(&[0]), Ok(1..));
            return Err(if is_truncated { unexpected_end("the gzip trailer is incomplete") } else { error });
        }
        Ok(std::mem::take(self.0.get_mut()).into())
    }
}

/// Decompresses Zstandard. (zstd's `write::Decoder` cannot tell an incomplete last frame from output that it still holds.)
pub(crate) struct ZstdDecoder {
    decoder: zstd::stream::raw::Decoder<'static>,
    piece: Vec<u8>,
    /// Whether the input up to here is a number of complete frames, and at least one.
    frame_ended: bool,
}

impl ZstdDecoder {
    pub(super) fn new() -> io::Result<Self> {
        let mut decoder = zstd::stream::raw::Decoder::new()?;
        decoder.set_parameter(zstd::stream::raw::DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
        Ok(Self { decoder, piece: Vec::with_capacity(PIECE), frame_ended: false })
    }

    pub(super) fn push(&mut self, input: &mut Bytes) -> io::Result<Option<Bytes>> {
        while !input.is_empty() {
            if self.frame_ended {
                self.decoder.reinit()?;
                self.frame_ended = false;
            }
            let used = self.run(input)?;
            input.advance(used);
            if self.piece.len() >= PIECE {
                return Ok(Some(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE)).into()));
            }
        }
        Ok(None)
    }

    /// Decompresses until the input is used up, the piece is full or a frame has ended; returns how much of the input was
    /// used.
    fn run(&mut self, input: &[u8]) -> io::Result<usize> {
        let mut input = InBuffer::around(input);
        let filled = self.piece.len();
        let mut output = OutBuffer::around_pos(&mut self.piece, filled);
        let hint = self.decoder.run(&mut input, &mut output).map_err(named)?;
        self.frame_ended = hint == 0;
        Ok(input.pos())
    }

    pub(super) fn finish(mut self) -> io::Result<Bytes> {
        // The last piece may have been full while the decoder still held output, at most one block of 128 KiB.
        while !self.frame_ended {
            let before = self.piece.len();
            self.piece.reserve(1);
            self.run(&[])?;
            if self.piece.len() == before && !self.frame_ended {
                return Err(unexpected_end("the last Zstandard frame is incomplete"));
            }
        }
        Ok(self.piece.into())
    }
}

/// An error of the decoder, with what its name for it leaves out.
fn named(error: io::Error) -> io::Error {
    if error.to_string().contains("too much memory") {
        let message = format!(
            "a frame needs a window of more than {} MiB; compress the file again without --long",
            1 << (MAX_WINDOW_LOG - 20)
        );
        return io::Error::new(io::ErrorKind::InvalidData, message);
    }
    error
}

fn unexpected_end(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}
