//! What is suspicious about a row of messages.

use crate::sample::is_placeholder_question;
use serde_json::Value;

/// The names of the flags of a row: of its question, if it has a column for it, or else of each of the user's messages, and of the answers
/// to them.
pub(super) fn row_flags(question: Option<&str>, messages: &[Value]) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut asked = None;
    for message in messages {
        let content = message.get("content").and_then(Value::as_str).unwrap_or_default();
        match (message.get("role").and_then(Value::as_str), asked) {
            (Some("user"), _) => asked = Some(content),
            (Some("assistant"), Some(of_message)) if !content.is_empty() => {
                let new = pair_flags(question.unwrap_or(of_message), content);
                found.extend(new.into_iter().filter(|flag| !found.contains(flag)).collect::<Vec<_>>());
                asked = None;
            }
            _ => {}
        }
    }
    found
}

/// The flags of a question and its answer.
fn pair_flags(question: &str, _answer: &str) -> Vec<&'static str> {
    if is_placeholder_question(question) { vec!["placeholder"] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_question_column_is_judged_instead_of_the_context() {
        let messages =
            [json!({"role": "user", "content": "See ... Why?"}), json!({"role": "assistant", "content": "So."})];
        assert!(!row_flags(None, &messages).is_empty());
        assert!(row_flags(Some("Why?"), &messages).is_empty());
        assert!(row_flags(Some("<question>?"), &messages).contains(&"placeholder"));
    }
}
