//! A conversation in the form that the template engine takes.

use crate::error::{Error, ErrorKind, Result};
use crate::sample::Conversation;
use minijinja::context;
use minijinja::value::{Value, ValueKind};

impl Conversation<'_> {
    /// Its length in bytes, which limits what its render may build.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Pair { user, assistant, reasoning } => {
                user.len() + assistant.len() + reasoning.as_ref().map_or(0, |(_, text)| text.len())
            }
            Self::Messages { messages, tools } => messages.len() + tools.map_or(0, str::len),
        }
    }

    /// The variables of its render.
    ///
    /// # Errors
    /// If messages or tools are not the JSON that [`Conversation::Messages`] requires.
    pub(super) fn context(&self) -> Result<Value> {
        match self {
            Self::Pair { user, assistant, reasoning } => {
                let question = context! { role => "user", content => user.as_ref() };
                let assistant = assistant.as_ref();
                // Whichever key the message has, transformers offers both.
                let answer = match reasoning.as_ref().map(|(_, text)| Value::from(text.as_ref())) {
                    None => context! { role => "assistant", content => assistant },
                    Some(reasoning) => context! {
                        thinking => reasoning.clone(),
                        role => "assistant",
                        content => assistant,
                        reasoning_content => reasoning,
                    },
                };
                Ok(context! { messages => vec![question, answer] })
            }
            Self::Messages { messages, tools } => {
                let messages = template_messages(&parse(messages, "messages")?)?;
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
    serde_json::from_str(text)
        .map_err(|error| Error::new(ErrorKind::Data, format!("{what}: not valid JSON")).caused_by(error))
}

/// The keys of a message that can contain its reasoning, in order of precedence.
const REASONING_KEYS: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// The messages as transformers 5 passes them to a template: without keys whose value is null, and with the first of
/// [`REASONING_KEYS`] that a message has also under `reasoning_content` and `thinking`, unless the message has those itself.
fn template_messages(messages: &Value) -> Result<Value> {
    let data = |what: String| Error::new(ErrorKind::Data, what);
    let list = match messages.kind() {
        ValueKind::Seq => messages.try_iter().map_err(|error| data(error.to_string()))?,
        other => return Err(data(format!("messages: expected a list, found a {other}"))),
    };
    let mut out = Vec::with_capacity(messages.len().unwrap_or(0));
    for (index, message) in list.enumerate() {
        if message.kind() != ValueKind::Map {
            return Err(data(format!("messages[{index}]: expected an object, found a {}", message.kind())));
        }
        let mut pairs: Vec<(Value, Value)> = Vec::with_capacity(5);
        for key in message.try_iter().map_err(|error| data(error.to_string()))? {
            let value = message.get_item(&key).map_err(|error| data(error.to_string()))?;
            if !value.is_none() {
                pairs.push((key, value));
            }
        }
        add_reasoning(&mut pairs);
        out.push(Value::from_pairs(pairs));
    }
    Ok(out.into())
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
