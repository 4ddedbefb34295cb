//! The functions and filters that transformers offers to a template, and minijinja's own within the render's budget.

use super::budget::RenderBudget;
use super::json::JsonFormat;
use super::operators::{self, check_iterable};
use super::python::{self, Number};
use super::strftime::strftime;
use super::values::{self, bind, is_space, replaced, text};
use super::{methods, percent};
use minijinja::value::{Kwargs, Rest, Tuple, Value, ValueKind, ValueOrKwargs, from_args};
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
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    environment.add_filter("list", list);
    environment.add_filter("first", first);
    environment.add_filter("sort", sort);
    environment.add_filter("unique", unique);
    environment.add_filter("min", min);
    environment.add_filter("max", max);
    environment.add_filter("sum", sum);
    environment.add_filter("groupby", groupby);
    environment.add_filter("dictsort", dictsort);
    environment.add_filter("items", items);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("attr", attr);
    environment.add_filter("wordcount", wordcount);
    environment.add_filter("truncate", truncate);
    environment.add_filter("escape", escape);
    environment.add_filter("e", escape);
    environment.add_filter("forceescape", |value: &Value| {
        text(value).map(|text| Value::from_safe_string(python::escape(&text)))
    });
    environment.add_filter("batch", batch);
    environment.add_filter("slice", slice);
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(|out, state, value| match state.auto_escape() {
        AutoEscape::None => RenderBudget::write(out, value),
        AutoEscape::Html => RenderBudget::write(out, &escape(value)?),
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

/// The arguments of a filter after the first, assigned to names.
fn options<const N: usize>(args: Rest<ValueOrKwargs>, names: [&str; N]) -> Result<[Option<Value>; N], Error> {
    bind(&args.into_values(), names)
}

/// The arguments of a filter that takes them by name only.
fn named<const N: usize>(args: Rest<ValueOrKwargs>, names: [&'static str; N]) -> Result<Kwargs, Error> {
    let values = options(args, names)?;
    let given = |(name, value): (&'static str, Option<Value>)| Some((name, value.filter(|value| !value.is_none())?));
    Ok(Kwargs::from_iter(names.into_iter().zip(values).filter_map(given)))
}

fn failure(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// `json.dumps` with the options that transformers accepts.
fn tojson(value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let [ensure_ascii, indent, separators, sort_keys] =
        options(args, ["ensure_ascii", "indent", "separators", "sort_keys"])?;
    let indent = match indent.filter(|value| !value.is_none()) {
        None => None,
        Some(v) => Some(match v.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(indentation(&v)?),
        }),
    };
    let separators = match separators.filter(|value| !value.is_none()) {
        None => None,
        Some(pair) => {
            let pair: Vec<Value> = pair.try_iter()?.collect();
            match pair.as_slice() {
                [item, key] if item.as_str().is_some() && key.as_str().is_some() => {
                    Some((item.to_string(), key.to_string()))
                }
                _ => return Err(failure("separators: expected two strings")),
            }
        }
    };
    let is_true = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let json = JsonFormat { ensure_ascii: is_true(ensure_ascii), indent, separators, sort_keys: is_true(sort_keys) };
    let text = json.format(value)?;
    RenderBudget::spend(text.len() as u64)?;
    Ok(text)
}

/// What has no length in Python has none here; an undefined value is empty.
fn length(value: &Value) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(0),
        _ => value.len().ok_or_else(|| failure(format!("{} has no length", python::type_name(value)))),
    }
}

fn list(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    check_iterable(&value)?;
    minijinja::filters::list(state, value)
}

fn first(value: &Value) -> Result<Value, Error> {
    check_iterable(value)?;
    Ok(value.try_iter()?.next().unwrap_or(Value::UNDEFINED))
}

fn sort(state: &State<'_, '_>, value: Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    check_iterable(&value)?;
    minijinja::filters::sort(state, value, named(args, ["reverse", "case_sensitive", "attribute"])?)
}

fn unique(state: &State<'_, '_>, value: Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    check_iterable(&value)?;
    minijinja::filters::unique(state, value, named(args, ["case_sensitive", "attribute"])?)
}

fn min(state: &State<'_, '_>, value: Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    check_iterable(&value)?;
    minijinja::filters::min(state, value, named(args, ["case_sensitive", "attribute"])?)
}

fn max(state: &State<'_, '_>, value: Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    check_iterable(&value)?;
    minijinja::filters::max(state, value, named(args, ["case_sensitive", "attribute"])?)
}

fn sum(state: &mut State<'_, '_>, value: Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [attribute, start] = options(args, ["attribute", "start"])?;
    check_iterable(&value)?;
    let values = match attribute.filter(|attribute| !attribute.is_none()) {
        None => value,
        Some(attribute) => {
            let attribute = Kwargs::from_iter([("attribute", attribute)]);
            state.apply_filter("map", &[value, Value::from(attribute)])?
        }
    };
    let mut total = start.unwrap_or_else(|| Value::from(0));
    for value in values.try_iter()? {
        total = operators::add_pair(&total, &value)?;
    }
    Ok(total)
}

fn groupby(value: Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    check_iterable(&value)?;
    minijinja::filters::groupby(value, None, named(args, ["attribute", "default", "case_sensitive"])?)
}

fn dictsort(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    minijinja::filters::dictsort(value, named(args, ["case_sensitive", "by", "reverse"])?)
}

fn items(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(Value::from(Vec::<Value>::new())),
        _ => minijinja::filters::items(value),
    }
}

fn default(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [default, boolean] = options(args, ["default_value", "boolean"])?;
    let is_replaced = value.is_undefined() || (boolean.is_some_and(|boolean| boolean.is_true()) && !value.is_true());
    Ok(if is_replaced { default.unwrap_or_else(|| Value::from("")) } else { value.clone() })
}

fn defined(value: &Value) -> Result<(), Error> {
    if value.is_undefined() { Err(Error::from(ErrorKind::UndefinedError)) } else { Ok(()) }
}

fn int(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    defined(value)?;
    let [default, base] = options(args, ["default", "base"])?;
    let base = base.map(u32::try_from).transpose()?.unwrap_or(10);
    let default = default.unwrap_or_else(|| Value::from(0));
    if let Some(text) = value.as_str() {
        let trimmed = text.trim().replace('_', "");
        let prefix = match base {
            16 => "0x",
            8 => "0o",
            2 => "0b",
            _ => "",
        };
        let digits = trimmed.strip_prefix(prefix).unwrap_or(&trimmed);
        if let Some(number) = (2..=36).contains(&base).then(|| i128::from_str_radix(digits, base).ok()).flatten() {
            return Ok(Value::from(number));
        }
        let number = trimmed.parse::<f64>().ok().filter(|number| number.is_finite());
        return Ok(number.map_or(default, |number| Value::from(number.trunc() as i128)));
    }
    Ok(match Number::of(value) {
        Some(Number::Integer(number)) => Value::from(number),
        Some(Number::Float(number)) if number.is_finite() => Value::from(number.trunc() as i128),
        _ => default,
    })
}

fn float(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    defined(value)?;
    let [default] = options(args, ["default"])?;
    let number = match value.as_str() {
        Some(text) => text.trim().replace('_', "").parse().ok(),
        None => Number::of(value).map(Number::float),
    };
    Ok(number.map(Value::from).or(default).unwrap_or_else(|| Value::from(0.0)))
}

/// An attribute, which the keys of a map are not.
fn attr(value: &Value, name: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Map if !python::is_namespace(value) => Ok(Value::UNDEFINED),
        _ => minijinja::filters::attr(value, name),
    }
}

fn escape(value: &Value) -> Result<Value, Error> {
    Ok(if value.is_safe() { value.clone() } else { Value::from_safe_string(python::escape(&text(value)?)) })
}

fn wordcount(value: &Value) -> Result<usize, Error> {
    let mut in_word = false;
    let starts = |c: char| !std::mem::replace(&mut in_word, c.is_alphanumeric() || c == '_') && in_word;
    Ok(text(value)?.chars().map(starts).filter(|starts| *starts).count())
}

fn truncate(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [length, killwords, end, leeway] = options(args, ["length", "killwords", "end", "leeway"])?;
    let number = |value: Option<Value>, default: usize| {
        value.filter(|value| !value.is_none()).map_or(Ok(default), usize::try_from)
    };
    let (length, leeway) = (number(length, 255)?, number(leeway, 5)?);
    let end = end.map_or_else(|| "...".to_owned(), |end| end.to_string());
    let Some(kept) = length.checked_sub(end.chars().count()) else {
        return Err(failure("truncate: the length is shorter than the end"));
    };
    let text = text(value)?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(Value::from(text.into_owned()));
    }
    let start: String = text.chars().take(kept).collect();
    let cut = match start.rfind(' ') {
        Some(at) if !killwords.is_some_and(|killwords| killwords.is_true()) => &start[..at],
        _ => &start,
    };
    Ok(Value::from(format!("{cut}{end}")))
}

/// The width of an indentation. A negative one is 0, as in Python; a huge one is an error, as it would fill the memory.
fn indentation(value: &Value) -> Result<usize, Error> {
    let width = i64::try_from(value.clone())?.max(0) as u64;
    if width > 1024 {
        return Err(Error::new(ErrorKind::InvalidOperation, "indentation above 1024 characters"));
    }
    Ok(width as usize)
}

fn string(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.clone()),
        _ => Ok(Value::from(text(value)?.into_owned())),
    }
}

fn replace(value: &Value, old: &Value, new: &Value, count: Option<i64>) -> Result<Value, Error> {
    replaced(&text(value)?, &text(old)?, &text(new)?, count)
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
    check_iterable(&value)?;
    let mut out = String::new();
    for (index, item) in value.try_iter()?.enumerate() {
        if index > 0 {
            RenderBudget::spend(separator.len() as u64)?;
            out.push_str(&separator);
        }
        RenderBudget::write(&mut out, &item)?;
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

/// `pattern % values`, with the values as arguments.
fn format(pattern: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let (values, options) = from_args::<(&[Value], Kwargs)>(&args)?;
    let names: Vec<String> = options.args().map(str::to_owned).collect();
    let values = match names.is_empty() {
        true => Value::from(Tuple::from(values)),
        false => {
            let pairs: Result<Vec<_>, Error> =
                names.iter().map(|name| Ok((name.clone(), options.get::<Value>(name)?))).collect();
            Value::from_pairs(pairs?)
        }
    };
    percent::format(pattern, &text(pattern)?, &values)
}

fn batch(state: &State<'_, '_>, value: Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [count, fill] = options(args, ["linecount", "fill_with"])?;
    let count = usize::try_from(count.unwrap_or_default())?;
    check_iterable(&value)?;
    minijinja::filters::batch(state, value, count, fill)
}

fn slice(state: &State<'_, '_>, value: Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [count, fill] = options(args, ["slices", "fill_with"])?;
    let count = usize::try_from(count.unwrap_or_default())?;
    check_iterable(&value)?;
    minijinja::filters::slice(state, value, count, fill)
}

/// jinja2's `trim`: Python's `strip` on the text that a value prints.
fn trim(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [chars] = options(args, ["chars"])?;
    let text = text(value)?;
    let trimmed = match chars.filter(|chars| !chars.is_none()) {
        Some(chars) => text.trim_matches(|c| chars.as_str().unwrap_or_default().contains(c)),
        None => text.trim_matches(is_space),
    };
    Ok(values::string(trimmed.to_owned(), value.is_safe()))
}
