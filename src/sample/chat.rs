//! Ready chats: rows that are conversations already, for replay.

use super::columns::{Columns, invalid_escape, type_of, wrong_type};
use super::conversation::Conversation;
use super::json::{RowJson, escape, put};
use super::kind::SampleKind;
use super::outcome::{DropReason, ParsedRow, RejectReason, RowError};
use crate::index::{PartsHasher, Record, SplitBuilder};
use crate::recipe::Source;
use crate::text::{Interner, TextId, TextStore};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What `metadata.dataset` says of chats.
const DATASET: &str = "messages";

/// The columns of a chat, by the constants below.
pub(super) const COLUMNS: [&str; 3] = ["messages", "tools", "unmask"];
const MESSAGES: usize = 0;
const TOOLS: usize = 1;
const UNMASK: usize = 2;

/// The keys that every message has.
const MESSAGE_KEYS: [&str; 3] = ["role", "content", "thinking"];

/// A ready chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Chat {
    /// The messages as compact JSON; a list with at least one message.
    pub(crate) messages: TextId,
    /// The tools as compact JSON, if there are any.
    pub(crate) tools: Option<TextId>,
    /// Whether the trainer learns from all messages.
    pub(crate) unmask: bool,
}

/// Parses a row with `messages`, and perhaps `tools` and `unmask`.
///
/// # Errors
/// If a column or message is not what chat templates and trainers accept.
pub(super) fn parse(columns: &Columns<'_>, source: &Source, texts: &Interner) -> Result<ParsedRow<Chat>, RowError> {
    let Some(messages) = columns.get(MESSAGES) else { return Err(columns.missing(MESSAGES, "messages")) };
    let json = messages.get();
    let messages: Value = serde_json::from_str(json).map_err(|error| invalid_escape("messages", &error))?;
    let Some(list) = messages.as_array() else { return Err(wrong_type("messages", json, "a list")) };
    for (number, message) in (1..).zip(list) {
        check_message(message).map_err(|what| {
            RowError::bad(RejectReason::WrongType, format!("column `messages`, message {number}: {what}"))
        })?;
    }
    let unmask = match columns.get(UNMASK).map(|value| value.get()) {
        None | Some("null") => source.unmask,
        Some("true") => true,
        Some("false") => false,
        Some(other) => return Err(wrong_type("unmask", other, "true or false")),
    };
    let tools = texts.intern(&tools(columns)?)?;
    Ok(match texts.intern(&messages.to_string())?.filter(|_| !list.is_empty()) {
        Some(messages) => ParsedRow::Kept(Chat { messages, tools, unmask }),
        None => ParsedRow::Dropped(DropReason::EmptyMessages),
    })
}

/// A chat's tools as compact JSON, empty if there are none. They are a list, or a string that contains one.
fn tools(columns: &Columns<'_>) -> Result<String, RowError> {
    let Some(value) = columns.get(TOOLS).filter(|_| columns.has(TOOLS)) else { return Ok(String::new()) };
    let mut tools: Value = serde_json::from_str(value.get()).map_err(|error| invalid_escape("tools", &error))?;
    if let Some(text) = tools.as_str() {
        if text.trim().is_empty() {
            return Ok(String::new());
        }
        tools = serde_json::from_str(text)
            .map_err(|_| RowError::bad(RejectReason::WrongType, "column `tools`: the string is not valid JSON"))?;
    }
    match tools.as_array() {
        Some(list) if list.is_empty() => Ok(String::new()),
        Some(_) => Ok(tools.to_string()),
        None => Err(wrong_type("tools", &tools.to_string(), "a list")),
    }
}

/// Checks that templates and trainers can take a message.
fn check_message(message: &Value) -> Result<(), String> {
    let Some(message) = message.as_object() else {
        return Err(format!("expected an object, found {}", type_of(&message.to_string())));
    };
    match message.get("role").and_then(|role| role.as_str()) {
        Some("system" | "user" | "assistant" | "tool") => {}
        Some(role) => return Err(format!("invalid role `{role}`: expected system, user, assistant or tool")),
        None => return Err("no role".to_owned()),
    }
    for key in ["content", "thinking"] {
        match message.get(key) {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(other) => return Err(format!("{key}: expected a string, found {}", type_of(&other.to_string()))),
        }
    }
    let has_content = message.get("content").is_some_and(|content| content.is_string());
    if !has_content && message.get("tool_calls").is_none_or(|calls| calls.is_null()) {
        return Err("neither content nor tool_calls".to_owned());
    }
    Ok(())
}

impl Chat {
    /// The messages, which [`parse`] has checked.
    fn parsed_messages(&self, texts: &TextStore) -> Vec<Map<String, Value>> {
        serde_json::from_str(texts.get(self.messages)).unwrap_or_default()
    }
}

impl SampleKind for Chat {
    fn record(&self, _: &Source, _: &mut SplitBuilder<'_>) -> Record {
        Record::default()
    }

    fn hash_content(&self, _: &Source, texts: &TextStore, hasher: &mut PartsHasher) {
        hasher.part(texts.get(self.messages).as_bytes());
        hasher.part(texts.get(self.tools).as_bytes());
        hasher.part(if self.unmask { "unmask" } else { "" });
    }

    fn response_chars(&self, texts: &TextStore) -> usize {
        let messages = self.parsed_messages(texts);
        let answers = messages.iter().filter(|message| message.get("role").is_some_and(|role| role == "assistant"));
        let contents = answers.filter_map(|message| message.get("content")?.as_str());
        contents.map(|text| text.chars().count()).sum()
    }

    fn is_unmasked(&self, _: &Source) -> bool {
        self.unmask
    }

    fn conversation<'t>(&self, _: &Source, texts: &'t TextStore) -> Conversation<'t> {
        Conversation::Messages { messages: texts.get(self.messages), tools: self.tools.map(|tools| texts.get(tools)) }
    }

    fn text_bytes(&self, texts: &TextStore) -> usize {
        texts.get(self.messages).len() + texts.get(self.tools).len()
    }

    fn full_row_bytes(&self, texts: &TextStore) -> usize {
        self.text_bytes(texts)
    }

    fn message_keys(&self, texts: &TextStore, keys: &mut BTreeSet<String>) {
        for message in self.parsed_messages(texts) {
            keys.extend(message.into_iter().map(|(key, _)| key).filter(|key| !MESSAGE_KEYS.contains(&key.as_str())));
        }
    }

    fn write_json(&self, source: &Source, token_length: u32, row: &mut RowJson<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        if row.is_full() {
            for key in ["question", "document_outline", "raw_document", "document"] {
                put(out, &[b"\"", key.as_bytes(), b"\":\"\","]);
            }
        }
        out.extend_from_slice(b"\"messages\":[");
        for (number, message) in self.parsed_messages(row.texts()).iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            put_message(message, row, out);
        }
        out.extend_from_slice(b"],");
        if row.is_full() {
            row.put_metadata(b"", DATASET, b"", source, out);
        }
        row.put_end(self.tools, self.unmask, token_length, out);
    }
}

fn put_message(message: &Map<String, Value>, row: &RowJson<'_>, out: &mut Vec<u8>) {
    let text = |key: &str| message.get(key).and_then(Value::as_str);
    let role = text("role").unwrap_or_default();
    put(out, &[b"{\"role\":\"", &escape(role), b"\",\"content\":\"", &escape(text("content").unwrap_or_default())]);
    // As in a pair: an assistant's message has a reasoning, if only an empty one.
    match text("thinking").or((role == "assistant").then_some("")) {
        Some(thinking) => put(out, &[b"\",\"thinking\":\"", &escape(thinking), b"\""]),
        None => out.extend_from_slice(b"\",\"thinking\":null"),
    }
    for key in row.extra_keys() {
        let value = match message.get(key) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        put(out, &[b",\"", &escape(key), b"\":\"", &escape(&value), b"\""]);
    }
    out.push(b'}');
}
