//! Control characters in untrusted text, made visible: a name, a key or a template must not move a terminal's cursor, reverse a text or
//! begin a log line of its own.

use std::borrow::Cow;

/// Whether a terminal, an editor or a browser would obey or hide this character instead of showing it: control characters (C0, DEL, C1),
/// line and paragraph separators, and the marks that change the direction of a text
/// (<https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>).
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line: what [`is_hidden`] becomes `\n`, `\r`, `\t` or `\u001b`. Escaping twice changes nothing more, and what is in a
/// string of JSON stays the same string.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// The text of the program's own lines: as [`line`], but newlines and tabs stay.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_escaped = |c: char| is_hidden(c) && !stays(c);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !is_escaped(c) => escaped.push(c),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            // All of them are below U+10000, so four digits are enough, as in JSON.
            c => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    Cow::Owned(escaped)
}

/// The text, cut to `max` characters if it is much longer; the end then says how many bytes are left out.
pub(crate) fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    /// What the note about the bytes takes: a text that has one already is not cut again.
    const SLACK: usize = 40;
    if text.len() <= max || text.chars().nth(max + SLACK).is_none() {
        return Cow::Borrowed(text);
    }
    let end = text.char_indices().nth(max).map_or(text.len(), |(at, _)| at);
    Cow::Owned(format!("{}… ({} more bytes)", &text[..end], text.len() - end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let text = "a\n\u{1b}[2J\u{7f}\u{9b}31m\u{202e}b\u{2066}\u{2028}\t\"\\ é";
        assert_eq!(line(text), "a\\n\\u001b[2J\\u007f\\u009b31m\\u202eb\\u2066\\u2028\\t\"\\ é");
        assert_eq!(lines("a\n\tb\r"), "a\n\tb\\r");
    }

    #[test]
    fn a_long_text_says_how_much_is_left_out() {
        assert_eq!(shortened(&"é".repeat(100), 10), format!("{}… (180 more bytes)", "é".repeat(10)));
        assert_eq!(shortened("short", 10), "short");
    }

    proptest! {
        #[test]
        fn escaped_text_has_no_hidden_character_and_stays_as_it_is(text in "(?s).{0,60}", max in 0..40usize) {
            let once = line(&text).into_owned();
            prop_assert!(!once.contains(is_hidden));
            prop_assert_eq!(line(&once), once.as_str());
            let cut = shortened(&once, max).into_owned();
            prop_assert_eq!(shortened(&cut, max), cut.as_str());
        }

        #[test]
        fn a_string_of_json_stays_the_same_string(text in "(?s).{0,60}") {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(&lines(&json)).unwrap(), text);
        }
    }
}
