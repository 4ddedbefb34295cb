//! Ready chats: rows that are conversations already, for replay.

use super::columns::{Columns, invalid_escape, type_of, wrong_type};
use super::conversation::{Conversation, content_text};
use super::flags::chat_flags;
use super::json::{RowJson, TOOLS_KEY, put};
use super::kind::SampleKind;
use super::numbers;
use super::outcome::{DropReason, ParsedRow, RejectReason, RowError};
use super::reasoning::TemplateProbe;
use crate::excerpt::excerpt_of_list;
use crate::index::{PartsHasher, Record, SplitBuilder};
use crate::recipe::{Flags, ReasoningKey, Source, WrittenReasoning};
use crate::text::{Interner, TextId, TextStore};
use serde_json::{Map, Value};

/// What `metadata.dataset` says of chats.
const DATASET: &str = "messages";

/// The columns of a chat, by the constants below.
pub(super) const COLUMNS: [&str; 3] = ["messages", "tools", "unmask"];
const MESSAGES: usize = 0;
const TOOLS: usize = 1;
const UNMASK: usize = 2;

/// The keys that every message has.
const MESSAGE_KEYS: [&str; 2] = ["role", "content"];

/// The number of different keys that the messages of a chat may have. Those of the providers' APIs are about twenty.
const MAX_KEYS: usize = 100;

/// The keys that can hold a message's reasoning, in order of precedence.
const REASONING_KEYS: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// A ready chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Chat {
    /// The messages as compact JSON, exactly as they are written; a list with at least one message.
    pub(crate) messages: TextId,
    /// The tools as compact JSON, if there are any.
    pub(crate) tools: Option<TextId>,
    /// Whether the trainer learns from all messages.
    pub(crate) unmask: bool,
    /// What is suspicious about its questions and answers.
    pub(crate) flags: Flags,
}

/// Parses a row with `messages`, and perhaps `tools` and `unmask`.
///
/// # Errors
/// If a column or message is not what chat templates and trainers accept.
pub(super) fn parse(
    columns: &Columns<'_>,
    source: &Source,
    template: &dyn TemplateProbe,
    texts: &Interner,
) -> Result<ParsedRow<Chat>, RowError> {
    let Some(messages) = columns.get(MESSAGES) else { return Err(columns.missing(MESSAGES, "messages")) };
    let json = messages.get();
    let mut messages: Value = numbers::parse(json).map_err(|error| invalid_escape("messages", &error))?;
    parse_texts(&mut messages);
    let Some(list) = messages.as_array() else { return Err(wrong_type("messages", json, "a list")) };
    for (number, message) in (1..).zip(list) {
        check_message(message).map_err(|what| {
            RowError::bad(RejectReason::WrongType, format!("column `messages`, message {number}: {what}"))
        })?;
    }
    check_keys(list).map_err(|what| RowError::bad(RejectReason::WrongType, format!("column `messages`: {what}")))?;
    let unmask = match columns.get(UNMASK).map(|value| value.get()) {
        None | Some("null") => source.unmask,
        Some("true") => true,
        Some("false") => false,
        Some(other) => return Err(wrong_type("unmask", other, "true or false")),
    };
    let tools = tools(columns)?;
    let tools_given = Some(tools.as_str()).filter(|tools| !tools.is_empty());
    let (messages, is_complete) = written_messages(list, tools_given, source.reasoning, template);
    let tools = texts.intern(&tools)?;
    let Some(messages) = texts.intern(&messages)?.filter(|_| !list.is_empty()) else {
        return Ok(ParsedRow::Dropped(DropReason::EmptyMessages));
    };
    let chat = Chat { messages, tools, unmask, flags: chat_flags(None, list) };
    Ok(if is_complete { ParsedRow::Kept(chat) } else { ParsedRow::KeptWithoutReasoning(chat) })
}

/// Parses messages that are JSON in a string: a Parquet file has them so if its messages have different keys.
fn parse_texts(messages: &mut Value) {
    for message in messages.as_array_mut().into_iter().flatten() {
        let parsed = message.as_str().and_then(|text| numbers::parse(text).ok());
        if let Some(parsed) = parsed.filter(Value::is_object) {
            *message = parsed;
        }
    }
}

/// Checked messages as they are written, as JSON: without keys that say nothing, tool calls in the shape that templates expect,
/// reasoning under the key that the template reads, if it prints it. Also returns whether all reasoning is kept.
fn written_messages(
    list: &[Value],
    tools: Option<&str>,
    written: WrittenReasoning,
    template: &dyn TemplateProbe,
) -> (String, bool) {
    let (mut messages, reasonings): (Vec<_>, Vec<_>) =
        list.iter().filter_map(Value::as_object).map(without_reasoning).unzip();
    parse_arguments(&mut messages, tools, template);
    let mut is_complete = true;
    match written {
        WrittenReasoning::Everywhere => {
            for (message, reasoning) in messages.iter_mut().zip(reasonings) {
                let is_assistant = message["role"] == "assistant";
                let reasoning = reasoning.or_else(|| is_assistant.then(String::new));
                message.insert(ReasoningKey::Thinking.name().to_owned(), reasoning.into());
            }
        }
        WrittenReasoning::Under(key) if reasonings.iter().any(Option::is_some) => {
            for (message, reasoning) in messages.iter_mut().zip(reasonings) {
                if let Some(reasoning) = reasoning {
                    message.insert(key.name().to_owned(), reasoning.into());
                }
            }
            let printed = template.printed_reasoning(&messages, tools, key);
            for (message, is_printed) in messages.iter_mut().zip(printed) {
                if !is_printed {
                    is_complete &= message.shift_remove(key.name()).is_none();
                }
            }
        }
        WrittenReasoning::Under(_) | WrittenReasoning::Nowhere => is_complete = reasonings.iter().all(Option::is_none),
    }
    (numbers::write(&Value::from_iter(messages)), is_complete)
}

/// A message and its reasoning, if it has some. Keys that say nothing are left out: those whose value is null, an empty list, or,
/// as in rows that were made to fit into one table, an empty text.
fn without_reasoning(message: &Map<String, Value>) -> (Map<String, Value>, Option<String>) {
    let text = |key: &str| message.get(key).and_then(Value::as_str);
    let reasoning = REASONING_KEYS.iter().find_map(|key| text(key).filter(|text| !text.is_empty()));
    let mut written = Map::new();
    for key in MESSAGE_KEYS {
        // A message with tool calls can have no content. A trainer trains an empty text as a part of it, but not null.
        written.insert(key.to_owned(), message.get(key).cloned().unwrap_or_default());
    }
    for (key, value) in message {
        let says_nothing = value.is_null() || value == "" || value.as_array().is_some_and(Vec::is_empty);
        if says_nothing || MESSAGE_KEYS.contains(&key.as_str()) || REASONING_KEYS.contains(&key.as_str()) {
            continue;
        }
        let parsed = value.as_str().filter(|_| key == "tool_calls").and_then(|text| numbers::parse(text).ok());
        written.insert(key.clone(), parsed.unwrap_or_else(|| value.clone()));
    }
    (written, reasoning.map(str::to_owned))
}

/// Turns the arguments of tool calls that are JSON in a string into objects: most templates print them as JSON, and would quote a
/// string once more. They stay strings if the template does not render objects.
fn parse_arguments(messages: &mut Vec<Map<String, Value>>, tools: Option<&str>, template: &dyn TemplateProbe) {
    let mut parsed = messages.clone();
    let mut is_changed = false;
    for call in parsed.iter_mut().filter_map(|message| message.get_mut("tool_calls")?.as_array_mut()).flatten() {
        for place in ["/function/arguments", "/arguments"] {
            if let Some(arguments) = call.pointer_mut(place)
                && let Some(object) = arguments.as_str().and_then(|text| numbers::parse::<Value>(text).ok())
                && object.is_object()
            {
                *arguments = object;
                is_changed = true;
            }
        }
    }
    if is_changed && template.renders(&parsed, tools) {
        *messages = parsed;
    }
}

/// A chat's tools as compact JSON, empty if there are none. They are a list, or a string that contains one.
fn tools(columns: &Columns<'_>) -> Result<String, RowError> {
    let Some(value) = columns.get(TOOLS).filter(|_| columns.has(TOOLS)) else { return Ok(String::new()) };
    let mut tools: Value = numbers::parse(value.get()).map_err(|error| invalid_escape("tools", &error))?;
    if let Some(text) = tools.as_str() {
        if text.trim().is_empty() {
            return Ok(String::new());
        }
        tools = numbers::parse(text)
            .map_err(|_| RowError::bad(RejectReason::WrongType, "column `tools`: the string is not valid JSON"))?;
    }
    match tools.as_array() {
        Some(list) if list.is_empty() => Ok(String::new()),
        Some(_) => Ok(numbers::write(&tools)),
        None => Err(wrong_type("tools", &tools.to_string(), "a list")),
    }
}

/// Checks that templates and trainers can take a message.
fn check_message(message: &Value) -> Result<(), String> {
    let Some(message) = message.as_object() else {
        return Err(format!("expected an object, found {}", type_of(&message.to_string())));
    };
    // Templates know more roles than the four of the OpenAI format (`developer`), and refuse those that they do not know.
    if message.get("role").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err("no role".to_owned());
    }
    for key in ["content"].into_iter().chain(REASONING_KEYS) {
        match message.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if numbers::marked(text).is_none() => {}
            Some(Value::Array(parts)) if key == "content" && parts.iter().all(Value::is_object) => {}
            Some(other) => {
                let expected = if key == "content" { "a string or a list of objects" } else { "a string" };
                return Err(format!("{key}: expected {expected}, found {}", type_of(&numbers::write(other))));
            }
        }
    }
    let has_content = message.get("content").is_some_and(|content| !content.is_null());
    if !has_content && message.get("tool_calls").is_none_or(|calls| calls.is_null()) {
        return Err("neither content nor tool_calls".to_owned());
    }
    Ok(())
}

/// Checks that the messages have few different keys: `datasets` makes a column of each, with a value for every message of a file.
fn check_keys(messages: &[Value]) -> Result<(), String> {
    let mut keys: Vec<&str> = Vec::new();
    for key in messages.iter().filter_map(Value::as_object).flat_map(Map::keys) {
        if keys.contains(&key.as_str()) {
            continue;
        }
        if keys.len() == MAX_KEYS {
            let names = excerpt_of_list(keys.iter().filter(|key| !MESSAGE_KEYS.contains(key)));
            return Err(format!("expected at most {MAX_KEYS} different keys in a chat, found more: {names}, …"));
        }
        keys.push(key);
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

    fn flags(&self, _: &TextStore) -> Flags {
        self.flags
    }

    fn response_chars(&self, texts: &TextStore) -> usize {
        let messages = self.parsed_messages(texts);
        let answers = messages.iter().filter(|message| message.get("role").is_some_and(|role| role == "assistant"));
        let contents = answers.map(|message| content_text(message.get("content")));
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

    fn optional_keys(&self, _: &Source, texts: &TextStore, add: &mut dyn FnMut(&str)) {
        for message in self.parsed_messages(texts) {
            message.keys().filter(|key| !MESSAGE_KEYS.contains(&key.as_str())).for_each(|key| add(key));
        }
        if self.tools.is_some() {
            add(TOOLS_KEY);
        }
    }

    fn write_json(&self, source: &Source, token_length: u32, row: &mut RowJson<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        if row.is_full() {
            for key in ["question", "document_outline", "raw_document", "document"] {
                put(out, &[b"\"", key.as_bytes(), b"\":\"\","]);
            }
        }
        put(out, &[b"\"messages\":", row.texts().get(Some(self.messages)).as_bytes(), b","]);
        if row.is_full() {
            row.put_metadata(b"", DATASET, b"", source, out);
        }
        row.put_end(self.tools, self.unmask, token_length, out);
    }
}
