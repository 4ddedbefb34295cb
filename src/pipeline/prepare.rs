//! Stage 1: lists the input and fixes what the run reads.

use super::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::input::{FindOptions, InputObject, SourceLocations, check_output, find};
use crate::recipe::{Recipe, Source};
use crate::settings::Settings;
use crate::storage::Location;

/// What a run reads and where it writes.
#[derive(Debug, Clone)]
pub(crate) struct PrepareOptions {
    /// The folders that hold the source folders, in order.
    pub(crate) inputs: Vec<Location>,
    /// Whether the inputs were given, or are the default.
    pub(crate) inputs_given: bool,
    /// Folders or files given for single sources.
    pub(crate) source_inputs: Vec<(String, Location)>,
    /// Where the mix goes.
    pub(crate) output: Location,
    /// The recipe.
    pub(crate) recipe: Recipe,
    /// Whether all messages but the system's are trained, unless a source or a chat sets it.
    pub(crate) unmask: Option<bool>,
    /// The pairs of each sampled summary, unless a source sets its own number.
    pub(crate) qa_per_doc: u32,
}

impl PrepareOptions {
    /// The options of a run with these settings.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            inputs: settings.inputs.clone(),
            inputs_given: settings.inputs_given,
            source_inputs: settings.source_inputs.clone(),
            output: settings.output.clone(),
            recipe: settings.recipe.clone(),
            unmask: settings.unmask,
            qa_per_doc: settings.qa_per_doc,
        }
    }
}

/// What a run works on: fixed before any row is read.
#[derive(Debug)]
pub(crate) struct Job {
    /// The sources, in the order of the mix.
    pub(crate) sources: Vec<Source>,
    /// The input files, in natural order. Each is one split of the input.
    pub(crate) files: Vec<InputObject>,
}

impl Job {
    /// The size of all input files, as stored.
    pub(crate) fn input_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.object.size).sum()
    }
}

/// A source and the locations given for it; without any, its rows are in the folder of its name in every input.
type LocatedSource = (Source, Vec<Location>);

/// Checks that the output and the inputs are apart.
///
/// # Errors
/// A usage error that names the input.
pub(crate) fn check_locations(options: &PrepareOptions) -> Result<()> {
    let sources = located_sources(options)?;
    let given = sources.iter().flat_map(|(_, locations)| locations);
    check_output(&options.output, options.inputs.iter().chain(given))
}

/// Lists the input.
///
/// # Errors
/// If output and inputs are not apart, no source has a file, or a location given for a source has none.
pub(crate) async fn prepare(options: &PrepareOptions, context: &Context) -> Result<Job> {
    check_locations(options)?;
    let sources = located_sources(options)?;
    let find_options = FindOptions {
        sources: sources.iter().map(|(source, locations)| SourceLocations { name: &source.name, locations }).collect(),
        inputs: &options.inputs,
        // If only locations of single sources are given, the default input is not searched.
        search_inputs: options.inputs_given || options.source_inputs.is_empty(),
        is_disabled: &|name| options.recipe.sources.get(name).is_some_and(|source| source.enabled == Some(false)),
    };
    let found = find(&context.storage, &find_options).await?;
    found.warnings.into_iter().for_each(|warning| context.warnings.warn(warning));
    Ok(Job { files: found.files, sources: sources.into_iter().map(|(source, _)| source).collect() })
}

/// The sources in the order of the mix, with the locations given for them.
fn located_sources(options: &PrepareOptions) -> Result<Vec<LocatedSource>> {
    let located = |mut source: Source| {
        let place = |path: &String| {
            Location::parse(path)
                .map_err(|error| error.at(format_args!("paths of source {} in the recipe", source.name)))
        };
        let locations = source.paths.iter().flatten().map(place).collect::<Result<_>>()?;
        source.qa_per_doc = source.pairs_per_summary(options.qa_per_doc);
        let of_recipe = options.recipe.sources.get(&source.name).and_then(|source| source.unmask);
        source.unmask = of_recipe.or(options.unmask).unwrap_or(source.unmask);
        Ok((source, locations))
    };
    let mut sources: Vec<LocatedSource> =
        options.recipe.all_sources().into_iter().map(located).collect::<Result<_>>()?;
    for (name, location) in &options.source_inputs {
        let Some((_, locations)) = sources.iter_mut().find(|(source, _)| source.name == *name) else {
            let known: Vec<&str> = sources.iter().map(|(source, _)| source.name.as_str()).collect();
            let message = format!("unknown source `{name}`: expected one of {}", known.join(", "));
            return Err(Error::new(ErrorKind::Usage, message).at("--source-input"));
        };
        locations.push(location.clone());
    }
    Ok(sources)
}
