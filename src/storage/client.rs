//! [`Storage`]: list, read and publish.

use super::blocking_reader::BlockingReader;
use super::connect::Store;
use super::environment::Environment;
use super::local;
use super::location::Location;
use super::object::{ListFilter, Listing, ObjectInfo, Subfolders};
use super::open_files;
use super::options::StorageOptions;
use super::publish::clean::clean;
use super::publish::head::ManifestHead;
use super::publish::options::PublishOptions;
use super::publish::session::Publication;
use super::reader::{self, Reader};
use super::remote::READ_AHEAD;
use super::shared::{PublishState, Shared};
use super::task::{AbortOnDrop, blocking};
use super::walk;
use crate::error::Result;
use crate::excerpt::excerpt_of_list;
use crate::warnings::Warnings;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use std::ops::Range;
use std::sync::Arc;

/// Access to local files and to object stores, which are opened on first use. Cheap to clone.
#[derive(Clone)]
pub struct Storage(Arc<Shared>);

impl Storage {
    /// Uses the environment variables of this process.
    pub(crate) fn new(options: StorageOptions, warnings: Warnings) -> Self {
        open_files::raise_limit();
        Self(Arc::new(Shared::new(options, Environment::of_process(), None, warnings)))
    }

    /// Uses the given environment variables.
    pub fn with_environment(options: StorageOptions, environment: Environment) -> Self {
        Self(Arc::new(Shared::new(options, environment, None, Warnings::silent())))
    }

    /// Uses one store for every URL: for tests that need a failing one.
    pub fn with_store(options: StorageOptions, store: Arc<dyn Store>) -> Self {
        Self(Arc::new(Shared::new(options, Environment::default(), Some(store), Warnings::silent())))
    }

    /// Lists every file below a folder, sub-folders included, sorted by the bytes of its key. A missing folder is
    /// empty; a file is a list of one. Symbolic links are followed: Kubernetes mounts volumes through them.
    ///
    /// # Errors
    /// The folder cannot be read, or the store does not respond.
    pub async fn list(&self, folder: &Location) -> Result<Vec<ObjectInfo>> {
        Ok(self.list_selected(folder, ListFilter::ALL).await?.files)
    }

    /// Like [`list`](Self::list), but opens and returns only what `filter` selects. A file is a list of one, whatever its name.
    ///
    /// # Errors
    /// A folder cannot be read, the store does not respond, or something that is selected is not a regular file.
    pub(crate) async fn list_selected(&self, folder: &Location, filter: ListFilter) -> Result<Listing> {
        let mut found = match self.0.remote(folder).await? {
            Some(remote) => remote.list(folder, filter).await?,
            None => blocking(folder, move |folder| walk::list(folder, filter)).await?,
        };
        self.complete(folder, &mut found);
        Ok(found)
    }

    /// Sorts a listing, and warns of folders that links lead to a second time.
    fn complete(&self, folder: &Location, found: &mut Listing) {
        sort(&mut found.files);
        found.unread.sort_unstable();
        found.repeated.sort_unstable();
        if !found.repeated.is_empty() {
            let links = excerpt_of_list(&found.repeated);
            self.warnings().warn(format!(
                "{folder}: each folder is read once; links to a folder that is read already are not followed: {links}"
            ));
        }
    }

    /// Lists what `filter` selects below the sub-folders `names` of a folder, sorted as [`list`](Self::list) does. What is beside them is
    /// named, but not opened.
    ///
    /// # Errors
    /// As for [`list_selected`](Self::list_selected).
    pub(crate) async fn list_subfolders(
        &self,
        folder: &Location,
        names: &[&str],
        filter: ListFilter,
    ) -> Result<Subfolders> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
        let mut found = match self.0.remote(folder).await? {
            Some(remote) => remote.list_subfolders(folder, &names, filter).await?,
            None => blocking(folder, move |folder| walk::list_subfolders(folder, &names, filter)).await?,
        };
        self.complete(folder, &mut found.listing);
        found.others.sort_unstable();
        found.unreadable.sort_unstable();
        Ok(found)
    }

    /// Describes a file without reading it; `None` if it does not exist. The key is the file's name.
    ///
    /// # Errors
    /// The file's metadata cannot be read.
    pub async fn stat(&self, object: &Location) -> Result<Option<ObjectInfo>> {
        reader::stat(&self.0, object).await
    }

    /// Reads a small file; `None` if it does not exist.
    ///
    /// # Errors
    /// The file cannot be read, or is larger than `max_bytes`.
    pub async fn read(&self, object: &Location, max_bytes: u64) -> Result<Option<Bytes>> {
        match self.0.remote(object).await? {
            Some(remote) => Ok(remote.read(object, max_bytes).await?.map(|read| read.bytes)),
            None => blocking(object, move |path| local::read(path, max_bytes)).await,
        }
    }

    /// Streams the bytes of the listed version of an object in order. Ranges are read ahead in parallel.
    ///
    /// The stream ends with an error if the object cannot be read or has changed since it was listed.
    pub fn stream(&self, object: &ObjectInfo) -> BoxStream<'static, Result<Bytes>> {
        let (storage, object) = (self.clone(), object.clone());
        let ranges = async move {
            let reader = Reader::open(&storage.0, &object).await?;
            let (length, read_ahead) = reader.ranges();
            let starts = (0..object.size).step_by(length as usize);
            let ranges = starts.map(move |start| start..object.size.min(start + length));
            Ok(futures::stream::iter(ranges).map(move |range| reader.clone().read(range)).buffered(read_ahead))
        };
        ranges.into_stream().try_flatten().boxed()
    }

    /// Opens the file of a location on a thread that may block: the bytes of one version. `None` if it does not exist or has another
    /// size.
    ///
    /// # Errors
    /// The file's metadata cannot be read.
    pub(crate) fn open_blocking(&self, file: &Location, bytes: u64) -> Result<Option<BlockingReader>> {
        let runtime = tokio::runtime::Handle::current();
        let found = runtime.block_on(self.stat(file))?.filter(|object| object.size == bytes);
        Ok(found.map(|object| BlockingReader::new(self.stream(&object), object, runtime, Arc::clone(&self.0))))
    }

    /// The number of objects, at most `wanted`, that may be streamed at a time within the limit of open files.
    pub(crate) fn streams_at_once(&self, wanted: usize, is_local: bool) -> usize {
        // Each range that is read ahead has its own connection.
        let files = if is_local { 1 } else { READ_AHEAD };
        (open_files::at_most(wanted * files) / files).max(1)
    }

    /// Reads a range of the listed version of an object.
    ///
    /// # Errors
    /// The object cannot be read or has changed since it was listed.
    pub async fn read_range(&self, object: &ObjectInfo, range: Range<u64>) -> Result<Bytes> {
        Reader::open(&self.0, object).await?.read(range).await
    }

    /// Opens a staged publication into a folder.
    ///
    /// # Errors
    /// Another run is publishing to the folder ([`crate::error::ErrorKind::TryAgain`]), or it cannot be written.
    pub async fn publish(&self, output: &Location, options: PublishOptions) -> Result<Publication> {
        Publication::open(&self.0, output, options).await
    }

    /// Deletes what earlier mixes have left over in an output: files that the manifest names as such. Returns their names.
    /// `encode` makes the manifest that names none any more. Nothing else may work on the output meanwhile.
    ///
    /// # Errors
    /// Another run is publishing to the output ([`crate::error::ErrorKind::TryAgain`]), a file cannot be deleted, or the
    /// manifest cannot be written.
    pub async fn clean(
        &self,
        output: &Location,
        options: PublishOptions,
        encode: impl Fn(&Bytes, &ManifestHead) -> Result<Bytes> + Send + Sync + 'static,
    ) -> Result<Vec<String>> {
        clean(&self.0, output, options, encode).await
    }

    /// Runs work that writes local files, on a thread that may block. If the future is dropped (on a signal), `is_stopping`, which
    /// the work is given, returns true from then on, and [`clean_up`](Self::clean_up) waits for the work.
    ///
    /// # Errors
    /// Those of the work.
    pub(crate) async fn write_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Fn() -> bool) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.0);
        let writer_guard = Arc::clone(&shared.writers).read_owned().await;
        let write = move || {
            let _writer_guard = writer_guard;
            work(&|| shared.is_stopping())
        };
        AbortOnDrop(tokio::task::spawn_blocking(write)).join().await
    }

    /// Cleans up after the future of a run is dropped (on a signal): aborts the uploads of publications that are
    /// neither committed nor aborted, as far as their stores respond, and waits for the threads that write local files,
    /// which remove their staging files.
    pub async fn clean_up(&self) {
        self.0.clean_up().await;
    }

    /// How far the publication is, even if its run was stopped before it could report that.
    pub(crate) fn publish_state(&self) -> PublishState {
        self.0.publish_state()
    }

    /// The warnings of this run.
    pub fn warnings(&self) -> &Warnings {
        &self.0.warnings
    }

    /// Has the digests of written files computed on this pool, from now on.
    pub(crate) fn use_pool(&self, pool: &Arc<rayon::ThreadPool>) {
        // The pool of a process is created once.
        let _ = self.0.pool.set(Arc::clone(pool));
    }

    /// What the hub's client needs.
    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }
}

/// Sorts files by the bytes of their keys.
fn sort(files: &mut [ObjectInfo]) {
    files.sort_unstable_by(|a, b| a.key.as_bytes().cmp(b.key.as_bytes()));
}
