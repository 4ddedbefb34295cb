//! A chat template for unit tests.

use crate::recipe::ReasoningKey;
use crate::sample::{Conversation, TemplateProbe};
use serde_json::{Map, Value, json};

/// A template that prints the reasoning of the last message, and cannot render arguments with a key `bad`.
#[derive(Debug)]
pub(crate) struct PrintsLast;

impl TemplateProbe for PrintsLast {
    fn reasoning_key(&self) -> Option<ReasoningKey> {
        Some(ReasoningKey::ReasoningContent)
    }

    fn printed_reasoning(&self, messages: &[Map<String, Value>], _: Option<&str>, _: ReasoningKey) -> Vec<bool> {
        (1..=messages.len()).map(|number| number == messages.len()).collect()
    }

    fn renders(&self, messages: &[Map<String, Value>], _: Option<&str>) -> bool {
        !json!(messages).to_string().contains(r#""bad":"#)
    }

    fn refusal(&self, _: &Conversation<'_>) -> Option<String> {
        None
    }
}
