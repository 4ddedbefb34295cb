//! JSON numbers as Python's `json` keeps them. serde_json turns integers beyond 64 bits into floats, `-0` into `-0.0`, and misses the
//! nearest float now and then. Such numbers travel as marked texts, and become what they were when they are written.

use serde::de::DeserializeOwned;
use serde_json::Value;
use std::borrow::Cow;

/// The first character of a marked text: a code point that is no character.
const MARK: char = '\u{10fffe}';

/// Parses JSON, with marked texts in place of numbers that serde_json does not keep.
///
/// # Errors
/// If it is not valid.
pub(crate) fn parse<T: DeserializeOwned>(json: &str) -> serde_json::Result<T> {
    serde_json::from_str(&mark(json))
}

/// A number that is out of the range of any, which [`without_non_finite`] writes.
const OUT_OF_RANGE: &str = "1e999";

/// JSON with numbers out of range in place of the `NaN`, `Infinity` and `-Infinity` of Python's `json`: what skips a value skips these,
/// and what needs the value refuses it. `None` if there is none.
pub(crate) fn without_non_finite(json: &str) -> Option<String> {
    let bytes = json.as_bytes();
    let mut out = String::new();
    let (mut at, mut written) = (0, 0);
    while at < bytes.len() {
        at += match bytes[at] {
            b'"' => string_end(bytes, at) - at,
            b'N' | b'I' => {
                let literal = ["NaN", "Infinity"].into_iter().find(|word| bytes[at..].starts_with(word.as_bytes()))?;
                out.extend([&json[written..at], OUT_OF_RANGE]);
                written = at + literal.len();
                literal.len()
            }
            _ => 1,
        };
    }
    (written > 0).then(|| out + &json[written..])
}

/// Whether a value is a number that [`without_non_finite`] has replaced.
pub(crate) fn is_non_finite(json: &str) -> bool {
    json.trim_start_matches('-') == OUT_OF_RANGE
}

/// Writes JSON, with numbers in place of marked texts.
pub(crate) fn write(value: &Value) -> String {
    let json = value.to_string();
    let opening = format!("\"{MARK}");
    let mut parts = json.split(opening.as_str());
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('"') {
            Some((number, rest)) => out.extend([number, rest]),
            None => out.push_str(part),
        }
    }
    out
}

/// The number that a marked text encodes.
pub(crate) fn marked(text: &str) -> Option<&str> {
    text.strip_prefix(MARK)
}

/// JSON with marked texts. Borrowed if there is no such number.
pub(crate) fn mark(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut out = String::new();
    let (mut at, mut written) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string_end(bytes, at),
            b'-' | b'0'..=b'9' => {
                let is_part = |b: &u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let end = at + bytes[at..].iter().take_while(|b| is_part(b)).count();
                let number = &json[at..end];
                if number == "-0" || !is_kept(number) {
                    out.push_str(&json[written..at]);
                    match number {
                        "-0" => out.push('0'),
                        _ => out.extend(["\"", MARK.encode_utf8(&mut [0; 4]), number, "\""]),
                    }
                    written = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if written == 0 {
        return Cow::Borrowed(json);
    }
    out.push_str(&json[written..]);
    Cow::Owned(out)
}

/// The end of the string that starts at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() {
        match bytes[end] {
            b'\\' => end += 2,
            b'"' => return end + 1,
            _ => end += 1,
        }
    }
    bytes.len()
}

/// Whether serde_json parses a number to what it is. What is not a number is left to it, too.
fn is_kept(number: &str) -> bool {
    if !number.contains(['.', 'e', 'E']) {
        let digits = number.strip_prefix('-').unwrap_or(number);
        let is_integer = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        return number.len() <= 18 || !is_integer || number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    }
    match (number.parse::<f64>(), serde_json::from_str::<f64>(number)) {
        (Ok(exact), Ok(parsed)) => exact.to_bits() == parsed.to_bits(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_that_only_python_reads_become_numbers_out_of_range() {
        assert_eq!(
            without_non_finite(r#"{"a": NaN, "NaN": [Infinity, -Infinity, "\" NaN"]}"#).unwrap(),
            r#"{"a": 1e999, "NaN": [1e999, -1e999, "\" NaN"]}"#
        );
        assert_eq!(without_non_finite(r#"{"a": "NaN"}"#), None);
        assert_eq!(without_non_finite(r#"{"a": None}"#), None);
        assert!(is_non_finite("-1e999") && !is_non_finite("1"));
    }

    #[test]
    fn numbers_pass_through_as_python_keeps_them() {
        let kept = r#"{"a":[1,-5,1.5,-0.0,18446744073709551615,"-0 \" 99999999999999999999999"],"b":1e-7}"#;
        assert!(matches!(mark(kept), Cow::Borrowed(_)));
        for (json, written) in [
            (r#"{"n": 123456789012345678901}"#, r#"{"n":123456789012345678901}"#),
            (r#"[-98765432109876543210, -0, 0]"#, "[-98765432109876543210,0,0]"),
            (r#"["x", 18446744073709551616, "y"]"#, r#"["x",18446744073709551616,"y"]"#),
        ] {
            assert_eq!(write(&parse::<Value>(json).unwrap()), written);
        }
        for invalid in ["[00]", "[-]", "[1-2]", "[99999999999999999999999", "[0123456789012345678901]"] {
            assert!(parse::<Value>(invalid).is_err(), "{invalid}");
        }
    }
}
