//! Publishing into a local folder: staging files are flushed and renamed, then the folder is synced.
//!
//! The order of a commit: check everything that can be checked; write the *commit record*; replace the manifest by one that says
//! "replacing" (the point of no return); give the files their names; remove what the new mix has not; replace the manifest by the
//! complete one. A run that is killed at any point leaves either the earlier mix, or a manifest that says "replacing" and names
//! every file that may be there.

use super::commit_record::{CommitRecords, commit_record};
use super::created_folders::CreatedFolders;
use super::folder_lock::{FolderLock, Locked};
use super::found::{Found, left_over};
use super::head::{EncodeCleaned, EncodeManifest, ManifestHead};
use super::options::{PublishOptions, foreign};
use super::published::Published;
use super::staged_file::StagedFile;
use super::staging::{FileSink, StagingFile};
use crate::error::{Error, ErrorKind, Result};
use crate::hash_map::lock;
use crate::manifest::MixState;
use crate::storage::descriptor::close;
use crate::storage::local::read;
use crate::storage::location::Location;
use crate::storage::rename::rename;
use crate::storage::shared::{PublishState, Shared};
use crate::storage::store_error::{io_error, write_error};
use crate::storage::task::{AbortOnDrop, blocking};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind as Io, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Number of pauses in which a file waits for a thread, and their length.
const THREAD_PAUSES: usize = 5;
const THREAD_PAUSE: Duration = Duration::from_millis(5);

/// What to do about a file system that cannot rename.
const MOUNTED: &str =
    "if this is a mounted bucket, pass the bucket's URL (s3://BUCKET/PREFIX) instead of the mounted folder";

/// What to do after a commit that failed half-way.
const INTERRUPTED: &str = "the mix was being replaced and is not complete: run again";

/// A publication into an output folder.
pub(super) struct LocalPublication {
    folder: PathBuf,
    options: PublishOptions,
    run_id: String,
    shared: Arc<Shared>,
    staged: Arc<Mutex<Vec<StagingFile>>>,
    found: Found,
    /// The files in the folder that belong to this program: they may be replaced, and are removed if the new mix has not.
    ours: BTreeSet<String>,
    /// The names in the folder that do not belong to this program.
    others: BTreeSet<String>,
    records: CommitRecords,
    /// `None` if the file system does not support locks.
    lock: Option<FolderLock>,
    created: Arc<CreatedFolders>,
}

impl LocalPublication {
    /// Locks the folder.
    pub(super) async fn open(
        shared: &Arc<Shared>,
        output: &Location,
        options: PublishOptions,
        run_id: String,
    ) -> Result<Self> {
        let shared = Arc::clone(shared);
        let writer_guard = Arc::clone(&shared.writers).read_owned().await;
        let open = move |output: &Location| {
            let folder = output.local_path().unwrap_or(Path::new("")).to_path_buf();
            let created = Arc::new(CreatedFolders::create(&folder, output)?);
            let lock = match FolderLock::acquire(&folder, output, &options)? {
                Locked::Held(lock) => Some(lock),
                Locked::Unsupported(error) => {
                    shared.warnings.warn(format!(
                        "{output}: the file system does not support locks ({error}): let only one run publish here"
                    ));
                    None
                }
            };
            let names = names(&folder)?;
            if lock.is_some() {
                remove_leftovers(&folder, &names, &options)?;
            }
            check_rename(&folder, &options.staging_name(&run_id, "probe"), &options.staging_name(&run_id, "renamed"))?;
            let records = CommitRecords::read(&folder, names.iter().map(String::as_str), &options)?;
            let found = find(&folder, &options)?;
            let mut ours = found.names(&options);
            ours.extend(records.published(&folder, &ours, &options)?);
            let staged = Arc::default();
            let others = names.into_iter().filter(|name| !ours.contains(name)).collect();
            let opened = Self { folder, options, run_id, shared, staged, found, ours, others, records, lock, created };
            opened.check_manifest()?;
            Ok((opened, writer_guard))
        };
        // Nobody may be left to take the result: then whoever waits for writers waits until it is dropped.
        let (opened, _writer_guard) = blocking(output, open).await?;
        Ok(opened)
    }

    /// Checks that a file may get this name.
    pub(super) fn check_name(&self, name: &str) -> Result<()> {
        let path = self.folder.join(name);
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => Err(is_a_folder(&path)),
            Ok(_) if self.options.overwrite || self.ours.contains(name) => Ok(()),
            Ok(_) => Err(foreign(path.display())),
            Err(error) if error.kind() == Io::NotFound => Ok(()),
            Err(error) => Err(io_error(error, "read the file's metadata", path.display())),
        }
    }

    /// Checks that the manifest may be replaced.
    fn check_manifest(&self) -> Result<()> {
        let path = self.folder.join(self.options.manifest_name);
        check_no_folder(&path)?;
        match self.found {
            Found::Foreign if !self.options.overwrite => Err(foreign(path.display())),
            _ => Ok(()),
        }
    }

    /// Creates a file under its staging name.
    pub(super) async fn create(&self, name: &str) -> Result<FileSink> {
        self.check_name(name)?;
        // A thread that has just finished another file counts until the system has removed it.
        for _ in 0..THREAD_PAUSES {
            match self.try_create(name).await {
                Err(error) if error.is_thread_limit() => tokio::time::sleep(THREAD_PAUSE).await,
                created => return created,
            }
        }
        self.try_create(name).await
    }

    async fn try_create(&self, name: &str) -> Result<FileSink> {
        let writer_guard = Arc::clone(&self.shared.writers).read_owned().await;
        let file = self.create_staging(name, name)?;
        let flush = self.shared.options.flush;
        FileSink::start(name, file, Arc::clone(&self.staged), self.shared.digest(), flush, writer_guard)
    }

    /// Removes the staging files.
    pub(super) async fn abort(self) {
        lock(&self.staged).clear();
        self.shared.wait_for_writers().await;
    }

    /// Publishes the staged files.
    pub(super) async fn commit(self, encode: EncodeManifest) -> Result<Published> {
        // The commit continues if its future is dropped: then `clean_up` waits for it as for a writer.
        let writer_guard = Arc::clone(&self.shared.writers).read_owned().await;
        let commit = move || {
            let committed = self.commit_now(&encode);
            let Self { lock, created, others, options, .. } = self;
            match committed {
                // The guard comes last, because nobody may be left to take the result.
                Ok(head) => Ok((Published::new(head, others, &options, lock), writer_guard)),
                Err(error) => {
                    drop((lock, created));
                    Err(error)
                }
            }
        };
        let (published, _writer_guard) = AbortOnDrop(tokio::task::spawn_blocking(commit)).join().await?;
        Ok(published)
    }

    /// Removes what is left over from earlier mixes.
    pub(super) async fn clean(self, encode: EncodeCleaned) -> Result<Vec<String>> {
        let output = Location::local(&self.folder);
        let clean = move |output: &Location| {
            let manifest = read(&output.join(self.options.manifest_name), self.options.max_manifest_bytes)?;
            let (head, names) = left_over(manifest.as_ref(), &self.options, output)?;
            let remaining = self.remove_obsolete(names.clone());
            let removed: Vec<String> = names.into_iter().filter(|name| !remaining.contains(name)).collect();
            if let (Some(manifest), false) = (manifest, removed.is_empty()) {
                let head = ManifestHead { left_over: remaining, ..head };
                self.stage(self.options.manifest_name, "cleaned", &encode(&manifest, &head)?)?.publish()?;
                self.sync()?;
            }
            Ok(removed)
        };
        blocking(&output, clean).await
    }

    fn commit_now(&self, encode: &EncodeManifest) -> Result<ManifestHead> {
        let staged = std::mem::take(&mut *lock(&self.staged));
        for staging in &staged {
            staging.check()?;
            self.check_name(&staging.file().name)?;
        }
        self.check_manifest()?;
        let files: Vec<StagedFile> = staged.iter().map(|staging| staging.file().clone()).collect();
        let names: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let obsolete: Vec<String> = self.ours.iter().filter(|name| !names.contains(name.as_str())).cloned().collect();
        let head = |state, left_over: Vec<String>| {
            let files = files.iter().map(|file| file.name.clone()).collect();
            ManifestHead { state, run: self.run_id.clone(), files, left_over }
        };
        let manifest = self.options.manifest_name;
        let replacing = head(MixState::Replacing, obsolete.clone());
        let replacing = self.stage(manifest, "replacing", &encode(&replacing)?)?;
        let complete_head = head(MixState::Complete, Vec::new());
        let complete = self.stage(manifest, "complete", &encode(&complete_head)?)?;
        let record = self.options.commit_name(&self.run_id);
        self.stage(&record, "commit", &commit_record(&files)?)?.publish()?;
        let record = RemoveOnDrop(Some(self.folder.join(record)));
        self.sync()?;
        self.shared.begin_replacing()?;
        replacing.publish().inspect_err(|_| self.shared.set_publish_state(PublishState::Untouched))?;
        // The point of no return: from here on, only the next run's commit may forget what this one has begun.
        let record = record.keep();
        let finish = || {
            self.sync()?;
            for file in staged {
                file.publish()?;
            }
            let remaining = self.remove_obsolete(obsolete);
            // The names must be on the disk before the manifest that lists them.
            self.sync()?;
            if remaining.is_empty() {
                return complete.publish().map(|()| complete_head);
            }
            let head = head(MixState::Complete, remaining);
            self.stage(manifest, "remaining", &encode(&head)?)?.publish().map(|()| head)
        };
        let head = finish().map_err(|error: Error| error.hint(INTERRUPTED))?;
        self.shared.set_publish_state(PublishState::Complete);
        self.sync().map_err(|error| {
            let message = "the mix is complete, but the folder cannot be flushed: a power failure may lose it";
            Error::new(ErrorKind::Io, message).at(self.folder.display()).caused_by(error.line())
        })?;
        self.remove_records(&record);
        Ok(head)
    }

    /// Stages a small file.
    fn stage(&self, target: &str, staging: &str, content: &Bytes) -> Result<StagingFile> {
        let (mut file, mut staging) = self.create_staging(target, staging)?;
        staging.file.bytes = content.len() as u64;
        let failed = |error| io_error(error, "write", self.folder.join(target).display());
        file.write_all(content).map_err(failed)?;
        if self.shared.options.flush {
            file.sync_all().map_err(failed)?;
        }
        close(file).map_err(failed)?;
        staging.check()?;
        Ok(staging)
    }

    /// Removes the files of earlier mixes that the new one has not; returns those that cannot be removed. The new mix does not
    /// need them gone, so that is only a warning: the manifest keeps naming them for the next run.
    fn remove_obsolete(&self, obsolete: Vec<String>) -> Vec<String> {
        let is_left = |name: &String| {
            let path = self.folder.join(name);
            match std::fs::remove_file(&path) {
                Ok(()) => false,
                Err(error) if error.kind() == Io::NotFound => false,
                Err(error) => {
                    let error = io_error(error, "remove a file of the earlier mix", path.display());
                    self.shared.warnings.warn(error.line());
                    true
                }
            }
        };
        obsolete.into_iter().filter(is_left).collect()
    }

    /// Removes the commit records of this run and of the killed runs whose clean-up it has finished. One that stays is harmless:
    /// the next run removes it.
    fn remove_records(&self, own: &Path) {
        for path in self.records.paths().iter().map(PathBuf::as_path).chain([own]) {
            let _ = std::fs::remove_file(path);
        }
    }

    fn create_staging(&self, name: &str, staging: &str) -> Result<(File, StagingFile)> {
        let staging = self.folder.join(self.options.staging_name(&self.run_id, staging));
        StagingFile::create(staging, self.folder.join(name), name, Arc::clone(&self.created))
    }

    fn sync(&self) -> Result<()> {
        if !self.shared.options.flush {
            return Ok(());
        }
        match File::open(&self.folder).and_then(|folder| folder.sync_all()) {
            Ok(()) => Ok(()),
            // Some network file systems and mounted buckets can neither sync a folder nor need to.
            Err(error) if matches!(error.kind(), Io::InvalidInput | Io::Unsupported) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok(()),
            Err(error) => Err(io_error(error, "flush the folder", self.folder.display())),
        }
    }
}

/// A file that is removed unless it is kept.
struct RemoveOnDrop(Option<PathBuf>);

impl RemoveOnDrop {
    fn keep(mut self) -> PathBuf {
        self.0.take().unwrap_or_default()
    }
}

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What the folder holds under the name of the manifest.
fn find(folder: &Path, options: &PublishOptions) -> Result<Found> {
    let path = folder.join(options.manifest_name);
    check_no_folder(&path)?;
    let manifest = read(&Location::local(&path), options.max_manifest_bytes)?;
    Ok(Found::of(manifest.as_ref(), options))
}

/// Checks that no folder has the name of a file.
fn check_no_folder(path: &Path) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Err(is_a_folder(path)),
        _ => Ok(()),
    }
}

fn is_a_folder(path: &Path) -> Error {
    Error::new(ErrorKind::Usage, "the output has a folder of this name, where a file has to be written")
        .at(path.display())
        .hint("remove the folder, or pass --output another one")
}

/// The names of all entries of a folder that are valid UTF-8.
fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = |error| io_error(error, "list the folder", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string().ok());
    }
    Ok(names)
}

/// Removes the staging files of killed runs. Only the holder of the lock may.
fn remove_leftovers(folder: &Path, names: &[String], options: &PublishOptions) -> Result<()> {
    for name in names.iter().filter(|name| options.is_staging_name(name)) {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            // A writing thread of an aborted run may be removing it at this moment.
            Err(error) if error.kind() == Io::NotFound => {}
            Err(error) => return Err(io_error(error, "remove a staging file of a killed run", path.display())),
        }
    }
    Ok(())
}

/// Checks that the file system can create and rename files: mounted buckets often cannot, and a run that learns this at its end
/// has worked for nothing.
fn check_rename(folder: &Path, first: &str, second: &str) -> Result<()> {
    let (first, second) = (folder.join(first), folder.join(second));
    let created = File::create_new(&first).and_then(close).inspect_err(|_| _ = std::fs::remove_file(&first));
    created.map_err(|error| write_error(error, "write to the folder", folder.display()))?;
    if let Err(error) = rename(&first, &second) {
        let _ = std::fs::remove_file(&first);
        return Err(write_error(error, "rename files in the folder", folder.display()).hint(MOUNTED));
    }
    std::fs::remove_file(&second).map_err(|error| write_error(error, "remove files in the folder", folder.display()))
}
