//! A conversation in the form that the template engine takes.

use super::objects::Digits;
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::TokenizerRules;
use crate::sample::{Conversation, numbers};
use minijinja::context;
use minijinja::value::{Value, ValueKind};
use std::borrow::Cow;

impl Conversation<'_> {
    /// Its length in bytes, which limits what its render may build.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Pair { user, assistant, reasoning, .. } => {
                user.len() + assistant.len() + reasoning.as_ref().map_or(0, |(_, text)| text.len())
            }
            Self::Messages { messages, tools } => messages.len() + tools.map_or(0, str::len),
            Self::Document(text) => text.len(),
        }
    }

    /// The variables of its render, with the messages as the transformers of these rules passes them to a template.
    ///
    /// # Errors
    /// If messages or tools are not the JSON that [`Conversation::Messages`] requires, or it is a document.
    pub(super) fn context(&self, rules: TokenizerRules) -> Result<Value> {
        match self {
            Self::Pair { user, assistant, reasoning, null_thinking } => {
                let (user, assistant) = (user.as_ref(), assistant.as_ref());
                let reasoning = reasoning.as_ref().map(|(key, text)| (key.name(), Value::from(text.as_ref())));
                let messages = match (rules, reasoning) {
                    // As `message` makes them, without the detour.
                    (TokenizerRules::Auto, None) => [
                        context! { role => "user", content => user },
                        context! { role => "assistant", content => assistant },
                    ],
                    (TokenizerRules::Auto, Some((_, text))) => [
                        context! { role => "user", content => user },
                        context! { thinking => text.clone(), role => "assistant", content => assistant, reasoning_content => text },
                    ],
                    (TokenizerRules::File, reasoning) => {
                        let null = null_thinking.then_some(("thinking", Value::from(())));
                        let pairs = |role: &str, content: &str| [("role", role.into()), ("content", content.into())];
                        [
                            message(pairs("user", user).into_iter().chain(null), rules),
                            message(pairs("assistant", assistant).into_iter().chain(reasoning), rules),
                        ]
                    }
                };
                Ok(context! { messages => messages.to_vec() })
            }
            Self::Document(_) => Err(Error::new(ErrorKind::Bug, "a document is not rendered with a chat template")),
            Self::Messages { messages, tools } => {
                let messages = template_messages(&parse(messages, "messages")?, rules)?;
                Ok(match tools {
                    Some(tools) => context! { messages => messages, tools => parse(tools, "tools")? },
                    None => context! { messages => messages },
                })
            }
        }
    }
}

/// Parses JSON into the engine's values, which keep the order of keys.
fn parse(text: &str, what: &str) -> Result<Value> {
    let value = match numbers::mark(text) {
        Cow::Borrowed(text) => serde_json::from_str(text),
        Cow::Owned(text) => serde_json::from_str(&text).map(with_numbers),
    };
    value.map_err(|error| Error::new(ErrorKind::Data, format!("{what}: not valid JSON")).caused_by(error))
}

/// The engine's value, with numbers in place of marked texts.
fn with_numbers(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::String(text) => match numbers::marked(&text) {
            None => Value::from(text),
            Some(number) => match (number.parse::<i128>(), number.parse::<f64>()) {
                (Ok(integer), _) => Value::from(integer),
                (_, Ok(float)) if number.contains(['.', 'e', 'E']) => Value::from(float),
                _ => Value::from_object(Digits(number.to_owned())),
            },
        },
        serde_json::Value::Array(list) => list.into_iter().map(with_numbers).collect::<Vec<_>>().into(),
        serde_json::Value::Object(map) => {
            Value::from_pairs(map.into_iter().map(|(key, value)| (key, with_numbers(value))))
        }
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(value) => Value::from(value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (_, Some(integer)) => Value::from(integer),
            _ => Value::from(number.as_f64()),
        },
    }
}

/// The keys of a message that can contain its reasoning, in order of precedence.
const REASONING_KEYS: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// All messages, each as [`message`] makes it.
fn template_messages(messages: &Value, rules: TokenizerRules) -> Result<Value> {
    let data = |what: String| Error::new(ErrorKind::Data, what);
    let list = match messages.kind() {
        ValueKind::Seq => messages.try_iter().map_err(|error| data(error.to_string()))?,
        other => return Err(data(format!("messages: expected a list, found a {other}"))),
    };
    let mut out = Vec::with_capacity(messages.len().unwrap_or(0));
    for (index, entry) in list.enumerate() {
        if entry.kind() != ValueKind::Map {
            return Err(data(format!("messages[{index}]: expected an object, found a {}", entry.kind())));
        }
        let mut pairs: Vec<(Value, Value)> = Vec::with_capacity(5);
        for key in entry.try_iter().map_err(|error| data(error.to_string()))? {
            let value = entry.get_item(&key).map_err(|error| data(error.to_string()))?;
            pairs.push((key, value));
        }
        out.push(message(pairs, rules));
    }
    Ok(out.into())
}

/// A message as a template sees it: as it is with transformers 4.57. Version 5 drops keys whose value is null, and offers the
/// first of [`REASONING_KEYS`] that the message has under `reasoning_content` and `thinking`, unless it has those itself.
fn message<K: Into<Value>>(pairs: impl IntoIterator<Item = (K, Value)>, rules: TokenizerRules) -> Value {
    let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value));
    match rules {
        TokenizerRules::File => Value::from_pairs(pairs),
        TokenizerRules::Auto => {
            let mut pairs: Vec<(Value, Value)> = pairs.filter(|(_, value)| !value.is_none()).collect();
            add_reasoning(&mut pairs);
            Value::from_pairs(pairs)
        }
    }
}

/// Adds a message's reasoning under the keys that templates read: `thinking` comes first, `reasoning_content` stays in its
/// position or comes last.
fn add_reasoning(pairs: &mut Vec<(Value, Value)>) {
    let position = |name: &str, pairs: &[(Value, Value)]| pairs.iter().position(|(key, _)| key.as_str() == Some(name));
    let Some(at) = REASONING_KEYS.iter().find_map(|name| position(name, pairs)) else { return };
    let reasoning = pairs[at].1.clone();
    let thinking = match position("thinking", pairs) {
        Some(at) => pairs.remove(at),
        None => (Value::from("thinking"), reasoning.clone()),
    };
    pairs.insert(0, thinking);
    if position("reasoning_content", pairs).is_none() {
        pairs.push((Value::from("reasoning_content"), reasoning));
    }
}
