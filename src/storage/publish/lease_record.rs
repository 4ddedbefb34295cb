//! The content of the lease object.

use super::options::is_file_name;
use super::staged_file::StagedFile;
use bytes::Bytes;
use object_store::MultipartId;
use serde::{Deserialize, Serialize};

/// Size limit of a lease.
pub(super) const MAX_LEASE_BYTES: u64 = 64 << 20;

/// What a lease says. No two contents are equal, because stores derive the version from the content: a renewal with the same bytes
/// would look like none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeaseRecord {
    /// The run that holds the lease; none if it is free.
    pub(super) run: Option<String>,
    /// The run that wrote this.
    pub(super) written_by: String,
    /// How often that run has written it.
    pub(super) beat: u64,
    /// The uploads that may still be completed, those of earlier holders included.
    #[serde(default)]
    pub(super) uploads: Vec<OpenUpload>,
    /// The last commit that has begun and is not known to be complete.
    #[serde(default)]
    pub(super) commit: Option<BegunCommit>,
}

/// What a run was about to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BegunCommit {
    pub(super) run: String,
    pub(super) files: Vec<StagedFile>,
}

/// An upload that a run has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenUpload {
    pub(super) id: MultipartId,
    /// Name of the file in the output.
    pub(super) name: String,
}

impl LeaseRecord {
    /// Parses a lease; `None` for anything else. Uploads of names that no run uses are left out.
    pub(super) fn parse(content: &[u8]) -> Option<Self> {
        let mut record: Self = serde_json::from_slice(content).ok()?;
        record.uploads.retain(|upload| is_file_name(&upload.name));
        record.commit.iter_mut().for_each(|commit| commit.files.retain(|file| is_file_name(&file.name)));
        Some(record)
    }

    pub(super) fn content(&self) -> Bytes {
        // A map with text keys is always valid JSON.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_parsed_as_written() {
        let uploads = ["a.jsonl", "a b.jsonl", "../a", ".hidden"];
        let uploads = uploads.map(|name| OpenUpload { id: format!("+/= {name}"), name: name.to_owned() }).to_vec();
        let record = LeaseRecord { run: Some("0f".into()), written_by: "0f".into(), beat: 7, uploads, commit: None };
        let parsed = LeaseRecord::parse(&record.content()).unwrap();
        assert_eq!(parsed.uploads, record.uploads[..2]);
        assert_eq!((parsed.run, parsed.beat), (record.run, 7));
        assert_eq!(LeaseRecord::parse(b"0f 7"), None);
    }

    #[test]
    fn renewals_change_the_content() {
        let record = LeaseRecord::default();
        assert_ne!(record.content(), LeaseRecord { beat: 1, ..record.clone() }.content());
    }
}
