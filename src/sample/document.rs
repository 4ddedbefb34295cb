//! Documents: plain text for continued pretraining.

use super::columns::{Columns, not_a_string};
use super::conversation::Conversation;
use super::flags::has_template_token;
use super::json::{RowJson, put};
use super::kind::SampleKind;
use super::outcome::{DropReason, ParsedRow, RowError};
use crate::index::{PartsHasher, Record, SplitBuilder};
use crate::recipe::{Flag, Flags, Source};
use crate::text::{Interner, TextId, TextStore};

/// What `metadata.dataset` says of documents.
const DATASET: &str = "document";

/// The column that holds the text, unless the source names another one.
const DEFAULT_COLUMN: &str = "document";

/// The columns that a document may need, by the constants below; that of the text comes first, if the source names one.
const COLUMNS: [&str; 5] = [DEFAULT_COLUMN, "document_outline", "summary", "raw_document", "base_document"];
const TEXT: usize = 0;
const OUTLINE: usize = 1;
const SUMMARY: usize = 2;
const RAW_DOCUMENT: usize = 3;
const BASE_DOCUMENT: usize = 4;

/// The columns of the rows of a source.
pub(super) fn columns(source: &Source) -> Vec<String> {
    let mut columns = COLUMNS.map(str::to_owned).to_vec();
    if let Some(column) = &source.column {
        columns[TEXT].clone_from(column);
        // A text of another name says nothing about the columns of a generation.
        for known in &mut columns[1..] {
            if known == column {
                known.clear();
            }
        }
    }
    columns
}

/// A document: the ids of its texts. `None` is an empty text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Document {
    /// The text.
    pub(crate) text: TextId,
    /// `document_outline`
    pub(crate) outline: Option<TextId>,
    /// The raw document that it was made from; `None` also if the row has none.
    pub(crate) raw_document: Option<TextId>,
}

/// Parses a row of a source of documents.
///
/// # Errors
/// If a required column is missing, or a column is not a string.
pub(super) fn parse(columns: &Columns<'_>, source: &Source, texts: &Interner) -> Result<ParsedRow<Document>, RowError> {
    let (text, raw) = text_and_raw_document(columns, source);
    if columns.get(text).is_none() {
        return Err(columns.missing(text, &required(columns, source)));
    }
    // Cuts count the documents of each raw document.
    if source.by_cut && !columns.has(raw) {
        return Err(columns.missing(raw, &required(columns, source)));
    }
    for column in [text, OUTLINE, raw] {
        if let Some(value) = columns.get(column).filter(|value| !value.get().starts_with(['"', 'n'])) {
            return Err(not_a_string(columns.name(column), value.get()));
        }
    }
    if !columns.has(text) {
        return Ok(ParsedRow::Dropped(DropReason::NullDocument));
    }
    if is_blank(columns, text)? {
        return Ok(ParsedRow::Dropped(DropReason::EmptyDocument));
    }
    let (outline, raw_document) = (columns.interned(OUTLINE, texts)?, columns.interned(raw, texts)?);
    Ok(match columns.interned(text, texts)? {
        Some(text) => ParsedRow::Kept(Document { text, outline, raw_document }),
        None => ParsedRow::Dropped(DropReason::EmptyDocument),
    })
}

/// Whether a text is empty or white space. Most texts show at their first character that they are not, without being unescaped.
fn is_blank(columns: &Columns<'_>, text: usize) -> Result<bool, RowError> {
    let json = columns.get(text).map_or("", |value| value.get());
    match json.trim_start_matches('"').trim_start().chars().next() {
        None | Some('"' | '\\') => Ok(columns.text(text)?.trim().is_empty()),
        Some(_) => Ok(false),
    }
}

/// The columns of the text and of the raw document: those of the pairs that the generator makes of the same row.
fn text_and_raw_document(columns: &Columns<'_>, source: &Source) -> (usize, usize) {
    if source.column.is_some() {
        return (TEXT, RAW_DOCUMENT);
    }
    match source.name.as_str() {
        "document_based_cpt" if columns.has(BASE_DOCUMENT) => (TEXT, BASE_DOCUMENT),
        "document_based_cpt" if columns.has(RAW_DOCUMENT) => (TEXT, RAW_DOCUMENT),
        "document_based_cpt" => (TEXT, TEXT),
        _ if columns.has(SUMMARY) && !columns.has(RAW_DOCUMENT) => (SUMMARY, TEXT),
        _ => (TEXT, RAW_DOCUMENT),
    }
}

/// The required columns, for messages.
fn required(columns: &Columns<'_>, source: &Source) -> String {
    match (&source.column, source.by_cut) {
        (Some(_), true) => format!("{}, raw_document", columns.name(TEXT)),
        (Some(_), false) => columns.name(TEXT).to_owned(),
        (None, true) => "document (or summary), raw_document (or document)".to_owned(),
        (None, false) => "document (or summary); the source's key `column` names another one".to_owned(),
    }
}

impl SampleKind for Document {
    fn record(&self, source: &Source, split: &mut SplitBuilder<'_>) -> Record {
        let known = source.by_cut || self.raw_document.is_some();
        Record {
            document: known.then(|| split.document(self.raw_document)),
            outline: self.outline.map(|outline| split.outline(outline)),
            summary: source.is_distinct.then(|| split.summary(self.raw_document, Some(self.text))),
            ..Record::default()
        }
    }

    fn outline<'t>(&self, texts: &'t TextStore) -> &'t str {
        texts.get(self.outline)
    }

    fn flags(&self, texts: &TextStore) -> Flags {
        Flags::default().with(Flag::TemplateToken, has_template_token(texts.get(self.text)))
    }

    fn hash_content(&self, _: &Source, texts: &TextStore, hasher: &mut PartsHasher) {
        // One part, where those of conversations are several: no document has the hash of a conversation.
        hasher.part(texts.get(self.text).as_bytes());
    }

    fn response_chars(&self, _: &TextStore) -> usize {
        0
    }

    fn is_unmasked(&self, _: &Source) -> bool {
        true
    }

    fn conversation<'t>(&self, _: &Source, texts: &'t TextStore) -> Conversation<'t> {
        Conversation::Document(texts.get(self.text))
    }

    fn text_bytes(&self, texts: &TextStore) -> usize {
        texts.get(self.text).len()
    }

    fn full_row_bytes(&self, texts: &TextStore) -> usize {
        100 + self.text_bytes(texts) + texts.get(self.outline).len() + texts.get(self.raw_document).len()
    }

    fn optional_keys(&self, _: &Source, _: &TextStore, _: &mut dyn FnMut(&str)) {}

    fn write_json(&self, source: &Source, token_length: u32, row: &mut RowJson<'_>, out: &mut Vec<u8>) {
        put(out, &[b"{\"document\":\"", &row.context(Some(self.text)).once, b"\","]);
        if row.is_full() {
            let (outline, raw) = (row.context(self.outline), row.context(self.raw_document));
            put(out, &[b"\"document_outline\":\"", &outline.once, b"\",\"raw_document\":\"", &raw.once, b"\","]);
            row.put_short_metadata(DATASET, source, out);
        }
        put(out, &[b"\"token_length\":", token_length.to_string().as_bytes(), b"}\n"]);
    }
}
