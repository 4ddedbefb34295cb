//! Files that are written in one pass over the samples: each sample is encoded once, and its bytes go to every file that holds it.

use super::first_rows::first_rows;
use super::format::{Content, FileAssembler, assembler};
use super::source::WriteSource;
use crate::codec::Transform;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::MixKind;
use crate::mixing::{OutputRow, ShuffledOrder, natural_order};
use crate::pool::spawn;
use crate::recipe::{Columns, Compression, Format, Order};
use crate::sample::Sample;
use crate::storage::{Publication, Sink, StagedFile};
use bytes::Bytes;
use futures::StreamExt;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// About how many bytes of rows are encoded at a time: few enough to be hashed and written out of a processor's cache.
const BATCH: usize = 512 << 10;

/// How files are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteOptions {
    /// The compression of all files.
    pub(crate) compression: Compression,
    /// The order of rows.
    pub(crate) order: Order,
    /// The seed of a shuffled order.
    pub(crate) seed: u64,
}

/// A file to write.
#[derive(Debug)]
pub(crate) struct RowsFile {
    /// Its name in the output folder, without the endings of format and compression.
    pub(crate) stem: String,
    /// Its format.
    pub(crate) format: Format,
    /// What its rows are.
    pub(crate) mix: MixKind,
    /// The rows that it holds.
    pub(crate) rows: FileRows,
}

/// The rows that a file holds; the number is the place of a cut in [`WriteSource::plans`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileRows {
    /// The mix of a cut.
    Mix(usize),
    /// What is held out of a cut.
    Validation(usize),
}

impl FileRows {
    /// How often the cut or its validation file holds the sample at a place.
    pub(super) fn copies(self, source: &WriteSource, at: usize) -> u32 {
        match self {
            Self::Mix(plan) => source.plans[plan].copies(at, source.samples[at].source),
            Self::Validation(plan) => source.plans[plan].is_validation(at).into(),
        }
    }
}

/// Rows that were encoded together.
struct Batch {
    rows: Vec<OutputRow>,
    /// Their encoded forms, one for each content that is written.
    encoded: Vec<EncodedRows>,
}

/// The rows of a batch in one content.
struct EncodedRows {
    bytes: Bytes,
    /// Where each row ends; a row that no file holds is empty.
    ends: Vec<usize>,
}

/// Writes the files of one pass over the samples; returns them in their order, staged but not yet visible.
///
/// `most_copies` is how often each row is in the file that holds it most often: [`WriteSource::most_copies`] if it is `None`.
/// `progress` is called with the number of rows of each batch.
///
/// # Errors
/// If a file cannot be written.
pub(super) async fn write_pass(
    source: &Arc<WriteSource>,
    files: Vec<FileWriter>,
    most_copies: Option<Vec<u32>>,
    options: WriteOptions,
    pool: &Arc<rayon::ThreadPool>,
    mut progress: impl FnMut(u64),
) -> Result<Vec<StagedFile>> {
    let contents = files.first().map(|file| file.contents.clone()).unwrap_or_default();
    let mut senders = Vec::new();
    let mut writers = Vec::new();
    for file in files {
        let (tx, rx) = mpsc::channel(1);
        senders.push(tx);
        writers.push(file.run(rx));
    }
    let (producer, batches) = in_batches(source.clone(), most_copies, options, pool.clone());
    let batches = futures::stream::unfold(batches, async |mut rx| rx.recv().await.map(|batch| (batch, rx)))
        .map(|rows| encode_on(pool, source, contents.clone(), rows))
        .buffered(pool.current_num_threads() + 1);
    let send_all = async move {
        futures::pin_mut!(batches);
        while let Some(batch) = batches.next().await {
            let batch = Arc::new(batch?);
            for tx in &senders {
                // A writer that hangs up has failed; its error ends the run.
                let _ = tx.send(Some(batch.clone())).await;
            }
            progress(batch.rows.len() as u64);
        }
        // A producer that panics ends the sequence early: without this, files that lack rows would look complete.
        producer.await.map_err(|_| Error::new(ErrorKind::Bug, "ordering rows panicked"))?;
        for tx in &senders {
            let _ = tx.send(None).await;
        }
        Ok::<_, Error>(())
    };
    let ((), staged) = futures::try_join!(send_all, futures::future::try_join_all(writers))?;
    Ok(staged)
}

/// The rows that come first in a file of JSON lines: see [`first_rows`].
async fn rows_to_move(
    pool: &Arc<rayon::ThreadPool>,
    source: &Arc<WriteSource>,
    rows: FileRows,
    options: WriteOptions,
) -> Result<Vec<OutputRow>> {
    if !source.layout.has_optional_keys() {
        return Ok(Vec::new());
    }
    let source = source.clone();
    let find = move || {
        let WriteSource { source_ranges, most_copies, layout, .. } = &*source;
        let held = |row: &OutputRow| rows.copies(&source, row.row as usize) > row.copy;
        let keys = |row: &OutputRow| layout.keys_of(row.row as usize);
        let is_held = |at: &usize| rows.copies(&source, *at) > 0;
        let all = (0..source.samples.len()).filter(is_held).fold(0, |all, at| all | layout.keys_of(at));
        match options.order {
            Order::Natural => first_rows(natural_order(source_ranges, most_copies).filter(held), keys, all),
            Order::Shuffle => {
                let order = ShuffledOrder::new(source_ranges, most_copies, options.seed);
                first_rows((0..order.buckets()).flat_map(|bucket| order.bucket(bucket)).filter(held), keys, all)
            }
        }
    };
    spawn(pool, find).join("finding the first rows").await
}

/// Produces the sequence of output rows in batches, on a separate thread: shuffling takes time, and the run has to hear
/// signals meanwhile.
fn in_batches(
    source: Arc<WriteSource>,
    most_copies: Option<Vec<u32>>,
    options: WriteOptions,
    pool: Arc<rayon::ThreadPool>,
) -> (tokio::task::JoinHandle<()>, mpsc::Receiver<Vec<OutputRow>>) {
    let (tx, rx) = mpsc::channel(2);
    let producer = tokio::task::spawn_blocking(move || {
        let source_ranges = &source.source_ranges;
        let most_copies = most_copies.as_deref().unwrap_or(&source.most_copies);
        let mut batcher = Batcher { source: &source, tx, batch: Vec::new(), bytes: 0 };
        let sent = match options.order {
            Order::Natural => batcher.extend(natural_order(source_ranges, most_copies)),
            Order::Shuffle => {
                let order = ShuffledOrder::new(source_ranges, most_copies, options.seed);
                (0..order.buckets()).try_for_each(|bucket| batcher.extend(pool.install(|| order.bucket(bucket))))
            }
        };
        // The receiver is gone if the run has failed or was stopped.
        let _ = sent.and_then(|()| batcher.send());
    });
    (producer, rx)
}

/// Cuts the sequence into batches by an estimate of their size.
struct Batcher<'s> {
    source: &'s WriteSource,
    tx: mpsc::Sender<Vec<OutputRow>>,
    batch: Vec<OutputRow>,
    bytes: usize,
}

/// The receiver of batches is gone.
struct Closed;

impl Batcher<'_> {
    fn extend(&mut self, rows: impl IntoIterator<Item = OutputRow>) -> Result<(), Closed> {
        for row in rows {
            self.bytes += estimate(self.source, &self.source.samples[row.row as usize]);
            self.batch.push(row);
            if self.bytes > BATCH {
                self.send()?;
            }
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Closed> {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() { Ok(()) } else { self.tx.blocking_send(batch).map_err(|_| Closed) }
    }
}

fn estimate(source: &WriteSource, sample: &Sample) -> usize {
    let kind = sample.body.kind();
    100 + match source.layout.columns() {
        Columns::Full => kind.full_row_bytes(&source.texts),
        Columns::Training => kind.text_bytes(&source.texts),
    }
}

async fn encode_on(
    pool: &Arc<rayon::ThreadPool>,
    source: &Arc<WriteSource>,
    contents: Vec<Content>,
    rows: Vec<OutputRow>,
) -> Result<Batch> {
    let source = source.clone();
    spawn(pool, move || encode_batch(&source, &contents, rows)).join("encoding rows").await?
}

fn encode_batch(source: &WriteSource, contents: &[Content], rows: Vec<OutputRow>) -> Result<Batch> {
    let encode = |content: &Content| {
        let mut encoder = content.encoder(source);
        let mut bytes = Vec::with_capacity(BATCH + BATCH / 4);
        let mut ends = Vec::with_capacity(rows.len());
        for row in &rows {
            encoder.encode(row.row as usize, &mut bytes)?;
            ends.push(bytes.len());
        }
        Ok(EncodedRows { bytes: bytes.into(), ends })
    };
    let encoded = contents.iter().map(encode).collect::<Result<_>>()?;
    Ok(Batch { rows, encoded })
}

/// Turns encoded rows into the stored bytes of one file.
struct FileBytes {
    assembler: Box<dyn FileAssembler>,
    encoder: Transform,
}

impl FileBytes {
    /// Takes encoded rows; returns the stored bytes that are ready.
    fn push(&mut self, rows: Vec<Bytes>) -> Result<Vec<Bytes>> {
        compress(&mut self.encoder, self.assembler.push(rows)?)
    }

    /// Returns the last stored bytes.
    fn finish(self) -> Result<Vec<Bytes>> {
        let Self { assembler, mut encoder } = self;
        let mut ready = compress(&mut encoder, assembler.finish()?)?;
        ready.push(encoder.finish().map_err(cannot_compress)?);
        Ok(ready)
    }

    /// Whether encoded rows are stored as they are.
    fn passes_through(&self) -> bool {
        self.assembler.passes_through() && self.encoder.is_none()
    }
}

fn compress(encoder: &mut Transform, parts: Vec<Bytes>) -> Result<Vec<Bytes>> {
    let mut ready = Vec::new();
    for mut part in parts {
        while !part.is_empty() {
            ready.extend(encoder.push(&mut part).map_err(cannot_compress)?);
        }
    }
    Ok(ready)
}

fn cannot_compress(error: io::Error) -> Error {
    Error::new(ErrorKind::Bug, "cannot compress").caused_by(error)
}

/// Writes one file.
pub(super) struct FileWriter {
    source: Arc<WriteSource>,
    rows: FileRows,
    /// The rows that come before all others.
    first: Vec<OutputRow>,
    /// The contents of a batch.
    contents: Vec<Content>,
    /// The place of its own content among these.
    content: usize,
    /// `None` while a job has it.
    bytes: Option<FileBytes>,
    sink: Sink,
    pool: Arc<rayon::ThreadPool>,
}

impl FileWriter {
    /// Creates a file under its staging name. `contents` are those of its pass.
    ///
    /// # Errors
    /// If the file cannot be created or cannot have these rows.
    pub(super) async fn open(
        file: &RowsFile,
        contents: &[Content],
        source: &Arc<WriteSource>,
        options: WriteOptions,
        publication: &Publication,
        pool: &Arc<rayon::ThreadPool>,
    ) -> Result<Self> {
        let codec = options.compression.codec(file.format);
        let name = codec.file_name(&format!("{}{}", file.stem, file.format.ending()));
        let encoder = codec.encoder().map_err(cannot_compress)?;
        Ok(Self {
            source: source.clone(),
            rows: file.rows,
            // In every format, so that all files of a mix have the same order.
            first: rows_to_move(pool, source, file.rows, options).await?,
            contents: contents.to_vec(),
            content: contents
                .iter()
                .position(|content| *content == Content::of(file.format, file.mix))
                .unwrap_or_default(),
            bytes: Some(FileBytes {
                assembler: assembler(file.format, file.mix, source, options.compression)?,
                encoder,
            }),
            sink: publication.create(&name).await?,
            pool: pool.clone(),
        })
    }

    /// Writes what the file holds of each batch; `None` is the end of the file.
    async fn run(mut self, mut batches: mpsc::Receiver<Option<Arc<Batch>>>) -> Result<StagedFile> {
        if !self.first.is_empty() {
            let first = encode_on(&self.pool, &self.source, self.contents.clone(), self.first.clone()).await?;
            let rows = held_rows(&first, self.content, |_| true);
            self.write(rows).await?;
        }
        loop {
            let Some(batch) = batches.recv().await else {
                return Err(Error::new(ErrorKind::Bug, "writing was cut off"));
            };
            let Some(batch) = batch else { break };
            let held = |row: &OutputRow| {
                self.rows.copies(&self.source, row.row as usize) > row.copy && !self.first.contains(row)
            };
            let parts = held_rows(&batch, self.content, held);
            self.write(parts).await?;
        }
        let Some(bytes) = self.bytes.take() else { return Err(lost_bytes()) };
        let mut rest = spawn(&self.pool, move || bytes.finish()).join("encoding a file").await??;
        rest.retain(|part| !part.is_empty());
        if !rest.is_empty() {
            self.sink.write(rest).await?;
        }
        self.sink.finish().await
    }

    /// Writes encoded rows.
    async fn write(&mut self, mut rows: Vec<Bytes>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        if !self.bytes.as_ref().is_some_and(FileBytes::passes_through) {
            let Some(mut bytes) = self.bytes.take() else { return Err(lost_bytes()) };
            let job = spawn(&self.pool, move || bytes.push(rows).map(|ready| (bytes, ready)));
            let (bytes, ready) = job.join("encoding a file").await??;
            self.bytes = Some(bytes);
            rows = ready;
        }
        if rows.is_empty() { Ok(()) } else { self.sink.write(rows).await }
    }
}

/// The error if a job of the file has not given back what encodes it.
fn lost_bytes() -> Error {
    Error::new(ErrorKind::Bug, "a job that encodes a file is still running")
}

/// The bytes of the rows of a batch that a file holds; neighbours stay in one piece.
fn held_rows(batch: &Batch, content: usize, held: impl Fn(&OutputRow) -> bool) -> Vec<Bytes> {
    let EncodedRows { bytes, ends } = &batch.encoded[content];
    let mut parts = Vec::new();
    let mut push = |begin: usize, end: usize| {
        if begin < end {
            parts.push(bytes.slice(begin..end));
        }
    };
    let mut open: Option<usize> = None;
    let mut begin = 0;
    for (row, &end) in batch.rows.iter().zip(ends) {
        match (held(row), open) {
            (true, None) => open = Some(begin),
            (false, Some(first)) => {
                push(first, begin);
                open = None;
            }
            _ => {}
        }
        begin = end;
    }
    if let Some(first) = open {
        push(first, begin);
    }
    parts
}
