//! The functions and filters that transformers gives to a template, and bounded forms of minijinja's own.

use super::guard;
use super::python::{self, Dump};
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Adds everything to `environment`; `date_used` is set as soon as a template asks for the date.
pub(super) fn install(environment: &mut Environment<'_>, now: chrono::NaiveDateTime, date_used: Arc<AtomicBool>) {
    environment.add_filter("tojson", tojson);
    environment.add_function("raise_exception", |message: Value| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message.to_string()))
    });
    environment.add_function("strftime_now", move |format: &str| {
        date_used.store(true, Ordering::Relaxed);
        python::strftime(now, format)
    });
}

/// `json.dumps` under the options that transformers passes on.
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
            Err(_) => return Err(Error::new(ErrorKind::InvalidOperation, "separators takes two strings")),
        },
    };
    let dump = Dump {
        ensure_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        indent,
        separators,
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let text = dump.dump(value)?;
    guard::pay(text.len() as u64)?;
    Ok(text)
}

/// A width that a template asks for: negative is none, and what no text needs is refused.
fn indentation(value: &Value) -> Result<usize, Error> {
    let width = i64::try_from(value.clone())?.max(0) as u64;
    if width > 1024 {
        return Err(Error::new(ErrorKind::InvalidOperation, "an indentation of more than 1024"));
    }
    Ok(width as usize)
}
