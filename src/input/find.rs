//! Finds the files that a run reads.

use super::discover::{FileOfSource, discover, discover_in_source, is_hidden};
use super::format::{Container, FileFormat};
use super::unread::{Unread, nothing_read, without_arrow_metadata};
use crate::codec::Codec;
use crate::error::{Error, ErrorKind, Result};
use crate::excerpt::excerpt_of_list;
use crate::storage::{ListFilter, Listing, Location, ObjectInfo, Storage};
use std::collections::BTreeMap;

/// A file to read.
#[derive(Debug, Clone)]
pub(crate) struct InputObject {
    /// The index of its source.
    pub(crate) source: usize,
    /// The index of the source's folder that it belongs to.
    pub(crate) folder: usize,
    /// Its key below the source's folder.
    pub(crate) key: String,
    /// Its location and version.
    pub(crate) object: ObjectInfo,
    /// What it holds.
    pub(crate) format: FileFormat,
}

/// Where the rows of a source are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceLocations<'a> {
    /// The source's name.
    pub(crate) name: &'a str,
    /// The name of its folder in every input; sources can share one.
    pub(crate) folder: &'a str,
    /// Folders or files given for this source alone. Empty: its folder in every input.
    pub(crate) locations: &'a [Location],
}

/// Where to look for files.
pub(crate) struct FindOptions<'a> {
    /// The sources, in the order of the mix.
    pub(crate) sources: Vec<SourceLocations<'a>>,
    /// The folders that hold one folder per source.
    pub(crate) inputs: &'a [Location],
    /// Whether to look into `inputs` at all.
    pub(crate) search_inputs: bool,
    /// Whether a source of a given name is disabled: its folder is expected, and not read.
    pub(crate) is_disabled: &'a dyn Fn(&str) -> bool,
}

/// The files of a run, with warnings about them.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// The files, in the order of the mix.
    pub(crate) files: Vec<InputObject>,
    /// Inputs given twice, folders that belong to no source.
    pub(crate) warnings: Vec<String>,
}

/// The folder below an input in which the upstream notebooks put their mixes; it is no source.
pub(crate) const MIX_FOLDER: &str = "training_mix";

/// The files of a source. Nothing else is opened, and what has the name of such a file and cannot be read is an error.
pub(crate) const SOURCE_FILES: ListFilter =
    ListFilter { is_ignored: is_hidden, is_wanted: |name| FileFormat::of_name(name).is_some(), is_strict: true };

/// Checks that the output is outside of all inputs, or is the [`MIX_FOLDER`] of one: the next run would read it as input. And that no
/// input is inside the output: the mix could replace it.
///
/// # Errors
/// A usage error that names the input.
pub(crate) fn check_output<'a>(output: &Location, inputs: impl Iterator<Item = &'a Location>) -> Result<()> {
    for input in inputs {
        let mix_folder = input.join(MIX_FOLDER);
        let is_mix_folder = mix_folder.contains(output) && output.contains(&mix_folder);
        if input.contains(output) && !is_mix_folder {
            return Err(Error::new(ErrorKind::Usage, format!("the output is inside the input {input}"))
                .at(output)
                .hint("pass --output a folder that is not inside any input"));
        }
        if output.contains(input) {
            return Err(Error::new(ErrorKind::Usage, format!("the input {input} is inside the output"))
                .at(output)
                .hint("pass --output a folder that holds no input"));
        }
    }
    Ok(())
}

/// Finds the files of all sources.
///
/// # Errors
/// [`ErrorKind::NotFound`] if no source has a file, or if a location given for a source has none.
pub(crate) async fn find(storage: &Storage, options: &FindOptions<'_>) -> Result<Inputs> {
    let mut found = Inputs::default();
    let mut beside = Beside::default();
    for (number, source) in options.sources.iter().enumerate() {
        for (folder, location) in source.locations.iter().enumerate() {
            let (objects, files, unread) = list_source(storage, number, location).await?;
            if files.is_empty() {
                return Err(no_files(source.name, location, unread.as_ref()));
            }
            found.warnings.extend(unread.as_ref().map(Unread::warning));
            found.files.extend(files.into_iter().map(|file| input_object(file, folder, &objects)));
        }
    }
    if options.search_inputs && options.sources.iter().any(|source| source.locations.is_empty()) {
        beside = find_in_inputs(storage, options, &mut found).await?;
    }
    // Files of a source are read together: folder by folder, each in the byte order of its keys.
    found.files.sort_by_key(|file| (file.source, file.folder));
    let has_files = |number| found.files.iter().any(|file| file.source == number);
    let missing: Vec<&str> = options
        .sources
        .iter()
        .enumerate()
        .filter(|(number, _)| !has_files(*number))
        .map(|(_, source)| source.name)
        .collect();
    if found.files.is_empty() {
        return Err(no_source_folder(options, &missing, &beside));
    }
    Ok(found)
}

/// The error for a location given for a source that has no file of rows.
fn no_files(source: &str, location: &Location, unread: Option<&Unread>) -> Error {
    let found = unread.map_or_else(String::new, |unread| format!("; found {}", unread.names()));
    Error::new(ErrorKind::NotFound, format!("no files found for source {source}{found}"))
        .at(location)
        .hint(nothing_read(unread))
}

/// What the inputs have instead of source folders.
#[derive(Debug, Default)]
struct Beside {
    /// The inputs that do not exist.
    missing_inputs: Vec<Location>,
    /// The folders that belong to no source.
    folders: Vec<Location>,
    /// The files in folders of sources that hold no rows.
    unread: Vec<Unread>,
}

/// The error for inputs without a folder of the sources `missing`.
fn no_source_folder(options: &FindOptions<'_>, missing: &[&str], beside: &Beside) -> Error {
    let generated =
        "point --input (INPUT_URI) at the output folder of the generation step, which has one folder per source";
    let error = |message: &str| Error::new(ErrorKind::NotFound, message);
    match &beside.missing_inputs[..] {
        [] => {}
        [input] if input.local_path().is_some_and(std::path::Path::is_file) => {
            return error("the input is a file, not a folder").at(input).hint(generated);
        }
        [input] => return error("input folder not found").at(input).hint(generated),
        inputs => return error("input folders not found").at(listed(inputs)).hint(generated),
    }
    let mut message = format!("no source folder with rows found; looked for {}", missing.join(", "));
    if let Some(unread) = beside.unread.first() {
        message.push_str(&format!("; not read: {}", unread.names()));
        return error(&message).at(&unread.folder).hint(nothing_read(Some(unread)));
    }
    let names: Vec<&str> = beside.folders.iter().map(Location::name).collect();
    let Some(first) = names.first().copied() else { return error(&message).at(listed(options.inputs)).hint(generated) };
    let hint = format!(
        "name the folder in a recipe (`folder: {first}`, with `where` if it holds several kinds of rows); \
         `knowledge-mixing init` writes such a recipe"
    );
    message.push_str(&format!("; found {}", excerpt_of_list(names)));
    error(&message).at(listed(options.inputs)).hint(hint)
}

fn listed(locations: &[Location]) -> String {
    excerpt_of_list(locations.iter().map(ToString::to_string))
}

/// Finds the files of sources that have no locations of their own, in the folders of their names.
async fn find_in_inputs(storage: &Storage, options: &FindOptions<'_>, found: &mut Inputs) -> Result<Beside> {
    let folders: Vec<&str> = options.sources.iter().map(|source| source.folder).collect();
    // The folder of a source that has locations of its own is not read.
    let mut wanted: Vec<&str> = Vec::new();
    for source in options.sources.iter().filter(|source| source.locations.is_empty()) {
        if !wanted.contains(&source.folder) {
            wanted.push(source.folder);
        }
    }
    let mut beside = Beside::default();
    for (folder, input) in options.inputs.iter().enumerate() {
        if options.inputs[..folder].contains(input) {
            found.warnings.push(format!("input {input} is given twice: its rows are read twice"));
        }
        let listed = storage.list_subfolders(input, &wanted, SOURCE_FILES).await?;
        let Listing { files: objects, unread, .. } = without_arrow_metadata(listed.listing);
        beside.unread.extend(unread_of_folders(input, unread));
        let is_known =
            |name: &String| name == MIX_FOLDER || folders.contains(&name.as_str()) || (options.is_disabled)(name);
        let unknown = listed.others.into_iter().filter(|name| !is_known(name));
        beside.folders.extend(unknown.map(|name| input.join(&name)));
        if listed.is_missing {
            beside.missing_inputs.push(input.clone());
        }
        if !listed.unreadable.is_empty() {
            let names = excerpt_of_list(listed.unreadable);
            found.warnings.push(format!("{input}: what cannot be read beside the sources is skipped: {names}"));
        }
        let files = discover(&folders, objects.iter().map(|object| object.key.as_str()))
            .into_iter()
            .filter(|file| options.sources[file.source].locations.is_empty());
        found.files.extend(files.map(|file| input_object(file, folder, &objects)));
    }
    found.warnings.extend(beside.unread.iter().map(Unread::warning));
    if !beside.missing_inputs.is_empty() {
        found.warnings.push(format!("input folders that do not exist are skipped: {}", listed(&beside.missing_inputs)));
    }
    if !beside.folders.is_empty() {
        found.warnings.push(format!("folders that belong to no source are skipped: {}", listed(&beside.folders)));
    }
    Ok(beside)
}

/// The files that are not read of each folder of a source, by their keys below the input.
fn unread_of_folders(input: &Location, keys: Vec<String>) -> impl Iterator<Item = Unread> {
    let mut of_folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for key in keys {
        if let Some((folder, rest)) = key.split_once('/') {
            of_folders.entry(folder.to_owned()).or_default().push(rest.to_owned());
        }
    }
    of_folders.into_iter().filter_map(|(folder, keys)| Unread::new(input.join(&folder), keys))
}

/// The files at a location that belongs to one source: a folder, or a single file. Also returns what is not read there.
async fn list_source(
    storage: &Storage,
    source: usize,
    location: &Location,
) -> Result<(Vec<ObjectInfo>, Vec<FileOfSource>, Option<Unread>)> {
    let listing = without_arrow_metadata(storage.list_selected(location, SOURCE_FILES).await?);
    let Listing { files: objects, unread, .. } = listing;
    let files = match &objects[..] {
        [file] if file.location.to_string() == location.to_string() => vec![single_file(source, &file.key)],
        _ => discover_in_source(source, objects.iter().map(|object| object.key.as_str())),
    };
    Ok((objects, files, Unread::new(location.clone(), unread)))
}

/// A file that the user named holds rows, whatever its name: Kubeflow's artifacts have no extension.
fn single_file(source: usize, key: &str) -> FileOfSource {
    let lines = FileFormat { container: Container::LinesOrArray, codec: Codec::None };
    FileOfSource { source, file: 0, key: key.to_owned(), format: FileFormat::of_name(key).unwrap_or(lines) }
}

fn input_object(file: FileOfSource, folder: usize, objects: &[ObjectInfo]) -> InputObject {
    let FileOfSource { source, file, key, format } = file;
    InputObject { source, folder, key, format, object: objects[file].clone() }
}
