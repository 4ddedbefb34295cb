//! Which files a run reads.

use super::prepare::{LocatedSource, PrepareOptions};
use crate::codec::Codec;
use crate::error::{Error, ErrorKind, Result};
use crate::input::{Container, FileFormat, FileOfSource, InputObject, discover, discover_in_source};
use crate::recipe::Source;
use crate::storage::{Location, ObjectInfo, Storage};

/// The files of a run and what a person should know of them.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// The files, in the order of the mix.
    pub(crate) files: Vec<InputObject>,
    /// Folders that are no source, sources that are not there.
    pub(crate) warnings: Vec<String>,
}

/// Finds the files of all sources.
///
/// # Errors
/// [`ErrorKind::NotFound`] where no source has a file, or a place that was given for a source holds none.
pub(crate) async fn find(storage: &Storage, settings: &PrepareOptions, sources: &[LocatedSource]) -> Result<Inputs> {
    let mut found = Inputs::default();
    let plain: Vec<Source> = sources.iter().map(|source| source.source.clone()).collect();
    for (number, source) in sources.iter().enumerate() {
        for (folder, location) in source.locations.iter().enumerate() {
            let (objects, files) = list_source(storage, number, location).await?;
            if files.is_empty() {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("nothing to read for the source {}", source.source.name),
                )
                .at(location)
                .hint(
                    "give a folder that holds *.jsonl, *.ndjson, *.json or *.parquet (also .gz, .zst), or such a file",
                ));
            }
            found.files.extend(files.into_iter().map(|file| input_object(file, folder, &objects)));
        }
    }
    // Whoever names places for single sources, and no input, does not mean the default input.
    let wanted = settings.inputs_given || settings.source_inputs.is_empty();
    let by_folder = wanted && sources.iter().any(|source| source.locations.is_empty());
    if by_folder {
        let mut others = Vec::new();
        for (folder, input) in settings.inputs.iter().enumerate() {
            if settings.inputs[..folder].contains(input) {
                found.warnings.push(format!("{input} is given twice, and so are all its rows"));
            }
            let objects = storage.list(input).await?;
            let discovered = discover(&plain, objects.iter().map(|object| object.key.as_str()));
            // Somebody who switches a source off knows that it is there.
            let switched_off =
                |name: &str| settings.recipe.sources.get(name).is_some_and(|of| of.enabled == Some(false));
            let strangers = discovered.other_folders.into_iter().filter(|name| !switched_off(name));
            others.extend(strangers.map(|name| input.join(&name).to_string()));
            let files = discovered.files.into_iter().filter(|file| sources[file.source].locations.is_empty());
            found.files.extend(files.map(|file| input_object(file, folder, &objects)));
        }
        if !others.is_empty() {
            found.warnings.push(format!("passed over, because they are no source: {}", others.join(", ")));
        }
    }
    // A source's files belong together: folder by folder, each in the byte order of its keys.
    found.files.sort_by_key(|file| (file.source, file.folder));
    let missing: Vec<&str> = sources
        .iter()
        .enumerate()
        .filter(|(number, _)| !found.files.iter().any(|file| file.source == *number))
        .map(|(_, source)| source.source.name.as_str())
        .collect();
    if found.files.is_empty() {
        let places: Vec<String> = settings.inputs.iter().map(ToString::to_string).collect();
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("no source folder with rows; looked for {}", missing.join(", ")),
        )
        .at(places.join(", "))
        .hint("give --input (INPUT_URI) the folder that the generation step wrote, one folder a source in it"));
    }
    found.warnings.extend(missing.into_iter().map(|name| format!("the source {name} is not there")));
    Ok(found)
}

/// The files of a place that belongs to one source as a whole: a folder, or a file.
async fn list_source(
    storage: &Storage,
    source: usize,
    location: &Location,
) -> Result<(Vec<ObjectInfo>, Vec<FileOfSource>)> {
    let objects = storage.list(location).await?;
    let files = match &objects[..] {
        [file] if file.location.to_string() == location.to_string() => vec![file_given(source, &file.key)],
        _ => discover_in_source(source, objects.iter().map(|object| object.key.as_str())),
    };
    Ok((objects, files))
}

/// A file that somebody named himself: whatever its name, it holds rows. (Kubeflow's artifacts have no ending.)
fn file_given(source: usize, key: &str) -> FileOfSource {
    let lines = FileFormat { container: Container::LinesOrArray, codec: Codec::Plain };
    FileOfSource { source, file: 0, key: key.to_owned(), format: FileFormat::of_name(key).unwrap_or(lines) }
}

fn input_object(file: FileOfSource, folder: usize, objects: &[ObjectInfo]) -> InputObject {
    let FileOfSource { source, file, key, format } = file;
    InputObject { source, folder, key, format, object: objects[file].clone() }
}
