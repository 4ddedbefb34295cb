//! What is suspicious about a row of messages.

use crate::recipe::{Flag, Flags};
use crate::sample::{flags, has_template_token};
use serde_json::Value;

/// The names of the flags of a row: of its question, if it has a column for it, or else of each of the user's messages, and of the answers
/// to them. Without such a column, the context of a question is judged, too.
pub(super) fn row_flags(question: Option<&str>, messages: &[Value]) -> Vec<&'static str> {
    let mut found = Flags::default();
    let mut asked = None;
    let mut is_first = true;
    for message in messages {
        let content = message.get("content").and_then(Value::as_str).unwrap_or_default();
        found = found.with(Flag::TemplateToken, has_template_token(content));
        match (message.get("role").and_then(Value::as_str), asked) {
            (Some("user"), _) => asked = Some(content),
            (Some("assistant"), Some(of_message)) if !content.is_empty() => {
                let pair = flags(question.unwrap_or(of_message), content);
                // Later messages of a chat need not ask anything.
                found = found.or(if is_first { pair } else { pair.without(Flag::NoQuestion) });
                (asked, is_first) = (None, false);
            }
            _ => {}
        }
    }
    found.iter().map(Flag::name).collect()
}

/// The names of the flags of a document.
pub(super) fn document_flags(document: &str) -> Vec<&'static str> {
    Flags::default().with(Flag::TemplateToken, has_template_token(document)).iter().map(Flag::name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_question_column_is_judged_instead_of_the_context() {
        let messages =
            [json!({"role": "user", "content": "See ... Why?"}), json!({"role": "assistant", "content": "So it is."})];
        assert_eq!(row_flags(None, &messages), ["ellipsis"]);
        assert!(row_flags(Some("Why?"), &messages).is_empty());
        assert_eq!(row_flags(Some("<question>?"), &messages), ["placeholder"]);
    }
}
