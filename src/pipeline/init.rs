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
use crate::recipe::{BadRows, InfeasibleCuts, KNOWN_DOCUMENTS, KNOWN_SOURCES, Kind, Recipe, TokenizerRules};
use crate::report::recipe_draft::{DraftPart, DraftSource, RecipeDraft};
use crate::settings::{self, Settings};
use crate::storage::{ListFilter, Location, ObjectInfo};
use crate::tokens::{self, BUILTIN, ChatTemplate, TokenizerModel};
use crate::warnings::Warnings;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::btree_map::Entry;
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

/// The column by which flows tell the kinds of rows of one file apart.
const KIND_COLUMN: &str = "dataset_type";

/// A column with more values tells something else.
const KIND_VALUES: usize = 50;

/// What the values of [`KIND_COLUMN`] contain that name a known source.
const KIND_WORDS: [(&str, &str); 6] = [
    ("extractive", "extractive_summary"),
    ("detailed", "detailed_summary"),
    ("atomic_fact", "key_facts_to_qa"),
    ("key_fact", "key_facts_to_qa"),
    ("base_document", "document_based_qa"),
    ("document_based", "document_based_qa"),
];

/// Makes a recipe of what is in the inputs of these settings. `tokenizer` is what it names as the tokenizer.
///
/// # Errors
/// [`ErrorKind::NotFound`] if there is no source; errors of storage and of rows.
pub(crate) async fn init(settings: &Settings, tokenizer: &str, context: &Context) -> Result<RecipeDraft> {
    // What is unexpected is a comment of the recipe.
    let context = &Context { warnings: Warnings::silent(), ..context.clone() };
    let mut sources = known_sources(settings, context).await?;
    let mut others = other_sources(settings, context).await?;
    for mixed in std::mem::take(&mut others.mixed) {
        others.sources.extend(mixed.into_sources(&mut sources, &others.sources));
    }
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
    let options = SurveyOptions {
        bad_rows: BadRows::Skip,
        rejects_refused: false,
        ..SurveyOptions::of(settings, &job.sources, template)
    };
    Ok((job, options))
}

/// A recipe with these sources and nothing else. If none is enabled, the one that names all that are looked for.
fn sources_alone(sources: &[DraftSource]) -> String {
    if !sources.iter().any(|source| source.is_enabled) {
        return String::new();
    }
    let source = |source: &DraftSource| {
        let mut value = match source.kind.filter(|_| source.is_enabled) {
            Some(_) if source.is_known => serde_json::json!({}),
            Some(kind) if source.paths.is_empty() => serde_json::json!({"kind": kind}),
            Some(kind) => serde_json::json!({"kind": kind, "paths": source.paths}),
            None if source.is_known => serde_json::json!({"enabled": false}),
            None => return None,
        };
        if let Some(part) = source.part.as_ref().filter(|_| source.is_enabled) {
            value["folder"] = part.folder.as_str().into();
            value["where"] = part.condition();
        }
        Some((source.name.clone(), value))
    };
    serde_json::json!({"sources": sources.iter().filter_map(source).collect::<serde_json::Map<_, _>>()}).to_string()
}

/// The names of all known sources.
fn known_names() -> Vec<&'static str> {
    let documents = KNOWN_DOCUMENTS.iter().map(|known| known.name);
    KNOWN_SOURCES.iter().map(|(name, _)| *name).chain(documents).collect()
}

/// The known sources, with what is in their folders. Those of documents only if they have rows: an input without them lacks nothing.
async fn known_sources(settings: &Settings, context: &Context) -> Result<Vec<DraftSource>> {
    let names = known_names();
    let mut objects: BTreeMap<&str, Vec<ObjectInfo>> = BTreeMap::new();
    for input in &settings.inputs {
        for object in context.storage.list_subfolders(input, &names, SOURCE_FILES).await?.listing.files {
            if let Some(name) = names.iter().find(|name| object.key.split('/').next() == Some(**name)) {
                objects.entry(*name).or_default().push(object);
            }
        }
    }
    let mut sources = Vec::new();
    let documents = KNOWN_DOCUMENTS.iter().map(|known| (known.name, Kind::Document));
    for (name, kind) in KNOWN_SOURCES.into_iter().chain(documents) {
        let found = look_into(objects.remove(name).unwrap_or_default(), context).await?;
        if kind.is_document() && found.rows == 0 {
            continue;
        }
        sources.push(DraftSource {
            is_enabled: found.rows > 0,
            is_known: true,
            kind: Some(kind),
            generations: if kind.is_document() { Vec::new() } else { found.generations(kind) },
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
    /// Folders with rows of one kind.
    sources: Vec<DraftSource>,
    /// Folders with rows of several kinds.
    mixed: Vec<Mixed>,
    /// Folders with known sources.
    inputs: Vec<Location>,
}

/// A folder with rows of several kinds.
#[derive(Debug)]
struct Mixed {
    folder: String,
    files: usize,
    /// The rows of each value of [`KIND_COLUMN`].
    kinds: BTreeMap<String, KindOfRows>,
}

/// The rows with one value of [`KIND_COLUMN`].
#[derive(Debug, Default)]
struct KindOfRows {
    rows: u64,
    /// The columns of the first one.
    columns: BTreeSet<String>,
}

impl Mixed {
    /// The sources of the folder. Values that name a known source without rows become that source; a source for each other value is
    /// returned. `others` are the sources whose names are taken.
    fn into_sources(self, known: &mut [DraftSource], others: &[DraftSource]) -> Vec<DraftSource> {
        let part = |value: &str| DraftPart {
            folder: self.folder.clone(),
            column: KIND_COLUMN.to_owned(),
            values: vec![value.to_owned()],
        };
        let mut sources: Vec<DraftSource> = Vec::new();
        for (value, of_value) in self.kinds {
            let word = KIND_WORDS.iter().find(|(word, _)| value.to_lowercase().contains(word));
            let source = known.iter_mut().find(|source| {
                let is_here = source.part.as_ref().is_some_and(|part| part.folder == self.folder);
                word.is_some_and(|(_, name)| source.name == *name) && (source.rows == 0 || is_here)
            });
            if let Some(source) = source {
                match &mut source.part {
                    Some(part) => part.values.push(value),
                    empty => *empty = Some(part(&value)),
                }
                source.is_enabled = true;
                source.files = self.files;
                source.rows += of_value.rows;
                continue;
            }
            let mut name = name_of(&value);
            let is_taken = |name: &str| {
                known.iter().chain(others).chain(&sources).any(|source| source.name == name)
                    || known_names().contains(&name)
            };
            if is_taken(&name) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                name = name_of(&format!("{}_{value}", self.folder));
            }
            let found =
                Found { files: self.files, rows: of_value.rows, columns: vec![of_value.columns], ..Found::default() };
            sources.push(DraftSource {
                kind: found.kind(),
                part: Some(part(&value)),
                ..found.source(name, Vec::new())
            });
        }
        sources
    }
}

/// A name for a source, like this one.
fn name_of(text: &str) -> String {
    text.chars().map(|c| if is_of_name(c) { c } else { '_' }).collect()
}

/// Finds folders in the inputs that are no source.
async fn other_sources(settings: &Settings, context: &Context) -> Result<Others> {
    let names = known_names();
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
            objects.extend(context.storage.list_selected(location, filter).await?.files);
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
        if found.kinds.len() > 1 && !found.has_too_many_kinds {
            others.mixed.push(Mixed { folder, files: found.files, kinds: found.kinds });
            continue;
        }
        let name = name_of(&folder);
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
    /// The rows of each value of [`KIND_COLUMN`], and whether it has more than [`KIND_VALUES`].
    kinds: BTreeMap<String, KindOfRows>,
    has_too_many_kinds: bool,
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
            found.has_too_many_kinds |= visited.rows.has_too_many_kinds;
            add_kinds(&mut found.kinds, visited.rows.kinds);
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
            part: None,
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
        if has("document") && !has("question") {
            return Some(Kind::Document);
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

/// The rows of a file so far, the columns of the first one, and the kinds of all.
#[derive(Debug, Default)]
struct Peeked {
    rows: u64,
    columns: Option<BTreeSet<String>>,
    kinds: BTreeMap<String, KindOfRows>,
    has_too_many_kinds: bool,
}

/// The value of [`KIND_COLUMN`]; `None` if the row is not readable.
fn kind_value(row: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(default)]
        dataset_type: Option<String>,
    }
    serde_json::from_slice::<Row>(row).ok()?.dataset_type
}

/// The columns of a row that are not null.
fn columns_of(row: &[u8]) -> BTreeSet<String> {
    let columns: BTreeMap<String, &RawValue> = serde_json::from_slice(row).unwrap_or_default();
    columns.into_iter().filter(|(_, value)| value.get() != "null").map(|(name, _)| name).collect()
}

/// Adds rows of further chunks or files. Of equal values, the columns of the earlier rows stay.
fn add_kinds(kinds: &mut BTreeMap<String, KindOfRows>, more: BTreeMap<String, KindOfRows>) {
    for (value, of_value) in more {
        match kinds.entry(value) {
            Entry::Vacant(entry) => drop(entry.insert(of_value)),
            Entry::Occupied(mut entry) => entry.get_mut().rows += of_value.rows,
        }
    }
}

impl RowVisitor for Peek {
    type Rows = Peeked;

    fn place(&self) -> &str {
        &self.place
    }

    fn columns(&self) -> Vec<&str> {
        COLUMNS.into_iter().chain([KIND_COLUMN]).collect()
    }

    fn visit(&self, _: u64, row: &[u8], peeked: &mut Peeked) -> Result<()> {
        peeked.rows += 1;
        if peeked.columns.is_none() {
            peeked.columns = Some(columns_of(row));
        }
        if peeked.has_too_many_kinds {
            return Ok(());
        }
        if let Some(value) = kind_value(row) {
            let of_value =
                peeked.kinds.entry(value).or_insert_with(|| KindOfRows { rows: 0, columns: columns_of(row) });
            of_value.rows += 1;
            peeked.has_too_many_kinds = peeked.kinds.len() > KIND_VALUES;
        }
        Ok(())
    }

    fn append(&self, peeked: &mut Peeked, next: Peeked) {
        peeked.rows += next.rows;
        peeked.columns = peeked.columns.take().or(next.columns);
        add_kinds(&mut peeked.kinds, next.kinds);
        peeked.has_too_many_kinds |= next.has_too_many_kinds || peeked.kinds.len() > KIND_VALUES;
    }
}
