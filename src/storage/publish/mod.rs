//! Publishing: every file is made under a staging name, then all of them become visible together.
//!
//! The order of [`Publication::commit`] is the contract's: the old manifest is removed, the files get their names, the
//! new manifest is written last, and only then are the files removed that the earlier manifest named and this run does
//! not write. So a manifest always tells the truth, until the old one is removed the earlier mix is intact, and without
//! a manifest there is no mix, only files.

mod claim;
mod local;
mod remote;
mod upload;

use super::{Location, Storage};
use crate::error::{Error, ErrorKind, Result};
use crate::hash_map::lock;
use crate::manifest::MANIFEST_NAME;
use bytes::Bytes;
use std::sync::{Arc, Mutex};

pub(crate) use remote::RunState;
pub(crate) use upload::UPLOAD_MEMORY_MIB;

/// Everything of this program in an output folder that is no file of a mix begins so.
pub(crate) const OWN_PREFIX: &str = ".knowledge-mixing";

/// A manifest is read whole; none is larger than this.
const LARGEST_MANIFEST: u64 = 256 << 20;

/// A set of files on its way into a folder. Dropped without [`commit`](Self::commit), it leaves the folder as it was.
pub struct Publication {
    output: Location,
    previous: Option<Bytes>,
    staged: Arc<Mutex<Vec<Staged>>>,
    names: Mutex<Vec<String>>,
    place: Place,
}

enum Place {
    Local(local::Folder),
    Remote(remote::Run),
}

/// One file on its way. Writing happens elsewhere (a thread, requests in flight): [`write`](Self::write) hands over.
/// Dropped without [`finish`](Self::finish), the file is given up.
pub struct Sink(SinkKind);

enum SinkKind {
    Local(local::FileSink),
    Remote(Box<upload::UploadSink>),
}

/// A file that is whole under its staging name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedFile {
    /// Its name in the output folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of the bytes that were sent, in hexadecimal.
    pub digest: String,
}

/// A whole file and where it is staged.
enum Staged {
    Local(local::StagingFile),
    Remote(upload::Upload),
}

type Stage = Arc<Mutex<Vec<Staged>>>;

impl Publication {
    pub(super) async fn open(storage: &Storage, output: &Location) -> Result<Self> {
        let run_id = format!("{:016x}", super::retry::random_bits());
        let (place, previous) = match storage.remote(output).await? {
            Some(remote) => {
                let (run, previous) = remote::Run::open(storage, remote, output, run_id).await?;
                (Place::Remote(run), previous)
            }
            None => {
                let (folder, previous) = local::Folder::open(storage, output, run_id).await?;
                (Place::Local(folder), previous)
            }
        };
        Ok(Self { output: output.clone(), previous, staged: Arc::default(), names: Mutex::default(), place })
    }

    /// The manifest of the mix that is in the folder now.
    pub fn previous_manifest(&self) -> Option<&Bytes> {
        self.previous.as_ref()
    }

    /// Where it will be published.
    pub fn output(&self) -> &Location {
        &self.output
    }

    /// Begins a file.
    ///
    /// # Errors
    /// Where it cannot be written. A name that is taken, or that is no plain file name, is a bug of the caller.
    pub async fn create(&self, name: &str) -> Result<Sink> {
        {
            let mut names = lock(&self.names);
            if !plain(name) || name == MANIFEST_NAME || names.iter().any(|taken| taken == name) {
                return Err(Error::new(ErrorKind::Bug, "no name for a file of a mix").at(name));
            }
            names.push(name.to_string());
        }
        let stage = Arc::clone(&self.staged);
        Ok(Sink(match &self.place {
            Place::Local(folder) => SinkKind::Local(folder.create(name, stage).await?),
            Place::Remote(run) => SinkKind::Remote(Box::new(run.create(name, stage).await?)),
        }))
    }

    /// Makes every finished file visible, the manifest last, then removes `obsolete` files (names that are no plain file
    /// names, or that this run wrote, are passed over).
    ///
    /// # Errors
    /// Where that fails. Then either the earlier mix is intact, or there is no manifest.
    pub async fn commit(self, manifest: Bytes, obsolete: &[String]) -> Result<()> {
        let names = std::mem::take(&mut *lock(&self.names));
        let obsolete: Vec<String> = obsolete
            .iter()
            .filter(|name| plain(name) && *name != MANIFEST_NAME && !names.contains(name))
            .cloned()
            .collect();
        let staged = std::mem::take(&mut *lock(&self.staged));
        match self.place {
            Place::Local(folder) => folder.commit(staged, manifest, obsolete).await,
            Place::Remote(run) => run.commit(staged, manifest, obsolete).await,
        }
    }

    /// Gives up: removes what was staged and aborts uploads, as far as the store answers.
    pub async fn abort(self) {
        let staged = std::mem::take(&mut *lock(&self.staged));
        match self.place {
            Place::Local(folder) => folder.abort(staged).await,
            Place::Remote(run) => run.abort().await,
        }
    }
}

impl Sink {
    /// Adds bytes, without copying them where that can be. Waits while too much is underway.
    ///
    /// # Errors
    /// Where these or earlier bytes could not be written.
    pub async fn write(&mut self, parts: Vec<Bytes>) -> Result<()> {
        match &mut self.0 {
            SinkKind::Local(sink) => sink.write(parts).await,
            SinkKind::Remote(sink) => sink.write(parts).await,
        }
    }

    /// Ends the file: all its bytes are stored, under a staging name.
    ///
    /// # Errors
    /// Where they could not be.
    pub async fn finish(self) -> Result<StagedFile> {
        match self.0 {
            SinkKind::Local(sink) => sink.finish().await,
            SinkKind::Remote(sink) => sink.finish().await,
        }
    }
}

/// Whether a name is that of a file right in the folder, and none of this program's own.
fn plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

fn busy(output: &Location) -> Error {
    Error::new(ErrorKind::TryAgain, "another run is writing into this output").at(output)
}
