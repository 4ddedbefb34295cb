//! Reads one file: an asynchronous loop receives its bytes, jobs on the thread pool hash, decompress, split and parse
//! them.

use super::chunk::Chunk;
use super::format::FileFormat;
use super::limits::row_too_large;
use super::parquet::ParquetRows;
use super::rows::{FileParser, ParsedRows};
use super::stored::{StoredBytes, invalid_parquet};
use super::visitor::RowVisitor;
use crate::error::Result;
use crate::pool::{self, Job};
use crate::progress::ProgressCounter;
use crate::watchdog::Operation;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use rayon::ThreadPool;
use std::collections::VecDeque;
use std::sync::Arc;

/// What reading a file results in.
#[derive(Debug)]
pub(super) struct FileRows<R = ParsedRows> {
    pub(super) rows: R,
    /// The size of the file as stored.
    pub(super) bytes: u64,
    /// The digest of the file as stored.
    pub(super) digest: String,
    /// What the file is, if that is not what its name says.
    pub(super) unlike_name: Option<&'static str>,
}

/// Reads one file.
pub(super) struct FileReader<V = FileParser> {
    pub(super) format: FileFormat,
    /// The largest row.
    pub(super) max_row_bytes: usize,
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
        let mut stored = Box::new(StoredBytes::new(self.format, self.max_row_bytes));
        while let Some(bytes) = stream.next().await {
            let bytes = bytes?;
            self.progress.advance(bytes.len() as u64);
            let mut next = Some(bytes);
            while next.is_some() || stored.has_input() {
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
        Ok(FileRows { rows: results.rows, bytes: end.bytes, digest: end.digest, unlike_name: end.unlike_name })
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
        let max_row_bytes = self.max_row_bytes;
        pool::spawn(&self.pool, move || {
            let parse = Parse { parser: &parser, pool: &threads, operation: &operation, max_row_bytes };
            operation.run(|| work(&parse))
        })
    }
}

/// Starts the parsing of chunks.
struct Parse<'p, V> {
    parser: &'p Arc<V>,
    pool: &'p ThreadPool,
    operation: &'p Arc<Operation>,
    max_row_bytes: usize,
}

impl<V: RowVisitor> Parse<'_, V> {
    fn all(&self, chunks: impl IntoIterator<Item = Chunk>) -> Parsing<V::Rows> {
        let start = |chunk: Chunk| {
            let (parser, operation) = (self.parser.clone(), self.operation.clone());
            let max_row_bytes = self.max_row_bytes;
            pool::spawn(self.pool, move || operation.run(|| parse(&*parser, &chunk, max_row_bytes)))
        };
        chunks.into_iter().map(start).collect()
    }
}

/// The rows of a chunk.
fn parse<V: RowVisitor>(visitor: &V, chunk: &Chunk, max_row_bytes: usize) -> Result<V::Rows> {
    let mut rows = V::Rows::default();
    for (line, row) in chunk.rows() {
        if row.len() > max_row_bytes && row.trim_ascii_end().len() > max_row_bytes {
            return Err(row_too_large(visitor.place(), line, max_row_bytes));
        }
        visitor.visit(line, row, &mut rows)?;
    }
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

#[cfg(test)]
mod tests;
