//! The stored bytes of a file on their way to rows: hashed, decompressed, checked and split.

use super::chunk::Chunk;
use super::foreign::{self, Foreign};
use super::format::{Container, FileFormat};
use super::limits::{cannot_split, expands_too_much, max_content};
use super::lines::Splitter;
use super::parquet::ParquetRows;
use super::visitor::RowVisitor;
use crate::codec::{Codec, Transform};
use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use std::io;

/// The bytes of a file on their way to chunks of rows. It moves to a job on the pool for each step, and back.
pub(super) struct StoredBytes {
    format: FileFormat,
    max_row_bytes: usize,
    hasher: blake3::Hasher,
    bytes: u64,
    /// The number of bytes of content so far.
    content_bytes: u64,
    /// Hashed, but not decompressed yet.
    input: Bytes,
    /// The first bytes, while they are too few to show what the file is.
    start: Bytes,
    codec: Codec,
    /// `None` until the first bytes have shown it.
    decoder: Option<Transform>,
    content: Content,
}

enum Content {
    Text(Splitter),
    /// A Parquet file is held in memory completely while it is read: its footer is at the end.
    Parquet(Vec<Bytes>),
}

/// The end of a file.
pub(super) struct End {
    /// The size of the file as stored.
    pub(super) bytes: u64,
    /// The digest of the file as stored.
    pub(super) digest: String,
    /// The rows of a Parquet file.
    pub(super) parquet: Option<ParquetRows>,
    /// What the file is, if that is not what its name says.
    pub(super) unlike_name: Option<&'static str>,
}

impl StoredBytes {
    /// For a file of a format by its name, whose rows have at most `max_row_bytes`.
    pub(super) fn new(format: FileFormat, max_row_bytes: usize) -> Self {
        let content = match format.container {
            Container::Lines => Content::Text(Splitter::new(false, max_row_bytes)),
            Container::LinesOrArray => Content::Text(Splitter::new(true, max_row_bytes)),
            Container::Parquet => Content::Parquet(Vec::new()),
        };
        Self {
            format,
            max_row_bytes,
            hasher: blake3::Hasher::new(),
            bytes: 0,
            content_bytes: 0,
            input: Bytes::new(),
            start: Bytes::new(),
            codec: format.codec,
            decoder: None,
            content,
        }
    }

    /// Whether there is input that [`advance`](Self::advance) has not processed.
    pub(super) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Adds the next stored bytes, after all before them are processed.
    pub(super) fn receive(&mut self, bytes: Bytes) {
        self.hasher.update(&bytes);
        self.bytes += bytes.len() as u64;
        if self.decoder.is_some() {
            self.input = bytes;
            return;
        }
        self.start = if self.start.is_empty() { bytes } else { [&self.start[..], &bytes].concat().into() };
        if self.start.len() >= foreign::START {
            self.input = std::mem::take(&mut self.start);
        }
    }

    /// Processes input until some rows are complete or it is used up.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] if the file is damaged, or larger than a limit.
    pub(super) fn advance(&mut self, parser: &impl RowVisitor) -> Result<Vec<Chunk>> {
        while !self.input.is_empty() {
            let decoder = match &mut self.decoder {
                Some(decoder) => decoder,
                // A name may be wrong: a store may decompress what it sends, a tool may compress what it names `.jsonl`.
                empty => {
                    refuse_foreign(parser, &self.input)?;
                    self.codec = Codec::of_content(&self.input).unwrap_or(self.codec);
                    empty.insert(self.codec.decoder().map_err(|error| invalid(parser, self.codec, error))?)
                }
            };
            let piece = decoder.push(&mut self.input);
            let Some(piece) = piece.map_err(|error| invalid(parser, self.codec, error))? else { continue };
            self.check_content(parser, &piece)?;
            match &mut self.content {
                Content::Text(splitter) => {
                    let error = |error| cannot_split(parser.place(), error, self.max_row_bytes);
                    return splitter.push(piece).map_err(error);
                }
                Content::Parquet(pieces) => pieces.push(piece),
            }
        }
        Ok(Vec::new())
    }

    /// Checks a piece of content before it is used: what its first bytes say, and how much of it there is.
    fn check_content(&mut self, parser: &impl RowVisitor, piece: &Bytes) -> Result<()> {
        if self.content_bytes == 0 && !piece.is_empty() {
            match (&self.content, &piece[..]) {
                (Content::Text(_), [b'P', b'A', b'R', b'1', ..]) => self.content = Content::Parquet(Vec::new()),
                (Content::Parquet(_), [b'{' | b'[', ..]) => {
                    self.content = Content::Text(Splitter::new(true, self.max_row_bytes));
                }
                _ => refuse_foreign(parser, piece)?,
            }
        }
        self.content_bytes += piece.len() as u64;
        if self.codec != Codec::None && self.content_bytes > max_content(self.bytes) {
            return Err(expands_too_much(parser.place()));
        }
        Ok(())
    }

    /// Ends the file; returns the last rows of a text.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub(super) fn finish(mut self, parser: &impl RowVisitor) -> Result<(End, Vec<Chunk>)> {
        let mut chunks = Vec::new();
        if self.decoder.is_none() {
            self.input = std::mem::take(&mut self.start);
        }
        while !self.input.is_empty() {
            chunks.extend(self.advance(parser)?);
        }
        let decoder = self.decoder.take().map_or_else(|| self.codec.decoder(), Ok);
        let rest = decoder.and_then(Transform::finish).map_err(|error| invalid(parser, self.codec, error))?;
        self.check_content(parser, &rest)?;
        let digest = self.hasher.finalize().to_hex().to_string();
        let mut end = End { bytes: self.bytes, digest, parquet: None, unlike_name: self.unlike_name() };
        match self.content {
            Content::Text(mut splitter) => {
                let pushed = splitter.push(rest);
                let last = pushed.and_then(|first| Ok([first, splitter.finish()?].concat()));
                let last = last.map_err(|error| cannot_split(parser.place(), error, self.max_row_bytes))?;
                chunks.extend(last);
                Ok((end, chunks))
            }
            Content::Parquet(mut pieces) => {
                pieces.push(rest);
                pieces.retain(|piece| !piece.is_empty());
                let file = if pieces.len() == 1 { pieces.swap_remove(0) } else { pieces.concat().into() };
                drop(pieces);
                let parquet = ParquetRows::open(file, parser.columns().into_iter());
                end.parquet = Some(parquet.map_err(|error| invalid_parquet(parser, error))?);
                Ok((end, chunks))
            }
        }
    }

    /// What the file is, if that is not what its name says.
    fn unlike_name(&self) -> Option<&'static str> {
        let is_parquet = matches!(self.content, Content::Parquet(_));
        match (is_parquet, self.format.container == Container::Parquet) {
            (true, false) => Some("Parquet"),
            (false, true) => Some("JSON"),
            _ => Some(self.codec).filter(|codec| *codec != self.format.codec).map(Codec::display_name),
        }
    }
}

/// Refuses a file that is something else than rows, by its first bytes.
fn refuse_foreign(parser: &impl RowVisitor, start: &[u8]) -> Result<()> {
    match foreign::of_content(start) {
        None => Ok(()),
        Some(Foreign { what, advice }) => {
            Err(Error::new(ErrorKind::Data, format!("the file is {what}")).at(parser.place()).hint(advice))
        }
    }
}

fn invalid(parser: &impl RowVisitor, codec: Codec, error: io::Error) -> Error {
    let message = match (codec, error.kind()) {
        (Codec::None, _) => "cannot read the file",
        (Codec::Gzip, io::ErrorKind::UnexpectedEof) => "the gzip file is truncated",
        (Codec::Gzip, _) => "not a valid gzip file",
        (Codec::Zstd, io::ErrorKind::UnexpectedEof) => "the Zstandard file is truncated",
        (Codec::Zstd, _) => "not a valid Zstandard file",
    };
    invalid_file(parser, message).caused_by(error)
}

/// The error for a damaged Parquet file.
pub(super) fn invalid_parquet(parser: &impl RowVisitor, error: parquet::errors::ParquetError) -> Error {
    invalid_file(parser, "not a valid Parquet file").caused_by(error)
}

fn invalid_file(parser: &impl RowVisitor, message: &str) -> Error {
    Error::new(ErrorKind::Data, message).at(parser.place()).hint(parser.advice())
}
