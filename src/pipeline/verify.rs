//! Re-reads a finished mix and holds it against its manifest.

use crate::codec::{Codec, Transform};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{MANIFEST_FORMAT, MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, OutputFile};
use crate::progress::{ProgressBar, ProgressCounter};
use crate::storage::{Location, Storage};
use bytes::Bytes;
use futures::StreamExt;
use std::io;

/// What was verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Files.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Rows of the files of rows.
    pub(crate) rows: u64,
}

/// Reads the manifest of a finished mix.
///
/// # Errors
/// [`ErrorKind::NotFound`] where there is none, [`ErrorKind::Data`] where it cannot be read.
pub(crate) async fn read_manifest(storage: &Storage, output: &Location) -> Result<Manifest> {
    let place = output.join(MANIFEST_NAME);
    let bytes = storage.read(&place, MAX_MANIFEST_BYTES).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "no manifest.json there, so no whole mix")
            .at(output)
            .hint("run `knowledge-mixing mix` to the end, or give the folder that it wrote")
    })?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| Error::new(ErrorKind::Data, "not a manifest of this program").at(&place).caused_by(error))?;
    if manifest.format > MANIFEST_FORMAT {
        return Err(Error::new(
            ErrorKind::Data,
            format!("the manifest has format {}, this program knows up to {MANIFEST_FORMAT}", manifest.format),
        )
        .at(&place)
        .hint("use a newer version of the program"));
    }
    Ok(manifest)
}

/// Checks the sizes, digests and row counts of all files of a mix.
///
/// # Errors
/// [`ErrorKind::Data`] with every file that is not as the manifest says; what storage says.
pub(crate) async fn verify(
    storage: &Storage,
    output: &Location,
    progress: &dyn Fn(u64) -> ProgressBar,
) -> Result<Verified> {
    let manifest = read_manifest(storage, output).await?;
    let bar = progress(manifest.outputs.iter().map(|file| file.bytes).sum());
    let mut verified = Verified::default();
    let mut wrong = Vec::new();
    for file in &manifest.outputs {
        match check_file(storage, output, file, &bar.counter()).await? {
            Ok(rows) => {
                verified.files += 1;
                verified.bytes += file.bytes;
                verified.rows += rows;
            }
            Err(what) => wrong.push(format!("{}: {what}", file.name)),
        }
    }
    if wrong.is_empty() {
        return Ok(verified);
    }
    Err(Error::new(ErrorKind::Data, format!("the mix is not as its manifest says: {}", wrong.join("; ")))
        .at(output)
        .hint("make the mix again: the same input and settings give the same bytes"))
}

/// The rows of a file that is as the manifest says, or what is wrong with it.
async fn check_file(
    storage: &Storage,
    output: &Location,
    file: &OutputFile,
    progress: &ProgressCounter,
) -> Result<Result<u64, String>> {
    let Some(object) = storage.stat(&output.join(&file.name)).await? else { return Ok(Err("is not there".to_owned())) };
    if object.size != file.bytes {
        return Ok(Err(format!("has {} bytes instead of {}", object.size, file.bytes)));
    }
    let mut hasher = blake3::Hasher::new();
    let mut counter = None;
    if file.rows.is_some() {
        counter = match RowCounter::new(&file.name) {
            Ok(counter) => Some(counter),
            Err(error) => return Ok(Err(error.to_string())),
        };
    }
    let mut stream = storage.stream(&object);
    while let Some(bytes) = stream.next().await {
        let bytes = bytes?;
        hasher.update(&bytes);
        progress.advance(bytes.len() as u64);
        if let Some(counter) = &mut counter
            && let Err(error) = counter.push(bytes)
        {
            return Ok(Err(format!("cannot be decompressed: {error}")));
        }
    }
    let digest = hasher.finalize().to_hex().to_string();
    if digest != file.digest {
        return Ok(Err(format!("has the digest {digest} instead of {}", file.digest)));
    }
    let rows = match counter.map(RowCounter::finish).transpose() {
        Ok(rows) => rows.unwrap_or(0),
        Err(error) => return Ok(Err(format!("cannot be decompressed: {error}"))),
    };
    Ok(match file.rows {
        Some(expected) if expected != rows => Err(format!("has {rows} rows instead of {expected}")),
        _ => Ok(rows),
    })
}

/// Counts the rows of a file as its stored bytes come.
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
