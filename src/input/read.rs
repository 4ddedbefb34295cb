//! Reads all files of a run, several at a time, and puts their rows together in the order of the mix.

use super::file::{FileReader, FileRows};
use super::find::InputObject;
use super::format::Container;
use super::ledger::{RejectedRow, SourceLedger};
use super::parse::RowParser;
use super::places::Places;
use super::row_filter::RowFilter;
use super::rows::{FileParser, Origin};
use crate::error::{Error, ErrorKind, Result};
use crate::excerpt::excerpt_of_list;
use crate::manifest::InputFile;
use crate::progress::ProgressCounter;
use crate::recipe::{BadRows, Source};
use crate::sample::{ParseOptions, Sample};
use crate::storage::Storage;
use crate::text::{Interner, TextStore};
use futures::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Number of files that are read at a time: enough to hide the latency of an object store with many small files.
const FILES_AT_ONCE: usize = 16;

/// The approximate amount of input in flight, in KiB; large files share it.
const IN_FLIGHT_KIB: usize = 64 << 10;

/// The share of a large file.
const LARGE_FILE_KIB: usize = 32 << 10;

/// What to read and how.
#[derive(Debug)]
pub(crate) struct ReadOptions {
    /// The sources, in the order of the mix.
    pub(crate) sources: Vec<Source>,
    /// The files, in the order of the mix: by source, folder and key.
    pub(crate) files: Vec<InputObject>,
    /// How rows are parsed.
    pub(crate) parse: ParseOptions,
    /// The largest row.
    pub(crate) max_row_bytes: usize,
    /// What to do with rows that cannot be read.
    pub(crate) bad_rows: BadRows,
}

/// The samples of a run.
#[derive(Debug)]
pub(crate) struct Artifacts {
    /// The distinct texts.
    pub(crate) texts: TextStore,
    /// The samples in natural order: by source, then in input order.
    pub(crate) samples: Vec<Sample>,
    /// Row counts of each source.
    pub(crate) ledgers: Vec<SourceLedger>,
    /// The files that were read.
    pub(crate) inputs: Vec<InputFile>,
    /// The number of samples of each file.
    pub(crate) samples_by_file: Vec<usize>,
    /// The rows that could not be read, in input order.
    pub(crate) rejected: Vec<RejectedRow>,
    /// The number of these rows in each file.
    pub(super) rejected_by_file: Vec<usize>,
    /// Where each sample is from.
    pub(super) origins: Vec<Origin>,
}

impl Artifacts {
    /// Where the samples are from; `files` are those that were read.
    pub(crate) fn places(&mut self, files: &[InputObject]) -> Places {
        Places::new(files, &self.samples_by_file, std::mem::take(&mut self.origins))
    }
}

/// Reads all files. Everything that computes runs on `pool`.
///
/// # Errors
/// Errors of storage; [`ErrorKind::Data`] with file and line for what cannot be read as rows.
pub(crate) async fn read(
    storage: &Storage,
    options: ReadOptions,
    pool: &Arc<rayon::ThreadPool>,
    progress: &ProgressCounter,
) -> Result<Artifacts> {
    let texts = Arc::new(Interner::default());
    let in_flight = Semaphore::new(IN_FLIGHT_KIB);
    let parsers = parsers(&options);
    // The largest files first: small files at the end keep all cores busy.
    let mut order: Vec<usize> = (0..options.files.len()).collect();
    order.sort_by_key(|number| std::cmp::Reverse(options.files[*number].object.size));
    let files = futures::stream::iter(&order).map(|number| {
        let file = &options.files[*number];
        let parser = FileParser {
            source: options.sources[file.source].name.clone(),
            key: file.key.clone(),
            place: file.object.location.to_string(),
            bad_rows: options.bad_rows,
            rows: parsers[*number].clone(),
            texts: texts.clone(),
        };
        let reader = FileReader {
            format: file.format,
            max_row_bytes: options.max_row_bytes,
            parser: Arc::new(parser),
            pool: pool.clone(),
            progress: progress.clone(),
        };
        read_file(storage, file, reader, &in_flight)
    });
    let is_local = options.files.iter().all(|file| file.object.location.is_local());
    let at_once = storage.streams_at_once(FILES_AT_ONCE, is_local);
    let files: Vec<FileRows> = files.buffered(at_once).try_collect().await?;
    let files: BTreeMap<usize, FileRows> = order.into_iter().zip(files).collect();
    if let Some(warning) = unlike_names(&options.files, &files) {
        storage.warnings().warn(warning);
    }
    combine(options, texts, files.into_values())
}

/// The parser of each file.
fn parsers(options: &ReadOptions) -> Vec<Arc<RowParser>> {
    let ReadOptions { sources, files, parse, .. } = options;
    let parser = |source: usize| RowParser::new(&sources[source], parse.clone());
    let shared: Vec<_> = (0..sources.len()).map(|source| Arc::new(parser(source))).collect();
    if sources.iter().all(|source| source.conditions.is_none()) {
        return files.iter().map(|file| shared[file.source].clone()).collect();
    }
    let mut readers: HashMap<String, Vec<usize>> = HashMap::new();
    for file in files {
        let of_file = readers.entry(file.object.location.to_string()).or_default();
        if !of_file.contains(&file.source) {
            of_file.push(file.source);
        }
    }
    let of_file = |file: &InputObject| {
        let readers = &readers[&file.object.location.to_string()];
        match RowFilter::new(file.source, readers, sources) {
            None => shared[file.source].clone(),
            filter => Arc::new(parser(file.source).with_filter(filter)),
        }
    };
    files.iter().map(of_file).collect()
}

async fn read_file(
    storage: &Storage,
    file: &InputObject,
    reader: FileReader,
    in_flight: &Semaphore,
) -> Result<FileRows> {
    let size = usize::try_from(file.object.size).unwrap_or(usize::MAX).div_ceil(1024).max(1);
    // A Parquet file is held in memory completely.
    let most = if file.format.container == Container::Parquet { IN_FLIGHT_KIB } else { LARGE_FILE_KIB };
    let _share = in_flight.acquire_many(size.min(most) as u32).await;
    reader.read(storage.stream(&file.object)).await
}

/// The warning about files that are not what their names say.
fn unlike_names(inputs: &[InputObject], files: &BTreeMap<usize, FileRows>) -> Option<String> {
    let of_file = |(number, file): (&usize, &FileRows)| {
        Some(format!("{} ({})", inputs[*number].object.location, file.unlike_name?))
    };
    let names: Vec<String> = files.iter().filter_map(of_file).collect();
    (!names.is_empty())
        .then(|| format!("files are not what their names say, and read anyway: {}", excerpt_of_list(names)))
}

/// Puts the rows of the files, in the order of the mix, together.
fn combine(options: ReadOptions, texts: Arc<Interner>, files: impl Iterator<Item = FileRows>) -> Result<Artifacts> {
    let files: Vec<FileRows> = files.collect();
    let samples_by_file: Vec<usize> = files.iter().map(|file| file.rows.kept.len()).collect();
    let mut samples = Vec::with_capacity(samples_by_file.iter().sum());
    let mut ledgers = vec![SourceLedger::default(); options.sources.len()];
    let rejected_by_file = files.iter().map(|file| file.rows.rejected.len()).collect();
    let (mut rejected, mut origins) = (Vec::new(), Vec::new());
    let mut inputs = Vec::with_capacity(files.len());
    for (FileRows { rows, bytes, digest, .. }, file) in files.into_iter().zip(&options.files) {
        let source = file.source as u32;
        samples.extend(rows.kept.into_iter().map(|body| Sample { source, body }));
        ledgers[file.source].merge(&rows.ledger);
        rejected.extend(rows.rejected);
        origins.extend(rows.origins);
        inputs.push(InputFile {
            source: options.sources[file.source].name.clone(),
            key: file.key.clone(),
            folder: file.folder,
            bytes,
            digest,
            rows: rows.ledger.read,
        });
    }
    let Some(texts) = Arc::into_inner(texts) else {
        return Err(Error::new(ErrorKind::Bug, "a job is still parsing rows after all files were read"));
    };
    let texts = texts.freeze();
    Ok(Artifacts { texts, samples, ledgers, inputs, samples_by_file, rejected, rejected_by_file, origins })
}
