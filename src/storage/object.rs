//! A listed file and the version of it that is read.

use super::location::Location;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// A file found by a listing.
#[derive(Debug, Clone)]
pub struct ObjectInfo {
    /// Path below the listed folder, joined with `/`.
    pub key: String,
    /// Full location.
    pub location: Location,
    /// Size in bytes.
    pub size: u64,
    pub(crate) version: ObjectVersion,
}

/// Which entries a listing opens and returns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListFilter {
    /// Names of files and folders that are neither opened nor returned, at every level.
    pub(crate) is_ignored: fn(&str) -> bool,
    /// Names of files that are returned.
    pub(crate) is_wanted: fn(&str) -> bool,
    /// Whether an entry that cannot be read as a file is an error: a pipe, a socket, a device with a wanted name, a link to nothing.
    pub(crate) is_strict: bool,
}

impl ListFilter {
    /// All files.
    pub(crate) const ALL: Self = Self { is_ignored: |_| false, is_wanted: |_| true, is_strict: false };

    /// Whether the object of a key is ignored, and not even named.
    pub(crate) fn ignores(&self, key: &str) -> bool {
        key.split('/').any(self.is_ignored)
    }

    /// Whether the object of a key that is not ignored is returned.
    pub(crate) fn wants(&self, key: &str) -> bool {
        key.rsplit('/').next().is_some_and(self.is_wanted)
    }
}

/// What is below a folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The files that a filter selects.
    pub(crate) files: Vec<ObjectInfo>,
    /// The keys of the files that it neither selects nor ignores.
    pub(crate) unread: Vec<String>,
    /// The paths of links to folders that were listed already. They are not listed again.
    pub(crate) repeated: Vec<String>,
}

/// Some sub-folders of a folder, and what is beside them.
#[derive(Debug, Default)]
pub(crate) struct Subfolders {
    /// Whether there is no such folder. A store has no folders of their own: there it is `false`, even without any object.
    pub(crate) is_missing: bool,
    /// What is below the sub-folders, with keys below the folder.
    pub(crate) listing: Listing,
    /// The names of the other sub-folders, which were not opened.
    pub(crate) others: Vec<String>,
    /// Other entries that cannot be read: links to nothing, keys that are no paths.
    pub(crate) unreadable: Vec<String>,
}

/// Distinguishes one version of an object from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ObjectVersion {
    Local(FileVersion),
    Remote(RemoteVersion),
}

/// The metadata of a local file that changes when the file does. Without the inode number, which some FUSE file systems make up
/// anew for every request: all ranges of a file are read from one descriptor, so they are of one file in any case, and one that takes its
/// place between listing and opening shows in its size or time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileVersion {
    size: u64,
    modified: (i64, i64),
}

impl FileVersion {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.size(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

/// The version of an object in a store. Some stores leave the entity tag out of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteVersion {
    pub(crate) e_tag: Option<String>,
    /// Seconds since the epoch: some stores give fractions of a second in a listing, but not in a header.
    pub(crate) modified: i64,
}
