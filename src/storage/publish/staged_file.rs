//! A complete file under its staging name.

use serde::{Deserialize, Serialize};

/// A complete file that is not visible yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Its name in the output folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of the bytes that were sent, in hexadecimal.
    pub digest: String,
}
