//! Publishing into a local folder: staging files are flushed and renamed, then the folder is synced.

use super::folder_lock::{FolderLock, Locked};
use super::options::PublishOptions;
use super::staging::{FileSink, StagingFile};
use crate::error::Result;
use crate::hash_map::lock;
use crate::storage::local::read;
use crate::storage::location::Location;
use crate::storage::shared::Shared;
use crate::storage::store_error::{io_error, write_error};
use crate::storage::task::{AbortOnDrop, blocking};
use bytes::Bytes;
use std::fs::File;
use std::io::{ErrorKind as Io, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// A publication into an output folder.
pub(super) struct LocalPublication {
    folder: PathBuf,
    options: PublishOptions,
    run_id: String,
    shared: Arc<Shared>,
    staged: Arc<Mutex<Vec<StagingFile>>>,
    /// Held until the publication is dropped; `None` if the file system does not support locks.
    _lock: Option<FolderLock>,
}

impl LocalPublication {
    /// Locks the folder and returns the manifest that it holds.
    pub(super) async fn open(
        shared: &Arc<Shared>,
        output: &Location,
        options: PublishOptions,
        run_id: String,
    ) -> Result<(Self, Option<Bytes>)> {
        let shared = Arc::clone(shared);
        let open = move |output: &Location| {
            let folder = output.local_path().unwrap_or(Path::new("")).to_path_buf();
            std::fs::create_dir_all(&folder).map_err(|error| write_error(error, "create the folder", output))?;
            let lock = match FolderLock::acquire(&folder, output, &options)? {
                Locked::Held(lock) => {
                    remove_leftovers(&folder, &options)?;
                    Some(lock)
                }
                Locked::Unsupported(error) => {
                    shared.warnings.warn(format!(
                        "{output}: the file system does not support locks ({error}): let only one run publish here"
                    ));
                    None
                }
            };
            let previous = read(&output.join(options.manifest_name), options.max_manifest_bytes)?;
            Ok((Self { folder, options, run_id, shared, staged: Arc::default(), _lock: lock }, previous))
        };
        blocking(output, open).await
    }

    /// Creates a file under its staging name.
    pub(super) async fn create(&self, name: &str) -> Result<FileSink> {
        let writer_guard = Arc::clone(&self.shared.writers).read_owned().await;
        let file = self.create_staging(name)?;
        let flush = self.shared.options.flush;
        Ok(FileSink::start(name, file, Arc::clone(&self.staged), self.shared.digest(), flush, writer_guard))
    }

    /// Removes the staging files.
    pub(super) async fn abort(self) {
        lock(&self.staged).clear();
        self.shared.wait_for_writers().await;
    }

    /// Publishes the staged files.
    pub(super) async fn commit(self, manifest: Bytes, obsolete: Vec<String>) -> Result<()> {
        // The commit continues if its future is dropped: then `clean_up` waits for it as for a writer.
        let writer_guard = Arc::clone(&self.shared.writers).read_owned().await;
        let commit = move || {
            let committed = self.commit_now(&manifest).map(|()| self.remove_obsolete(&obsolete));
            drop(self);
            drop(writer_guard);
            committed
        };
        AbortOnDrop(tokio::task::spawn_blocking(commit)).join().await
    }

    fn commit_now(&self, manifest: &Bytes) -> Result<()> {
        let new_manifest = self.stage_manifest(manifest)?;
        match std::fs::remove_file(new_manifest.target()) {
            Ok(()) => self.sync()?,
            Err(error) if error.kind() == Io::NotFound => {}
            Err(error) => {
                return Err(io_error(error, "remove the earlier manifest", new_manifest.target().display()));
            }
        }
        let staged = std::mem::take(&mut *lock(&self.staged));
        for file in staged {
            file.publish()?;
        }
        // The names must be on the disk before the manifest that lists them.
        self.sync()?;
        new_manifest.publish()?;
        self.shared.published.store(true, Ordering::Release);
        self.sync()
    }

    fn stage_manifest(&self, manifest: &Bytes) -> Result<StagingFile> {
        let (mut file, staging) = self.create_staging(self.options.manifest_name)?;
        let failed = |error| io_error(error, "write", staging.target().display());
        file.write_all(manifest).map_err(failed)?;
        if self.shared.options.flush {
            file.sync_all().map_err(failed)?;
        }
        Ok(staging)
    }

    /// Removes files of the earlier mix. The new mix is complete, so a failure is only a warning.
    fn remove_obsolete(&self, obsolete: &[String]) {
        for name in obsolete {
            let path = self.folder.join(name);
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == Io::NotFound => {}
                Err(error) => {
                    let error = io_error(error, "remove a file of the earlier mix", path.display());
                    self.shared.warnings.warn(error.line());
                }
            }
        }
    }

    fn create_staging(&self, name: &str) -> Result<(File, StagingFile)> {
        let staging = self.folder.join(self.options.staging_name(&self.run_id, name));
        StagingFile::create(staging, self.folder.join(name))
    }

    fn sync(&self) -> Result<()> {
        if !self.shared.options.flush {
            return Ok(());
        }
        match File::open(&self.folder).and_then(|folder| folder.sync_all()) {
            Ok(()) => Ok(()),
            // Some network file systems can neither sync a folder nor need to.
            Err(error) if matches!(error.kind(), Io::InvalidInput | Io::Unsupported) => Ok(()),
            Err(error) => Err(io_error(error, "flush the folder", self.folder.display())),
        }
    }
}

/// Removes the staging files of killed runs. Only the holder of the lock may.
fn remove_leftovers(folder: &Path, options: &PublishOptions) -> Result<()> {
    let failed = |error| io_error(error, "list the folder", folder.display());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_str().is_some_and(|name| options.is_staging_name(name)) {
            continue;
        }
        match std::fs::remove_file(entry.path()) {
            Ok(()) => {}
            // A writing thread of an aborted run may be removing it at this moment.
            Err(error) if error.kind() == Io::NotFound => {}
            Err(error) => {
                return Err(io_error(error, "remove a staging file of a killed run", entry.path().display()));
            }
        }
    }
    Ok(())
}
