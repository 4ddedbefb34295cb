//! A published mix.

use super::folder_lock::FolderLock;
use super::head::ManifestHead;
use super::options::PublishOptions;

/// A mix that has just been published. In a folder, no other run can publish until this is dropped.
#[derive(Debug)]
pub struct Published {
    head: ManifestHead,
    others: Vec<String>,
    _lock: Option<FolderLock>,
}

impl Published {
    /// A mix in an output in which these names were found.
    pub(super) fn new(
        head: ManifestHead,
        found: impl IntoIterator<Item = String>,
        options: &PublishOptions,
        lock: Option<FolderLock>,
    ) -> Self {
        let is_of_mix = |name: &String| head.files.contains(name) || head.left_over.contains(name);
        let is_other = |name: &String| !name.starts_with('.') && name != options.manifest_name && !is_of_mix(name);
        let others = found.into_iter().filter(is_other).collect();
        Self { head, others, _lock: lock }
    }

    /// The head of its manifest.
    pub fn head(&self) -> &ManifestHead {
        &self.head
    }

    /// The names of what is in the output besides the mix, sorted. Hidden names are left out.
    pub fn others(&self) -> &[String] {
        &self.others
    }
}
