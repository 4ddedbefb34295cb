//! The commit record: a hidden file in the folder that lists what a run is about to publish, by which the next run tells the files
//! of a killed commit from files of somebody else.

use super::options::PublishOptions;
use super::staged_file::StagedFile;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::local::read;
use crate::storage::location::Location;
use crate::storage::store_error::io_error;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};

/// Size limit of a commit record: a hundred thousand files.
const MAX_BYTES: u64 = 32 << 20;

/// The commit records of killed runs in a folder.
#[derive(Debug, Default)]
pub(super) struct CommitRecords {
    files: Vec<StagedFile>,
    paths: Vec<PathBuf>,
}

impl CommitRecords {
    /// Reads the records among the names of a folder. One that is not readable names nothing.
    pub(super) fn read<'a>(
        folder: &Path,
        names: impl IntoIterator<Item = &'a str>,
        options: &PublishOptions,
    ) -> Result<Self> {
        let mut records = Self::default();
        for name in names.into_iter().filter(|name| options.is_commit_name(name)) {
            let path = folder.join(name);
            let content = read(&Location::local(&path), MAX_BYTES)?.unwrap_or_default();
            records.files.extend(serde_json::from_slice::<Vec<StagedFile>>(&content).unwrap_or_default());
            records.paths.push(path);
        }
        Ok(records)
    }

    /// The files that a killed commit has published: of the names that are not known to be of a mix, the ones with the recorded
    /// content.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn published(
        &self,
        folder: &Path,
        known: &BTreeSet<String>,
        options: &PublishOptions,
    ) -> Result<BTreeSet<String>> {
        let mut published = BTreeSet::new();
        let is_unknown = |file: &&StagedFile| options.is_publishable(&file.name) && !known.contains(&file.name);
        for file in self.files.iter().filter(is_unknown) {
            if has_content(&folder.join(&file.name), file)? {
                published.insert(file.name.clone());
            }
        }
        Ok(published)
    }

    /// The paths of the records.
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }
}

/// The content of the record of a commit.
pub(super) fn commit_record(files: &[StagedFile]) -> Result<Bytes> {
    let text = serde_json::to_vec(files)
        .map_err(|error| Error::new(ErrorKind::Bug, "cannot serialize as JSON").caused_by(error))?;
    Ok(text.into())
}

fn has_content(path: &Path, file: &StagedFile) -> Result<bool> {
    let failed = |error| io_error(error, "read the file", path.display());
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && found.len() == file.bytes => {}
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == Io::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path).map_err(failed)?).map_err(failed)?;
    Ok(hasher.finalize().to_hex().as_str() == file.digest)
}
