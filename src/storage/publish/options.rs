//! The names that a publication uses besides those of its files, and what it may replace.

use super::head::ManifestHead;
use crate::error::{Error, ErrorKind};
use crate::storage::location::Location;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// The names and limits of a publication.
#[derive(Debug, Clone, Copy)]
pub struct PublishOptions {
    /// Name of the manifest, which becomes visible last.
    pub manifest_name: &'static str,
    /// Size limit of the manifest.
    pub max_manifest_bytes: u64,
    /// Prefix of the names of lock, lease, commit records and staging files. Starts with a dot: such names are not published.
    pub private_prefix: &'static str,
    /// Reads what publishing has to know of a manifest; `None` if the bytes are not a manifest of this program.
    pub parse_manifest: fn(&[u8]) -> Option<ManifestHead>,
    /// Whether files that belong to no mix may be replaced.
    pub overwrite: bool,
}

impl PublishOptions {
    /// Whether a name can be that of a published file besides the manifest.
    pub(super) fn is_publishable(&self, name: &str) -> bool {
        is_file_name(name) && name != self.manifest_name
    }

    /// The first of these names that an object of somebody else has: one that may not be replaced.
    pub(super) fn in_the_way<'n>(
        &self,
        objects: &BTreeMap<String, u64>,
        ours: &BTreeSet<String>,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<String> {
        let is_foreign = |name: &&str| !self.overwrite && objects.contains_key(*name) && !ours.contains(*name);
        names.into_iter().find(is_foreign).map(str::to_owned)
    }

    /// Name of the lock file in a folder.
    pub(super) fn lock_name(&self) -> String {
        format!("{}.lock", self.private_prefix)
    }

    /// Name of the lease object in a bucket.
    pub(super) fn lease_name(&self) -> String {
        format!("{}.lease", self.private_prefix)
    }

    /// Name of the record of a run's commit in a folder.
    pub(super) fn commit_name(&self, run_id: &str) -> String {
        format!("{}-{run_id}.commit", self.private_prefix)
    }

    /// Whether a name is that of the commit record of any run.
    pub(super) fn is_commit_name(&self, name: &str) -> bool {
        self.is_private_of_run(name, ".commit")
    }

    /// Name under which a run stages a file in a folder.
    pub(super) fn staging_name(&self, run_id: &str, name: &str) -> String {
        format!("{}-{run_id}.{name}.staging", self.private_prefix)
    }

    /// Whether a name is that of a staging file of any run.
    pub(super) fn is_staging_name(&self, name: &str) -> bool {
        self.is_private_of_run(name, ".staging")
    }

    fn is_private_of_run(&self, name: &str, ending: &str) -> bool {
        name.strip_prefix(self.private_prefix).is_some_and(|rest| rest.starts_with('-') && rest.ends_with(ending))
    }
}

/// Whether a name is that of a visible file directly in the output folder.
pub(super) fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

/// The error of a run that another one has overtaken or keeps out.
pub(super) fn contention(output: &Location) -> Error {
    Error::new(ErrorKind::TryAgain, "another run is publishing to this output").at(output)
}

/// The error for a file that belongs to somebody else.
pub(super) fn foreign(place: impl Display) -> Error {
    Error::new(ErrorKind::Usage, "the output has a file of this name that is not part of a mix")
        .at(place)
        .hint("pass --output another folder, or --overwrite to replace such files")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: PublishOptions = PublishOptions {
        manifest_name: "manifest",
        max_manifest_bytes: 1 << 20,
        private_prefix: ".own",
        parse_manifest: |_| None,
        overwrite: false,
    };

    #[test]
    fn only_visible_names_without_a_path_are_publishable() {
        for name in ["a", "a b.jsonl", "own", "manifest.json"] {
            assert!(OPTIONS.is_publishable(name), "{name}");
        }
        for name in ["", ".", "..", ".own", ".hidden", "a/b", "a\\b", "a\0", "manifest"] {
            assert!(!OPTIONS.is_publishable(name), "{name}");
        }
    }

    #[test]
    fn private_files_are_recognized() {
        assert!(OPTIONS.is_staging_name(&OPTIONS.staging_name("0f", "a.jsonl")));
        assert!(OPTIONS.is_commit_name(&OPTIONS.commit_name("0f")));
        for name in ["a.staging", ".own.lock", ".own.lease", ".own-0f.uploads", ".ownother.staging", ".ownother.commit"]
        {
            assert!(!OPTIONS.is_staging_name(name) && !OPTIONS.is_commit_name(name), "{name}");
        }
    }
}
