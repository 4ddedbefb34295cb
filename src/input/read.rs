//! Files become samples: ranges are fetched, decompressed, cut into rows and parsed side by side, and put together in the
//! order of the files.
//!
//! Each file has a driver on a blocking thread, which takes what the network or the disk brings, decompresses it, and has it
//! hashed, split and parsed on the thread pool.

use super::FileFormat;
use super::format::Container;
use super::ledger::{FileContext, RejectedRow, SourceLedger};
use super::lines::{Chunk, SplitError, Splitter};
use super::parquet::read_rows;
use super::parse::RowParser;
use crate::codec::{Codec, decode};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::InputFile;
use crate::progress::ProgressCounter;
use crate::recipe::{BadRows, Source};
use crate::sample::{Body, ParseOptions, ParsedRow, RowError, Sample};
use crate::storage::{ObjectInfo, Storage};
use crate::text::{Interner, TextStore};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc as results;
use tokio::sync::{Semaphore, mpsc};

/// How many files are read side by side: enough to hide the latency of an object store with many small files.
const FILES_AT_ONCE: usize = 16;

/// About how much of the input may be in flight, in KiB; large files share it.
const IN_FLIGHT_KIB: usize = 64 << 10;

/// What a large file takes of it.
const LARGE_FILE_KIB: usize = 32 << 10;

/// A file to read.
#[derive(Debug, Clone)]
pub(crate) struct InputObject {
    /// The index of its source.
    pub(crate) source: usize,
    /// Which of the source's folders it is from.
    pub(crate) folder: usize,
    /// Its key below the source's folder.
    pub(crate) key: String,
    /// Where it is.
    pub(crate) object: ObjectInfo,
    /// What it holds.
    pub(crate) format: FileFormat,
}

/// What to read and how.
#[derive(Debug)]
pub(crate) struct ReadOptions {
    /// The sources, in the order of the mix.
    pub(crate) sources: Vec<Source>,
    /// The files, in the order of the mix: by source, folder and key.
    pub(crate) files: Vec<InputObject>,
    /// How rows are parsed.
    pub(crate) parse: ParseOptions,
    /// What happens to rows that cannot be read.
    pub(crate) bad_rows: BadRows,
}

/// All that was read.
#[derive(Debug)]
pub(crate) struct Artifacts {
    /// The distinct texts.
    pub(crate) texts: TextStore,
    /// The samples in natural order: by source, then in input order.
    pub(crate) samples: Vec<Sample>,
    /// What became of each source's rows.
    pub(crate) ledgers: Vec<SourceLedger>,
    /// The files that were read.
    pub(crate) inputs: Vec<InputFile>,
    /// How many samples each file gave.
    pub(crate) samples_by_file: Vec<usize>,
    /// The rows that could not be read, in input order.
    pub(crate) rejected: Vec<RejectedRow>,
}

/// Reads all files, parsing on `pool`.
///
/// # Errors
/// What storage says; [`ErrorKind::Data`] with file and line for what cannot be read as rows.
pub(crate) async fn read(
    storage: &Storage,
    options: ReadOptions,
    pool: &Arc<rayon::ThreadPool>,
    progress: &ProgressCounter,
) -> Result<Artifacts> {
    let texts = Arc::new(Interner::default());
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT_KIB));
    let parsers: Vec<_> =
        options.sources.iter().map(|source| Arc::new(RowParser::new(source, options.parse.clone()))).collect();
    // The largest first: at the end, when there is too little left for all cores, the files are small.
    let mut order: Vec<usize> = (0..options.files.len()).collect();
    order.sort_by_key(|number| std::cmp::Reverse(options.files[*number].object.size));
    let files = futures::stream::iter(&order).map(|number| {
        let file = &options.files[*number];
        let driver = Driver {
            file: FileContext {
                source: options.sources[file.source].name.clone(),
                key: file.key.clone(),
                place: file.object.location.to_string(),
            },
            format: file.format,
            bad_rows: options.bad_rows,
            parser: parsers[file.source].clone(),
            texts: texts.clone(),
            pool: pool.clone(),
            progress: progress.clone(),
        };
        read_file(storage.clone(), file.object.clone(), driver, in_flight.clone())
    });
    let files: Vec<FileRows> = files.buffered(FILES_AT_ONCE).try_collect().await?;
    let files: BTreeMap<usize, FileRows> = order.into_iter().zip(files).collect();

    let mut samples = Vec::with_capacity(files.values().map(|rows| rows.kept.len()).sum());
    let mut ledgers = vec![SourceLedger::default(); options.sources.len()];
    let mut rejected = Vec::new();
    let mut inputs = Vec::with_capacity(files.len());
    let mut samples_by_file = Vec::with_capacity(files.len());
    for (rows, file) in files.into_values().zip(&options.files) {
        samples_by_file.push(rows.kept.len());
        let source = file.source as u32;
        samples.extend(rows.kept.into_iter().map(|body| Sample { source, body }));
        ledgers[file.source].merge(&rows.ledger);
        rejected.extend(rows.rejected);
        inputs.push(InputFile {
            source: options.sources[file.source].name.clone(),
            key: file.key.clone(),
            folder: file.folder,
            bytes: rows.bytes,
            digest: rows.digest,
            rows: rows.ledger.read,
        });
    }
    let Some(texts) = Arc::into_inner(texts) else {
        return Err(Error::new(ErrorKind::Bug, "a reading thread outlived its file"));
    };
    Ok(Artifacts { texts: texts.freeze(), samples, ledgers, inputs, samples_by_file, rejected })
}

/// What a driver is sent: a stream that closes without [`Feed::End`] was given up, and is not the end of the file.
enum Feed {
    Bytes(Bytes),
    End,
}

async fn read_file(
    storage: Storage,
    object: ObjectInfo,
    driver: Driver,
    in_flight: Arc<Semaphore>,
) -> Result<FileRows> {
    let size = usize::try_from(object.size).unwrap_or(usize::MAX).div_ceil(1024).max(1);
    let whole = driver.format.container == Container::Parquet;
    let share = size.min(if whole { IN_FLIGHT_KIB } else { LARGE_FILE_KIB });
    let _share = in_flight.acquire_many_owned(share as u32).await;
    let place = object.location.to_string();
    let (feed, fed) = mpsc::channel(2);
    let driver = tokio::task::spawn_blocking(move || driver.run(fed));
    let mut stream = storage.stream(&object);
    let mut failed = None;
    loop {
        let message = match stream.next().await {
            Some(Ok(bytes)) => Feed::Bytes(bytes),
            Some(Err(error)) => {
                failed = Some(error);
                break;
            }
            None => Feed::End,
        };
        let end = matches!(message, Feed::End);
        // A driver that hangs up has found an error, which it returns.
        if feed.send(message).await.is_err() || end {
            break;
        }
    }
    drop(feed);
    let rows = driver.await.map_err(|_| Error::new(ErrorKind::Bug, "the reading of a file panicked").at(place))?;
    match failed {
        Some(error) => Err(error),
        None => rows,
    }
}

/// The rows of one file.
#[derive(Debug, Default)]
struct FileRows {
    kept: Vec<Body>,
    ledger: SourceLedger,
    rejected: Vec<RejectedRow>,
    bytes: u64,
    digest: String,
}

type ChunkResult = Result<FileRows>;

/// Turns the bytes of one file into its rows.
struct Driver {
    file: FileContext,
    format: FileFormat,
    bad_rows: BadRows,
    parser: Arc<RowParser>,
    texts: Arc<Interner>,
    pool: Arc<rayon::ThreadPool>,
    progress: ProgressCounter,
}

impl Driver {
    fn run(self, mut fed: mpsc::Receiver<Feed>) -> Result<FileRows> {
        let mut hasher = blake3::Hasher::new();
        let mut bytes = 0;
        let mut whole = false;
        let progress = self.progress.clone();
        let stored = std::iter::from_fn(|| match fed.blocking_recv() {
            Some(Feed::Bytes(chunk)) => {
                // On the pool, like all that computes: then `--threads` holds, and the tokenizer that loads there meanwhile
                // has a core to itself.
                self.pool.install(|| hasher.update(&chunk));
                bytes += chunk.len() as u64;
                progress.advance(chunk.len() as u64);
                Some(Ok(chunk))
            }
            Some(Feed::End) => {
                whole = true;
                None
            }
            None => Some(Err(io::Error::other("the reading was given up"))),
        })
        .fuse();
        let mut parsing = Parsing { driver: &self, running: VecDeque::new(), rows: FileRows::default() };
        match self.format.container {
            Container::Parquet => parsing.parquet(stored)?,
            _ => parsing.text(stored)?,
        }
        let mut rows = parsing.finish()?;
        debug_assert!(whole, "the readers read to the end");
        rows.bytes = bytes;
        rows.digest = hasher.finalize().to_hex().to_string();
        Ok(rows)
    }

    fn unreadable(&self, error: io::Error) -> Error {
        if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Passed>()) {
            return inner.0.lock().ok().and_then(|mut error| error.take()).unwrap_or_else(|| self.damaged("unknown"));
        }
        self.damaged(match (self.format.codec, error.kind()) {
            (Codec::Gzip, io::ErrorKind::UnexpectedEof) => "the gzip file is cut short",
            (Codec::Gzip, _) => "not a gzip file, or a damaged one",
            (Codec::Zstd, io::ErrorKind::UnexpectedEof) => "the Zstandard file is cut short",
            (Codec::Zstd, _) => "not a Zstandard file, or a damaged one",
            (Codec::Plain, _) => "cannot be read",
        })
        .caused_by(error)
    }

    fn damaged(&self, what: &str) -> Error {
        Error::new(ErrorKind::Data, what)
            .at(&self.file.place)
            .hint("generate the file again, or take it out of the source's folder")
    }
}

/// An error of this crate on its way through an [`io::Error`].
#[derive(Debug)]
struct Passed(std::sync::Mutex<Option<Error>>);

impl std::fmt::Display for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reading failed")
    }
}

impl std::error::Error for Passed {}

fn pass(error: Error) -> io::Error {
    io::Error::other(Passed(std::sync::Mutex::new(Some(error))))
}

/// The chunks of one file that are being parsed, in order.
struct Parsing<'d> {
    driver: &'d Driver,
    running: VecDeque<results::Receiver<ChunkResult>>,
    rows: FileRows,
}

impl Parsing<'_> {
    fn text(&mut self, stored: impl Iterator<Item = io::Result<Bytes>>) -> Result<()> {
        let driver = self.driver;
        let mut splitter = Splitter::new(driver.format.container);
        let broken = |error: SplitError| {
            Error::new(ErrorKind::Data, error.message).at(format_args!("{}:{}", driver.file.place, error.line))
        };
        decode(driver.format.codec, stored, |piece| {
            let chunks = driver.pool.install(|| splitter.push(piece)).map_err(|error| pass(broken(error)))?;
            chunks.into_iter().try_for_each(|chunk| self.parse(chunk)).map_err(pass)
        })
        .map_err(|error| driver.unreadable(error))?;
        splitter.finish().map_err(broken)?.into_iter().try_for_each(|chunk| self.parse(chunk))
    }

    /// A Parquet file is held whole while it is read: its footer stands at its end, and it is compressed within.
    fn parquet(&mut self, stored: impl Iterator<Item = io::Result<Bytes>>) -> Result<()> {
        let driver = self.driver;
        let mut pieces = Vec::new();
        decode(driver.format.codec, stored, |piece| {
            pieces.push(piece);
            Ok(())
        })
        .map_err(|error| driver.unreadable(error))?;
        let file = if pieces.len() == 1 { pieces.remove(0) } else { pieces.concat().into() };
        drop(pieces);
        // The Parquet library panics on some damaged files; a file must not be able to end the program.
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            read_rows(file, driver.parser.columns(), |chunk| self.parse(chunk).map_err(ParquetFailure::Ours))
        }));
        match read {
            Ok(Ok(())) => Ok(()),
            Ok(Err(ParquetFailure::Ours(error))) => Err(error),
            Ok(Err(ParquetFailure::Theirs(error))) => {
                Err(driver.damaged("not a Parquet file, or a damaged one").caused_by(error))
            }
            Err(_) => Err(driver.damaged("a damaged Parquet file")),
        }
    }

    fn parse(&mut self, chunk: Chunk) -> Result<()> {
        let (tell, told) = results::sync_channel(1);
        let Driver { file, bad_rows, parser, texts, pool, .. } = self.driver;
        let (file, bad_rows, parser, texts) = (file.clone(), *bad_rows, parser.clone(), texts.clone());
        pool.spawn(move || {
            let rows = parse_chunk(&chunk, &file, bad_rows, &parser, &texts);
            // The interner must have no owner left when all files are read.
            drop((chunk, texts));
            let _ = tell.send(rows);
        });
        self.running.push_back(told);
        while self.running.len() > pool.current_num_threads() + 2 {
            self.collect()?;
        }
        Ok(())
    }

    fn collect(&mut self) -> Result<()> {
        let Some(next) = self.running.pop_front() else { return Ok(()) };
        let rows = next
            .recv()
            .map_err(|_| Error::new(ErrorKind::Bug, "the parsing of rows panicked").at(&self.driver.file.place))??;
        self.rows.kept.extend(rows.kept);
        self.rows.ledger.merge(&rows.ledger);
        self.rows.rejected.extend(rows.rejected);
        Ok(())
    }

    fn finish(mut self) -> Result<FileRows> {
        while !self.running.is_empty() {
            self.collect()?;
        }
        Ok(std::mem::take(&mut self.rows))
    }
}

enum ParquetFailure {
    Ours(Error),
    Theirs(parquet::errors::ParquetError),
}

impl From<parquet::errors::ParquetError> for ParquetFailure {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Theirs(error)
    }
}

fn parse_chunk(
    chunk: &Chunk,
    file: &FileContext,
    bad_rows: BadRows,
    parser: &RowParser,
    texts: &Interner,
) -> ChunkResult {
    let mut rows = FileRows::default();
    for (line, row) in chunk.rows() {
        rows.ledger.read += 1;
        match parser.parse(row, texts) {
            Ok(ParsedRow::Kept(body)) => {
                rows.ledger.kept += 1;
                rows.kept.push(body);
            }
            Ok(ParsedRow::Dropped(reason)) => rows.ledger.drop_rows(reason.as_str(), 1),
            Err(RowError::Bad(row)) if bad_rows == BadRows::Skip => {
                rows.ledger.drop_rows(row.reason.as_str(), 1);
                rows.rejected.push(RejectedRow {
                    source: file.source.clone(),
                    file: file.key.clone(),
                    line,
                    reason: row.reason,
                    message: row.message,
                });
            }
            Err(RowError::Bad(row)) => {
                return Err(Error::new(ErrorKind::Data, row.message)
                    .at(format_args!("{}:{line}", file.place))
                    .hint("mend the row, or pass rows like it over with --bad-rows skip"));
            }
            Err(RowError::Fatal(error)) => return Err(error.at(&file.place)),
        }
    }
    Ok(rows)
}
