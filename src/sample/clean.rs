//! Artifacts of generation that must not be trained on.

use std::borrow::Cow;

/// Markers that the generator's parsers leave in responses.
const MARKERS: [&str; 2] = ["[END]", "[ANSWER]"];

/// Placeholders that gpt-oss teachers leave instead of a question.
const PLACEHOLDERS: [&str; 3] = ["...", "<question>", "<Insert question here>"];

/// A response without the generator's markers and without white space (Unicode) around it.
///
/// Markers are removed one after the other, as upstream does: removing the first can create the second.
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

/// Whether a question contains a placeholder of a gpt-oss teacher.
pub(crate) fn is_placeholder_question(question: &str) -> bool {
    PLACEHOLDERS.iter().any(|placeholder| question.contains(placeholder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_and_white_space_are_removed() {
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
