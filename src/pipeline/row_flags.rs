//! What is suspicious about a row of messages.

use crate::recipe::{Flag, Flags};
use crate::sample::{chat_flags, has_template_token};
use serde_json::Value;

/// The names of the flags of a row: of its question, if it has a column for it, or else of each of the user's messages, and of the answers
/// to them. Without such a column, the context of a question is judged, too.
pub(super) fn row_flags(question: Option<&str>, messages: &[Value]) -> Vec<&'static str> {
    chat_flags(question, messages).iter().map(Flag::name).collect()
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

    #[test]
    fn contents_in_parts_are_judged_as_in_a_run() {
        let messages = [
            json!({"role": "user", "content": [{"type": "text", "text": "<question>?"}]}),
            json!({"role": "assistant", "content": "So it is."}),
        ];
        assert_eq!(row_flags(None, &messages), ["placeholder"]);
    }
}
