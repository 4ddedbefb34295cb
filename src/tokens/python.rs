//! What Python does and Rust does otherwise: how a float prints, what `json.dumps` and `strftime` write.

use chrono::{Datelike, NaiveDateTime, Timelike};
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};
use std::fmt::Write;

/// How deep a value may be nested: Python stops at about a thousand.
const MAX_DEPTH: usize = 200;

/// A float as Python prints it: the shortest text that reads back as the same number, with an exponent below 1e-4 and
/// from 1e16 on.
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

/// The options of `json.dumps` that transformers' `tojson` passes on.
#[derive(Debug, Default)]
pub(super) struct Dump {
    /// Escape everything outside ASCII.
    pub(crate) ensure_ascii: bool,
    /// One indentation step; `None` writes one line.
    pub(crate) indent: Option<String>,
    /// Between items, and between key and value.
    pub(crate) separators: Option<(String, String)>,
    /// Keys in the order of their code points.
    pub(crate) sort_keys: bool,
}

impl Dump {
    /// Writes `value` as `json.dumps` does.
    pub(super) fn dump(&self, value: &Value) -> Result<String, Error> {
        let (item, key) = match (&self.separators, &self.indent) {
            (Some((item, key)), _) => (item.as_str(), key.as_str()),
            (None, Some(_)) => (",", ": "),
            (None, None) => (", ", ": "),
        };
        let mut out = String::new();
        self.value(&mut out, value, item, key, 0)?;
        Ok(out)
    }

    fn value(&self, out: &mut String, value: &Value, item: &str, key: &str, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new(ErrorKind::InvalidOperation, "the value is nested too deep for JSON"));
        }
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => number(out, value),
            ValueKind::String => self.string(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                out.push('[');
                let mut empty = true;
                for element in value.try_iter()? {
                    self.before(out, &mut empty, item, depth + 1);
                    self.value(out, &element, item, key, depth + 1)?;
                }
                self.close(out, empty, depth);
                out.push(']');
            }
            ValueKind::Map => {
                let mut pairs = Vec::new();
                for name in value.try_iter()? {
                    let element = value.get_item(&name)?;
                    pairs.push((name, element));
                }
                if self.sort_keys {
                    pairs.sort_by(|a, b| a.0.cmp(&b.0));
                }
                out.push('{');
                let mut empty = true;
                for (name, element) in pairs {
                    self.before(out, &mut empty, item, depth + 1);
                    match name.as_str() {
                        Some(name) => self.string(out, name),
                        None => {
                            let mut text = String::new();
                            self.value(&mut text, &name, item, key, depth + 1)?;
                            self.string(out, &text);
                        }
                    }
                    out.push_str(key);
                    self.value(out, &element, item, key, depth + 1)?;
                }
                self.close(out, empty, depth);
                out.push('}');
            }
            other => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("a value of type {other} cannot be written as JSON"),
                ));
            }
        }
        super::guard::built(out.len())
    }

    fn before(&self, out: &mut String, empty: &mut bool, item: &str, depth: usize) {
        if !std::mem::replace(empty, false) {
            out.push_str(item);
        }
        self.line(out, depth);
    }

    fn close(&self, out: &mut String, empty: bool, depth: usize) {
        if !empty {
            self.line(out, depth);
        }
    }

    fn line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            for _ in 0..depth {
                out.push_str(indent);
            }
        }
    }

    fn string(&self, out: &mut String, text: &str) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if c < ' ' => unit(out, c as u16),
                '\u{7f}' if self.ensure_ascii => out.push(c),
                c if self.ensure_ascii && !c.is_ascii() => {
                    for half in c.encode_utf16(&mut [0; 2]) {
                        unit(out, *half);
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

/// A UTF-16 unit as JSON escapes it. Writing to a string cannot fail.
fn unit(out: &mut String, unit: u16) {
    let _ = write!(out, "\\u{unit:04x}");
}

fn number(out: &mut String, value: &Value) {
    if value.is_integer() {
        let _ = write!(out, "{value}");
        return;
    }
    out.push_str(&match f64::try_from(value.clone()) {
        Ok(f) if f.is_nan() => "NaN".into(),
        Ok(f) if f.is_infinite() => if f > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        Ok(f) => float(f),
        Err(_) => value.to_string(),
    });
}

/// `datetime.strftime` in the C locale. A conversion that C does not know stays as it stands.
pub(super) fn strftime(date: NaiveDateTime, format: &str) -> String {
    let mut out = String::with_capacity(format.len() + 16);
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let spec = &rest[at..];
        let flag = spec[1..].chars().next().filter(|c| matches!(c, '-' | '_' | '0' | '^' | '#'));
        let body = &spec[1 + flag.map_or(0, char::len_utf8)..];
        match body.chars().next() {
            Some(code) if conversion(&mut out, date, flag, code) => rest = &body[code.len_utf8()..],
            _ => {
                out.push('%');
                rest = &spec[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Writes one conversion; `false` where there is none of that name.
fn conversion(out: &mut String, date: NaiveDateTime, flag: Option<char>, code: char) -> bool {
    // (value, width, what fills the width unless a flag says otherwise)
    let number = |value: i64, width: usize, fill: char| {
        let fill = match flag {
            Some('-') => None,
            Some('_') => Some(' '),
            Some('0') => Some('0'),
            _ => Some(fill),
        };
        match fill {
            None => value.to_string(),
            Some('0') => format!("{value:0width$}"),
            Some(_) => format!("{value:width$}"),
        }
    };
    let hour12 = |hour: u32| i64::from((hour + 11) % 12 + 1);
    let text = match code {
        'Y' => number(i64::from(date.year()), 0, '0'),
        'm' => number(i64::from(date.month()), 2, '0'),
        'd' => number(i64::from(date.day()), 2, '0'),
        'e' => number(i64::from(date.day()), 2, ' '),
        'H' => number(i64::from(date.hour()), 2, '0'),
        'k' => number(i64::from(date.hour()), 2, ' '),
        'I' => number(hour12(date.hour()), 2, '0'),
        'l' => number(hour12(date.hour()), 2, ' '),
        'M' => number(i64::from(date.minute()), 2, '0'),
        'S' => number(i64::from(date.second()), 2, '0'),
        'j' => number(i64::from(date.ordinal()), 3, '0'),
        'y' => number(i64::from(date.year().rem_euclid(100)), 2, '0'),
        'C' => number(i64::from(date.year().div_euclid(100)), 2, '0'),
        'G' => number(i64::from(date.iso_week().year()), 0, '0'),
        'g' => number(i64::from(date.iso_week().year().rem_euclid(100)), 2, '0'),
        'V' => number(i64::from(date.iso_week().week()), 2, '0'),
        'U' => number(i64::from((date.ordinal() + 6 - date.weekday().num_days_from_sunday()) / 7), 2, '0'),
        'W' => number(i64::from((date.ordinal() + 6 - date.weekday().num_days_from_monday()) / 7), 2, '0'),
        'u' => number(i64::from(date.weekday().number_from_monday()), 1, '0'),
        'w' => number(i64::from(date.weekday().num_days_from_sunday()), 1, '0'),
        // Python's own: microseconds, whatever the flag.
        'f' if flag.is_none() => format!("{:06}", date.nanosecond() / 1000),
        's' => date.and_utc().timestamp().to_string(),
        'A' => date.format("%A").to_string(),
        'a' => date.format("%a").to_string(),
        'B' => date.format("%B").to_string(),
        'b' | 'h' => date.format("%b").to_string(),
        'p' => if date.hour() < 12 { "AM" } else { "PM" }.to_owned(),
        'P' => if date.hour() < 12 { "am" } else { "pm" }.to_owned(),
        'c' => strftime(date, "%a %b %e %H:%M:%S %Y"),
        'D' | 'x' => strftime(date, "%m/%d/%y"),
        'F' => strftime(date, "%Y-%m-%d"),
        'T' | 'X' => strftime(date, "%H:%M:%S"),
        'R' => strftime(date, "%H:%M"),
        'r' => strftime(date, "%I:%M:%S %p"),
        // A date without a zone has neither name nor offset.
        'z' | 'Z' if flag.is_none() => String::new(),
        'n' => "\n".into(),
        't' => "\t".into(),
        '%' => "%".into(),
        _ => return false,
    };
    match flag {
        Some('^') => out.push_str(&text.to_uppercase()),
        // C's "opposite case": upper, but for the marks of noon.
        Some('#') if code == 'p' || code == 'Z' => out.push_str(&text.to_lowercase()),
        Some('#') => out.push_str(&text.to_uppercase()),
        _ => out.push_str(&text),
    }
    true
}
