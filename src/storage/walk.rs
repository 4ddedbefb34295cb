//! Lists local folders.

use super::local::{not_regular, stat};
use super::location::Location;
use super::object::{FileVersion, ListFilter, Listing, ObjectInfo, ObjectVersion, Subfolders};
use super::store_error::io_error;
use crate::error::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, HashSet};
use std::fs::{DirEntry, Metadata};
use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};

/// How deep folders may be nested: a chain of mounts or links that never ends would be walked for ever.
const MAX_DEPTH: usize = 64;

/// A folder that is still to be listed.
struct Pending {
    path: PathBuf,
    key: String,
    /// The path without links.
    real: PathBuf,
    /// The number of folders between it and the one that is walked.
    depth: usize,
}

/// Returns every file below a folder that a filter selects, unsorted. A file is a list of one, a missing folder is empty.
pub(crate) fn list(folder: &Location, filter: ListFilter) -> Result<Listing> {
    let mut found = Listing::default();
    match folder_path(folder)? {
        Some(root) => walk(root, "", filter, &mut found)?,
        None => found.files.extend(stat(folder)?),
    }
    Ok(found)
}

/// Returns the files below the sub-folders `names`, unsorted, with keys below `folder`. Other entries are not opened.
pub(crate) fn list_subfolders(folder: &Location, names: &[String], filter: ListFilter) -> Result<Subfolders> {
    let mut found = Subfolders::default();
    let Some(root) = folder_path(folder)? else { return Ok(Subfolders { is_missing: true, ..found }) };
    let failed = |error| io_error(error, "list the folder", folder);
    for entry in std::fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if names.contains(&name) {
            if let Some(metadata) = metadata_of(&entry, filter)?
                && metadata.is_dir()
            {
                walk(&entry.path(), &name, filter, &mut found.listing)?;
            }
        } else if !(filter.is_ignored)(&name) {
            match std::fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_dir() => found.others.push(name),
                Ok(_) => {}
                Err(error) if error.kind() == Io::NotFound && !entry.path().is_symlink() => {}
                Err(_) => found.unreadable.push(name),
            }
        }
    }
    Ok(found)
}

/// The path of a location if it is a folder; `None` for a file, or if nothing is there.
fn folder_path(folder: &Location) -> Result<Option<&Path>> {
    let path = folder.local_path().unwrap_or(Path::new(""));
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(Some(path)),
        Ok(metadata) if metadata.is_file() => Ok(None),
        Ok(metadata) => Err(io_error(not_regular(&metadata), "read the file", folder)),
        Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => Ok(None),
        Err(error) => Err(io_error(error, "read the folder's metadata", folder)),
    }
}

/// Appends what is below a folder, whose own key is `key`.
///
/// Each folder is listed once: links to each other would multiply the files. It is known by its path without links, not by its inode
/// number: some FUSE file systems make these up, differently each time or all the same. Links are followed last, in the order of their
/// keys, so that a folder's own path comes before links to it.
fn walk(root: &Path, key: &str, filter: ListFilter, found: &mut Listing) -> Result<()> {
    let real = root.canonicalize().map_err(|error| io_error(error, "list the folder", root.display()))?;
    let mut seen = HashSet::from([real.clone()]);
    let mut pending = vec![Pending { path: root.to_path_buf(), key: key.to_string(), real, depth: 1 }];
    let mut links = BTreeMap::new();
    loop {
        while let Some(folder) = pending.pop() {
            for below in list_one(&folder, filter, found)? {
                if below.path.is_symlink() {
                    links.insert(below.key.clone(), below);
                } else if seen.insert(below.real.clone()) {
                    pending.push(below);
                }
            }
        }
        let Some((_, link)) = links.pop_first() else { return Ok(()) };
        if seen.insert(link.real.clone()) {
            pending.push(link);
        } else {
            found.repeated.push(link.path.display().to_string());
        }
    }
}

/// Appends the files of one folder; returns its sub-folders.
fn list_one(folder: &Pending, filter: ListFilter, found: &mut Listing) -> Result<Vec<Pending>> {
    let failed = |error| io_error(error, "list the folder", folder.path.display());
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(&folder.path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if (filter.is_ignored)(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let Some(metadata) = metadata_of(&entry, filter)? else { continue };
        let (name, path) = (name_of(&entry)?, entry.path());
        let key = if folder.key.is_empty() { name.clone() } else { format!("{}/{name}", folder.key) };
        let is_wanted = (filter.is_wanted)(&name);
        if metadata.is_dir() {
            folders.push(below(folder, &entry, key)?);
        } else if metadata.is_file() && is_wanted {
            let version = ObjectVersion::Local(FileVersion::of(&metadata));
            found.files.push(ObjectInfo { key, location: Location::local(path), size: metadata.len(), version });
        } else if metadata.is_file() {
            found.unread.push(key);
        } else if filter.is_strict && is_wanted {
            return Err(io_error(not_regular(&metadata), "read the file", path.display()));
        }
    }
    Ok(folders)
}

/// A sub-folder that is still to be listed.
fn below(folder: &Pending, entry: &DirEntry, key: String) -> Result<Pending> {
    let path = entry.path();
    let real = match path.is_symlink() {
        false => folder.real.join(entry.file_name()),
        true => path.canonicalize().map_err(|error| io_error(error, "read the link", path.display()))?,
    };
    if folder.depth >= MAX_DEPTH {
        return Err(Error::new(ErrorKind::Io, format!("folders are nested more than {MAX_DEPTH} levels deep"))
            .at(path.display())
            .hint("move the files to a folder further up; check for mounts and links that lead back"));
    }
    Ok(Pending { path, key, real, depth: folder.depth + 1 })
}

/// The metadata of an entry or of what it links to; `None` for one that is to be ignored.
fn metadata_of(entry: &DirEntry, filter: ListFilter) -> Result<Option<Metadata>> {
    let path = entry.path();
    match std::fs::metadata(&path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == Io::NotFound => {
            // Removed since the folder was listed, or a hidden dangling link, as editors leave them.
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            if !path.is_symlink() || (is_hidden && !filter.is_strict) {
                return Ok(None);
            }
            let error = std::io::Error::new(Io::InvalidInput, "it links to nothing");
            Err(io_error(error, "read the file", path.display()).hint("remove the link, or restore what it links to"))
        }
        Err(error) => Err(io_error(error, "read the file's metadata", path.display())),
    }
}

fn name_of(entry: &DirEntry) -> Result<String> {
    entry.file_name().into_string().map_err(|_| {
        Error::new(ErrorKind::Io, "the file's name is not valid UTF-8")
            .at(entry.path().display())
            .hint("rename the file")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const STRICT: ListFilter = ListFilter {
        is_ignored: |name| name.starts_with(['.', '_']),
        is_wanted: |name| name.ends_with(".jsonl"),
        is_strict: true,
    };

    fn keys(found: &Listing) -> Vec<&str> {
        let mut keys: Vec<&str> = found.files.iter().map(|file| file.key.as_str()).collect();
        keys.sort_unstable();
        keys
    }

    fn write(folder: &Path, key: &str) {
        let path = folder.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "row").unwrap();
    }

    #[test]
    fn links_are_followed_but_no_folder_is_listed_twice() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        write(&root, "a/x.jsonl");
        write(folder.path(), "elsewhere/y.jsonl");
        symlink(&root, root.join("a/loop")).unwrap();
        symlink("../../elsewhere", root.join("a/link")).unwrap();
        symlink("../root", folder.path().join("elsewhere/back")).unwrap();
        symlink("../elsewhere", root.join("twice")).unwrap();
        let found = list(&Location::local(&root), ListFilter::ALL).unwrap();
        assert_eq!(keys(&found), ["a/link/y.jsonl", "a/x.jsonl"]);
        assert_eq!(found.repeated.len(), 3);
    }

    #[test]
    fn folders_that_link_to_each_other_are_listed_once_each() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..9 {
            write(folder.path(), &format!("{number}/x.jsonl"));
            for other in (0..9).filter(|other| *other != number) {
                symlink(format!("../{other}"), folder.path().join(format!("{number}/to-{other}"))).unwrap();
            }
        }
        let found = list(&Location::local(folder.path()), STRICT).unwrap();
        let expected: Vec<String> = (0..9).map(|number| format!("{number}/x.jsonl")).collect();
        assert_eq!(keys(&found), expected);
        assert_eq!(found.repeated.len(), 72);
    }

    #[test]
    fn folders_that_are_nested_too_deep_are_an_error_that_names_one() {
        let folder = tempfile::tempdir().unwrap();
        let deep = |levels: usize| "d/".repeat(levels) + "x.jsonl";
        write(folder.path(), &deep(MAX_DEPTH - 1));
        let found = list(&Location::local(folder.path()), STRICT).unwrap();
        assert_eq!(keys(&found), [deep(MAX_DEPTH - 1)]);
        write(folder.path(), &deep(MAX_DEPTH));
        let error = list(&Location::local(folder.path()), STRICT).unwrap_err().to_string();
        let expected = folder.path().join("d/".repeat(MAX_DEPTH)).display().to_string();
        assert!(
            error.starts_with(expected.trim_end_matches('/')) && error.contains("more than 64 levels deep"),
            "{error}"
        );
    }

    #[test]
    fn what_is_beside_the_sub_folders_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "source/a/x.jsonl");
        write(folder.path(), "source/README");
        write(folder.path(), "other/x.jsonl");
        write(folder.path(), ".Trash/x.jsonl");
        symlink("nothing", folder.path().join("dead")).unwrap();
        std::fs::create_dir(folder.path().join("lost+found")).unwrap();
        let mut found =
            list_subfolders(&Location::local(folder.path()), &["source".into(), "missing".into()], STRICT).unwrap();
        assert!(!found.is_missing);
        let missing = Location::local(folder.path().join("nothing"));
        assert!(list_subfolders(&missing, &["source".into()], STRICT).unwrap().is_missing);
        found.others.sort();
        assert_eq!(keys(&found.listing), ["source/a/x.jsonl"]);
        assert_eq!(found.listing.unread, ["source/README"]);
        assert_eq!((found.others, found.unreadable), (vec!["lost+found".into(), "other".into()], vec!["dead".into()]));
    }

    #[test]
    fn what_cannot_be_read_in_a_source_is_an_error_that_names_it() {
        for (name, message) in [("x.jsonl", "it is a socket, not a regular file"), ("dead", "it links to nothing")] {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), "source/y.jsonl");
            let path = folder.path().join("source").join(name);
            match name {
                "dead" => symlink("nothing", &path).unwrap(),
                _ => drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
            }
            let error = list_subfolders(&Location::local(folder.path()), &["source".into()], STRICT).err().unwrap();
            let expected = format!("{}: cannot read the file: {message}", path.display());
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }
}
