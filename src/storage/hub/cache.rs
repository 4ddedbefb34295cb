//! The Python client's cache: `models--OWNER--NAME/{refs,snapshots,blobs,.no_exist}`.
//!
//! `refs/main` holds a commit; `snapshots/COMMIT/FILE` is a link into `blobs`, whose names are the files' entity tags;
//! `.no_exist/COMMIT/FILE` records that the commit has no such file.

use super::repository::Repository;
use super::snapshot::{HubSnapshot, MAX_FILE, file_names};
use crate::storage::environment::Environment;
use crate::storage::local::read_small;
use crate::storage::retry::random_bits;
use bytes::Bytes;
use std::io::{ErrorKind as Io, Result};
use std::path::{Path, PathBuf};

/// The cache of one repository.
pub(super) struct Cache {
    folder: PathBuf,
}

/// `HF_HOME`, or the Python client's default.
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

/// Whether a revision is the full hash of a commit.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Cache {
    pub(super) fn of(environment: &Environment, repository: &Repository) -> Self {
        let hub = match environment.first(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]) {
            Some(hub) => hub.into(),
            // Without a home there is no cache. The path cannot exist, so a warning names it.
            None => {
                home(environment).map_or_else(|| PathBuf::from("/nonexistent/huggingface/hub"), |home| home.join("hub"))
            }
        };
        Self { folder: hub.join(format!("models--{}", repository.id().replace('/', "--"))) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The cached files of a revision.
    pub(super) fn snapshot(&self, revision: &str) -> Option<HubSnapshot> {
        let commit = if is_commit(revision) {
            revision.to_string()
        } else {
            read_text(&self.folder.join("refs").join(revision))?
        };
        if !is_commit(&commit) {
            return None;
        }
        let files = file_names().filter_map(|name| Some((name.to_string(), self.file(&commit, name)?))).collect();
        Some(HubSnapshot { files, revision: commit })
    }

    /// The cached content of a file.
    pub(super) fn file(&self, commit: &str, name: &str) -> Option<Bytes> {
        let path = self.folder.join("snapshots").join(commit).join(name);
        read_small(&path, MAX_FILE as u64).ok().map(Bytes::from)
    }

    /// Whether the cache records that the commit has no such file.
    pub(super) fn is_absent(&self, commit: &str, name: &str) -> bool {
        self.folder.join(".no_exist").join(commit).join(name).is_file()
    }

    pub(super) fn store_ref(&self, revision: &str, commit: &str) -> Result<()> {
        let path = self.folder.join("refs").join(revision);
        if revision == commit || read_text(&path).is_some_and(|cached| cached == commit) {
            return Ok(());
        }
        write(&path, commit.as_bytes())
    }

    pub(super) fn store_absence(&self, commit: &str, name: &str) -> Result<()> {
        write(&self.folder.join(".no_exist").join(commit).join(name), b"")
    }

    pub(super) fn store_file(&self, commit: &str, name: &str, e_tag: Option<&str>, content: &[u8]) -> Result<()> {
        let tag = e_tag.map(|tag| tag.trim_start_matches("W/").trim_matches('"')).unwrap_or_default();
        let is_file_name =
            !tag.is_empty() && tag.len() <= 128 && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let blob = if is_file_name { tag.to_string() } else { blake3::hash(content).to_hex().to_string() };
        write(&self.folder.join("blobs").join(&blob), content)?;
        let link = self.folder.join("snapshots").join(commit).join(name);
        std::fs::create_dir_all(link.parent().unwrap_or(&self.folder))?;
        match std::os::unix::fs::symlink(Path::new("../../blobs").join(&blob), &link) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == Io::AlreadyExists => Ok(()),
            // A file system without links: a copy serves as well, also for Python.
            Err(_) => write(&link, content),
        }
    }
}

/// The largest file that holds a name or a token, in bytes.
const MAX_TEXT: u64 = 1 << 16;

/// The text of a small file, without white space around it.
pub(super) fn read_text(path: &Path) -> Option<String> {
    let bytes = read_small(path, MAX_TEXT).ok()?;
    Some(String::from_utf8(bytes).ok()?.trim().to_string())
}

/// Writes a file atomically.
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
