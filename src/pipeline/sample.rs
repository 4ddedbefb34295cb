//! Reads some conversations or documents of a finished mix, for people to look at.

use super::context::Context;
use super::row_flags::{document_flags, row_flags};
use super::verify::read_manifest;
use crate::error::{Error, ErrorKind, Result};
use crate::input::{RowVisitor, Visited, visit};
use crate::manifest::{Manifest, MixKind, OutputFile, OutputKind, TokenizerRecord};
use crate::progress::ProgressUnit;
use crate::recipe::{Choice, Format, Kind, TokenizerRules};
use crate::report::conversation::{
    Section, ShownSample, document_section, messages_of, plain_sections, rendered_sections,
};
use crate::sample::Conversation;
use crate::storage::{Location, Storage};
use crate::tokens::{self, BUILTIN, ChatTemplate, LoadedTokenizer, TokenizerModel, TrainingEncoder, trained_parts};
use chrono::{NaiveDate, NaiveDateTime};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Which samples to read, and how to show them.
#[derive(Debug, Clone)]
pub(crate) struct SampleOptions {
    /// How many.
    pub(crate) count: usize,
    /// Only those of this source; of documents, if it is a source of documents.
    pub(crate) source: Option<String>,
    /// Of this cut; the largest one without it.
    pub(crate) cut: Option<u32>,
    /// Only those in which something is suspicious.
    pub(crate) flagged: bool,
    /// Decides which of them.
    pub(crate) seed: u64,
    /// The tokenizer whose chat template renders them; by default the mix's own, if it is at hand.
    pub(crate) tokenizer: Option<TokenizerModel>,
    /// The chat template, instead of the tokenizer's own.
    pub(crate) chat_template: Option<Location>,
}

/// Conversations or documents of a mix.
#[derive(Debug)]
pub(crate) struct Samples {
    /// The file that they are from.
    pub(crate) file: String,
    /// What its rows are.
    pub(crate) kind: MixKind,
    /// How they are rendered, or why they are not: a line for people.
    pub(crate) rendering: String,
    /// The samples, in the order of the file.
    pub(crate) samples: Vec<ShownSample>,
}

/// Reads conversations of a finished mix, or documents if it has no conversations or a source of documents is requested. The same options
/// and mix give the same ones: a row is chosen by a hash of the seed and its place in the file.
///
/// # Errors
/// A usage error for a cut or a source that the mix does not have; [`ErrorKind::NotFound`] if there is no mix, or none with texts;
/// [`ErrorKind::Data`] if a row is not readable or a given tokenizer is not valid.
pub(crate) async fn sample(mix: &Location, options: SampleOptions, context: &Context) -> Result<Samples> {
    let manifest = read_manifest(&context.storage, mix).await?;
    check_source(&manifest, options.source.as_deref())?;
    let (file, cut) = file_of_texts(&manifest, mix, &options)?;
    let (place, kind) = (mix.join(&file.name), file.mix);
    let picked = pick(&place, file, &options, context).await?;
    let (renderer, rendering) = match kind {
        MixKind::Chat => renderer(&manifest.tokenizer, &options, context).await?,
        MixKind::Document => (None, "trained as plain text".to_owned()),
    };
    let show = move |_: &Context| {
        let shown = |(line, row): &(u64, Vec<u8>)| {
            let row = Row::parse(row, kind).map_err(|error| error.at(format_args!("{place}:{line}")))?;
            row.shown(cut, *line, renderer.as_ref()).map_err(|error| error.at(format_args!("{place}:{line}")))
        };
        let samples = picked.iter().map(shown).collect::<Result<_>>()?;
        Ok(Samples { file: place.to_string(), kind, rendering, samples })
    };
    context.compute("rendering conversations", show).await
}

/// Checks that a mix has a source, and rows that name theirs.
fn check_source(manifest: &Manifest, source: Option<&str>) -> Result<()> {
    let Some(source) = source else { return Ok(()) };
    let usage = |message: String| Error::new(ErrorKind::Usage, message).at("--source");
    let known: Vec<&str> = manifest.sources.iter().map(|record| record.name.as_str()).collect();
    if !known.contains(&source) {
        return Err(usage(format!("unknown source `{source}`: expected one of {}", known.join(", "))));
    }
    if manifest.settings.columns == "training" {
        return Err(usage("the rows of this mix do not name their source".to_owned())
            .hint("run `knowledge-mixing mix` with --columns full, or omit --source"));
    }
    Ok(())
}

/// The file of messages of a cut, or of the largest one, and its cut. A file of documents, if the cut has no other, or if the source is one
/// of documents.
fn file_of_texts<'m>(manifest: &'m Manifest, mix: &Location, options: &SampleOptions) -> Result<(&'m OutputFile, u32)> {
    let written: Vec<u32> = manifest.cuts.iter().filter(|cut| cut.written).map(|cut| cut.cut).collect();
    let cut = match options.cut {
        Some(cut) if written.contains(&cut) => cut,
        Some(cut) => {
            let list: Vec<String> = written.iter().map(u32::to_string).collect();
            let message = format!("invalid value `{cut}`: expected a cut of the mix ({})", list.join(", "));
            return Err(Error::new(ErrorKind::Usage, message).at("--cut"));
        }
        None => written.iter().copied().max().unwrap_or_default(),
    };
    let format = |file: &OutputFile| file.format.as_deref().and_then(Format::parse);
    let of_cut = || manifest.outputs.iter().filter(|file| file.kind == OutputKind::Mix && file.cut == Some(cut));
    let record = options.source.as_ref().and_then(|name| manifest.sources.iter().find(|record| record.name == *name));
    let kind = match record {
        Some(record) if record.kind == Kind::Document.name() => MixKind::Document,
        Some(_) => MixKind::Chat,
        None if of_cut().any(|file| file.mix == MixKind::Chat) => MixKind::Chat,
        None => MixKind::Document,
    };
    let of_cut = of_cut().filter(|file| file.mix == kind);
    let texts = of_cut.filter(|file| format(file).is_some_and(|format| !format.is_tokens()));
    // Lines are read without holding the file in memory.
    let file = texts.min_by_key(|file| format(file).is_some_and(Format::is_parquet)).ok_or_else(|| {
        let message = match kind {
            MixKind::Chat => "no file of messages found: the mix has only token ids, which are no text",
            MixKind::Document => "no file of documents found: the mix has only token ids, which are no text",
        };
        Error::new(ErrorKind::NotFound, message)
            .at(mix)
            .hint("run `knowledge-mixing mix` with --formats messages,tokens")
    })?;
    Ok((file, cut))
}

/// The rows of a file that are chosen, in its order.
async fn pick(
    place: &Location,
    file: &OutputFile,
    options: &SampleOptions,
    context: &Context,
) -> Result<Vec<(u64, Vec<u8>)>> {
    let differs = || {
        Error::new(ErrorKind::Data, "the file is not the one that the manifest names")
            .at(place)
            .hint("run `knowledge-mixing verify` to see what differs")
    };
    let object = context.storage.stat(place).await?.filter(|object| object.size == file.bytes).ok_or_else(differs)?;
    let picker = Picker {
        place: place.to_string(),
        kind: file.mix,
        count: options.count,
        seed: options.seed,
        source: options.source.clone(),
        flagged: options.flagged,
    };
    let bar = context.progress.bar("reading", object.size, ProgressUnit::Bytes);
    let Visited { rows, digest } = visit(&context.storage, &object, picker, &context.pool, &bar.counter()).await?;
    if digest != file.digest {
        return Err(differs());
    }
    let mut picked: Vec<(u64, Vec<u8>)> = rows.0.into_iter().map(|(_, line, row)| (line, row)).collect();
    picked.sort_unstable_by_key(|(line, _)| *line);
    Ok(picked)
}

/// Chooses rows by a hash of their place.
struct Picker {
    place: String,
    kind: MixKind,
    count: usize,
    seed: u64,
    source: Option<String>,
    flagged: bool,
}

/// The chosen rows so far, each with its hash and its line.
#[derive(Debug, Default)]
struct Picked(Vec<(u64, u64, Vec<u8>)>);

impl Picker {
    /// What decides whether the row on a line is chosen: the smallest hashes are.
    fn hash(&self, line: u64) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"km-sample-v1").update(&self.seed.to_le_bytes()).update(&line.to_le_bytes());
        let mut start = [0; 8];
        start.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_le_bytes(start)
    }

    fn is_wanted(&self, row: &[u8]) -> Result<bool> {
        if self.source.is_none() && !self.flagged {
            return Ok(true);
        }
        let row = Row::parse(row, self.kind)?;
        let is_of_source = self.source.is_none() || row.source() == self.source;
        Ok(is_of_source && (!self.flagged || !row.flags().is_empty()))
    }

    fn keep_smallest(&self, picked: &mut Picked) {
        picked.0.sort_unstable_by_key(|(hash, line, _)| (*hash, *line));
        picked.0.truncate(self.count);
    }
}

impl RowVisitor for Picker {
    type Rows = Picked;

    fn place(&self) -> &str {
        &self.place
    }

    fn columns(&self) -> Vec<&str> {
        vec!["question", "messages", "document", "metadata", "tools", "unmask", "token_length"]
    }

    fn visit(&self, line: u64, row: &[u8], picked: &mut Picked) -> Result<()> {
        let hash = self.hash(line);
        let is_full = picked.0.len() >= self.count;
        if is_full && picked.0.last().is_some_and(|(largest, ..)| *largest < hash) {
            return Ok(());
        }
        if self.is_wanted(row).map_err(|error| error.at(format_args!("{}:{line}", self.place)))? {
            picked.0.push((hash, line, row.to_vec()));
            self.keep_smallest(picked);
        }
        Ok(())
    }

    fn append(&self, picked: &mut Picked, next: Picked) {
        picked.0.extend(next.0);
        self.keep_smallest(picked);
    }
}

/// The columns of a row of a mix that are shown.
#[derive(Debug)]
struct Row {
    text: RowText,
    columns: RowColumns,
}

/// What a trainer learns from.
#[derive(Debug)]
enum RowText {
    Messages(Vec<Value>),
    Document(String),
}

/// The columns that a row need not have.
#[derive(Debug, Deserialize)]
struct RowColumns {
    #[serde(default)]
    question: Option<String>,
    /// JSON in a string.
    #[serde(default)]
    metadata: Option<String>,
    #[serde(default)]
    tools: Option<String>,
    #[serde(default)]
    unmask: Option<bool>,
    #[serde(default)]
    token_length: Option<u64>,
}

impl Row {
    fn parse(row: &[u8], kind: MixKind) -> Result<Self> {
        #[derive(Deserialize)]
        struct OfMessages {
            messages: Value,
        }
        #[derive(Deserialize)]
        struct OfDocument {
            document: String,
        }
        let invalid = |error: serde_json::Error| {
            Error::new(ErrorKind::Data, "not a row of a mix")
                .caused_by(error)
                .hint("run `knowledge-mixing verify` to see what differs")
        };
        let text = match kind {
            MixKind::Chat => {
                let OfMessages { messages } = serde_json::from_slice(row).map_err(invalid)?;
                let not_messages = || Error::new(ErrorKind::Data, "`messages` is not a list of messages");
                RowText::Messages(messages_of(&messages).ok_or_else(not_messages)?)
            }
            MixKind::Document => {
                let OfDocument { document } = serde_json::from_slice(row).map_err(invalid)?;
                RowText::Document(document)
            }
        };
        Ok(Self { text, columns: serde_json::from_slice(row).map_err(invalid)? })
    }

    /// The name of its source.
    fn source(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Metadata {
            source: String,
        }
        serde_json::from_str::<Metadata>(self.columns.metadata.as_deref()?).ok().map(|metadata| metadata.source)
    }

    /// The question, if the row has a column for it.
    fn question(&self) -> Option<&str> {
        self.columns.question.as_deref().filter(|question| !question.is_empty())
    }

    /// What is suspicious about the row.
    fn flags(&self) -> Vec<&'static str> {
        match &self.text {
            RowText::Messages(messages) => row_flags(self.question(), messages),
            RowText::Document(document) => document_flags(document),
        }
    }

    /// The row as it is shown.
    fn shown(&self, cut: u32, line: u64, renderer: Option<&Renderer>) -> Result<ShownSample> {
        let (sections, loss_tokens) = match &self.text {
            RowText::Messages(messages) => self.shown_messages(messages, renderer)?,
            // All of its tokens count for the loss.
            RowText::Document(document) => (vec![document_section(document)], None),
        };
        Ok(ShownSample {
            source: self.source(),
            cut,
            row: line,
            tokens: self.columns.token_length,
            loss_tokens,
            flags: self.flags(),
            sections,
        })
    }

    /// The sections of a conversation, and its tokens that count for the loss.
    fn shown_messages(&self, messages: &[Value], renderer: Option<&Renderer>) -> Result<(Vec<Section>, Option<u64>)> {
        let unmask = self.columns.unmask.unwrap_or(false);
        let question = self.question();
        let json = Value::from(messages.to_vec()).to_string();
        let conversation = Conversation::Messages { messages: &json, tools: self.columns.tools.as_deref() };
        let Some(renderer) = renderer else { return Ok((plain_sections(messages, unmask, question), None)) };
        let parts = trained_parts(&renderer.template, renderer.eos.as_deref(), &conversation, unmask)?;
        // A conversation that the trainer cannot label has none.
        let encoded = renderer.encoder.encode(&renderer.template, &conversation, unmask).ok();
        Ok((rendered_sections(&parts, messages, question), encoded.map(|tokens| tokens.loss_tokens() as u64)))
    }
}

/// What renders conversations as the trainer does.
struct Renderer {
    /// The name of the tokenizer.
    name: String,
    /// The text of the token after which an answer ends.
    eos: Option<String>,
    template: Arc<ChatTemplate>,
    encoder: TrainingEncoder,
}

/// What renders the conversations of a mix, if its tokenizer is at hand, and a line that says so.
async fn renderer(
    record: &TokenizerRecord,
    options: &SampleOptions,
    context: &Context,
) -> Result<(Option<Renderer>, String)> {
    let plain = |why: &str| Ok((None, format!("messages by role: {why}")));
    let model = match &options.tokenizer {
        Some(model) => model.clone(),
        None => match model_at_hand(&context.storage, &record.name).await? {
            Some(model) => model,
            None => {
                return plain(&format!(
                    "the tokenizer {} is not at hand; pass --tokenizer-model to render them",
                    record.name
                ));
            }
        },
    };
    let files = tokens::fetch(&context.storage, &model).await?;
    let given = tokens::given_template(&context.storage, options.chat_template.as_ref()).await?;
    let (rules, date) = (rules_of(record), date_of(record)?);
    let is_same = blake3::hash(&files.tokenizer_json).to_hex().as_str() == record.digest;
    if !is_same && options.tokenizer.is_none() {
        return plain(&format!("the tokenizer {} has changed since the mix; pass --tokenizer-model", record.name));
    }
    let load = move |context: &Context| {
        let template = Arc::new(ChatTemplate::load(&files, given, rules, date)?);
        let tokenizer = LoadedTokenizer::load(&files, template.clone(), rules, true, &context.pool)?;
        let no_encoder = || Error::new(ErrorKind::Bug, "no encoder for tokens");
        let encoder = tokenizer.training.ok_or_else(no_encoder)?.into_encoder()?;
        Ok(Renderer { name: files.name, eos: tokenizer.eos, template, encoder })
    };
    let renderer = context.compute("loading the tokenizer", load).await?;
    let is_same_template = renderer.template.digest() == record.chat_template_digest;
    if !is_same_template && options.tokenizer.is_none() && options.chat_template.is_none() {
        return plain("the mix was made with another chat template than the tokenizer's own; pass --chat-template");
    }
    let name = &renderer.name;
    let note = match (is_same, is_same_template) {
        (true, true) => format!("rendered with the chat template of {name}"),
        (true, false) => format!("rendered with {name}, but with another chat template than the mix"),
        (false, _) => format!("rendered with {name}, which is not the tokenizer of the mix ({})", record.name),
    };
    Ok((Some(renderer), note))
}

/// The tokenizer of a mix, by the name in its manifest: the built-in one, or a folder of that name.
pub(super) async fn model_at_hand(storage: &Storage, name: &str) -> Result<Option<TokenizerModel>> {
    if name == BUILTIN {
        return Ok(Some(TokenizerModel::Builtin));
    }
    let folder = Location::local(name);
    let is_there = storage.stat(&folder.join("tokenizer.json")).await.is_ok_and(|file| file.is_some());
    Ok(is_there.then_some(TokenizerModel::Location(folder)))
}

/// The rules that made the tokenizer of a mix of its files.
pub(super) fn rules_of(record: &TokenizerRecord) -> TokenizerRules {
    TokenizerRules::VALUES.iter().copied().find(|rules| rules.name() == record.rules).unwrap_or_default()
}

/// The date that the chat template of a mix has seen.
pub(super) fn date_of(record: &TokenizerRecord) -> Result<NaiveDateTime> {
    let date = record.chat_template_date.as_deref().and_then(|date| date.parse::<NaiveDate>().ok());
    date.and_then(|date| date.and_hms_opt(0, 0, 0)).map_or_else(tokens::date_of_run, Ok)
}
