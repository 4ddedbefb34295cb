//! What a chat template renders.

use std::borrow::Cow;

/// One conversation.
#[derive(Debug, Clone)]
pub(crate) enum Conversation<'a> {
    /// A question and its answer, as a chat of two messages. (Templates do not see the user message's `"thinking": null`:
    /// transformers drops keys whose value is null.)
    Pair {
        /// The content of the user's message.
        user: Cow<'a, str>,
        /// The content of the assistant's message.
        assistant: &'a str,
        /// The teacher's reasoning; empty if there is none.
        thinking: &'a str,
    },
    /// A ready chat.
    Messages {
        /// The messages as JSON.
        messages: &'a str,
        /// The tools as JSON, if there are any.
        tools: Option<&'a str>,
    },
}
