//! A publication and the sinks of its files.

use super::head::{EncodeManifest, ManifestHead};
use super::local::LocalPublication;
use super::options::PublishOptions;
use super::published::Published;
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
    /// The names of all files that were created.
    names: Mutex<Vec<String>>,
    backend: Backend,
}

enum Backend {
    Local(Box<LocalPublication>),
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
        let backend = match shared.remote(output).await? {
            Some(remote) => Backend::Remote(RemotePublication::open(shared, remote, output, options, run_id).await?),
            None => Backend::Local(Box::new(LocalPublication::open(shared, output, options, run_id).await?)),
        };
        Ok(Self { output: output.clone(), options, names: Mutex::default(), backend })
    }

    /// Checks that files may get these names: that nothing of somebody else is in the way.
    ///
    /// # Errors
    /// A usage error that names what is in the way.
    pub async fn check_names(&self, names: &[&str]) -> Result<()> {
        match &self.backend {
            Backend::Local(publication) => names.iter().try_for_each(|name| publication.check_name(name)),
            Backend::Remote(publication) => publication.check_names(names.iter().copied()).await,
        }
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
        let created = match &self.backend {
            Backend::Local(publication) => publication.create(name).await.map(BackendSink::Local),
            Backend::Remote(publication) => {
                publication.create(name).await.map(|sink| BackendSink::Remote(Box::new(sink)))
            }
        };
        if created.is_err() {
            // The caller may create it again when other files are finished and their descriptors are free.
            lock(&self.names).retain(|used| used != name);
        }
        created.map(Sink)
    }

    /// Makes every finished file visible, the complete manifest last. Files of the earlier mix that this one has not are removed
    /// from a folder; in a bucket, the manifest names them as left over. `encode` makes the bytes of a manifest with the given head.
    ///
    /// # Errors
    /// A file cannot be published. Then either the earlier mix is intact, or the manifest says that the mix is being replaced.
    pub async fn commit(
        self,
        encode: impl Fn(&ManifestHead) -> Result<Bytes> + Send + Sync + 'static,
    ) -> Result<Published> {
        let (place, max_bytes) = (self.output.join(self.options.manifest_name), self.options.max_manifest_bytes);
        let encode: EncodeManifest = Box::new(move |head| match encode(head)? {
            bytes if bytes.len() as u64 > max_bytes => Err(too_large(&place, max_bytes)),
            bytes => Ok(bytes),
        });
        match self.backend {
            Backend::Local(publication) => publication.commit(encode).await,
            Backend::Remote(publication) => publication.commit(encode).await,
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
