//! Stage 1: lists the input and fixes what the run reads.

use super::context::Context;
use super::documents::{MadeDocuments, MadeSource, MakeOptions, add_made_sources};
use crate::error::{Error, ErrorKind, Result};
use crate::input::{FindOptions, InputObject, SourceLocations, check_output, find};
use crate::recipe::{Documents, Kind, RawDocuments, Recipe, Source, document_source};
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
    /// Whether documents are made of the QA sources, and whether there are other mixes.
    pub(crate) documents: Documents,
    /// Whether document mixes hold the raw documents.
    pub(crate) raw_documents: RawDocuments,
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
            documents: settings.documents,
            raw_documents: settings.raw_documents,
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
    /// The documents that are made of the rows of these files.
    pub(crate) made: MadeDocuments,
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
        sources: sources
            .iter()
            .map(|(source, locations)| SourceLocations { name: &source.name, folder: source.folder_name(), locations })
            .collect(),
        inputs: &options.inputs,
        // If only locations of single sources are given, the default input is not searched.
        search_inputs: options.inputs_given || options.source_inputs.is_empty(),
        is_disabled: &|name| options.recipe.sources.get(name).is_some_and(|source| source.enabled == Some(false)),
    };
    let found = find(&context.storage, &find_options).await?;
    found.warnings.into_iter().for_each(|warning| context.warnings.warn(warning));
    let mut sources: Vec<Source> = sources.into_iter().map(|(source, _)| source).collect();
    let mut files = found.files;
    let has_files: Vec<bool> = (0..sources.len()).map(|at| files.iter().any(|file| file.source == at)).collect();
    let only = options.documents == Documents::Only;
    if only {
        warn_of_ignored_rules(&sources, &has_files, context);
    }
    let PrepareOptions { documents, raw_documents, recipe, .. } = options;
    let make = MakeOptions { documents: *documents, raw_documents: *raw_documents, recipe };
    let made = add_made_sources(&mut sources, &has_files, &make, context)?;
    warn_of_missing(&sources, &has_files, &made, context);
    if only {
        // Nothing is made of chats.
        files.retain(|file| sources[file.source].kind != Kind::Messages);
    }
    Ok(without_absent_sources(Job { sources, files, made: MadeDocuments { sources: made, only } }))
}

/// Warns of rules for conversations in a run that writes none.
fn warn_of_ignored_rules(sources: &[Source], has_files: &[bool], context: &Context) {
    for (source, _) in
        sources.iter().zip(has_files).filter(|(source, has_files)| **has_files && !source.kind.is_document())
    {
        let name = &source.name;
        match source.kind {
            Kind::Messages => {
                context.warnings.warn(format!("source {name} is in no mix: documents: only writes no conversations"));
            }
            _ if source.has_rule() => {
                let documents = document_source(name);
                context.warnings.warn(format!(
                    "source {name}: its amount means nothing with documents: only; give that of {documents}"
                ));
            }
            _ => {}
        }
    }
}

/// Warns of sources without files. An input has QA sources, sources of documents, or both: if it has only one of them, the others
/// are not missing.
fn warn_of_missing(sources: &[Source], has_files: &[bool], made: &[MadeSource], context: &Context) {
    let is_there = |at: usize| has_files.get(at) == Some(&true);
    let is_known = |source: &Source, of_documents: bool| match of_documents {
        true => source.is_known_documents(),
        false => source.kind.is_qa() && source.is_known(),
    };
    let any = |of_documents: bool| {
        sources.iter().enumerate().any(|(at, source)| is_known(source, of_documents) && is_there(at))
    };
    let (any_pairs, any_documents) = (any(false), any(true));
    for (at, source) in sources.iter().enumerate() {
        let is_expected = match source {
            _ if is_known(source, true) => any_documents,
            _ if is_known(source, false) => any_pairs || !any_documents,
            _ => true,
        };
        if is_expected && !is_there(at) && !made.iter().any(|made| made.source == at) {
            context.warnings.warn(format!("source {} not found", source.name));
        }
    }
}

/// The job without the known sources that the input is not expected to have: those of documents in most runs, and those of pairs if the
/// input has only documents.
fn without_absent_sources(job: Job) -> Job {
    let Job { sources, mut files, made: MadeDocuments { sources: mut made, only } } = job;
    let is_there = |at: usize| files.iter().any(|file| file.source == at) || made.iter().any(|made| made.source == at);
    let any = |of_kind: fn(&Source) -> bool| {
        sources.iter().enumerate().any(|(at, source)| of_kind(source) && source.is_known() && is_there(at))
    };
    let only_documents = any(Source::is_known_documents) && !any(|source| source.kind.is_qa());
    let is_expected = |source: &Source| match source {
        _ if source.is_known_documents() => false,
        _ if source.kind.is_qa() && source.is_known() => !only_documents,
        _ => true,
    };
    let is_kept: Vec<bool> =
        sources.iter().enumerate().map(|(at, source)| is_expected(source) || is_there(at)).collect();
    let place = |at: usize| is_kept[..at].iter().filter(|kept| **kept).count();
    files.iter_mut().for_each(|file| file.source = place(file.source));
    for source in &mut made {
        source.source = place(source.source);
        source.of.iter_mut().for_each(|of| *of = place(*of));
    }
    let sources = sources.into_iter().zip(&is_kept).filter(|(_, kept)| **kept).map(|(source, _)| source).collect();
    Job { sources, files, made: MadeDocuments { sources: made, only } }
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
