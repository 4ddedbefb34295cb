//! Names and contents of the objects by which runs coordinate in a bucket.

use super::options::{PublishOptions, is_file_name};
use bytes::Bytes;
use object_store::MultipartId;
use std::fmt::Write;

/// Size limit of a lease or a journal.
pub(super) const MAX_RECORD_BYTES: u64 = 64 << 20;

/// Name of the lease object.
pub(super) fn lease_name(options: &PublishOptions) -> String {
    format!("{}.lease", options.private_prefix)
}

/// Name of a run's journal object.
pub(super) fn journal_name(options: &PublishOptions, run_id: &str) -> String {
    format!("{}-{run_id}.uploads", options.private_prefix)
}

/// The run that a journal belongs to; `None` if the name is not that of a journal.
pub(super) fn journal_owner<'a>(options: &PublishOptions, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(options.private_prefix)?.strip_prefix('-')?.strip_suffix(".uploads")
}

/// The content of a lease. The count makes each renewal a visible change: stores derive the version from the content,
/// so a renewal with the same bytes would look like none.
pub(super) fn lease_content(run_id: &str, renewals: u64) -> Bytes {
    format!("{run_id} {renewals}").into()
}

/// The run that holds a lease.
pub(super) fn lease_holder(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    text.split(' ').next().unwrap_or_default().to_string()
}

/// An upload that a run has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JournalEntry {
    pub(super) id: MultipartId,
    /// Name of the file in the output.
    pub(super) name: String,
}

/// The content of a journal.
pub(super) fn journal_content(entries: &[JournalEntry]) -> Bytes {
    let mut text = String::new();
    for JournalEntry { id, name } in entries {
        let _ = writeln!(text, "{id} {name}");
    }
    text.into()
}

/// Parses a journal. Lines that are not valid entries are skipped.
pub(super) fn parse_journal(content: &[u8]) -> Vec<JournalEntry> {
    let entry = |line: &str| {
        let (id, name) = line.split_once(' ').filter(|(_, name)| is_file_name(name))?;
        Some(JournalEntry { id: id.to_string(), name: name.to_string() })
    };
    String::from_utf8_lossy(content).lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: PublishOptions =
        PublishOptions { manifest_name: "manifest", max_manifest_bytes: 1 << 20, private_prefix: ".own" };

    #[test]
    fn a_journal_is_parsed_as_written() {
        let entry = |id: &str, name: &str| JournalEntry { id: id.into(), name: name.into() };
        let entries = [entry("1", "a.jsonl"), entry("a+b/c=", "a b.jsonl")];
        assert_eq!(parse_journal(&journal_content(&entries)), entries);
        assert_eq!(parse_journal(b"1 ../a\n\nno-name\n2 .hidden\n3 a"), [entry("3", "a")]);
    }

    #[test]
    fn journals_are_recognized_by_name() {
        assert_eq!(journal_owner(&OPTIONS, &journal_name(&OPTIONS, "0f")), Some("0f"));
        for name in [".own.lease", ".own-0f.staging", "own-0f.uploads", ".own.uploads"] {
            assert_eq!(journal_owner(&OPTIONS, name), None, "{name}");
        }
    }

    #[test]
    fn renewals_change_the_lease_and_keep_its_holder() {
        assert_ne!(lease_content("0f", 0), lease_content("0f", 1));
        assert_eq!(lease_holder(&lease_content("0f", 17)), "0f");
    }
}
