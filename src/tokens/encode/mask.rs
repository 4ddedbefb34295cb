//! Puts markers around what is trained, so that it can be found again in the rendered and encoded conversation.

use super::labels::TrainedMessage;
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::ReasoningKey;
use crate::sample::{Conversation, numbers};
use serde_json::{Map, Value};

/// The markers around contents.
const CONTENT: [&str; 2] = ["<|UNMASK_BEGIN|>", "<|UNMASK_END|>"];
/// The markers around reasoning.
const REASONING: [&str; 2] = ["<|UNMASK_REASONING_BEGIN|>", "<|UNMASK_REASONING_END|>"];

/// The special tokens that the trainer adds to the tokenizer, in its order. The last one is not used here, but is a token
/// like the others.
pub(super) const SPECIAL_TOKENS: [&str; 5] = [CONTENT[0], CONTENT[1], REASONING[0], REASONING[1], "<|MASK|>"];

/// A conversation with markers.
#[derive(Debug)]
pub(super) enum Masked {
    /// A question and its answer.
    Pair { user: String, assistant: String, reasoning: Option<(ReasoningKey, String)>, null_thinking: bool },
    /// Any messages, as JSON.
    Messages(String),
}

impl Masked {
    /// Puts markers around the contents and the reasoning of all messages of the roles that are trained: the assistant's, and
    /// with `unmask` all but the system's. Also returns those messages. Tools are left out, as the trainer leaves them out.
    ///
    /// # Errors
    /// If the messages are not a list of objects, or a content is not a string, or it is a document.
    pub(super) fn new(conversation: &Conversation<'_>, unmask: bool) -> Result<(Self, Vec<TrainedMessage>)> {
        match conversation {
            Conversation::Pair { user, assistant, reasoning, null_thinking } => {
                let question = TrainedMessage { is_assistant: false, has_reasoning: false, has_content: true };
                let answer =
                    TrainedMessage { is_assistant: true, has_reasoning: reasoning.is_some(), has_content: true };
                let masked = Self::Pair {
                    user: if unmask { wrap(CONTENT, user) } else { user.as_ref().to_owned() },
                    assistant: wrap(CONTENT, assistant),
                    reasoning: reasoning.as_ref().map(|(key, text)| (*key, wrap(REASONING, text))),
                    null_thinking: *null_thinking,
                };
                Ok((masked, if unmask { vec![question, answer] } else { vec![answer] }))
            }
            Conversation::Messages { messages, .. } => {
                let invalid = |error| Error::new(ErrorKind::Data, "messages: not a list of objects").caused_by(error);
                let mut messages: Vec<Map<String, Value>> = numbers::parse(messages).map_err(invalid)?;
                let mut trained = Vec::new();
                for message in &mut messages {
                    trained.extend(mask_message(message, unmask)?);
                }
                Ok((Self::Messages(numbers::write(&Value::from_iter(messages))), trained))
            }
            Conversation::Document(_) => Err(Error::new(ErrorKind::Bug, "a document has no messages")),
        }
    }

    /// The conversation to render.
    pub(super) fn conversation(&self) -> Conversation<'_> {
        match self {
            Self::Pair { user, assistant, reasoning, null_thinking } => Conversation::Pair {
                user: user.into(),
                assistant: assistant.into(),
                reasoning: reasoning.as_ref().map(|(key, text)| (*key, text.into())),
                null_thinking: *null_thinking,
            },
            Self::Messages(messages) => Conversation::Messages { messages, tools: None },
        }
    }
}

/// Puts markers into one message; `None` if nothing of it is trained.
fn mask_message(message: &mut Map<String, Value>, unmask: bool) -> Result<Option<TrainedMessage>> {
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
    let is_assistant = role == "assistant";
    if !is_assistant && (!unmask || role == "system") {
        return Ok(None);
    }
    let has_content = mask_text(message, "content", CONTENT)?;
    let mut has_reasoning = false;
    for key in ReasoningKey::ALL {
        has_reasoning |= mask_text(message, key.name(), REASONING)?;
    }
    Ok((has_content || has_reasoning).then_some(TrainedMessage { is_assistant, has_reasoning, has_content }))
}

/// Puts markers around the text of a key, if the message has it.
fn mask_text(message: &mut Map<String, Value>, key: &str, markers: [&str; 2]) -> Result<bool> {
    match message.get_mut(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::String(text)) => {
            *text = wrap(markers, text);
            Ok(true)
        }
        Some(_) => Err(Error::new(ErrorKind::Data, format!("messages: `{key}` is not a string"))),
    }
}

fn wrap([begin, end]: [&str; 2], text: &str) -> String {
    [begin, text, end].concat()
}
