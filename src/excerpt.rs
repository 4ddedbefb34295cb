//! Texts from data, cut to a length that a message can hold.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The number of characters of one text from data that a message shows.
const SHOWN_CHARS: usize = 200;

/// The number of names that a message lists.
const SHOWN_NAMES: usize = 5;

/// A text as a message shows it: its first 200 characters, with `…` if there are more.
pub(crate) fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Names as a message lists them: the first few, and how many more there are.
pub(crate) fn excerpt_of_list<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let mut names = names.into_iter();
    let mut listed = String::new();
    for name in names.by_ref().take(SHOWN_NAMES) {
        let separator = if listed.is_empty() { "" } else { ", " };
        // Writing to memory cannot fail.
        let _ = write!(listed, "{separator}{}", excerpt(name.as_ref()));
    }
    match names.count() {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_the_beginning_of_a_long_text_and_the_first_of_many_names() {
        assert_eq!(excerpt("caf\u{e9}"), "caf\u{e9}");
        assert_eq!(excerpt(&"\u{e9}".repeat(201)), format!("{}…", "\u{e9}".repeat(200)));
        assert_eq!(excerpt_of_list(["a", "b"]), "a, b");
        assert_eq!(excerpt_of_list((0..8).map(|number| number.to_string())), "0, 1, 2, 3, 4 and 3 more");
    }
}
