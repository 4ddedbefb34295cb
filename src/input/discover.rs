//! Which files belong to which source.

use super::format::FileFormat;
use crate::sample::Source;

/// A file that holds rows of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileOfSource {
    /// The index of the source.
    pub(crate) source: usize,
    /// The index of the file in the listing.
    pub(crate) file: usize,
    /// Its key below the source's folder.
    pub(crate) key: String,
    /// What it holds.
    pub(crate) format: FileFormat,
}

/// What a listing of an input folder offers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Discovered {
    /// The files with rows: by source, then by the byte order of their keys.
    pub(crate) files: Vec<FileOfSource>,
    /// Folders at the top that are no source.
    pub(crate) other_folders: Vec<String>,
}

/// Sorts the keys of an input folder to the sources.
///
/// `keys` are relative to the folder and joined with `/`. Names that begin with `.` or `_` are passed over at every level,
/// as are files whose name is not that of a file with rows.
pub(crate) fn discover<'a>(sources: &[Source], keys: impl IntoIterator<Item = &'a str>) -> Discovered {
    let mut found = Discovered::default();
    for (file, key) in keys.into_iter().enumerate() {
        if key.split('/').any(is_hidden) {
            continue;
        }
        let Some((folder, rest)) = key.split_once('/') else { continue };
        match sources.iter().position(|source| source.name == folder) {
            Some(source) => found.files.extend(file_of_source(source, file, rest)),
            None => {
                if !found.other_folders.iter().any(|known| known == folder) {
                    found.other_folders.push(folder.to_owned());
                }
            }
        }
    }
    found.files.sort_by(|a, b| (a.source, a.key.as_bytes()).cmp(&(b.source, b.key.as_bytes())));
    found
}

/// The files with rows of a folder that belongs to one source as a whole.
pub(crate) fn discover_in_source<'a>(source: usize, keys: impl IntoIterator<Item = &'a str>) -> Vec<FileOfSource> {
    let mut files: Vec<_> = keys
        .into_iter()
        .enumerate()
        .filter(|(_, key)| !key.split('/').any(is_hidden))
        .filter_map(|(file, key)| file_of_source(source, file, key))
        .collect();
    files.sort_by(|a, b| a.key.as_bytes().cmp(b.key.as_bytes()));
    files
}

fn file_of_source(source: usize, file: usize, key: &str) -> Option<FileOfSource> {
    let name = key.rsplit('/').next().unwrap_or(key);
    FileFormat::of_name(name).map(|format| FileOfSource { source, file, key: key.to_owned(), format })
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

#[cfg(test)]
mod tests {
    use crate::sample::known_sources;
    use super::*;

    #[test]
    fn files_go_to_their_sources_in_the_byte_order_of_their_keys() {
        let found = discover(
            &known_sources(),
            [
                "detailed_summary/b.jsonl",
                "detailed_summary/a/z.jsonl",
                "detailed_summary/a-b.jsonl",
                "detailed_summary/README.md",
                "detailed_summary/.ipynb_checkpoints/a.jsonl",
                "extractive_summary/_SUCCESS",
                "extractive_summary/_old/a.jsonl",
                "extractive_summary/gen.parquet",
                "summaries/gen.jsonl",
                "notes.jsonl",
            ],
        );
        let files: Vec<_> = found.files.iter().map(|f| (f.source, f.file, f.key.as_str())).collect();
        // "-" stands before "/" in byte order, as S3 lists them.
        assert_eq!(files, [(0, 7, "gen.parquet"), (1, 2, "a-b.jsonl"), (1, 1, "a/z.jsonl"), (1, 0, "b.jsonl")]);
        assert_eq!(found.other_folders, ["summaries"]);
    }

    #[test]
    fn a_folder_given_for_a_source_is_taken_whole() {
        let files = discover_in_source(2, ["x/b.jsonl", "a.json", "_SUCCESS"]);
        assert_eq!(files.iter().map(|f| f.key.as_str()).collect::<Vec<_>>(), ["a.json", "x/b.jsonl"]);
    }
}
