//! What publishing has to know of a manifest.

use crate::error::Result;
use crate::manifest::MixState;
use bytes::Bytes;

/// The part of a manifest that publishing decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    /// Whether the mix is complete.
    pub state: MixState,
    /// The random id of the run that wrote it.
    pub run: String,
    /// The names of the files that it lists.
    pub files: Vec<String>,
    /// The names of files of earlier mixes that are still in the output.
    pub left_over: Vec<String>,
}

/// Makes the bytes of a manifest with this head.
pub(super) type EncodeManifest = Box<dyn Fn(&ManifestHead) -> Result<Bytes> + Send + Sync>;

/// Makes the bytes of a manifest from its earlier bytes and a new head.
pub(super) type EncodeCleaned = Box<dyn Fn(&Bytes, &ManifestHead) -> Result<Bytes> + Send + Sync>;
