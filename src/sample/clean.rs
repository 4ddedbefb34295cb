//! What the generator leaves in its texts and a trainer must not see.

use std::borrow::Cow;

/// The markers that the generator's parsers leave in answers.
const MARKERS: [&str; 2] = ["[END]", "[ANSWER]"];

/// What gpt-oss teachers leave in questions that they did not write.
const PLACEHOLDERS: [&str; 3] = ["...", "<question>", "<Insert question here>"];

/// A response without the generator's markers and without white space (Unicode) around it.
///
/// The markers go one after the other, as upstream's replacements do: what the first leaves joined, the second can meet.
pub(crate) fn clean_response(response: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(response);
    for marker in MARKERS {
        if text.contains(marker) {
            text = Cow::Owned(text.replace(marker, ""));
        }
    }
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// Whether a question is one of the placeholders that gpt-oss teachers leave behind.
pub(crate) fn is_placeholder_question(question: &str) -> bool {
    PLACEHOLDERS.iter().any(|placeholder| question.contains(placeholder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_and_white_space_go() {
        for (response, cleaned) in [
            ("plain", "plain"),
            ("[ANSWER] Ten crowns. [END]", "Ten crowns."),
            ("a[END]b[END]", "ab"),
            ("[ANSWER][END]", ""),
            ("\u{a0}\u{2003}x\u{3000}\r\n", "x"),
            ("[AN[END]SWER]x", "x"),
            ("[end] stays", "[end] stays"),
        ] {
            assert_eq!(clean_response(response), cleaned, "{response:?}");
        }
    }

    #[test]
    fn placeholders_are_known_by_their_parts() {
        assert!(is_placeholder_question("What is it ..."));
        assert!(is_placeholder_question("a <question> b"));
        assert!(is_placeholder_question("<Insert question here>"));
        assert!(!is_placeholder_question("What is it.. ?"));
    }
}
