//! A publication and the sinks of its files.

use super::local::LocalPublication;
use super::options::PublishOptions;
use super::remote::RemotePublication;
use super::staged_file::StagedFile;
use super::staging::FileSink;
use super::upload::UploadSink;
use crate::error::{Error, ErrorKind, Result};
use crate::hash_map::lock;
use crate::storage::location::Location;
use crate::storage::retry::random_bits;
use crate::storage::shared::Shared;
use crate::storage::store_error::too_large;
use bytes::Bytes;
use std::sync::{Arc, Mutex};

/// A set of files to be published into a folder. If it is dropped without [`commit`](Self::commit), the folder stays as
/// it was.
pub struct Publication {
    output: Location,
    options: PublishOptions,
    previous_manifest: Option<Bytes>,
    /// The names of all files that were created.
    names: Mutex<Vec<String>>,
    backend: Backend,
}

enum Backend {
    Local(LocalPublication),
    Remote(RemotePublication),
}

/// One file that is being written, by a thread or by requests in flight. If it is dropped without
/// [`finish`](Self::finish), the file is discarded.
pub struct Sink(BackendSink);

enum BackendSink {
    Local(FileSink),
    Remote(Box<UploadSink>),
}

impl Publication {
    pub(in crate::storage) async fn open(
        shared: &Arc<Shared>,
        output: &Location,
        options: PublishOptions,
    ) -> Result<Self> {
        let run_id = format!("{:016x}", random_bits());
        let (backend, previous_manifest) = match shared.remote(output).await? {
            Some(remote) => {
                let (publication, previous) = RemotePublication::open(shared, remote, output, options, run_id).await?;
                (Backend::Remote(publication), previous)
            }
            None => {
                let (publication, previous) = LocalPublication::open(shared, output, options, run_id).await?;
                (Backend::Local(publication), previous)
            }
        };
        Ok(Self { output: output.clone(), options, previous_manifest, names: Mutex::default(), backend })
    }

    /// The manifest of the mix that the folder holds now.
    pub fn previous_manifest(&self) -> Option<&Bytes> {
        self.previous_manifest.as_ref()
    }

    /// Creates a file.
    ///
    /// # Errors
    /// The file cannot be written. A duplicate name, or one that is not a plain file name, is a bug of the caller.
    pub async fn create(&self, name: &str) -> Result<Sink> {
        {
            let mut names = lock(&self.names);
            if !self.options.is_publishable(name) || names.iter().any(|used| used == name) {
                return Err(Error::new(ErrorKind::Bug, "not a valid new file name for a mix").at(name));
            }
            names.push(name.to_string());
        }
        Ok(Sink(match &self.backend {
            Backend::Local(publication) => BackendSink::Local(publication.create(name).await?),
            Backend::Remote(publication) => BackendSink::Remote(Box::new(publication.create(name).await?)),
        }))
    }

    /// Makes every finished file visible, the manifest last, then removes `obsolete` files. Names that are not plain
    /// file names, or that this publication contains, are not removed.
    ///
    /// # Errors
    /// A file cannot be published. Then either the earlier mix is intact, or there is no manifest.
    pub async fn commit(self, manifest: Bytes, obsolete: &[String]) -> Result<()> {
        if manifest.len() as u64 > self.options.max_manifest_bytes {
            let error = too_large(self.output.join(self.options.manifest_name), self.options.max_manifest_bytes);
            self.abort().await;
            return Err(error);
        }
        let names = std::mem::take(&mut *lock(&self.names));
        let is_obsolete = |name: &&String| self.options.is_publishable(name) && !names.contains(name);
        let obsolete: Vec<String> = obsolete.iter().filter(is_obsolete).cloned().collect();
        match self.backend {
            Backend::Local(publication) => publication.commit(manifest, obsolete).await,
            Backend::Remote(publication) => publication.commit(manifest, obsolete).await,
        }
    }

    /// Aborts the publication: removes the staged files and aborts uploads, as far as the store responds.
    pub async fn abort(self) {
        match self.backend {
            Backend::Local(publication) => publication.abort().await,
            Backend::Remote(publication) => publication.abort().await,
        }
    }
}

impl Sink {
    /// Appends bytes, without a copy if the pieces are large. Waits while too many bytes are in flight.
    ///
    /// # Errors
    /// These or earlier bytes cannot be written.
    pub async fn write(&mut self, parts: Vec<Bytes>) -> Result<()> {
        match &mut self.0 {
            BackendSink::Local(sink) => sink.write(parts).await,
            BackendSink::Remote(sink) => sink.write(parts).await,
        }
    }

    /// Completes the file under its staging name.
    ///
    /// # Errors
    /// Not all of its bytes can be stored.
    pub async fn finish(self) -> Result<StagedFile> {
        match self.0 {
            BackendSink::Local(sink) => sink.finish().await,
            BackendSink::Remote(sink) => sink.finish().await,
        }
    }
}
