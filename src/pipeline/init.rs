//! Makes a recipe of what is in an input.

use super::context::Context;
use super::plan::nothing_left;
use super::prepare::{Job, PrepareOptions, prepare};
use super::survey::{SurveyOptions, survey};
use crate::error::{Error, ErrorKind, Result};
use crate::input::{MIX_FOLDER, RowVisitor, SOURCE_FILES, visit};
use crate::manifest::MANIFEST_NAME;
use crate::mixing::{self, Cuts, Row};
use crate::progress::ProgressUnit;
use crate::recipe::{BadRows, InfeasibleCuts, KNOWN_SOURCES, Kind, Recipe, TokenizerRules};
use crate::report::recipe_draft::{DraftSource, RecipeDraft};
use crate::settings::{self, Settings};
use crate::storage::{ListFilter, Location, ObjectInfo};
use crate::tokens::{self, BUILTIN, ChatTemplate, TokenizerModel};
use crate::warnings::Warnings;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The columns that show what the rows of a file are.
const COLUMNS: [&str; 9] = [
    "question",
    "response",
    "document_outline",
    "summary",
    "document",
    "raw_document",
    "base_document",
    "key_fact",
    "messages",
];

/// Makes a recipe of what is in the inputs of these settings. `tokenizer` is what it names as the tokenizer.
///
/// # Errors
/// [`ErrorKind::NotFound`] if there is no source; errors of storage and of rows.
pub(crate) async fn init(settings: &Settings, tokenizer: &str, context: &Context) -> Result<RecipeDraft> {
    // What is unexpected is a comment of the recipe.
    let context = &Context { warnings: Warnings::silent(), ..context.clone() };
    let mut sources = known_sources(settings, context).await?;
    let others = other_sources(settings, context).await?;
    let is_any_known = sources.iter().any(|source| source.is_enabled);
    if let Some(input) = others.inputs.first().filter(|_| !is_any_known) {
        return Err(Error::new(ErrorKind::NotFound, format!("no source folder found, but {input} has some"))
            .at(places(&settings.inputs).join(", "))
            .hint(format!("pass --input {input}")));
    }
    sources.extend(others.sources.into_iter().map(|source| DraftSource {
        // Without any known source, a recipe without the others would mix nothing.
        is_enabled: !is_any_known && source.kind.is_some(),
        ..source
    }));
    let (job, options) = job(settings, &sources, context).await?;
    let (survey, index) = survey(&job, &options, context).await?;
    let mixing_options = mixing::Options::from_recipe(&Recipe::default(), settings.seed, None);
    let job_sources = job.sources;
    let deciding = move |context: &Context| {
        let (rows, _) = context.pool.install(|| mixing::place(index, &job_sources, &mixing_options));
        if !rows.iter().any(Row::is_kept) {
            return Err(nothing_left(&job_sources, &survey.ledgers, &rows));
        }
        let cuts = mixing::feasible(&rows, &job_sources, &[1], InfeasibleCuts::Keep)?;
        Ok((cuts, survey, job_sources))
    };
    let (cuts, survey, job_sources) = context.compute("planning", deciding).await?;
    for (source, ledger) in job_sources.iter().zip(&survey.ledgers) {
        if let Some(draft) = sources.iter_mut().find(|draft| draft.name == source.name) {
            draft.dropped = ledger.reasons();
        }
    }
    let Cuts { largest_feasible, offers, .. } = cuts;
    Ok(RecipeDraft {
        inputs: places(&settings.inputs),
        tokenizer: tokenizer.to_owned(),
        is_stand_in: tokenizer == BUILTIN,
        sources,
        largest_cut: largest_feasible,
        offers: offers.iter().map(ToString::to_string).collect(),
        unreadable: survey.rejected.len() as u64,
    })
}

/// What to read, with exactly the sources that are enabled, and how.
async fn job(settings: &Settings, sources: &[DraftSource], context: &Context) -> Result<(Job, SurveyOptions)> {
    let prepare_options = PrepareOptions {
        inputs: settings.inputs.clone(),
        inputs_given: true,
        source_inputs: Vec::new(),
        // Nothing is written, so no output can be in the way: this one may be inside an input.
        output: settings.inputs.first().unwrap_or(&settings.output).join(MIX_FOLDER),
        recipe: settings::parse_recipe(&sources_alone(sources), "the recipe")?,
        unmask: None,
        qa_per_doc: settings.qa_per_doc,
        documents: settings.documents,
        raw_documents: settings.raw_documents,
    };
    let job = prepare(&prepare_options, context).await?;
    // Only chats need a template to be parsed, and none of its counts are kept.
    let files = tokens::fetch(&context.storage, &TokenizerModel::Builtin).await?;
    let template = Arc::new(ChatTemplate::load(&files, None, TokenizerRules::Auto, tokens::date_of_run()?)?);
    let options = SurveyOptions { bad_rows: BadRows::Skip, ..SurveyOptions::of(settings, &job.sources, template) };
    Ok((job, options))
}

/// A recipe with these sources and nothing else. If none is enabled, the one that names all that are looked for.
fn sources_alone(sources: &[DraftSource]) -> String {
    if !sources.iter().any(|source| source.is_enabled) {
        return String::new();
    }
    let source = |source: &DraftSource| {
        let value = match source.kind.filter(|_| source.is_enabled) {
            Some(_) if source.is_known => serde_json::json!({}),
            Some(kind) if source.paths.is_empty() => serde_json::json!({"kind": kind}),
            Some(kind) => serde_json::json!({"kind": kind, "paths": source.paths}),
            None if source.is_known => serde_json::json!({"enabled": false}),
            None => return None,
        };
        Some((source.name.clone(), value))
    };
    serde_json::json!({"sources": sources.iter().filter_map(source).collect::<serde_json::Map<_, _>>()}).to_string()
}

/// The known sources, with what is in their folders.
async fn known_sources(settings: &Settings, context: &Context) -> Result<Vec<DraftSource>> {
    let names = KNOWN_SOURCES.map(|(name, _)| name);
    let mut objects: BTreeMap<&str, Vec<ObjectInfo>> = BTreeMap::new();
    for input in &settings.inputs {
        for object in context.storage.list_subfolders(input, &names, SOURCE_FILES).await?.files {
            if let Some(name) = names.iter().find(|name| object.key.split('/').next() == Some(**name)) {
                objects.entry(*name).or_default().push(object);
            }
        }
    }
    let mut sources = Vec::new();
    for (name, kind) in KNOWN_SOURCES {
        let found = look_into(objects.remove(name).unwrap_or_default(), context).await?;
        let is_enabled = found.rows > 0;
        let generations = found.generations(kind);
        sources.push(DraftSource {
            is_enabled,
            is_known: true,
            kind: Some(kind),
            generations,
            ..found.source(name.to_owned(), Vec::new())
        });
    }
    Ok(sources)
}

fn places(locations: &[Location]) -> Vec<String> {
    locations.iter().map(ToString::to_string).collect()
}

/// What else is in the inputs.
#[derive(Debug, Default)]
struct Others {
    /// Folders with rows.
    sources: Vec<DraftSource>,
    /// Folders with known sources.
    inputs: Vec<Location>,
}

/// Finds folders in the inputs that are no source.
async fn other_sources(settings: &Settings, context: &Context) -> Result<Others> {
    let names = KNOWN_SOURCES.map(|(name, _)| name);
    // Beside the sources, what cannot be read does no harm.
    let filter = ListFilter { is_strict: false, ..SOURCE_FILES };
    let mut folders: BTreeMap<String, Vec<Location>> = BTreeMap::new();
    for input in &settings.inputs {
        let listed = context.storage.list_subfolders(input, &names, filter).await?;
        for name in listed.others.into_iter().filter(|name| name != MIX_FOLDER) {
            folders.entry(name.clone()).or_default().push(input.join(&name));
        }
    }
    let mut others = Others::default();
    for (folder, locations) in folders {
        let mut objects = Vec::new();
        for location in &locations {
            objects.extend(context.storage.list_selected(location, filter).await?);
        }
        if objects.iter().any(|object| names.iter().any(|name| object.key.split('/').next() == Some(name))) {
            others.inputs.extend(locations);
            continue;
        }
        let is_mix = objects.iter().any(|object| object.key == MANIFEST_NAME);
        if is_mix || objects.is_empty() {
            continue;
        }
        let found = look_into(objects, context).await?;
        if found.rows == 0 {
            continue;
        }
        let name: String = folder.chars().map(|c| if is_of_name(c) { c } else { '_' }).collect();
        let paths = if name == folder { Vec::new() } else { places(&locations) };
        others.sources.push(DraftSource { kind: found.kind(), ..found.source(name, paths) });
    }
    Ok(others)
}

/// Whether the name of a source may contain a character.
fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// What is in some files.
#[derive(Debug, Default)]
struct Found {
    files: usize,
    rows: u64,
    /// The columns of the first row of each file.
    columns: Vec<BTreeSet<String>>,
}

/// Counts the rows of files; one that is damaged has none.
async fn look_into(objects: Vec<ObjectInfo>, context: &Context) -> Result<Found> {
    let bar = context.progress.bar("reading", objects.iter().map(|object| object.size).sum(), ProgressUnit::Bytes);
    let mut found = Found::default();
    for object in objects {
        found.files += 1;
        let peek = Peek { place: object.location.to_string() };
        if let Ok(visited) = visit(&context.storage, &object, peek, &context.pool, &bar.counter()).await {
            found.rows += visited.rows.rows;
            found.columns.extend(visited.rows.columns);
        }
    }
    Ok(found)
}

impl Found {
    fn source(&self, name: String, paths: Vec<String>) -> DraftSource {
        DraftSource {
            name,
            is_enabled: false,
            is_known: false,
            kind: None,
            paths,
            files: self.files,
            rows: self.rows,
            dropped: String::new(),
            generations: Vec::new(),
        }
    }

    /// What the rows are, by the columns of the first one.
    fn kind(&self) -> Option<Kind> {
        let columns = self.columns.first()?;
        let has = |name: &str| columns.contains(name);
        if has("messages") {
            return Some(Kind::Messages);
        }
        if !["question", "response", "document_outline"].into_iter().all(has) {
            return None;
        }
        match () {
            () if has("key_fact") => Some(Kind::FactQa),
            () if has("base_document") && !has("raw_document") => Some(Kind::DocumentQa),
            () if has("raw_document") || (has("summary") && has("document")) => Some(Kind::SummaryQa),
            () if has("document") => Some(Kind::DocumentQa),
            () => None,
        }
    }

    /// The generations of the generator that wrote files with these columns: see docs/files.md.
    fn generations(&self, kind: Kind) -> Vec<&'static str> {
        let of_file = |columns: &BTreeSet<String>| {
            let has = |name: &str| columns.contains(name);
            match () {
                () if has("summary") && !has("raw_document") => "the renamed schema",
                () if has("base_document") || (kind == Kind::FactQa && has("raw_document")) => "sdg_hub 0.6 or 0.7",
                () => "sdg_hub 0.9",
            }
        };
        self.columns.iter().map(of_file).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Looks at the first row of a file and counts the others.
struct Peek {
    place: String,
}

/// The rows of a file so far, and the columns of the first one.
#[derive(Debug, Default)]
struct Peeked {
    rows: u64,
    columns: Option<BTreeSet<String>>,
}

impl RowVisitor for Peek {
    type Rows = Peeked;

    fn place(&self) -> &str {
        &self.place
    }

    fn columns(&self) -> Vec<&str> {
        COLUMNS.to_vec()
    }

    fn visit(&self, _: u64, row: &[u8], peeked: &mut Peeked) -> Result<()> {
        peeked.rows += 1;
        if peeked.columns.is_none() {
            let columns: BTreeMap<String, &RawValue> = serde_json::from_slice(row).unwrap_or_default();
            let present = columns.into_iter().filter(|(_, value)| value.get() != "null");
            peeked.columns = Some(present.map(|(name, _)| name).collect());
        }
        Ok(())
    }

    fn append(&self, peeked: &mut Peeked, next: Peeked) {
        peeked.rows += next.rows;
        peeked.columns = peeked.columns.take().or(next.columns);
    }
}
