//! Formats values as Python's `json.dumps` does.

use super::budget::RenderBudget;
use super::objects::Digits;
use super::python;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};
use std::fmt::Write;

/// Upper limit for the nesting of a value: Python stops at about a thousand levels.
const MAX_DEPTH: usize = 200;

/// The options of `json.dumps` that transformers' `tojson` accepts.
#[derive(Debug, Default)]
pub(super) struct JsonFormat {
    /// Whether to escape everything outside ASCII.
    pub(super) ensure_ascii: bool,
    /// One step of indentation; `None` writes everything on one line.
    pub(super) indent: Option<String>,
    /// What separates items, and keys from values.
    pub(super) separators: Option<(String, String)>,
    /// Whether to sort keys by their code points.
    pub(super) sort_keys: bool,
}

impl JsonFormat {
    /// Formats `value` as `json.dumps` does.
    pub(super) fn format(&self, value: &Value) -> Result<String, Error> {
        let (item, key) = match (&self.separators, &self.indent) {
            (Some((item, key)), _) => (item.as_str(), key.as_str()),
            (None, Some(_)) => (",", ": "),
            (None, None) => (", ", ": "),
        };
        let mut out = String::new();
        self.push_value(&mut out, value, item, key, 0)?;
        Ok(out)
    }

    fn push_value(&self, out: &mut String, value: &Value, item: &str, key: &str, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new(ErrorKind::InvalidOperation, "the value is nested too deeply for JSON"));
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
                    self.start_item(out, &mut empty, item, depth + 1);
                    self.push_value(out, &element, item, key, depth + 1)?;
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
                    self.start_item(out, &mut empty, item, depth + 1);
                    match name.as_str() {
                        Some(name) => self.string(out, name),
                        None => {
                            let mut text = String::new();
                            self.push_value(&mut text, &name, item, key, depth + 1)?;
                            self.string(out, &text);
                        }
                    }
                    out.push_str(key);
                    self.push_value(out, &element, item, key, depth + 1)?;
                }
                self.close(out, empty, depth);
                out.push('}');
            }
            _ if value.downcast_object_ref::<Digits>().is_some() => {
                let _ = write!(out, "{value}");
            }
            other => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("cannot format a value of type {other} as JSON"),
                ));
            }
        }
        RenderBudget::check(out.len())
    }

    fn start_item(&self, out: &mut String, empty: &mut bool, item: &str, depth: usize) {
        if !std::mem::replace(empty, false) {
            out.push_str(item);
        }
        self.line_break(out, depth);
    }

    fn close(&self, out: &mut String, empty: bool, depth: usize) {
        if !empty {
            self.line_break(out, depth);
        }
    }

    fn line_break(&self, out: &mut String, depth: usize) {
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
                c if self.ensure_ascii && (!c.is_ascii() || c == '\u{7f}') => {
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

/// Writes the JSON escape of a UTF-16 unit.
fn unit(out: &mut String, unit: u16) {
    // Writing to a string cannot fail.
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
        Ok(f) => python::float(f),
        Err(_) => value.to_string(),
    });
}
