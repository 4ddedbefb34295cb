//! Checks a finished mix against its manifest.

use crate::codec::{Codec, Transform};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{MANIFEST_FORMAT, MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, MixState, OutputFile};
use crate::output::{PARQUET_TAIL_BYTES, parquet_footer_bytes, parquet_rows};
use crate::progress::{ProgressBar, ProgressCounter};
use crate::recipe::Format;
use crate::storage::{Location, ObjectInfo, Storage};
use bytes::Bytes;
use futures::StreamExt;
use parquet::errors::ParquetError;
use std::io;
use std::time::Duration;

/// The hint for a damaged mix.
pub(crate) const RUN_AGAIN: &str = "run `knowledge-mixing mix` again: the same input and settings give the same bytes";

/// How often a file is checked that is not as expected, and the pause before the next time.
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(400);

/// What was verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Files.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// The rows of all files that have rows.
    pub(crate) rows: u64,
}

/// Reads the manifest of a finished mix.
///
/// # Errors
/// [`ErrorKind::NotFound`] if there is none, [`ErrorKind::Data`] if it is not readable, [`ErrorKind::TryAgain`] if the mix is being
/// replaced.
pub(crate) async fn read_manifest(storage: &Storage, output: &Location) -> Result<Manifest> {
    let place = output.join(MANIFEST_NAME);
    let bytes = storage.read(&place, MAX_MANIFEST_BYTES).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "manifest.json not found: there is no complete mix")
            .at(output)
            .hint("check the location, or run `knowledge-mixing mix` again")
    })?;
    let manifest = Manifest::parse(&bytes).map_err(|error| error.at(&place).hint(RUN_AGAIN))?;
    if manifest.format > MANIFEST_FORMAT {
        return Err(Error::new(
            ErrorKind::Data,
            format!("unsupported manifest format {}: expected at most {MANIFEST_FORMAT}", manifest.format),
        )
        .at(&place)
        .hint("use the version of knowledge-mixing that wrote the mix, or a newer one"));
    }
    if manifest.state == MixState::Replacing {
        let message = "the mix is not complete: a run is replacing it, or was stopped while it did";
        let hint = "try again when the run has ended; if none is at work, run `knowledge-mixing mix` again";
        return Err(Error::new(ErrorKind::TryAgain, message).at(output).hint(hint));
    }
    Ok(manifest)
}

/// Checks the sizes, digests and row counts of all files of a mix.
///
/// # Errors
/// [`ErrorKind::Data`] naming every file that differs from the manifest; errors of storage.
pub(crate) async fn verify(
    storage: &Storage,
    output: &Location,
    progress: &dyn Fn(u64) -> ProgressBar,
) -> Result<Verified> {
    let manifest = read_manifest(storage, output).await?;
    let bar = progress(manifest.outputs.iter().map(|file| file.bytes).sum());
    let checked = check_files(storage, output, &manifest, &bar.counter()).await;
    if matches!(&checked, Ok((_, wrong)) if wrong.is_empty()) {
        return checked.map(|(verified, _)| verified);
    }
    // What was read may be of two mixes.
    if let Err(error) = check_run(storage, output, &manifest).await {
        return Err(if error.kind() == ErrorKind::TryAgain { error } else { checked.err().unwrap_or(error) });
    }
    let (_, wrong) = checked?;
    Err(Error::new(ErrorKind::Data, format!("the mix differs from its manifest: {}", wrong.join("; ")))
        .at(output)
        .hint(RUN_AGAIN))
}

/// Checks that a mix is still that of a manifest.
///
/// # Errors
/// [`ErrorKind::TryAgain`] if it was replaced; errors of storage.
pub(super) async fn check_run(storage: &Storage, output: &Location, manifest: &Manifest) -> Result<()> {
    let is_replaced = match read_manifest(storage, output).await {
        Ok(now) => now.run != manifest.run,
        Err(error) if matches!(error.kind(), ErrorKind::TryAgain | ErrorKind::NotFound) => true,
        Err(error) => return Err(error),
    };
    if is_replaced {
        let message = "the mix was replaced while it was verified";
        return Err(Error::new(ErrorKind::TryAgain, message).at(output).hint("verify it again"));
    }
    Ok(())
}

/// Checks all files of a manifest. Returns what was verified, and what is wrong with each of the others.
async fn check_files(
    storage: &Storage,
    output: &Location,
    manifest: &Manifest,
    progress: &ProgressCounter,
) -> Result<(Verified, Vec<String>)> {
    let mut verified = Verified::default();
    let mut wrong = Vec::new();
    for file in &manifest.outputs {
        match check_settled_file(storage, output, file, progress).await? {
            Ok(rows) => {
                verified.files += 1;
                verified.bytes += file.bytes;
                verified.rows += rows;
            }
            Err(what) => wrong.push(format!("{}: {what}", file.name)),
        }
    }
    Ok((verified, wrong))
}

/// Checks a file, again after a pause if it is not as expected: on some network file systems, size and time of a file change a moment
/// after it was written.
async fn check_settled_file(
    storage: &Storage,
    output: &Location,
    file: &OutputFile,
    progress: &ProgressCounter,
) -> Result<Result<u64, String>> {
    let place = output.join(&file.name);
    let mut attempt = 1;
    loop {
        let checked = match storage.stat(&place).await? {
            Some(object) if object.size == file.bytes => match check_file(storage, &object, file, progress).await {
                Err(error) if error.kind() == ErrorKind::Io => Err(error),
                checked => return checked,
            },
            Some(object) => Ok(Err(format!("expected {} bytes, found {}", file.bytes, object.size))),
            None => Ok(Err("not found".to_owned())),
        };
        if attempt == ATTEMPTS {
            return checked;
        }
        attempt += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

/// The number of rows of a file that is as the manifest says, or else what is wrong with it.
async fn check_file(
    storage: &Storage,
    object: &ObjectInfo,
    file: &OutputFile,
    progress: &ProgressCounter,
) -> Result<Result<u64, String>> {
    let mut hasher = blake3::Hasher::new();
    let mut counter = None;
    if file.rows.is_some() && !is_parquet(file) {
        counter = match RowCounter::new(&file.name) {
            Ok(counter) => Some(counter),
            Err(error) => return Ok(Err(error.to_string())),
        };
    }
    let mut stream = storage.stream(object);
    while let Some(bytes) = stream.next().await {
        let bytes = bytes?;
        hasher.update(&bytes);
        progress.advance(bytes.len() as u64);
        if let Some(counter) = &mut counter
            && let Err(error) = counter.push(bytes)
        {
            return Ok(Err(format!("cannot decompress: {error}")));
        }
    }
    let digest = hasher.finalize().to_hex().to_string();
    if digest != file.digest {
        return Ok(Err(format!("expected digest {}, found {digest}", file.digest)));
    }
    let rows = match counter.map(RowCounter::finish).transpose() {
        Ok(Some(rows)) => rows,
        Ok(None) if is_parquet(file) => match count_parquet_rows(storage, object).await? {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error.to_string())),
        },
        Ok(None) => 0,
        Err(error) => return Ok(Err(format!("cannot decompress: {error}"))),
    };
    Ok(match file.rows {
        Some(expected) if expected != rows => Err(format!("expected {expected} rows, found {rows}")),
        _ => Ok(rows),
    })
}

fn is_parquet(file: &OutputFile) -> bool {
    file.format.as_deref().and_then(Format::parse).is_some_and(Format::is_parquet)
}

/// The number of rows that the footer of a Parquet file tells.
async fn count_parquet_rows(storage: &Storage, object: &ObjectInfo) -> Result<Result<u64, ParquetError>> {
    let tail_start = object.size.saturating_sub(PARQUET_TAIL_BYTES);
    let footer_bytes = match parquet_footer_bytes(&storage.read_range(object, tail_start..object.size).await?) {
        Ok(bytes) => bytes,
        Err(error) => return Ok(Err(error)),
    };
    let footer = storage.read_range(object, tail_start.saturating_sub(footer_bytes)..tail_start).await?;
    Ok(parquet_rows(&footer))
}

/// Counts the lines of a file from its stored bytes.
struct RowCounter {
    decoder: Transform,
    rows: u64,
}

impl RowCounter {
    fn new(name: &str) -> io::Result<Self> {
        let (_, codec) = Codec::split_name(name);
        Ok(Self { decoder: codec.decoder()?, rows: 0 })
    }

    fn push(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            if let Some(piece) = self.decoder.push(&mut bytes)? {
                self.rows += count_lines(&piece);
            }
        }
        Ok(())
    }

    fn finish(self) -> io::Result<u64> {
        Ok(self.rows + count_lines(&self.decoder.finish()?))
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
