//! All files of all cuts in one pass: each sample is encoded once, and its bytes go to every file that holds it.

use super::encode::{RowEncoder, RowLayout};
use crate::codec::{Codec, Transform};
use crate::error::{Error, ErrorKind, Result};
use crate::input::Artifacts;
use crate::mixing::Unit;
use crate::pool::spawn;
use crate::progress::ProgressCounter;
use crate::recipe::{Columns, Compression};
use crate::sample::{Body, Sample};
use crate::storage::{Publication, Sink, StagedFile};
use bytes::Bytes;
use futures::StreamExt;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// About how many bytes of rows are encoded at a time: few enough to be hashed and written out of a processor's cache.
const BATCH: usize = 512 << 10;

/// A file to write.
#[derive(Debug)]
pub(crate) struct RowsFile {
    /// Its name in the output folder, without the compression's ending.
    pub(crate) name: String,
    /// How often each row of the table stands in it, by the row's number.
    pub(crate) copies: Vec<u32>,
}

impl RowsFile {
    fn holds(&self, unit: &Unit) -> bool {
        self.copies.get(unit.row as usize).is_some_and(|copies| *copies > unit.copy)
    }
}

/// All that the encoding of rows needs, shared by the threads.
#[derive(Debug)]
pub(crate) struct Rows {
    /// The samples and their texts.
    pub(crate) artifacts: Artifacts,
    /// Each sample's token length.
    pub(crate) token_lengths: Vec<u32>,
    /// How rows are written.
    pub(crate) layout: RowLayout,
}

/// Rows that were encoded together.
struct Batch {
    bytes: Bytes,
    /// Where each row ends.
    ends: Vec<usize>,
    units: Vec<Unit>,
}

/// Writes all files; gives them in the order of `files`, staged but not yet visible.
///
/// `units` is the sequence that all files share; a file takes the units that it holds.
pub(crate) async fn write_rows(
    rows: &Arc<Rows>,
    units: Vec<Unit>,
    files: Vec<RowsFile>,
    compression: Compression,
    publication: &Publication,
    pool: &Arc<rayon::ThreadPool>,
    progress: &ProgressCounter,
) -> Result<Vec<StagedFile>> {
    let codec = Codec::from(compression);
    let mut feeds = Vec::new();
    let mut writers = Vec::new();
    for file in files {
        let sink = publication.create(&codec.file_name(&file.name)).await?;
        let (feed, batches) = mpsc::channel(1);
        feeds.push(feed);
        let encoder = codec.encoder().map_err(|error| cannot_compress(error, &file.name))?;
        writers.push(write_file(file, sink, encoder, batches, pool));
    }
    let batches = futures::stream::iter(batches(rows, units))
        .map(|units| encode_on(pool, rows, units))
        .buffered(pool.current_num_threads() + 1);
    let feed_all = async move {
        futures::pin_mut!(batches);
        while let Some(batch) = batches.next().await {
            let batch = Arc::new(batch?);
            for feed in &feeds {
                // A writer that hangs up has failed; its error ends the run.
                let _ = feed.send(Some(batch.clone())).await;
            }
            progress.advance(batch.units.len() as u64);
        }
        for feed in &feeds {
            let _ = feed.send(None).await;
        }
        Ok::<_, Error>(())
    };
    let ((), staged) = futures::try_join!(feed_all, futures::future::try_join_all(writers))?;
    Ok(staged)
}

/// Cuts the sequence into batches by an estimate of their size.
fn batches(rows: &Rows, units: Vec<Unit>) -> Vec<Vec<Unit>> {
    let mut batches = Vec::new();
    let mut batch = Vec::new();
    let mut size = 0;
    for unit in units {
        size += estimate(rows, &rows.artifacts.samples[unit.row as usize]);
        batch.push(unit);
        if size > BATCH {
            batches.push(std::mem::take(&mut batch));
            size = 0;
        }
    }
    batches.push(batch);
    batches.retain(|batch| !batch.is_empty());
    batches
}

fn estimate(rows: &Rows, sample: &Sample) -> usize {
    let length = |id| rows.artifacts.texts.get(id).len();
    100 + match sample.body {
        Body::Pair { outline, raw, summary, question, response, thinking } => {
            let columns = 200 + length(question) + length(outline) + 2 * (length(raw) + length(summary));
            let messages = length(outline) + length(summary) + length(question) + length(response) + length(thinking);
            messages + if rows.layout.columns() == Columns::Full { columns } else { 0 }
        }
        Body::Chat { messages, tools, .. } => length(messages) + length(tools),
    }
}

async fn encode_on(pool: &Arc<rayon::ThreadPool>, rows: &Arc<Rows>, units: Vec<Unit>) -> Result<Batch> {
    let rows = rows.clone();
    spawn(pool, move || encode_batch(&rows, units)).join("the encoding of rows").await
}

fn encode_batch(rows: &Rows, units: Vec<Unit>) -> Batch {
    let mut encoder = RowEncoder::new(&rows.layout, &rows.artifacts.sources, &rows.artifacts.texts);
    let mut bytes = Vec::with_capacity(BATCH + BATCH / 4);
    let ends = units
        .iter()
        .map(|unit| {
            let row = unit.row as usize;
            encoder.encode(&rows.artifacts.samples[row], rows.token_lengths[row], &mut bytes);
            bytes.len()
        })
        .collect();
    Batch { bytes: bytes.into(), ends, units }
}

async fn write_file(
    file: RowsFile,
    mut sink: Sink,
    mut encoder: Transform,
    mut batches: mpsc::Receiver<Option<Arc<Batch>>>,
    pool: &rayon::ThreadPool,
) -> Result<StagedFile> {
    loop {
        let Some(batch) = batches.recv().await else {
            return Err(Error::new(ErrorKind::Bug, "the writing was given up").at(&file.name));
        };
        let Some(batch) = batch else { break };
        let mut parts = held_parts(&file, &batch);
        if !encoder.is_none() && !parts.is_empty() {
            let job = spawn(pool, move || encode(encoder, parts));
            (encoder, parts) = job.join("compressing").await?.map_err(|error| cannot_compress(error, &file.name))?;
        }
        if !parts.is_empty() {
            sink.write(parts).await?;
        }
    }
    let job = spawn(pool, move || encoder.finish());
    let rest = job.join("compressing").await?.map_err(|error| cannot_compress(error, &file.name))?;
    if !rest.is_empty() {
        sink.write(vec![rest]).await?;
    }
    sink.finish().await
}

/// Compresses the next parts of a file; returns the compressed bytes that are ready.
fn encode(mut encoder: Transform, parts: Vec<Bytes>) -> io::Result<(Transform, Vec<Bytes>)> {
    let mut ready = Vec::new();
    for mut part in parts {
        while !part.is_empty() {
            ready.extend(encoder.push(&mut part)?);
        }
    }
    Ok((encoder, ready))
}

fn cannot_compress(error: io::Error, name: &str) -> Error {
    Error::new(ErrorKind::Bug, "cannot compress").at(name).caused_by(error)
}

/// The bytes of a batch that a file holds; neighbours stay in one piece.
fn held_parts(file: &RowsFile, batch: &Batch) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let mut open: Option<usize> = None;
    let mut begin = 0;
    for (unit, &end) in batch.units.iter().zip(&batch.ends) {
        match (file.holds(unit), open) {
            (true, None) => open = Some(begin),
            (false, Some(first)) => {
                parts.push(batch.bytes.slice(first..begin));
                open = None;
            }
            _ => {}
        }
        begin = end;
    }
    if let Some(first) = open {
        parts.push(batch.bytes.slice(first..begin));
    }
    parts
}
