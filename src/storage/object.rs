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

/// Distinguishes one version of an object from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ObjectVersion {
    Local(FileVersion),
    Remote(RemoteVersion),
}

/// The metadata of a local file that changes when the file does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileVersion {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// The version of an object in a store. Some stores leave the entity tag out of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteVersion {
    pub(crate) e_tag: Option<String>,
    /// Seconds since the epoch: some stores give fractions of a second in a listing, but not in a header.
    pub(crate) modified: i64,
}
