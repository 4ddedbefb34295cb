//! QA pairs: a question and its answer about a summary, a fact, or a raw document.

use super::clean::{clean_response, is_placeholder_question};
use super::columns::{Columns, not_a_string};
use super::conversation::Conversation;
use super::flags::{flags, has_template_token};
use super::json::{RowJson, escape, put};
use super::kind::SampleKind;
use super::options::ParseOptions;
use super::outcome::{DropReason, ParsedRow, RowError};
use crate::index::{PartsHasher, Record, SplitBuilder};
use crate::recipe::{Flag, Flags, Kind, ReasoningKey, Source, WrittenReasoning};
use crate::text::{Interner, TextId, TextStore};
use std::borrow::Cow;

/// What `metadata.dataset` says of QA pairs.
const DATASET: &str = "document_knowledge_qa";

/// The columns that a pair may need, by the constants below; reasoning columns follow.
pub(super) const COLUMNS: [&str; 7] =
    ["question", "response", "document_outline", "summary", "document", "raw_document", "base_document"];
const QUESTION: usize = 0;
const RESPONSE: usize = 1;
const OUTLINE: usize = 2;
const SUMMARY: usize = 3;
const DOCUMENT: usize = 4;
const RAW_DOCUMENT: usize = 5;
const BASE_DOCUMENT: usize = 6;

/// A QA pair: the ids of its texts. `None` is an empty text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    /// `document_outline`
    pub(crate) outline: Option<TextId>,
    /// The raw document; `None` also if the row has none.
    pub(crate) raw_document: Option<TextId>,
    /// The summary.
    pub(crate) summary: Option<TextId>,
    /// `question`
    pub(crate) question: TextId,
    /// `response`, cleaned.
    pub(crate) response: TextId,
    /// The teacher's reasoning.
    pub(crate) reasoning: Option<TextId>,
}

/// Parses a row of any generation of the generator.
///
/// Which column holds the summary and which the raw document depends on the generation: see the data contract in
/// docs/files.md.
///
/// # Errors
/// If a required column is missing or not a string.
pub(super) fn parse(
    columns: &Columns<'_>,
    source: &Source,
    options: &ParseOptions,
    texts: &Interner,
) -> Result<ParsedRow<Pair>, RowError> {
    let (summary, raw) = summary_and_raw_document(columns, source.kind);
    check_columns(columns, source.kind, summary, raw)?;
    if let Some(reason) = drop_reason(columns, summary, options.drop_placeholders)? {
        return Ok(ParsedRow::Dropped(reason));
    }
    let (question, response) = (columns.text(QUESTION)?, columns.text(RESPONSE)?);
    let Some(question) = texts.intern(&question)? else {
        return Ok(ParsedRow::Dropped(DropReason::EmptyQuestion));
    };
    let Some(response) = texts.intern(&clean_response(&response))? else {
        return Ok(ParsedRow::Dropped(DropReason::EmptyResponse));
    };
    let reasoning = options.reasoning.read(columns, COLUMNS.len())?;
    let is_kept = source.reasoning != WrittenReasoning::Nowhere;
    let pair = Pair {
        outline: columns.interned(OUTLINE, texts)?,
        raw_document: if columns.has(raw) { columns.interned(raw, texts)? } else { None },
        summary: columns.interned(summary, texts)?,
        question,
        response,
        reasoning: if is_kept { texts.intern(&reasoning)? } else { None },
    };
    Ok(if is_kept || reasoning.is_empty() { ParsedRow::Kept(pair) } else { ParsedRow::KeptWithoutReasoning(pair) })
}

/// The columns of the summary and of the raw document.
fn summary_and_raw_document(columns: &Columns<'_>, kind: Kind) -> (usize, usize) {
    match kind {
        Kind::DocumentQa if columns.has(BASE_DOCUMENT) => (DOCUMENT, BASE_DOCUMENT),
        Kind::DocumentQa if columns.has(RAW_DOCUMENT) => (DOCUMENT, RAW_DOCUMENT),
        Kind::DocumentQa => (DOCUMENT, DOCUMENT),
        _ if columns.has(SUMMARY) && !columns.has(RAW_DOCUMENT) => (SUMMARY, DOCUMENT),
        _ => (DOCUMENT, RAW_DOCUMENT),
    }
}

fn check_columns(columns: &Columns<'_>, kind: Kind, summary: usize, raw: usize) -> Result<(), RowError> {
    for column in [QUESTION, RESPONSE, OUTLINE, summary] {
        if columns.get(column).is_none() {
            return Err(columns.missing(column, required(kind)));
        }
    }
    // Cuts count the summaries of each raw document.
    if kind == Kind::SummaryQa && !columns.has(raw) {
        return Err(columns.missing(raw, required(kind)));
    }
    for column in [QUESTION, RESPONSE, OUTLINE, summary, raw] {
        if let Some(value) = columns.get(column).filter(|value| !value.get().starts_with(['"', 'n'])) {
            return Err(not_a_string(columns.name(column), value.get()));
        }
    }
    Ok(())
}

/// The required columns, for messages.
fn required(kind: Kind) -> &'static str {
    match kind {
        Kind::SummaryQa => "question, response, document_outline, document (or summary), raw_document (or document)",
        Kind::DocumentQa => "question, response, document_outline, document",
        _ => "question, response, document_outline, document (or summary)",
    }
}

/// Why the row is dropped, as far as its columns alone decide it. Placeholders are counted first, as the contract has it.
fn drop_reason(columns: &Columns<'_>, summary: usize, drop_placeholders: bool) -> Result<Option<DropReason>, RowError> {
    if drop_placeholders && columns.has(QUESTION) && is_placeholder_question(&columns.text(QUESTION)?) {
        return Ok(Some(DropReason::PlaceholderQuestion));
    }
    let nulls = [
        (QUESTION, DropReason::NullQuestion),
        (RESPONSE, DropReason::NullResponse),
        (OUTLINE, DropReason::NullOutline),
        (summary, DropReason::NullSummary),
    ];
    Ok(nulls.into_iter().find(|(column, _)| !columns.has(*column)).map(|(_, reason)| reason))
}

/// The texts that, joined, are the content of a pair's user message.
///
/// Parts instead of one text: counting joins them, encoding joins their escaped forms.
pub(crate) fn user_content<'t>(source: &Source, outline: &'t str, summary: &'t str, question: &'t str) -> [&'t str; 5] {
    if source.with_document { [outline, "\n", summary, "\n\n", question] } else { ["In ", outline, ", ", question, ""] }
}

impl Pair {
    fn user_parts<'t>(&self, source: &Source, texts: &'t TextStore) -> [&'t str; 5] {
        user_content(source, texts.get(self.outline), texts.get(self.summary), texts.get(self.question))
    }

    /// The reasoning that the assistant's message has, and its key.
    fn written_reasoning<'t>(&self, source: &Source, texts: &'t TextStore) -> Option<(ReasoningKey, &'t str)> {
        match (source.reasoning, self.reasoning) {
            (WrittenReasoning::Everywhere, reasoning) => Some((ReasoningKey::Thinking, texts.get(reasoning))),
            (WrittenReasoning::Under(key), Some(reasoning)) => Some((key, texts.get(Some(reasoning)))),
            (WrittenReasoning::Under(_), None) | (WrittenReasoning::Nowhere, _) => None,
        }
    }
}

impl SampleKind for Pair {
    fn record(&self, source: &Source, split: &mut SplitBuilder<'_>) -> Record {
        // Outside of the summary sources an empty raw document is an unknown one.
        let known = source.kind == Kind::SummaryQa || self.raw_document.is_some();
        Record {
            document: known.then(|| split.document(self.raw_document)),
            outline: self.outline.map(|outline| split.outline(outline)),
            summary: Some(split.summary(self.raw_document, self.summary)),
            ..Record::default()
        }
    }

    fn outline<'t>(&self, texts: &'t TextStore) -> &'t str {
        texts.get(self.outline)
    }

    fn has_reasoning(&self) -> bool {
        self.reasoning.is_some()
    }

    fn hash_content(&self, source: &Source, texts: &TextStore, hasher: &mut PartsHasher) {
        hasher.part(self.user_parts(source, texts).concat().as_bytes());
        hasher.part(texts.get(self.response).as_bytes());
        hasher.part(texts.get(self.reasoning).as_bytes());
        if !source.unmask {
            hasher.part(b"masked");
        }
    }

    fn optional_keys(&self, source: &Source, texts: &TextStore, add: &mut dyn FnMut(&str)) {
        if let Some((key, _)) = self.written_reasoning(source, texts) {
            add(key.name());
        }
    }

    fn question<'t>(&self, texts: &'t TextStore) -> Option<&'t str> {
        Some(texts.get(self.question))
    }

    fn flags(&self, texts: &TextStore) -> Flags {
        let flags = flags(texts.get(self.question), texts.get(self.response));
        flags.with(Flag::TemplateToken, has_template_token(texts.get(self.outline)))
    }

    fn context(&self) -> Option<TextId> {
        self.summary
    }

    fn response_chars(&self, texts: &TextStore) -> usize {
        texts.get(self.response).chars().count()
    }

    fn is_unmasked(&self, source: &Source) -> bool {
        source.unmask
    }

    fn conversation<'t>(&self, source: &Source, texts: &'t TextStore) -> Conversation<'t> {
        Conversation::Pair {
            user: Cow::Owned(self.user_parts(source, texts).concat()),
            assistant: Cow::Borrowed(texts.get(self.response)),
            reasoning: self.written_reasoning(source, texts).map(|(key, text)| (key, text.into())),
            null_thinking: source.reasoning == WrittenReasoning::Everywhere,
        }
    }

    fn text_bytes(&self, texts: &TextStore) -> usize {
        let length = |id: Option<TextId>| texts.get(id).len();
        length(self.outline)
            + length(self.summary)
            + length(Some(self.question))
            + length(Some(self.response))
            + length(self.reasoning)
    }

    fn full_row_bytes(&self, texts: &TextStore) -> usize {
        let length = |id: Option<TextId>| texts.get(id).len();
        200 + length(Some(self.question))
            + length(self.outline)
            + 2 * (length(self.raw_document) + length(self.summary))
            + self.text_bytes(texts)
    }

    fn write_json(&self, source: &Source, token_length: u32, row: &mut RowJson<'_>, out: &mut Vec<u8>) {
        let texts = row.texts();
        let question = escape(texts.get(self.question));
        let (outline, summary) = (row.context(self.outline), row.context(self.summary));
        out.push(b'{');
        if row.is_full() {
            let raw = row.context(self.raw_document);
            put(out, &[b"\"question\":\"", &question, b"\",\"document_outline\":\"", &outline.once]);
            put(out, &[b"\",\"raw_document\":\"", &raw.once, b"\",\"document\":\"", &summary.once, b"\","]);
        }
        out.extend_from_slice(b"\"messages\":[{\"role\":\"user\",\"content\":\"");
        // The separators contain line ends, which are escaped like the rest.
        let [_, between, _, before, _] = user_content(source, "", "", "");
        if source.with_document {
            put(out, &[&outline.once, &escape(between), &summary.once, &escape(before), &question]);
        } else {
            put(out, &[b"In ", &outline.once, b", ", &question]);
        }
        let user_end: &[u8] = match source.reasoning {
            WrittenReasoning::Everywhere => b"\",\"thinking\":null",
            WrittenReasoning::Under(_) | WrittenReasoning::Nowhere => b"\"",
        };
        put(out, &[user_end, b"},{\"role\":\"assistant\",\"content\":\"", &escape(texts.get(self.response)), b"\""]);
        if let Some((key, reasoning)) = self.written_reasoning(source, texts) {
            put(out, &[b",\"", key.name().as_bytes(), b"\":\"", &escape(reasoning), b"\""]);
        }
        out.extend_from_slice(b"}],");
        if row.is_full() {
            let raw = row.context(self.raw_document);
            row.put_metadata(summary.twice(), DATASET, raw.twice(), source, out);
        }
        row.put_end(None, source.unmask, token_length, out);
    }
}
