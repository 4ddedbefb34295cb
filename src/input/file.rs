//! Reads one file: an asynchronous loop receives its bytes, jobs on the thread pool hash, decompress, split and parse
//! them.

use super::array::SplitError;
use super::chunk::Chunk;
use super::format::{Container, FileFormat};
use super::lines::Splitter;
use super::parquet::ParquetRows;
use super::rows::{FileParser, ParsedRows};
use super::visitor::RowVisitor;
use crate::codec::{Codec, Transform};
use crate::error::{Error, ErrorKind, Result};
use crate::pool::{self, Job};
use crate::progress::ProgressCounter;
use crate::watchdog::Operation;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use rayon::ThreadPool;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// What reading a file results in.
#[derive(Debug)]
pub(super) struct FileRows<R = ParsedRows> {
    pub(super) rows: R,
    /// The size of the file as stored.
    pub(super) bytes: u64,
    /// The digest of the file as stored.
    pub(super) digest: String,
    /// How the file is compressed, if that is not what its name says.
    pub(super) unlike_name: Option<Codec>,
}

/// Reads one file.
pub(super) struct FileReader<V = FileParser> {
    pub(super) format: FileFormat,
    pub(super) parser: Arc<V>,
    pub(super) pool: Arc<ThreadPool>,
    pub(super) progress: ProgressCounter,
}

/// Chunks that are being parsed, in the order of the file.
type Parsing<R> = Vec<Job<Result<R>>>;

impl<V: RowVisitor> FileReader<V> {
    /// Reads the rows from `stream`, the stored bytes of the file. If the future is dropped, jobs that have not started
    /// are cancelled.
    ///
    /// # Errors
    /// Errors of the stream; [`ErrorKind::Data`] if the file is damaged, or for the first row that cannot be read.
    pub(super) async fn read(self, mut stream: BoxStream<'static, Result<Bytes>>) -> Result<FileRows<V::Rows>> {
        let operation = Operation::new("reading the file", self.parser.place(), self.parser.advice());
        let operation = &Arc::new(operation);
        let mut results = Results { parser: self.parser.clone(), running: VecDeque::new(), rows: V::Rows::default() };
        let limit = self.pool.current_num_threads() + 2;
        let mut stored = Box::new(StoredBytes::new(self.format));
        while let Some(bytes) = stream.next().await {
            let bytes = bytes?;
            self.progress.advance(bytes.len() as u64);
            let mut next = Some(bytes);
            while next.is_some() || !stored.input.is_empty() {
                let bytes = next.take();
                let step = self.job(operation, move |parse| {
                    if let Some(bytes) = bytes {
                        stored.receive(bytes);
                    }
                    let chunks = stored.advance(&**parse.parser)?;
                    Ok((stored, parse.all(chunks)))
                });
                let parsing;
                (stored, parsing) = results.or_earlier_error(step.join("reading a file").await?).await?;
                results.add(parsing, limit).await?;
            }
        }
        let step = self.job(operation, move |parse| {
            let (end, chunks) = stored.finish(&**parse.parser)?;
            Ok((end, parse.all(chunks)))
        });
        let (end, parsing) = results.or_earlier_error(step.join("reading a file").await?).await?;
        results.add(parsing, limit).await?;
        if let Some(parquet) = end.parquet {
            self.read_parquet(operation, parquet, &mut results, limit).await?;
        }
        results.collect(0).await?;
        let unlike_name = Some(end.codec).filter(|codec| *codec != self.format.codec);
        Ok(FileRows { rows: results.rows, bytes: end.bytes, digest: end.digest, unlike_name })
    }

    async fn read_parquet(
        &self,
        operation: &Arc<Operation>,
        mut parquet: ParquetRows,
        results: &mut Results<V>,
        limit: usize,
    ) -> Result<()> {
        loop {
            let step = self.job(operation, move |parse| {
                let chunk = parquet.next_chunk().map_err(|error| invalid_parquet(&**parse.parser, error))?;
                let ended = chunk.is_none();
                Ok((parquet, ended, parse.all(chunk)))
            });
            let (ended, parsing);
            (parquet, ended, parsing) = results.or_earlier_error(step.join("reading a Parquet file").await?).await?;
            if ended {
                return Ok(());
            }
            results.add(parsing, limit).await?;
        }
    }

    /// Starts a job on the pool that may start the parsing of chunks: then the thread has work when the job ends, before
    /// anybody else has seen its result.
    fn job<T: Send + 'static>(
        &self,
        operation: &Arc<Operation>,
        work: impl FnOnce(&Parse<'_, V>) -> T + Send + 'static,
    ) -> Job<T> {
        let (parser, threads, operation) = (self.parser.clone(), self.pool.clone(), operation.clone());
        pool::spawn(&self.pool, move || {
            operation.run(|| work(&Parse { parser: &parser, pool: &threads, operation: &operation }))
        })
    }
}

/// Starts the parsing of chunks.
struct Parse<'p, V> {
    parser: &'p Arc<V>,
    pool: &'p ThreadPool,
    operation: &'p Arc<Operation>,
}

impl<V: RowVisitor> Parse<'_, V> {
    fn all(&self, chunks: impl IntoIterator<Item = Chunk>) -> Parsing<V::Rows> {
        let start = |chunk: Chunk| {
            let (parser, operation) = (self.parser.clone(), self.operation.clone());
            pool::spawn(self.pool, move || operation.run(|| parse(&*parser, &chunk)))
        };
        chunks.into_iter().map(start).collect()
    }
}

/// The rows of a chunk.
fn parse<V: RowVisitor>(visitor: &V, chunk: &Chunk) -> Result<V::Rows> {
    let mut rows = V::Rows::default();
    chunk.rows().try_for_each(|(line, row)| visitor.visit(line, row, &mut rows))?;
    Ok(rows)
}

/// Puts the rows of the chunks together.
struct Results<V: RowVisitor> {
    parser: Arc<V>,
    running: VecDeque<Job<Result<V::Rows>>>,
    rows: V::Rows,
}

impl<V: RowVisitor> Results<V> {
    /// Adds the next chunks, and waits until at most `limit` are being parsed.
    async fn add(&mut self, parsing: Parsing<V::Rows>, limit: usize) -> Result<()> {
        self.running.extend(parsing);
        self.collect(limit).await
    }

    async fn collect(&mut self, limit: usize) -> Result<()> {
        while self.running.len() > limit
            && let Some(next) = self.running.pop_front()
        {
            let rows = next.join("parsing rows").await.map_err(|error| error.at(self.parser.place()))??;
            self.parser.append(&mut self.rows, rows);
        }
        Ok(())
    }

    /// Of several errors in a file, the first one is reported, however many threads work.
    async fn or_earlier_error<T>(&mut self, step: Result<T>) -> Result<T> {
        if step.is_err() {
            self.collect(0).await?;
        }
        step
    }
}

/// The bytes of a file on their way to chunks of rows. It moves to a job on the pool for each step, and back.
struct StoredBytes {
    hasher: blake3::Hasher,
    bytes: u64,
    /// Hashed, but not decompressed yet.
    input: Bytes,
    /// The first bytes, while they are too few to show how the file is compressed.
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
struct End {
    codec: Codec,
    bytes: u64,
    digest: String,
    parquet: Option<ParquetRows>,
}

impl StoredBytes {
    fn new(format: FileFormat) -> Self {
        let content = match format.container {
            Container::Lines => Content::Text(Splitter::new(false)),
            Container::LinesOrArray => Content::Text(Splitter::new(true)),
            Container::Parquet => Content::Parquet(Vec::new()),
        };
        let (input, start) = Default::default();
        Self { hasher: blake3::Hasher::new(), bytes: 0, input, start, codec: format.codec, decoder: None, content }
    }

    fn receive(&mut self, bytes: Bytes) {
        self.hasher.update(&bytes);
        self.bytes += bytes.len() as u64;
        if self.decoder.is_some() {
            self.input = bytes;
            return;
        }
        self.start = if self.start.is_empty() { bytes } else { [&self.start[..], &bytes].concat().into() };
        if self.start.len() >= Codec::MAGIC {
            self.input = std::mem::take(&mut self.start);
        }
    }

    /// Processes input until some rows are complete or it is used up.
    fn advance(&mut self, parser: &impl RowVisitor) -> Result<Vec<Chunk>> {
        while !self.input.is_empty() {
            let decoder = match &mut self.decoder {
                Some(decoder) => decoder,
                // A name may be wrong: a store may decompress what it sends, a tool may compress what it names `.jsonl`.
                empty => {
                    self.codec = Codec::of_content(&self.input).unwrap_or(self.codec);
                    empty.insert(self.codec.decoder().map_err(|error| invalid(parser, self.codec, error))?)
                }
            };
            let piece = decoder.push(&mut self.input);
            let Some(piece) = piece.map_err(|error| invalid(parser, self.codec, error))? else { continue };
            match &mut self.content {
                Content::Text(splitter) => return splitter.push(piece).map_err(|error| malformed(parser, error)),
                Content::Parquet(pieces) => pieces.push(piece),
            }
        }
        Ok(Vec::new())
    }

    fn finish(mut self, parser: &impl RowVisitor) -> Result<(End, Vec<Chunk>)> {
        let mut chunks = Vec::new();
        if self.decoder.is_none() {
            self.input = std::mem::take(&mut self.start);
        }
        while !self.input.is_empty() {
            chunks.extend(self.advance(parser)?);
        }
        let decoder = self.decoder.map_or_else(|| self.codec.decoder(), Ok);
        let rest = decoder.and_then(Transform::finish).map_err(|error| invalid(parser, self.codec, error))?;
        let digest = self.hasher.finalize().to_hex().to_string();
        let mut end = End { codec: self.codec, bytes: self.bytes, digest, parquet: None };
        match self.content {
            Content::Text(mut splitter) => {
                chunks.extend(splitter.push(rest).map_err(|error| malformed(parser, error))?);
                chunks.extend(splitter.finish().map_err(|error| malformed(parser, error))?);
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
}

fn malformed(parser: &impl RowVisitor, error: SplitError) -> Error {
    Error::new(ErrorKind::Data, error.message).at(format_args!("{}:{}", parser.place(), error.line))
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

fn invalid_parquet(parser: &impl RowVisitor, error: parquet::errors::ParquetError) -> Error {
    invalid_file(parser, "not a valid Parquet file").caused_by(error)
}

fn invalid_file(parser: &impl RowVisitor, message: &str) -> Error {
    Error::new(ErrorKind::Data, message).at(parser.place()).hint(parser.advice())
}

#[cfg(test)]
mod tests;
