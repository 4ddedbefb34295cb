//! The manifest that an output holds.

use super::head::ManifestHead;
use super::options::PublishOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::MixState;
use crate::storage::location::Location;
use bytes::Bytes;
use std::collections::BTreeSet;

/// What an output holds under the name of the manifest.
#[derive(Debug, Clone, Default)]
pub(super) enum Found {
    /// There is none.
    #[default]
    Nothing,
    /// A manifest of this program.
    Mix(ManifestHead),
    /// A file of the manifest's name that is not a manifest of this program.
    Foreign,
}

impl Found {
    pub(super) fn of(bytes: Option<&Bytes>, options: &PublishOptions) -> Self {
        match bytes.map(|bytes| (options.parse_manifest)(bytes)) {
            None => Self::Nothing,
            Some(Some(head)) => Self::Mix(head),
            Some(None) => Self::Foreign,
        }
    }

    /// The names of all files that belong to the mix or to mixes before it. The manifest may come from anywhere: other names
    /// than those of files directly in the output are left out.
    pub(super) fn names(&self, options: &PublishOptions) -> BTreeSet<String> {
        let Self::Mix(head) = self else { return BTreeSet::new() };
        head.files.iter().chain(&head.left_over).filter(|name| options.is_publishable(name)).cloned().collect()
    }
}

/// The head of a complete manifest, and the names that it says are left over.
pub(super) fn left_over(
    manifest: Option<&Bytes>,
    options: &PublishOptions,
    output: &Location,
) -> Result<(ManifestHead, Vec<String>)> {
    match Found::of(manifest, options) {
        Found::Mix(head) if head.state == MixState::Replacing => Err(Error::new(
            ErrorKind::TryAgain,
            "the mix is not complete: a run is replacing it, or was stopped while it did",
        )
        .at(output)
        .hint("run `knowledge-mixing mix` again first")),
        Found::Mix(head) => {
            let is_left = |name: &&String| options.is_publishable(name) && !head.files.contains(name);
            let names = head.left_over.iter().filter(is_left).cloned().collect();
            Ok((head, names))
        }
        Found::Nothing => Err(no_mix(output)),
        Found::Foreign => {
            let message = "manifest.json is not the manifest of a mix";
            Err(Error::new(ErrorKind::NotFound, message).at(output).hint("check the location"))
        }
    }
}

pub(super) fn no_mix(output: &Location) -> Error {
    Error::new(ErrorKind::NotFound, "manifest.json not found: there is no mix").at(output).hint("check the location")
}
