//! The names that a publication uses besides those of its files.

use crate::error::{Error, ErrorKind};
use crate::storage::location::Location;

/// The names and limits of a publication.
#[derive(Debug, Clone, Copy)]
pub struct PublishOptions {
    /// Name of the manifest, which becomes visible last.
    pub manifest_name: &'static str,
    /// Size limit of the manifest.
    pub max_manifest_bytes: u64,
    /// Prefix of the names of lock, lease, journals and staging files. Starts with a dot: such names are not published.
    pub private_prefix: &'static str,
}

impl PublishOptions {
    /// Whether a name can be that of a published file besides the manifest.
    pub(super) fn is_publishable(&self, name: &str) -> bool {
        is_file_name(name) && name != self.manifest_name
    }

    /// Name of the lock file in a folder.
    pub(super) fn lock_name(&self) -> String {
        format!("{}.lock", self.private_prefix)
    }

    /// Name under which a run stages a file in a folder.
    pub(super) fn staging_name(&self, run_id: &str, name: &str) -> String {
        format!("{}-{run_id}.{name}.staging", self.private_prefix)
    }

    /// Whether a name is that of a staging file of any run.
    pub(super) fn is_staging_name(&self, name: &str) -> bool {
        name.strip_prefix(self.private_prefix).is_some_and(|rest| rest.starts_with('-') && rest.ends_with(".staging"))
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

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: PublishOptions =
        PublishOptions { manifest_name: "manifest", max_manifest_bytes: 1 << 20, private_prefix: ".own" };

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
    fn staging_names_are_recognized() {
        assert!(OPTIONS.is_staging_name(&OPTIONS.staging_name("0f", "a.jsonl")));
        for name in ["a.staging", ".own.lock", ".own-0f.uploads", ".ownother.staging"] {
            assert!(!OPTIONS.is_staging_name(name), "{name}");
        }
    }
}
