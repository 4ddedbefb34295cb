//! One row of any generation of the generator becomes a sample.
//!
//! Only the columns that are needed are built; all others are skipped by the JSON parser.

use super::ledger::{DropReason, RejectReason};
use crate::error::Error;
use crate::sample::Body;
use crate::sample::{Source, SourceKind};
use crate::sample::{clean_response, is_placeholder_question};
use crate::text::{Interner, TextId};
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Where a pair's reasoning stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reasoning {
    /// The first of [`AUTO_REASONING`] that the row has.
    Auto,
    /// Nowhere.
    None,
    /// A column, or a path into one (`response_dict.0.reasoning_content`).
    Path(Vec<String>),
}

/// The columns in which custom flows leave the teacher's reasoning, in the order in which they are looked at.
pub(crate) const AUTO_REASONING: [&str; 6] = [
    "parse_response_dict_reasoning_content",
    "response_reasoning_content",
    "extract_answers_reasoning_content",
    "extract_answer_reasoning_content",
    "reasoning_content",
    "reasoning",
];

impl Reasoning {
    /// `auto`, `none`, or a column or path.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "" => None,
            "auto" => Some(Self::Auto),
            "none" => Some(Self::None),
            path => {
                let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
                (!parts.iter().any(String::is_empty)).then_some(Self::Path(parts))
            }
        }
    }
}

impl fmt::Display for Reasoning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::Path(parts) => f.write_str(&parts.join(".")),
        }
    }
}

/// What became of one row.
#[derive(Debug)]
pub(crate) enum ParsedRow {
    /// It became a sample.
    Kept(Body),
    /// It cannot train anything.
    Dropped(DropReason),
}

/// A row that cannot be read.
#[derive(Debug)]
pub(crate) struct BadRow {
    /// Why.
    pub(crate) reason: RejectReason,
    /// What exactly.
    pub(crate) message: String,
}

/// What ends the parsing of a row early.
#[derive(Debug)]
pub(crate) enum RowError {
    /// The row is bad.
    Bad(BadRow),
    /// The run cannot go on.
    Fatal(Error),
}

impl From<Error> for RowError {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

fn bad(reason: RejectReason, message: impl Into<String>) -> RowError {
    RowError::Bad(BadRow { reason, message: message.into() })
}

/// The columns that may be needed, by their index in [`Columns`].
const COLUMNS: [&str; 10] = [
    "question",
    "response",
    "document_outline",
    "summary",
    "document",
    "raw_document",
    "base_document",
    "messages",
    "tools",
    "unmask",
];
const QUESTION: usize = 0;
const RESPONSE: usize = 1;
const OUTLINE: usize = 2;
const SUMMARY: usize = 3;
const DOCUMENT: usize = 4;
const RAW_DOCUMENT: usize = 5;
const BASE_DOCUMENT: usize = 6;
const MESSAGES: usize = 7;
const TOOLS: usize = 8;
const UNMASK: usize = 9;
/// The reasoning columns stand behind the others.
const REASONING: usize = COLUMNS.len();

/// Parses the rows of one source.
#[derive(Debug)]
pub(crate) struct RowParser {
    source: Source,
    drop_placeholders: bool,
    reasoning: Reasoning,
    reasoning_columns: Vec<String>,
}

impl RowParser {
    /// A parser for the rows of a source; with `drop_placeholders`, placeholder questions are dropped.
    pub(crate) fn new(source: &Source, drop_placeholders: bool, reasoning: &Reasoning) -> Self {
        let reasoning_columns = match reasoning {
            Reasoning::Auto => AUTO_REASONING.map(str::to_owned).to_vec(),
            Reasoning::None => Vec::new(),
            Reasoning::Path(parts) => parts.first().cloned().into_iter().collect(),
        };
        Self { source: source.clone(), drop_placeholders, reasoning: reasoning.clone(), reasoning_columns }
    }

    /// The columns that the parser looks at.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        COLUMNS.into_iter().chain(self.reasoning_columns.iter().map(String::as_str))
    }

    /// Parses one row: a line, or an element of an array.
    pub(crate) fn parse(&self, row: &[u8], texts: &Interner) -> Result<ParsedRow, RowError> {
        let row = simdutf8::compat::from_utf8(row).map_err(|error| {
            bad(RejectReason::InvalidUtf8, format!("invalid UTF-8 at byte {} of the row", error.valid_up_to() + 1))
        })?;
        // Without the line's end, which the parser would name instead of the place where the row breaks off.
        let row = row.trim_end_matches(['\n', '\r']);
        if !row.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
            return Err(match serde_json::from_str::<IgnoredAny>(row) {
                Ok(_) => bad(RejectReason::NotAnObject, "the row is not a JSON object"),
                Err(error) => malformed(&error),
            });
        }
        let columns = self.read_columns(row).map_err(|error| malformed(&error))?;
        match self.source.kind {
            SourceKind::Messages => self.chat(&columns, row, texts),
            _ => self.pair(&columns, row, texts),
        }
    }

    fn read_columns<'r>(&self, row: &'r str) -> Result<Columns<'r>, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(row);
        let columns = json.deserialize_map(ColumnsVisitor { reasoning: &self.reasoning_columns })?;
        json.end()?;
        Ok(columns)
    }

    fn pair(&self, columns: &Columns<'_>, row: &str, texts: &Interner) -> Result<ParsedRow, RowError> {
        let has = |column: usize| columns.0[column].is_some_and(|value| value.get() != "null");
        let (summary, raw) = match self.source.kind {
            SourceKind::DocumentQa if has(BASE_DOCUMENT) => (DOCUMENT, BASE_DOCUMENT),
            SourceKind::DocumentQa if has(RAW_DOCUMENT) => (DOCUMENT, RAW_DOCUMENT),
            SourceKind::DocumentQa => (DOCUMENT, DOCUMENT),
            _ if has(SUMMARY) && !has(RAW_DOCUMENT) => (SUMMARY, DOCUMENT),
            _ => (DOCUMENT, RAW_DOCUMENT),
        };
        for column in [QUESTION, RESPONSE, OUTLINE, summary] {
            if columns.0[column].is_none() {
                return Err(self.missing(column, row));
            }
        }
        // A raw document is asked for where documents are counted.
        if self.source.kind == SourceKind::SummaryQa && !has(raw) {
            return Err(self.missing(raw, row));
        }
        for column in [QUESTION, RESPONSE, OUTLINE, summary, raw] {
            if let Some(value) = columns.0[column].filter(|value| !value.get().starts_with(['"', 'n'])) {
                return Err(wrong_type(COLUMNS[column], value));
            }
        }
        // First of all reasons, as the contract counts them.
        if self.drop_placeholders && has(QUESTION) && is_placeholder_question(&columns.text(QUESTION)?) {
            return Ok(ParsedRow::Dropped(DropReason::PlaceholderQuestion));
        }
        for (column, reason) in [
            (QUESTION, DropReason::NullQuestion),
            (RESPONSE, DropReason::NullResponse),
            (OUTLINE, DropReason::NullOutline),
            (summary, DropReason::NullSummary),
        ] {
            if !has(column) {
                return Ok(ParsedRow::Dropped(reason));
            }
        }
        let question = columns.text(QUESTION)?;
        let response = columns.text(RESPONSE)?;
        let response = clean_response(&response);
        if question.is_empty() {
            return Ok(ParsedRow::Dropped(DropReason::EmptyQuestion));
        }
        if response.is_empty() {
            return Ok(ParsedRow::Dropped(DropReason::EmptyResponse));
        }
        Ok(ParsedRow::Kept(Body::Pair {
            outline: columns.context(OUTLINE, texts)?,
            raw: if has(raw) { columns.context(raw, texts)? } else { TextId::EMPTY },
            summary: columns.context(summary, texts)?,
            question: texts.intern(&question)?,
            response: texts.intern(&response)?,
            thinking: texts.intern(&self.thinking(columns)?)?,
        }))
    }

    /// The pair's own reasoning, empty where it has none.
    fn thinking<'r>(&self, columns: &Columns<'r>) -> Result<Cow<'r, str>, RowError> {
        let found = columns.0[REASONING..]
            .iter()
            .zip(&self.reasoning_columns)
            .find_map(|(value, column)| value.filter(|value| value.get() != "null").map(|value| (value, column)));
        let Some((value, column)) = found else { return Ok(Cow::Borrowed("")) };
        let path = match &self.reasoning {
            Reasoning::Path(path) => &path[1..],
            _ => &[],
        };
        if path.is_empty() {
            return if value.get().starts_with('"') { unescape(column, value) } else { Err(wrong_type(column, value)) };
        }
        let column = self.reasoning.to_string();
        let value: serde_json::Value = serde_json::from_str(value.get()).map_err(|error| bad_text(&column, &error))?;
        let inner = path.iter().try_fold(&value, |value, part| match value {
            serde_json::Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            _ => value.get(part),
        });
        match inner {
            None | Some(serde_json::Value::Null) => Ok(Cow::Borrowed("")),
            Some(serde_json::Value::String(text)) => Ok(Cow::Owned(text.clone())),
            Some(other) => Err(bad(
                RejectReason::WrongType,
                format!("column `{column}` is {}, not a string", kind_of(&other.to_string())),
            )),
        }
    }

    fn chat(&self, columns: &Columns<'_>, row: &str, texts: &Interner) -> Result<ParsedRow, RowError> {
        let Some(messages) = columns.0[MESSAGES] else { return Err(self.missing(MESSAGES, row)) };
        let messages: serde_json::Value =
            serde_json::from_str(messages.get()).map_err(|error| bad_text("messages", &error))?;
        let Some(list) = messages.as_array() else {
            return Err(bad(
                RejectReason::WrongType,
                format!("column `messages` is {}, not a list", kind_of(&messages.to_string())),
            ));
        };
        if list.is_empty() {
            return Ok(ParsedRow::Dropped(DropReason::EmptyMessages));
        }
        for (number, message) in list.iter().enumerate() {
            check_message(message).map_err(|what| {
                bad(RejectReason::WrongType, format!("message {} of `messages`: {what}", number + 1))
            })?;
        }
        let unmask = match columns.0[UNMASK].map(RawValue::get) {
            None | Some("null") => self.source.unmask,
            Some("true") => true,
            Some("false") => false,
            Some(other) => {
                return Err(bad(
                    RejectReason::WrongType,
                    format!("column `unmask` is {}, not true or false", kind_of(other)),
                ));
            }
        };
        Ok(ParsedRow::Kept(Body::Chat {
            messages: texts.intern(&messages.to_string())?,
            tools: texts.intern(&tools(columns)?)?,
            unmask,
        }))
    }

    fn missing(&self, column: usize, row: &str) -> RowError {
        let needed: &[&str] = match self.source.kind {
            SourceKind::SummaryQa => {
                &["question", "response", "document_outline", "document (or summary)", "raw_document (or document)"]
            }
            SourceKind::FactQa => &["question", "response", "document_outline", "document (or summary)"],
            SourceKind::DocumentQa => &["question", "response", "document_outline", "document"],
            SourceKind::Messages => &["messages"],
        };
        let present: serde_json::Map<String, serde_json::Value> = serde_json::from_str(row).unwrap_or_default();
        let present: Vec<&str> = present.iter().filter(|(_, value)| !value.is_null()).map(|(key, _)| &**key).collect();
        let present = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
        bad(
            RejectReason::MissingColumn,
            format!("column `{}` is missing; needed: {}; there: {present}", COLUMNS[column], needed.join(", ")),
        )
    }
}

/// A chat's tools as compact JSON; they may stand as a list or as a string that holds one.
fn tools(columns: &Columns<'_>) -> Result<String, RowError> {
    let Some(value) = columns.0[TOOLS].filter(|value| value.get() != "null") else { return Ok(String::new()) };
    let mut tools: serde_json::Value = serde_json::from_str(value.get()).map_err(|error| bad_text("tools", &error))?;
    if let Some(text) = tools.as_str() {
        if text.trim().is_empty() {
            return Ok(String::new());
        }
        let no_json = |_| bad(RejectReason::WrongType, "column `tools` is a string that is not JSON");
        tools = serde_json::from_str(text).map_err(no_json)?;
    }
    match tools.as_array() {
        Some(list) if list.is_empty() => Ok(String::new()),
        Some(_) => Ok(tools.to_string()),
        None => {
            Err(bad(RejectReason::WrongType, format!("column `tools` is {}, not a list", kind_of(&tools.to_string()))))
        }
    }
}

/// Whether a message of a ready chat is one that every template and trainer can take.
fn check_message(message: &serde_json::Value) -> Result<(), String> {
    let Some(message) = message.as_object() else {
        return Err(format!("is {}, not an object", kind_of(&message.to_string())));
    };
    match message.get("role").and_then(|role| role.as_str()) {
        Some("system" | "user" | "assistant" | "tool") => {}
        Some(role) => return Err(format!("role `{role}` is none of system, user, assistant, tool")),
        None => return Err("has no role".to_owned()),
    }
    for key in ["content", "thinking"] {
        match message.get(key) {
            None | Some(serde_json::Value::Null | serde_json::Value::String(_)) => {}
            Some(other) => return Err(format!("{key} is {}, not a string", kind_of(&other.to_string()))),
        }
    }
    let says = message.get("content").is_some_and(|content| content.is_string());
    if !says && message.get("tool_calls").is_none_or(|calls| calls.is_null()) {
        return Err("has neither content nor tool_calls".to_owned());
    }
    Ok(())
}

fn wrong_type(column: &str, value: &RawValue) -> RowError {
    bad(RejectReason::WrongType, format!("column `{column}` is {}, not a string", kind_of(value.get())))
}

fn kind_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn malformed(error: &serde_json::Error) -> RowError {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    bad(RejectReason::MalformedJson, format!("malformed JSON at column {}: {what}", error.column()))
}

/// A text that is JSON but no text: an escape that is half a character.
fn bad_text(column: &str, error: &serde_json::Error) -> RowError {
    let text = error.to_string();
    let what = match text.split(" at line ").next().unwrap_or(&text) {
        // The parser's words for the one or the other half.
        what if what.contains("surrogate") || what.contains("hex escape") => "half a surrogate pair",
        what => what,
    };
    bad(RejectReason::InvalidEscape, format!("column `{column}` holds an escape that is no character: {what}"))
}

fn unescape<'r>(column: &str, value: &'r RawValue) -> Result<Cow<'r, str>, RowError> {
    let raw = value.get();
    // Most strings have no escape: then the text stands between the quotes as it is.
    match raw.get(1..raw.len() - 1) {
        Some(inner) if memchr::memchr(b'\\', inner.as_bytes()).is_none() => Ok(Cow::Borrowed(inner)),
        _ => serde_json::from_str::<String>(raw).map(Cow::Owned).map_err(|error| bad_text(column, &error)),
    }
}

/// The values of the needed columns of one row, as they stand in it.
struct Columns<'r>(Vec<Option<&'r RawValue>>);

impl<'r> Columns<'r> {
    fn text(&self, column: usize) -> Result<Cow<'r, str>, RowError> {
        match self.0[column] {
            Some(value) => unescape(COLUMNS[column], value),
            None => Ok(Cow::Borrowed("")),
        }
    }

    /// A text that stands in many rows.
    fn context(&self, column: usize, texts: &Interner) -> Result<TextId, RowError> {
        match self.0[column] {
            Some(value) => texts.intern_escaped(value.get().as_bytes(), || unescape(COLUMNS[column], value)),
            None => Ok(TextId::EMPTY),
        }
    }
}

struct ColumnsVisitor<'p> {
    reasoning: &'p [String],
}

impl<'r> Visitor<'r> for ColumnsVisitor<'_> {
    type Value = Columns<'r>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'r>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut columns = vec![None; REASONING + self.reasoning.len()];
        // The last of several equal keys wins, as in Python.
        while let Some(key) = map.next_key::<Key<'r>>()? {
            let index = COLUMNS.iter().position(|column| *column == key.0);
            let reasoning = || self.reasoning.iter().position(|column| *column == key.0).map(|i| REASONING + i);
            match index.or_else(reasoning) {
                Some(index) => columns[index] = Some(map.next_value::<&'r RawValue>()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Columns(columns))
    }
}

/// A key, borrowed where it has no escape.
struct Key<'r>(Cow<'r, str>);

impl<'r> serde::Deserialize<'r> for Key<'r> {
    fn deserialize<D: serde::Deserializer<'r>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'r> Visitor<'r> for KeyVisitor {
            type Value = Key<'r>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E: serde::de::Error>(self, key: &'r str) -> Result<Key<'r>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Key<'r>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
            fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Key<'r>, E> {
                Err(E::custom("a key is not text"))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests;
