//! Counts what files of messages hold.

use super::context::Context;
use super::count::SampleCounter;
use super::row_flags::row_flags;
use crate::error::{Error, ErrorKind, Result};
use crate::input::{RowParser, RowVisitor, SOURCE_FILES, visit};
use crate::progress::ProgressUnit;
use crate::recipe::{Source, Thinking, TokenizerRules};
use crate::report::conversation::messages_of;
use crate::report::messages_statistics::MessagesStatistics;
use crate::sample::{Body, Conversation, ParseOptions, ParsedRow, Reasoning, RowError, Sample, written_reasoning};
use crate::storage::{ListFilter, Location, ObjectInfo};
use crate::text::{Interner, TextId, TextStore};
use crate::tokens::{self, ChatTemplate, LoadedTokenizer, TokenizerFiles, TokenizerModel};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// How many rows that are not readable are named.
const NAMED_ROWS: usize = 5;

/// Which files to read, and what to count.
#[derive(Debug, Clone)]
pub(crate) struct StatsOptions {
    /// The files.
    pub(crate) files: Vec<Location>,
    /// What counts tokens.
    pub(crate) tokenizer: TokenizerModel,
    /// The chat template, instead of the tokenizer's own.
    pub(crate) chat_template: Option<Location>,
    /// A sequence length to compare lengths with.
    pub(crate) max_seq_len: Option<u32>,
    /// Whether tokens that count for the loss are counted, too.
    pub(crate) loss_tokens: bool,
}

/// Counts what files of messages hold: all of them together.
///
/// # Errors
/// [`ErrorKind::NotFound`] for a file or a tokenizer that is not there, [`ErrorKind::Data`] if no row is readable; errors of storage.
pub(crate) async fn stats(options: StatsOptions, context: &Context) -> Result<MessagesStatistics> {
    let mut objects = Vec::new();
    for file in &options.files {
        match context.storage.stat(file).await? {
            Some(object) => objects.push(object),
            None => return Err(no_file(file, context).await?),
        }
    }
    let date = tokens::date_of_run()?;
    let files = tokens::fetch(&context.storage, &options.tokenizer).await?;
    let given = tokens::given_template(&context.storage, options.chat_template.as_ref()).await?;
    let load = move |_: &Context| {
        let template = ChatTemplate::load(&files, given, TokenizerRules::Auto, date)?;
        let reasoning = written_reasoning(Thinking::Auto, &template);
        Ok((Arc::new(template), Source { reasoning, ..Source::of_chats("messages") }, files))
    };
    let (template, source, files) = context.compute("compiling the chat template", load).await?;
    let (texts, rows) = read(objects, &template, &source, context).await?;
    let counting = move |context: &Context| count(&files, template, &texts, rows, &options, context);
    context.compute("counting", counting).await
}

/// The error for a location that is no file.
async fn no_file(file: &Location, context: &Context) -> Result<Error> {
    let filter = ListFilter { is_strict: false, ..SOURCE_FILES };
    let found = context.storage.list_selected(file, filter).await?.files;
    // The figures of a mix are JSON, but no rows.
    let mut rows = found.iter().filter(|object| !object.key.ends_with(".json")).chain(&found);
    let is_local_folder = file.local_path().is_some_and(std::path::Path::is_dir);
    Ok(match rows.next() {
        Some(example) => Error::new(ErrorKind::Usage, "this is a folder: expected files of messages")
            .at(file)
            .hint(format!("pass the files to count, such as {}", example.location)),
        None if is_local_folder => Error::new(ErrorKind::Usage, "this is a folder: expected files of messages")
            .at(file)
            .hint("pass files: .jsonl, .json or .parquet, also with .gz or .zst"),
        None => Error::new(ErrorKind::NotFound, "file not found")
            .at(file)
            .hint("check the location; files are .jsonl, .json or .parquet, also with .gz or .zst"),
    })
}

/// The rows of all files and their texts.
async fn read(
    objects: Vec<ObjectInfo>,
    template: &Arc<ChatTemplate>,
    source: &Source,
    context: &Context,
) -> Result<(TextStore, Vec<(ObjectInfo, Rows)>)> {
    let texts = Arc::new(Interner::default());
    let parse = ParseOptions { drop_placeholders: false, reasoning: Reasoning::None, template: template.clone() };
    let parser = Arc::new(RowParser::new(source, parse));
    let bar = context.progress.bar("reading", objects.iter().map(|object| object.size).sum(), ProgressUnit::Bytes);
    let mut files = Vec::new();
    for object in objects {
        let visitor = Visitor { place: object.location.to_string(), parser: parser.clone(), texts: texts.clone() };
        let visited = visit(&context.storage, &object, visitor, &context.pool, &bar.counter()).await?;
        files.push((object, visited.rows));
    }
    let texts = Arc::into_inner(texts)
        .ok_or_else(|| Error::new(ErrorKind::Bug, "a job is still parsing rows after all files were read"))?;
    Ok((texts.freeze(), files))
}

/// Parses the rows of one file.
struct Visitor {
    place: String,
    parser: Arc<RowParser>,
    texts: Arc<Interner>,
}

/// The rows of a file so far.
#[derive(Debug, Default)]
struct Rows {
    read: u64,
    /// The conversations, each with the name of its source.
    kept: Vec<(Body, Option<TextId>)>,
    /// How many conversations have which flag.
    flags: BTreeMap<&'static str, u64>,
    empty: u64,
    unreadable: u64,
    /// Where and why the first of them are not readable.
    examples: Vec<String>,
}

impl RowVisitor for Visitor {
    type Rows = Rows;

    fn place(&self) -> &str {
        &self.place
    }

    fn columns(&self) -> Vec<&str> {
        self.parser.columns().chain(["metadata", "source", "question"]).collect()
    }

    fn visit(&self, line: u64, row: &[u8], rows: &mut Rows) -> Result<()> {
        rows.read += 1;
        match self.parser.parse(row, &self.texts) {
            Ok(ParsedRow::Dropped(_)) => rows.empty += 1,
            Ok(parsed) => {
                let extra = Extra::parse(row);
                let source = extra.source().map_or(Ok(None), |name| self.texts.intern(&name))?;
                extra.flags().into_iter().for_each(|flag| *rows.flags.entry(flag).or_default() += 1);
                rows.kept.extend(parsed.sample().map(|body| (body, source)));
            }
            Err(RowError::Bad(bad)) => {
                rows.unreadable += 1;
                if rows.examples.len() < NAMED_ROWS {
                    rows.examples.push(format!("{}:{line}: {}", self.place, bad.message));
                }
            }
            Err(RowError::Fatal(error)) => return Err(error.at(&self.place)),
        }
        Ok(())
    }

    fn append(&self, rows: &mut Rows, next: Rows) {
        rows.read += next.read;
        rows.kept.extend(next.kept);
        rows.empty += next.empty;
        add_flags(&mut rows.flags, next.flags);
        rows.unreadable += next.unreadable;
        rows.examples.extend(next.examples);
        rows.examples.truncate(NAMED_ROWS);
    }
}

fn add_flags(all: &mut BTreeMap<&'static str, u64>, more: BTreeMap<&'static str, u64>) {
    more.into_iter().for_each(|(flag, rows)| *all.entry(flag).or_default() += rows);
}

/// What a conversation alone does not say.
#[derive(Debug, Default, Deserialize)]
struct Extra<'r> {
    #[serde(borrow)]
    metadata: Option<&'r RawValue>,
    #[serde(borrow)]
    source: Option<&'r RawValue>,
    #[serde(borrow)]
    question: Option<&'r RawValue>,
    #[serde(default)]
    messages: Value,
}

impl<'r> Extra<'r> {
    fn parse(row: &'r [u8]) -> Self {
        serde_json::from_slice(row).unwrap_or_default()
    }

    /// The name of the row's source: in its metadata, as this program writes it, or in a column of its own.
    fn source(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Metadata {
            source: String,
        }
        let of_metadata = self.metadata.and_then(|metadata| {
            let text: Option<String> = serde_json::from_str(metadata.get()).ok();
            let metadata: Option<Metadata> = serde_json::from_str(text.as_deref().unwrap_or(metadata.get())).ok();
            metadata.map(|metadata| metadata.source)
        });
        of_metadata.or_else(|| serde_json::from_str(self.source?.get()).ok()).filter(|name: &String| !name.is_empty())
    }

    /// What is suspicious about the row.
    fn flags(&self) -> Vec<&'static str> {
        let question: Option<String> = self.question.and_then(|question| serde_json::from_str(question.get()).ok());
        let question = question.as_deref().filter(|question| !question.is_empty());
        row_flags(question, &messages_of(&self.messages).unwrap_or_default())
    }
}

/// Counts the rows of all files.
fn count(
    files: &TokenizerFiles,
    template: Arc<ChatTemplate>,
    texts: &TextStore,
    rows: Vec<(ObjectInfo, Rows)>,
    options: &StatsOptions,
    context: &Context,
) -> Result<MessagesStatistics> {
    let mut found = MessagesStatistics {
        tokenizer: files.name.clone(),
        is_stand_in: options.tokenizer == TokenizerModel::Builtin,
        max_seq_len: options.max_seq_len,
        ..MessagesStatistics::default()
    };
    let mut kept = Vec::new();
    for (object, rows) in rows {
        found.files.push((object.location.to_string(), object.size, rows.read));
        found.empty += rows.empty;
        add_flags(&mut found.flags, rows.flags);
        found.unreadable.0 += rows.unreadable;
        found.unreadable.1.extend(rows.examples);
        kept.extend(rows.kept);
    }
    found.unreadable.1.truncate(NAMED_ROWS);
    if kept.is_empty() {
        return Err(nothing_found(&found));
    }
    let samples: Vec<Sample> = kept.iter().map(|(body, _)| Sample { source: 0, body: *body }).collect();
    add_messages(&mut found, &samples, texts);
    let lengths = add_tokens(&mut found, files, template, (&samples, texts), options, context)?;
    for ((_, source), length) in kept.iter().zip(lengths) {
        if let Some(source) = source {
            let (rows, tokens) = found.sources.entry(texts.get(*source).to_owned()).or_default();
            *rows += 1;
            *tokens += u64::from(length);
        }
    }
    Ok(found)
}

/// The error for files without any conversation.
fn nothing_found(found: &MessagesStatistics) -> Error {
    let places: Vec<&str> = found.files.iter().map(|(place, ..)| place.as_str()).collect();
    let error = match found.unreadable.1.first() {
        Some(first) => Error::new(ErrorKind::Data, format!("no row holds messages: {first}")),
        None => Error::new(ErrorKind::Data, "no row holds messages").at(places.join(", ")),
    };
    error.hint("name files whose rows have `messages`, such as combined_cut_5x.jsonl of a mix")
}

/// Counts messages, repeated conversations and those without an answer.
fn add_messages(found: &mut MessagesStatistics, samples: &[Sample], texts: &TextStore) {
    found.conversations = samples.len() as u64;
    let source = Source::of_chats("messages");
    let mut seen = HashSet::new();
    for sample in samples {
        found.duplicates += u64::from(!seen.insert(sample.body));
        let Conversation::Messages { messages, .. } = sample.body.kind().conversation(&source, texts) else { continue };
        // What was parsed before.
        let messages: Vec<Value> = serde_json::from_str(messages).unwrap_or_default();
        let mut answers = 0;
        let mut is_empty = false;
        for message in &messages {
            let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
            *found.roles.entry(role.to_owned()).or_default() += 1;
            if role == "assistant" {
                answers += 1;
                let content = message.get("content").and_then(Value::as_str).unwrap_or_default();
                is_empty |= content.trim().is_empty() && message.get("tool_calls").is_none();
            }
        }
        found.turns.add(answers, 1);
        found.empty_answers += u64::from(is_empty);
        found.unanswered += u64::from(answers == 0);
    }
}

/// Counts tokens; returns the length of each conversation.
fn add_tokens(
    found: &mut MessagesStatistics,
    files: &TokenizerFiles,
    template: Arc<ChatTemplate>,
    (samples, texts): (&[Sample], &TextStore),
    options: &StatsOptions,
    context: &Context,
) -> Result<Vec<u32>> {
    let rules = TokenizerRules::Auto;
    let tokenizer = LoadedTokenizer::load(files, template.clone(), rules, options.loss_tokens, &context.pool)?;
    tokenizer.warning.iter().for_each(|warning| context.warnings.warn(warning.clone()));
    let sources = [Source::of_chats("messages")];
    let from = Arc::default();
    let counter = SampleCounter { context, sources: &sources, samples, texts, template: &template, places: &from };
    let places: Vec<u32> = (0..).take(samples.len()).collect();
    let (lengths, counted_by) = counter.count(&tokenizer.counter, &places)?;
    found.counted_by = counted_by;
    lengths.iter().for_each(|length| found.lengths.add(*length, 1));
    if let Some(training) = tokenizer.training {
        drop(tokenizer.counter);
        let trained = counter.training_lengths(&training.into_encoder()?, &places)?;
        let tokens = trained.iter().map(|length| u64::from(length.loss_tokens)).sum();
        found.loss = Some((tokens, trained.iter().filter(|length| length.tokens == 0).count() as u64));
    }
    Ok(lengths)
}
