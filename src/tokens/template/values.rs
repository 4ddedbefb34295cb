//! Texts, white space and arguments as Python has them.

use super::budget::RenderBudget;
use super::python;
use minijinja::value::{Kwargs, Value, from_args};
use minijinja::{Error, ErrorKind};
use std::borrow::Cow;

/// The text that a value prints.
pub(super) fn text(value: &Value) -> Result<Cow<'_, str>, Error> {
    match value.as_str() {
        Some(text) => Ok(Cow::Borrowed(text)),
        None => {
            let mut out = String::new();
            RenderBudget::write(&mut out, value)?;
            Ok(Cow::Owned(out))
        }
    }
}

/// Text, marked as safe or not.
pub(super) fn string(text: String, is_safe: bool) -> Value {
    if is_safe { Value::from_safe_string(text) } else { Value::from(text) }
}

/// The text as it stands next to text that is marked as safe.
pub(super) fn escaped<'v>(value: &'v Value, text: Cow<'v, str>) -> Cow<'v, str> {
    if value.is_safe() || !text.contains(['&', '<', '>', '\'', '"']) { text } else { python::escape(&text).into() }
}

/// `str.replace`. The length of the result is spent before it is built.
pub(super) fn replaced(value: &str, old: &str, new: &str, count: Option<i64>) -> Result<Value, Error> {
    let limit = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    let found = value.matches(old).take(limit).count();
    RenderBudget::spend(value.len() as u64 + found as u64 * new.len() as u64)?;
    Ok(Value::from(value.replacen(old, new, limit)))
}

/// Python's white space: Unicode's, and the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Assigns arguments to names as a call in Python does.
///
/// # Errors
/// If there are more, or others.
pub(super) fn bind<const N: usize>(args: &[Value], names: [&str; N]) -> Result<[Option<Value>; N], Error> {
    let (positional, options) = from_args::<(&[Value], Kwargs)>(args)?;
    if positional.len() > N {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    let mut out = [const { None }; N];
    for (index, name) in names.into_iter().enumerate() {
        out[index] = match positional.get(index) {
            Some(value) => Some(value.clone()),
            None if options.has(name) => Some(options.get::<Value>(name)?),
            None => None,
        };
    }
    options.assert_all_used()?;
    Ok(out)
}
