//! The functions and filters that transformers offers to a template, and minijinja's own within the render's budget.

use super::budget::RenderBudget;
use super::json::JsonFormat;
use super::strftime::strftime;
use minijinja::value::{Kwargs, Rest, Value, ValueKind, from_args};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Adds all of them to `environment`. `date_used` is set when a template calls `strftime_now`.
pub(super) fn install(environment: &mut Environment<'_>, now: chrono::NaiveDateTime, date_used: Arc<AtomicBool>) {
    environment.add_filter("tojson", tojson);
    environment.add_filter("trim", trim);
    environment.add_filter("string", string);
    environment.add_filter("replace", replace);
    environment.add_filter("join", join);
    environment.add_filter("indent", indent);
    environment.add_filter("format", format);
    environment.add_filter("batch", batch);
    environment.add_filter("slice", slice);
    environment.set_unknown_method_callback(method);
    environment.set_formatter(|out, state, value| match state.auto_escape() {
        AutoEscape::None => RenderBudget::write(out, value),
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_function("raise_exception", |message: Value| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message.to_string()))
    });
    environment.add_function("strftime_now", move |format: &str| {
        date_used.store(true, Ordering::Relaxed);
        strftime(now, format)
    });
}

/// `json.dumps` with the options that transformers accepts.
fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent = match options.get::<Option<Value>>("indent")? {
        None => None,
        Some(v) if v.is_none() => None,
        Some(v) => Some(match v.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(indentation(&v)?),
        }),
    };
    let separators = match options.get::<Option<Vec<String>>>("separators")? {
        None => None,
        Some(pair) => match <[String; 2]>::try_from(pair) {
            Ok([item, key]) => Some((item, key)),
            Err(_) => return Err(Error::new(ErrorKind::InvalidOperation, "separators: expected two strings")),
        },
    };
    let json = JsonFormat {
        ensure_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        indent,
        separators,
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let text = json.format(value)?;
    RenderBudget::spend(text.len() as u64)?;
    Ok(text)
}

/// The width of an indentation. A negative one is 0, as in Python; a huge one is an error, as it would fill the memory.
fn indentation(value: &Value) -> Result<usize, Error> {
    let width = i64::try_from(value.clone())?.max(0) as u64;
    if width > 1024 {
        return Err(Error::new(ErrorKind::InvalidOperation, "indentation above 1024 characters"));
    }
    Ok(width as usize)
}

/// The text that a value prints.
fn text(value: &Value) -> Result<Cow<'_, str>, Error> {
    match value.as_str() {
        Some(text) => Ok(Cow::Borrowed(text)),
        None => {
            let mut out = String::new();
            RenderBudget::write(&mut out, value)?;
            Ok(Cow::Owned(out))
        }
    }
}

fn string(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.clone()),
        _ => Ok(Value::from(text(value)?.into_owned())),
    }
}

/// `str.replace`. The length of the result is spent before it is built.
fn replaced(value: &str, old: &str, new: &str, count: Option<i64>) -> Result<Value, Error> {
    let limit = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    let found = value.matches(old).take(limit).count();
    RenderBudget::spend(value.len() as u64 + found as u64 * new.len() as u64)?;
    Ok(Value::from(value.replacen(old, new, limit)))
}

fn replace(value: &Value, old: &Value, new: &Value, count: Option<i64>) -> Result<Value, Error> {
    replaced(&text(value)?, &text(old)?, &text(new)?, count)
}

/// Spends the length of a list's items joined by a separator.
fn spend_join(items: &Value, separator: usize) -> Result<(), Error> {
    if items.is_undefined() || items.is_none() {
        return Ok(());
    }
    for item in items.try_iter()? {
        RenderBudget::spend((separator + item.as_str().map_or(16, str::len)) as u64)?;
    }
    Ok(())
}

fn join(
    state: &mut State<'_, '_>,
    value: &Value,
    separator: Option<Value>,
    attribute: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let value = match attribute.or(options.get::<Option<Value>>("attribute")?) {
        None => value.clone(),
        Some(attribute) => {
            let options = Kwargs::from_iter([("attribute", attribute)]);
            state.apply_filter("map", &[value.clone(), Value::from(options)])?
        }
    };
    let separator = match separator.or(options.get::<Option<Value>>("d")?) {
        Some(separator) => text(&separator)?.into_owned(),
        None => String::new(),
    };
    options.assert_all_used()?;
    if let Some(text) = value.as_str() {
        RenderBudget::spend(text.len() as u64 * (separator.len() as u64 + 1))?;
    } else {
        spend_join(&value, separator.len())?;
    }
    let mut out = String::new();
    if value.is_undefined() {
        return Ok(Value::from(out));
    }
    for (index, item) in value.try_iter()?.enumerate() {
        if index > 0 {
            out.push_str(&separator);
        }
        out.push_str(&text(&item)?);
    }
    Ok(Value::from(out))
}

/// Indents the lines of a text as jinja2 does: not the first one and not blank ones, unless the options say so.
fn indent(
    value: &Value,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    options: Kwargs,
) -> Result<Value, Error> {
    let width = width.or(options.get::<Option<Value>>("width")?);
    let first = first.or(options.get::<Option<bool>>("first")?).unwrap_or(false);
    let blank = blank.or(options.get::<Option<bool>>("blank")?).unwrap_or(false);
    options.assert_all_used()?;
    let step = match &width {
        None => "    ".to_owned(),
        Some(width) => match width.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(indentation(width)?),
        },
    };
    let value = text(value)?;
    let mut out = String::new();
    for (index, line) in value.split('\n').enumerate() {
        RenderBudget::spend((line.len() + step.len() + 1) as u64)?;
        if index > 0 {
            out.push('\n');
        }
        if if index == 0 { first } else { blank || !line.is_empty() } {
            out.push_str(&step);
        }
        out.push_str(line);
    }
    Ok(Value::from(out))
}

/// printf-style formatting. A width can produce a long text from nothing, so widths are limited.
fn format(state: &mut State<'_, '_>, pattern: &Value, values: Rest<Value>) -> Result<Value, Error> {
    check_widths(pattern.as_str().unwrap_or_default())?;
    let mut all = vec![pattern.clone()];
    all.extend(values.0);
    for value in &all {
        RenderBudget::spend(text(value)?.len() as u64)?;
    }
    minijinja_format(state, all)
}

fn minijinja_format(state: &mut State<'_, '_>, all: Vec<Value>) -> Result<Value, Error> {
    let (pattern, rest) = from_args::<(&Value, Rest<minijinja::value::ValueOrKwargs>)>(&all)?;
    minijinja::filters::format(state, pattern, rest)
}

/// Fails if a width or precision has more than four digits.
fn check_widths(pattern: &str) -> Result<(), Error> {
    let mut digits = 0;
    for byte in pattern.bytes() {
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        if digits > 4 && pattern.contains(['%', '{']) {
            return Err(Error::new(ErrorKind::InvalidOperation, "width or precision above 9999 in a format"));
        }
    }
    Ok(())
}

fn batch(state: &State<'_, '_>, value: Value, count: usize, fill: Option<Value>) -> Result<Value, Error> {
    RenderBudget::spend(count as u64)?;
    minijinja::filters::batch(state, value, count, fill)
}

fn slice(state: &State<'_, '_>, value: Value, count: usize, fill: Option<Value>) -> Result<Value, Error> {
    RenderBudget::spend(count as u64)?;
    minijinja::filters::slice(state, value, count, fill)
}

/// Python's white space: Unicode's, and the four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// jinja2's `trim`: Python's `strip` on the text that a value prints.
fn trim(value: &Value, chars: Option<&str>) -> Result<Value, Error> {
    let text = text(value)?;
    Ok(Value::from(match chars {
        Some(chars) => text.trim_matches(|c| chars.contains(c)),
        None => text.trim_matches(is_space),
    }))
}

/// Python's string methods: those of minijinja-contrib, within the budget if they can build long texts, and some that it lacks.
fn method(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(receiver) = value.as_str() {
        match name {
            "replace" => {
                let (old, new, count) = from_args::<(&str, &str, Option<i64>)>(args)?;
                return replaced(receiver, old, new, count);
            }
            "join" => spend_join(from_args::<(&Value,)>(args)?.0, receiver.len())?,
            "format" => {
                check_widths(receiver)?;
                RenderBudget::spend(receiver.len() as u64)?;
                for arg in args {
                    RenderBudget::spend(text(arg)?.len() as u64)?;
                }
            }
            "removeprefix" | "removesuffix" => {
                let (part,) = from_args::<(&str,)>(args)?;
                let rest =
                    if name == "removeprefix" { receiver.strip_prefix(part) } else { receiver.strip_suffix(part) };
                return Ok(Value::from(rest.unwrap_or(receiver)));
            }
            "partition" | "rpartition" => {
                let (part,) = from_args::<(&str,)>(args)?;
                let split = if name == "partition" { receiver.split_once(part) } else { receiver.rsplit_once(part) };
                return Ok(Value::from_iter(match (split, name) {
                    (Some((before, after)), _) => [before, part, after],
                    (None, "partition") => [receiver, "", ""],
                    (None, _) => ["", "", receiver],
                }));
            }
            "isspace" => {
                from_args::<()>(args)?;
                return Ok(Value::from(!receiver.is_empty() && receiver.chars().all(is_space)));
            }
            "strip" | "lstrip" | "rstrip" if args.iter().all(Value::is_none) => {
                return Ok(Value::from(match name {
                    "strip" => receiver.trim_matches(is_space),
                    "lstrip" => receiver.trim_start_matches(is_space),
                    _ => receiver.trim_end_matches(is_space),
                }));
            }
            _ => {}
        }
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args)
}
