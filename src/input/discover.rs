//! Assigns the files of a listing to sources.

use super::format::FileFormat;

/// A file that holds rows of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileOfSource {
    /// The index of the source.
    pub(super) source: usize,
    /// The index of the file in the listing.
    pub(super) file: usize,
    /// Its key below the source's folder.
    pub(super) key: String,
    /// What it holds.
    pub(super) format: FileFormat,
}

/// Assigns the files of an input folder to the sources, each of which has a folder of its name in `folders`: by source, then by the
/// byte order of their keys. Sources can share a folder.
///
/// `keys` are relative to the input folder and joined with `/`. Names that begin with `.` or `_` are ignored at every
/// level, as are files whose extension is not that of a file with rows.
pub(super) fn discover<'a>(folders: &[&str], keys: impl IntoIterator<Item = &'a str>) -> Vec<FileOfSource> {
    let mut files = Vec::new();
    for (file, key) in keys.into_iter().enumerate() {
        let Some((folder, rest)) = key.split_once('/').filter(|_| !key.split('/').any(is_hidden)) else { continue };
        let of_folder = (0..folders.len()).filter(|source| folders[*source] == folder);
        files.extend(of_folder.filter_map(|source| file_of_source(source, file, rest)));
    }
    files.sort_by(|a, b| (a.source, a.key.as_bytes()).cmp(&(b.source, b.key.as_bytes())));
    files
}

/// The files with rows in a folder that belongs to one source.
pub(super) fn discover_in_source<'a>(source: usize, keys: impl IntoIterator<Item = &'a str>) -> Vec<FileOfSource> {
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

/// Whether a file or folder of this name is ignored, at every level.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_their_folders_source_in_the_byte_order_of_their_keys() {
        let found = discover(
            &["extractive_summary", "detailed_summary", "key_facts_to_qa"],
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
        let files: Vec<_> = found.iter().map(|f| (f.source, f.file, f.key.as_str())).collect();
        // "-" sorts before "/" in byte order, as S3 lists them.
        assert_eq!(files, [(0, 7, "gen.parquet"), (1, 2, "a-b.jsonl"), (1, 1, "a/z.jsonl"), (1, 0, "b.jsonl")]);
    }

    #[test]
    fn all_files_of_a_folder_given_for_a_source_belong_to_it() {
        let files = discover_in_source(2, ["x/b.jsonl", "a.json", "_SUCCESS"]);
        assert_eq!(files.iter().map(|f| f.key.as_str()).collect::<Vec<_>>(), ["a.json", "x/b.jsonl"]);
    }
}
