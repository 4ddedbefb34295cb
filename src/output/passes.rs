//! Any number of files, in passes over the samples: each open file takes a descriptor, a thread and buffers, which are limited.

use super::format::Content;
use super::source::WriteSource;
use super::writer::{FileWriter, RowsFile, WriteOptions, write_pass};
use crate::error::Result;
use crate::pool::spawn;
use crate::progress::ProgressCounter;
use crate::storage::{Publication, StagedFile};
use std::sync::Arc;

/// Maximum number of files of one pass. Rows are encoded again in each, so this is more than almost any mix has.
const FILES_IN_A_PASS: usize = 64;

/// Writes all files; returns them in the order of `files`, staged but not yet visible.
///
/// # Errors
/// If a file cannot be written, also because the system gives no descriptor or thread for a single one.
pub(crate) async fn write_rows(
    source: &Arc<WriteSource>,
    files: &[RowsFile],
    options: WriteOptions,
    publication: &Publication,
    pool: &Arc<rayon::ThreadPool>,
    progress: &ProgressCounter,
) -> Result<Vec<StagedFile>> {
    let mut staged = Vec::with_capacity(files.len());
    while staged.len() < files.len() {
        let begin = staged.len();
        let writers = open_files(&files[begin..], source, options, publication, pool).await?;
        let end = begin + writers.len();
        let most_copies = match files.len() - writers.len() {
            0 => None,
            _ => Some(most_copies(pool, source, &files[begin..end]).await?),
        };
        let rows = |copies: &[u32]| copies.iter().map(|&copies| u64::from(copies)).sum();
        let all: u64 = rows(&source.most_copies);
        let units = |files_done: usize| all * files_done as u64 / files.len() as u64;
        let mut progress = PassProgress {
            counter: progress,
            units: units(end) - units(begin),
            rows: rows(most_copies.as_deref().unwrap_or(&source.most_copies)),
            written: 0,
        };
        let advance = |rows| progress.advance(rows);
        staged.extend(write_pass(source, writers, most_copies, options, pool, advance).await?);
    }
    Ok(staged)
}

/// Opens the files of the next pass: the first ones of `files`, as many as the system permits.
async fn open_files(
    files: &[RowsFile],
    source: &Arc<WriteSource>,
    options: WriteOptions,
    publication: &Publication,
    pool: &Arc<rayon::ThreadPool>,
) -> Result<Vec<FileWriter>> {
    let files = &files[..files.len().min(FILES_IN_A_PASS)];
    let mut contents = Vec::new();
    for content in files.iter().map(|file| Content::of(file.format, file.mix)) {
        if !contents.contains(&content) {
            contents.push(content);
        }
    }
    let mut writers = Vec::with_capacity(files.len());
    for file in files {
        match FileWriter::open(file, &contents, source, options, publication, pool).await {
            Ok(writer) => writers.push(writer),
            // The system gives no more descriptors or threads: the other files get their own passes.
            Err(error) if error.is_limit() && !writers.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(writers)
}

/// How often each row is in the file of a pass that holds it most often.
async fn most_copies(pool: &Arc<rayon::ThreadPool>, source: &Arc<WriteSource>, files: &[RowsFile]) -> Result<Vec<u32>> {
    let (source, files) = (Arc::clone(source), files.iter().map(|file| file.rows).collect::<Vec<_>>());
    let count = move || {
        let most = |at: usize| files.iter().map(|rows| rows.copies(&source, at)).max().unwrap_or(0);
        (0..source.samples.len()).map(most).collect()
    };
    spawn(pool, count).join("counting the rows of a pass").await
}

/// The part of a progress bar that one pass advances.
struct PassProgress<'p> {
    counter: &'p ProgressCounter,
    /// Its length.
    units: u64,
    /// The rows of the pass.
    rows: u64,
    /// The rows that are written.
    written: u64,
}

impl PassProgress<'_> {
    fn advance(&mut self, rows: u64) {
        let units = |rows: u64| u128::from(self.units) * u128::from(rows) / u128::from(self.rows.max(1));
        let (before, after) = (units(self.written), units(self.written + rows));
        self.written += rows;
        self.counter.advance((after - before) as u64);
    }
}
