//! What is counted and trained of a sample.

use crate::recipe::ReasoningKey;
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
