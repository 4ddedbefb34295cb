//! The Python client's cache: `models--org--name/{refs,snapshots,blobs,.no_exist}`.
//!
//! `refs/main` holds a commit; `snapshots/COMMIT/file` is a link into `blobs`, whose names are the files' tags;
//! `.no_exist/COMMIT/file` says that the commit has no such file.

use super::{HubSnapshot, OPTIONAL, TOKENIZER};
use crate::storage::Environment;
use crate::storage::retry::random_bits;
use bytes::Bytes;
use std::io::{ErrorKind as Io, Result};
use std::path::{Path, PathBuf};

/// The cache of one repository.
pub(super) struct Cache {
    folder: PathBuf,
}

/// `HF_HOME`, or where the Python client has it without that.
pub(super) fn home(environment: &Environment) -> Option<PathBuf> {
    if let Some(home) = environment.get("HF_HOME") {
        return Some(match (home.strip_prefix("~/"), environment.get("HOME")) {
            (Some(below), Some(user)) => Path::new(user).join(below),
            _ => home.into(),
        });
    }
    let caches = match environment.get("XDG_CACHE_HOME") {
        Some(caches) => caches.into(),
        None => Path::new(environment.get("HOME")?).join(".cache"),
    };
    Some(caches.join("huggingface"))
}

/// Whether a revision is a commit's full name.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Cache {
    pub(super) fn of(environment: &Environment, id: &str) -> Self {
        let hub = match environment.first(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]) {
            Some(hub) => hub.into(),
            // Without any home there is no cache; a path that cannot exist says so in a warning.
            None => {
                home(environment).map_or_else(|| PathBuf::from("/nonexistent/huggingface/hub"), |home| home.join("hub"))
            }
        };
        Self { folder: hub.join(format!("models--{}", id.replace('/', "--"))) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the cache holds of a revision.
    pub(super) fn snapshot(&self, revision: &str) -> Option<HubSnapshot> {
        let commit = if is_commit(revision) {
            revision.to_string()
        } else {
            std::fs::read_to_string(self.folder.join("refs").join(revision)).ok()?.trim().to_string()
        };
        if !is_commit(&commit) {
            return None;
        }
        let names = std::iter::once(TOKENIZER).chain(OPTIONAL.iter().copied());
        let files = names.filter_map(|name| Some((name.to_string(), self.file(&commit, name)?))).collect();
        Some(HubSnapshot { files, revision: commit })
    }

    pub(super) fn file(&self, commit: &str, name: &str) -> Option<Bytes> {
        std::fs::read(self.folder.join("snapshots").join(commit).join(name)).ok().map(Bytes::from)
    }

    pub(super) fn is_absent(&self, commit: &str, name: &str) -> bool {
        self.folder.join(".no_exist").join(commit).join(name).is_file()
    }

    pub(super) fn keep_ref(&self, revision: &str, commit: &str) -> Result<()> {
        let path = self.folder.join("refs").join(revision);
        if revision == commit || std::fs::read_to_string(&path).is_ok_and(|known| known == commit) {
            return Ok(());
        }
        write(&path, commit.as_bytes())
    }

    pub(super) fn keep_absence(&self, commit: &str, name: &str) -> Result<()> {
        write(&self.folder.join(".no_exist").join(commit).join(name), b"")
    }

    pub(super) fn keep_file(&self, commit: &str, name: &str, e_tag: Option<&str>, content: &[u8]) -> Result<()> {
        let tag = e_tag.map(|tag| tag.trim_start_matches("W/").trim_matches('"')).unwrap_or_default();
        let plain =
            !tag.is_empty() && tag.len() <= 128 && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let blob = if plain { tag.to_string() } else { blake3::hash(content).to_hex().to_string() };
        write(&self.folder.join("blobs").join(&blob), content)?;
        let link = self.folder.join("snapshots").join(commit).join(name);
        std::fs::create_dir_all(link.parent().unwrap_or(&self.folder))?;
        match std::os::unix::fs::symlink(Path::new("../../blobs").join(&blob), &link) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == Io::AlreadyExists => Ok(()),
            // A file system without links: a file does as well, as it does for Python.
            Err(_) => write(&link, content),
        }
    }
}

/// Writes a file so that it is there whole or not at all.
fn write(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let staging = folder.join(format!(".{:016x}.incomplete", random_bits()));
    let written = std::fs::write(&staging, content).and_then(|()| std::fs::rename(&staging, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&staging);
    }
    written
}
