//! How Python prints values.

use minijinja::value::{Value, ValueKind};
use regex_automata::meta::Regex;
use std::fmt::{self, Write};
use std::sync::LazyLock;

/// Upper limit for the nesting of a value that is printed: Python stops at about a thousand levels.
const MAX_DEPTH: usize = 200;

/// A value that Python counts as a number: `true` is 1.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    /// The number that `value` is.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value.kind() {
            ValueKind::Bool => Some(Self::Integer(i128::from(value.is_true()))),
            ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok().map(Self::Integer),
            ValueKind::Number => f64::try_from(value.clone()).ok().map(Self::Float),
            _ => None,
        }
    }

    pub(super) fn float(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }
}

/// The name of a value's type, for messages.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "an undefined value",
        ValueKind::None => "None",
        ValueKind::Bool => "a boolean",
        ValueKind::Number => "a number",
        ValueKind::String => "a text",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "a map",
        _ => "an object",
    }
}

/// Whether `value` is a `namespace`, which the engine counts among maps.
pub(super) fn is_namespace(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace"))
}

/// Writes a value as `str` prints it.
pub(super) fn print(out: &mut dyn Write, value: &Value) -> fmt::Result {
    match value.kind() {
        ValueKind::Undefined => Ok(()),
        ValueKind::String => out.write_str(value.as_str().unwrap_or_default()),
        _ => repr(out, value, 0),
    }
}

/// Writes a value as `repr` prints it.
pub(super) fn repr(out: &mut dyn Write, value: &Value, depth: usize) -> fmt::Result {
    if depth > MAX_DEPTH {
        return Err(fmt::Error);
    }
    match value.kind() {
        ValueKind::Undefined => out.write_str("Undefined"),
        ValueKind::Bool => out.write_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(number) => out.write_str(&float(number)),
            Err(_) => write!(out, "{value}"),
        },
        ValueKind::String if value.is_safe() => {
            out.write_str("Markup(")?;
            quoted(out, value.as_str().unwrap_or_default())?;
            out.write_str(")")
        }
        ValueKind::String => quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Map if is_namespace(value) => out.write_str("<Namespace {...}>"),
        ValueKind::Map => map(out, value, depth),
        ValueKind::Seq | ValueKind::Iterable => list(out, value, depth),
        _ => write!(out, "{value}"),
    }
}

fn list(out: &mut dyn Write, value: &Value, depth: usize) -> fmt::Result {
    let (open, close) = if value.is_tuple() { ("(", ")") } else { ("[", "]") };
    out.write_str(open)?;
    let mut count = 0;
    for entry in value.try_iter().map_err(|_| fmt::Error)? {
        if count > 0 {
            out.write_str(", ")?;
        }
        repr(out, &entry, depth + 1)?;
        count += 1;
    }
    if value.is_tuple() && count == 1 {
        out.write_str(",")?;
    }
    out.write_str(close)
}

fn map(out: &mut dyn Write, value: &Value, depth: usize) -> fmt::Result {
    out.write_str("{")?;
    for (index, key) in value.try_iter().map_err(|_| fmt::Error)?.enumerate() {
        if index > 0 {
            out.write_str(", ")?;
        }
        repr(out, &key, depth + 1)?;
        out.write_str(": ")?;
        repr(out, &value.get_item(&key).map_err(|_| fmt::Error)?, depth + 1)?;
    }
    out.write_str("}")
}

/// Other, separators and unassigned characters; Python prints the space, which is one of them.
static UNPRINTABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{C}\p{Z}]$").ok());

fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        _ if c.is_ascii() => false,
        _ => UNPRINTABLE.as_ref().is_none_or(|regex| !regex.is_match(c.encode_utf8(&mut [0; 4]).as_bytes())),
    }
}

/// Writes a text in quotes, with escapes.
fn quoted(out: &mut dyn Write, text: &str) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.write_char(quote)?;
    for c in text.chars() {
        match c {
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            '\\' => out.write_str("\\\\"),
            c if c == quote => write!(out, "\\{c}"),
            c if is_printable(c) => out.write_char(c),
            c if c <= '\u{ff}' => write!(out, "\\x{:02x}", u32::from(c)),
            c if c <= '\u{ffff}' => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "\\U{:08x}", u32::from(c)),
        }?;
    }
    out.write_char(quote)
}

/// A text for HTML, as `markupsafe` escapes it.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    out
}
/// Formats a float as Python does: the shortest text that parses to the same number, with an exponent below 1e-4 and from
/// 1e16 on.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(rest) => ('-', rest),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = format!("{value}");
    if text.contains('.') { text } else { text + ".0" }
}
