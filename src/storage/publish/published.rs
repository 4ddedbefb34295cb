//! A published mix.

use super::folder_lock::FolderLock;
use super::head::ManifestHead;

/// A mix that has just been published. In a folder, no other run can publish until this is dropped.
#[derive(Debug)]
pub struct Published {
    head: ManifestHead,
    _lock: Option<FolderLock>,
}

impl Published {
    pub(super) fn new(head: ManifestHead, lock: Option<FolderLock>) -> Self {
        Self { head, _lock: lock }
    }

    /// The head of its manifest.
    pub fn head(&self) -> &ManifestHead {
        &self.head
    }
}
