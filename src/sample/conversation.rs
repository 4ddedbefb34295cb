//! What is counted and trained of a sample.

use crate::recipe::ReasoningKey;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// One conversation, which a chat template renders, or a document, which is taken as it is.
#[derive(Debug, Clone)]
pub(crate) enum Conversation<'a> {
    /// A question and its answer, as a chat of two messages.
    Pair {
        /// The content of the user's message.
        user: Cow<'a, str>,
        /// The content of the assistant's message.
        assistant: Cow<'a, str>,
        /// The teacher's reasoning and its key, if the message has one.
        reasoning: Option<(ReasoningKey, Cow<'a, str>)>,
        /// Whether the user's message has `"thinking": null`.
        null_thinking: bool,
    },
    /// A ready chat.
    Messages {
        /// The messages as JSON.
        messages: &'a str,
        /// The tools as JSON, if there are any.
        tools: Option<&'a str>,
    },
    /// A document.
    Document(&'a str),
}

/// The text of a message's content: a string, or a list of parts of which some are texts.
pub(super) fn content_text(content: Option<&Value>) -> Cow<'_, str> {
    match content {
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => Cow::default(),
    }
}

impl Conversation<'_> {
    /// Role and text of everything that somebody says, in order; an answer's reasoning comes before its content.
    pub(crate) fn turns(&self) -> Vec<(String, String)> {
        match self {
            Self::Pair { user, assistant, reasoning, .. } => {
                let turn = |role: &str, text: &str| (role.to_owned(), text.to_owned());
                let reasoning = reasoning.iter().map(|(_, text)| turn("assistant", text));
                let pair = [turn("user", user)].into_iter().chain(reasoning);
                pair.chain([turn("assistant", assistant)]).collect()
            }
            Self::Messages { messages, .. } => {
                let messages: Vec<Map<String, Value>> = serde_json::from_str(messages).unwrap_or_default();
                messages.iter().flat_map(turns_of).collect()
            }
            Self::Document(text) => vec![("document".to_owned(), (*text).to_owned())],
        }
    }
}

fn turns_of(message: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |key: &str| message.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let role = text("role").unwrap_or_default();
    let texts = ReasoningKey::ALL.iter().map(|key| key.name()).chain(["content"]).filter_map(text);
    texts.map(|text| (role.to_owned(), text.to_owned())).collect()
}
