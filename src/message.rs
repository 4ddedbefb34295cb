//! Text that came from outside, made fit for a message: without secrets, without control characters, and not too long. Every error, log
//! line and warning passes through here.

use crate::{escape, secrets};

/// Maximum length of a part of an error (its place, message, cause or hint), in characters.
const MAX_PART: usize = 2000;

/// Maximum length of a log line or a warning, in characters: it may have the parts of an error in it.
const MAX_LINE: usize = 16_000;

/// What is looked at of a text: more than is left of it, so that the rest of a text of 100 MB costs nothing.
const MAX_READ: usize = 16 * MAX_LINE;

/// Maximum length of a value that is repeated, in characters.
const MAX_VALUE: usize = 24;

/// A part of an error.
pub(crate) fn part(text: &str) -> String {
    fit(text, MAX_PART)
}

/// A log line or a warning.
pub(crate) fn line(text: &str) -> String {
    fit(text, MAX_LINE)
}

/// Redacts before it cuts: of a secret that is cut in two, neither part would be found.
fn fit(text: &str, max: usize) -> String {
    let head = &text[..text.floor_char_boundary(MAX_READ)];
    let fit = escape::line(&secrets::redact(head)).into_owned();
    if head.len() == text.len() {
        return escape::shortened(&fit, max).into_owned();
    }
    let kept: String = fit.chars().take(max).collect();
    format!("{kept}… ({} more bytes)", text.len().saturating_sub(kept.len()))
}

/// The beginning of the message about a value of a setting, a flag or a recipe: ``invalid value `x` ``, or only its length if it could be
/// a secret that was pasted into the wrong place.
pub(crate) fn invalid_value(value: &str) -> String {
    match shown_value(value) {
        Some(value) => format!("invalid value `{value}`"),
        None => format!("invalid value of {} characters", value.chars().count()),
    }
}

/// A value, if it may be repeated: secrets are long, or mix letters and digits.
pub(crate) fn shown_value(value: &str) -> Option<String> {
    const SHORT: usize = 12;
    let length = value.chars().count();
    let mixes = value.contains(|c: char| c.is_ascii_digit())
        && value.contains(|c: char| c.is_alphabetic())
        && !value.contains([' ', '=', ',']);
    let may_be_secret = !value.contains("://") && (length > MAX_VALUE || length >= SHORT && mixes);
    (!may_be_secret).then(|| part(value))
}

/// A library's message without the longer texts that it quotes: parsers quote what they cannot parse, which may be a secret.
pub(crate) fn without_quotes(message: &str) -> String {
    const SHORT: usize = 8;
    let mut kept = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(start) = rest.find(['"', '\'', '`']) {
        let (before, quoted) = rest.split_at(start);
        let quote = &quoted[..1];
        kept.push_str(before);
        // The quoted text may have quotes in it: up to the last one.
        let end = quoted.rfind(quote).filter(|end| *end > 0);
        let end = if quote == "\"" { end } else { quoted[1..].find(quote).map(|end| end + 1) };
        let Some(end) = end else {
            kept.push_str(quote);
            rest = &quoted[1..];
            continue;
        };
        let text = &quoted[1..end];
        kept.push_str(&if text.len() < SHORT { quoted[..=end].to_owned() } else { format!("{quote}…{quote}") });
        rest = &quoted[end + 1..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_of_any_length_becomes_one_short_line() {
        let huge = "x\n".repeat(50_000_000);
        let part = part(&huge);
        assert!(part.len() < 2100 && part.ends_with(" more bytes)") && !part.contains('\n'), "{}", part.len());
        assert_eq!(super::part(&part), part);
        assert!(line(&"é".repeat(20_000)).ends_with("é… (8000 more bytes)"));
    }

    #[test]
    fn a_value_that_could_be_a_secret_is_not_repeated() {
        for shown in
            ["x", "tru", "5,,6", "9007199254740992", "1e400", "unmaintained-choice", "https://host/a/long/path/1"]
        {
            assert_eq!(invalid_value(shown), format!("invalid value `{shown}`"));
        }
        for hidden in ["hunter2hunter2", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "a passphrase of many words"] {
            assert_eq!(invalid_value(hidden), format!("invalid value of {} characters", hidden.len()));
        }
    }

    #[test]
    fn what_a_parser_quotes_is_left_out() {
        let message = without_quotes("invalid type: string \"hush \"hush\" hush\", expected `a` at line 1 column 9");
        assert_eq!(message, "invalid type: string \"…\", expected `a` at line 1 column 9");
        assert_eq!(without_quotes("unknown anchor `hushhush`, it's odd"), "unknown anchor `…`, it's odd");
    }

    proptest! {
        #[test]
        fn a_message_has_no_hidden_character(text in "(?s).{0,80}") {
            prop_assert!(!line(&text).contains(escape::is_hidden));
            without_quotes(&text);
        }
    }
}
