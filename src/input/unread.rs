//! The files of a source folder that are not read: what is reported of them.

use super::foreign;
use crate::excerpt::excerpt_of_list;
use crate::storage::{Listing, Location, ObjectInfo};
use std::collections::BTreeSet;

/// The names of files that are read, for messages.
pub(super) const READ_NAMES: &str = "*.jsonl, *.ndjson, *.json or *.parquet files (also .gz, .zst)";

/// The files of a folder that hold no rows, by their names.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) folder: Location,
    keys: Vec<String>,
}

impl Unread {
    /// The files `keys` of a folder; `None` if there are none.
    pub(super) fn new(folder: Location, keys: Vec<String>) -> Option<Self> {
        (!keys.is_empty()).then_some(Self { folder, keys })
    }

    /// The files and what to do about them, in one line of bounded length.
    pub(super) fn warning(&self) -> String {
        let are = if self.keys.len() == 1 { "1 file is" } else { &format!("{} files are", self.keys.len()) };
        let advice = self.advice().map_or_else(String::new, |advice| format!("; {advice}"));
        format!("{}: {are} not read: {}{advice}", self.folder, self.names())
    }

    /// The first few of the files.
    pub(super) fn names(&self) -> String {
        excerpt_of_list(&self.keys)
    }

    /// What to do about the first of the files whose format is known.
    pub(super) fn advice(&self) -> Option<&'static str> {
        self.keys.iter().find_map(|key| foreign::of_name(key)).map(|foreign| foreign.advice)
    }
}

/// A listing without the files that describe Arrow files beside or below them: these have the name of a file with rows and hold none.
pub(super) fn without_arrow_metadata(listing: Listing) -> Listing {
    let Listing { files, mut unread, repeated } = listing;
    let arrows: BTreeSet<String> =
        unread.iter().filter(|key| key.ends_with(".arrow")).map(|key| folder_of(key).to_owned()).collect();
    let is_metadata = |file: &ObjectInfo| {
        let (folder, name) = (folder_of(&file.key), file.key.rsplit('/').next().unwrap_or(&file.key));
        foreign::is_arrow_metadata(name) && arrows.iter().any(|arrow| arrow.starts_with(folder))
    };
    let (metadata, files): (Vec<_>, Vec<_>) = files.into_iter().partition(is_metadata);
    unread.extend(metadata.into_iter().map(|file| file.key));
    Listing { files, unread, repeated }
}

/// The part of a key before the name, with a slash at its end.
fn folder_of(key: &str) -> &str {
    &key[..key.rfind('/').map_or(0, |slash| slash + 1)]
}

/// The hint for a folder in which nothing can be read.
pub(super) fn nothing_read(unread: Option<&Unread>) -> String {
    match unread.and_then(Unread::advice) {
        Some(advice) => advice.to_owned(),
        None => format!("give a folder that contains {READ_NAMES}, or such a file"),
    }
}
