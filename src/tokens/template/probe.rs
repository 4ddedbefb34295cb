//! What a template does with reasoning and tool calls, found by rendering conversations.

use super::ChatTemplate;
use crate::recipe::ReasoningKey;
use crate::sample::{Conversation, TemplateProbe, numbers};
use minijinja::context;
use serde_json::{Map, Value};

/// The mark for the reasoning of one message: private characters, which no conversation contains.
fn mark(number: usize) -> String {
    format!("\u{e000}reasoning {number}\u{e001}")
}

impl TemplateProbe for ChatTemplate {
    fn reasoning_key(&self) -> Option<ReasoningKey> {
        // Without what transformers 5 adds: a template gets the key that it reads itself, because older versions add nothing.
        let prints = |key: &ReasoningKey| {
            let answer = minijinja::Value::from_pairs([
                ("role", "assistant".to_owned()),
                ("content", "answer".to_owned()),
                (key.name(), mark(0)),
            ]);
            let messages = vec![context! { role => "user", content => "question" }, answer];
            let rendered = self.render_context(&self.default, context! { messages => messages }, 0);
            rendered.is_ok_and(|text| text.contains(&mark(0)))
        };
        ReasoningKey::ALL.into_iter().find(prints)
    }

    fn printed_reasoning(&self, messages: &[Map<String, Value>], tools: Option<&str>, key: ReasoningKey) -> Vec<bool> {
        let marked = messages.iter().enumerate().map(|(number, message)| {
            let mut message = message.clone();
            if let Some(reasoning) = message.get_mut(key.name()) {
                *reasoning = mark(number).into();
            }
            message
        });
        let marked = numbers::write(&Value::from_iter(marked));
        // A template can refuse reasoning, next to a tool call for instance: then the conversation has to do without.
        let rendered = self.render(&Conversation::Messages { messages: &marked, tools }).unwrap_or_default();
        (0..messages.len()).map(|number| rendered.contains(&mark(number))).collect()
    }

    fn renders(&self, messages: &[Map<String, Value>], tools: Option<&str>) -> bool {
        let messages = numbers::write(&Value::from_iter(messages.iter().cloned()));
        self.render(&Conversation::Messages { messages: &messages, tools }).is_ok()
    }

    fn refusal(&self, conversation: &Conversation<'_>) -> Option<String> {
        self.render(conversation).err().map(|error| error.line())
    }
}
