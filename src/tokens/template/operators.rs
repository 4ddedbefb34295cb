//! The operators that behave in jinja2 as Python's do, as the filters that [`super::expression`] writes for them.

use super::budget::RenderBudget;
use super::percent;
use super::python::{self, Number};
use super::values::{escaped, string};
use minijinja::value::{Rest, Tuple, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use std::cmp::Ordering;

/// How a rewritten template calls the filters, up to the bracket that ends the call. The first bracket ends the left operand.
pub(super) const ADD: &str = ")|__add(";
pub(super) const CONCAT: &str = ")|__concat(";
pub(super) const MOD: &str = ")|__mod(";
pub(super) const LESS: &str = ")|__less(";
pub(super) const AT_MOST: &str = ")|__at_most(";
pub(super) const MORE: &str = ")|__more(";
pub(super) const AT_LEAST: &str = ")|__at_least(";
pub(super) const IN: &str = ")|__in(";
pub(super) const NOT_IN: &str = ")|__not_in(";
/// Slices: what replaces the brackets and the colons of `a[start:stop:step]`, and a bound that is left out.
pub(super) const SLICE: &str = "|__slice(";
pub(super) const SLICE_BOUND: &str = ",";
pub(super) const NO_BOUND: &str = "none";
pub(super) const SLICE_END: &str = "))";
/// The check of the list of a `for`.
pub(super) const ITERATED: &str = ")|__iterated";

/// Adds the filters.
pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_filter("__add", add);
    environment.add_filter("__concat", concat);
    environment.add_filter("__mod", modulo);
    environment
        .add_filter("__less", |a: &Value, b: &Value| Ok::<_, Error>(order(a, "<", b)?.is_some_and(Ordering::is_lt)));
    environment.add_filter("__at_most", |a: &Value, b: &Value| {
        Ok::<_, Error>(order(a, "<=", b)?.is_some_and(Ordering::is_le))
    });
    environment
        .add_filter("__more", |a: &Value, b: &Value| Ok::<_, Error>(order(a, ">", b)?.is_some_and(Ordering::is_gt)));
    environment.add_filter("__at_least", |a: &Value, b: &Value| {
        Ok::<_, Error>(order(a, ">=", b)?.is_some_and(Ordering::is_ge))
    });
    environment.add_filter("__in", |a: &Value, b: &Value| contains(b, a));
    environment.add_filter("__not_in", |a: &Value, b: &Value| contains(b, a).map(|found| !found));
    environment.add_filter("__iterated", |value: Value| check_iterable(&value).map(|()| value));
    environment.add_filter("__slice", slice);
}

/// `value[start:stop:step]`. As an index that jinja2 looks up and does not find, a slice of what has none is undefined.
fn slice(value: &Value, bounds: Rest<Value>) -> Result<Value, Error> {
    let bound = |place: usize| match bounds.get(place).filter(|bound| !bound.is_none()) {
        None => Ok(None),
        Some(bound) => match Number::of(bound) {
            Some(Number::Integer(number)) => Ok(Some(number.clamp(i64::MIN.into(), i64::MAX.into()) as i64)),
            _ => Err(()),
        },
    };
    let (Ok(start), Ok(stop), Ok(step)) = (bound(0), bound(1), bound(2)) else { return Ok(Value::UNDEFINED) };
    if step == Some(0) {
        return Err(failure("slice step cannot be zero".to_owned()));
    }
    let places = |length: usize| sliced(start, stop, step.unwrap_or(1), length);
    match value.kind() {
        ValueKind::Undefined => Err(undefined()),
        ValueKind::String => {
            let chars: Vec<char> = value.as_str().unwrap_or_default().chars().collect();
            Ok(string(places(chars.len()).map(|place| chars[place]).collect(), value.is_safe()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let entries: Vec<Value> = value.try_iter()?.collect();
            let entries: Vec<Value> = places(entries.len()).map(|place| entries[place].clone()).collect();
            Ok(if value.is_tuple() { Value::from(Tuple::from(entries)) } else { Value::from(entries) })
        }
        _ => Ok(Value::UNDEFINED),
    }
}

/// The places that Python's `slice(start, stop, step).indices(length)` stands for.
fn sliced(start: Option<i64>, stop: Option<i64>, step: i64, length: usize) -> impl Iterator<Item = usize> {
    let length = length as i64;
    // Backwards, one before the first place is a bound, too.
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let clamp = |bound: i64| if bound < 0 { bound.saturating_add(length).max(lowest) } else { bound.min(highest) };
    let (first, end) = if step > 0 { (lowest, highest) } else { (highest, lowest) };
    let (start, stop) = (start.map_or(first, clamp), stop.map_or(end, clamp));
    let next = move |place: &i64| place.checked_add(step);
    std::iter::successors(Some(start), next)
        .take_while(move |place| if step > 0 { *place < stop } else { *place > stop })
        .map(|place| place as usize)
}

fn failure(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn undefined() -> Error {
    Error::from(ErrorKind::UndefinedError)
}

/// An operator between types that do not have it.
fn unsupported(a: &Value, operator: &str, b: &Value) -> Error {
    if a.is_undefined() || b.is_undefined() {
        return undefined();
    }
    failure(format!("cannot use `{operator}` between {} and {}", python::type_name(a), python::type_name(b)))
}

/// Fails if Python cannot iterate over a value.
pub(super) fn check_iterable(value: &Value) -> Result<(), Error> {
    match is_iterable(value) {
        true => Ok(()),
        false => Err(failure(format!("cannot iterate over {}", python::type_name(value)))),
    }
}

/// Whether Python can iterate over a value. jinja2's undefined values are empty lists.
pub(super) fn is_iterable(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Undefined | ValueKind::String | ValueKind::Seq | ValueKind::Iterable => true,
        ValueKind::Map => !python::is_namespace(value),
        ValueKind::Plain => value.try_iter().is_ok(),
        _ => false,
    }
}

fn add(first: &Value, rest: &[Value]) -> Result<Value, Error> {
    let is_text = |value: &Value| value.as_str().is_some() && !value.is_safe();
    if is_text(first) && rest.iter().all(is_text) {
        return joined(first, rest);
    }
    let mut sum = first.clone();
    for value in rest.iter() {
        sum = add_pair(&sum, value)?;
    }
    Ok(sum)
}

pub(super) fn add_pair(a: &Value, b: &Value) -> Result<Value, Error> {
    if let (Some(left), Some(right)) = (a.as_str(), b.as_str()) {
        RenderBudget::spend((left.len() + right.len()) as u64)?;
        let is_safe = a.is_safe() || b.is_safe();
        let text = match is_safe {
            true => [escaped(a, left.into()), escaped(b, right.into())].concat(),
            false => [left, right].concat(),
        };
        return Ok(string(text, is_safe));
    }
    if let (Some(left), Some(right)) = (Number::of(a), Number::of(b)) {
        return match (left, right) {
            (Number::Integer(a), Number::Integer(b)) => {
                a.checked_add(b).map(Value::from).ok_or_else(|| failure("the sum is too large".to_owned()))
            }
            _ => Ok(Value::from(left.float() + right.float())),
        };
    }
    let is_list = |value: &Value| matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
    if is_list(a) && is_list(b) && a.is_tuple() == b.is_tuple() {
        RenderBudget::spend((a.len().unwrap_or(0) + b.len().unwrap_or(0)) as u64)?;
        let entries: Vec<Value> = a.try_iter()?.chain(b.try_iter()?).collect();
        return Ok(if a.is_tuple() { Value::from(Tuple::from(entries)) } else { Value::from(entries) });
    }
    Err(unsupported(a, "+", b))
}

/// Texts, one after the other.
fn joined(first: &Value, rest: &[Value]) -> Result<Value, Error> {
    let texts = || std::iter::once(first).chain(rest).filter_map(Value::as_str);
    let length = texts().map(str::len).sum();
    RenderBudget::spend(length as u64)?;
    let mut out = String::with_capacity(length);
    texts().for_each(|text| out.push_str(text));
    Ok(Value::from(out))
}

/// `~`: the texts that the values print, one after the other.
fn concat(first: &Value, rest: &[Value]) -> Result<Value, Error> {
    let is_text = |value: &Value| value.as_str().is_some();
    if is_text(first) && rest.iter().all(is_text) {
        return joined(first, rest);
    }
    let values = || std::iter::once(first).chain(rest.iter());
    let known: usize = values().map(|value| value.as_str().map_or(8, str::len)).sum();
    RenderBudget::check(known)?;
    let mut out = String::with_capacity(known);
    for value in values() {
        RenderBudget::write(&mut out, value)?;
    }
    Ok(Value::from(out))
}

fn modulo(a: &Value, b: &Value) -> Result<Value, Error> {
    if let Some(pattern) = a.as_str() {
        return percent::format(a, pattern, b);
    }
    match (Number::of(a), Number::of(b)) {
        (Some(Number::Integer(a)), Some(Number::Integer(b))) => match a.checked_rem(b) {
            Some(rest) => Ok(Value::from(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })),
            None => Err(failure("division by zero".to_owned())),
        },
        (Some(a), Some(b)) => {
            let (a, b) = (a.float(), b.float());
            if b == 0.0 {
                return Err(failure("division by zero".to_owned()));
            }
            let rest = a % b;
            Ok(Value::from(if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }))
        }
        _ => Err(unsupported(a, "%", b)),
    }
}

/// The order of two values; `None` if one of them is not a number.
fn order(a: &Value, operator: &str, b: &Value) -> Result<Option<Ordering>, Error> {
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return Ok(Some(a.cmp(b)));
    }
    match (Number::of(a), Number::of(b)) {
        (Some(Number::Integer(a)), Some(Number::Integer(b))) => return Ok(Some(a.cmp(&b))),
        (Some(a), Some(b)) => return Ok(a.float().partial_cmp(&b.float())),
        _ => {}
    }
    if a.kind() == ValueKind::Seq && b.kind() == ValueKind::Seq && a.is_tuple() == b.is_tuple() {
        for (left, right) in a.try_iter()?.zip(b.try_iter()?) {
            if left != right {
                return order(&left, operator, &right);
            }
        }
        return Ok(Some(a.len().cmp(&b.len())));
    }
    Err(unsupported(a, operator, b))
}

fn contains(container: &Value, value: &Value) -> Result<bool, Error> {
    if let Some(text) = container.as_str() {
        return match value.as_str() {
            Some(part) => Ok(text.contains(part)),
            None => Err(failure(format!("cannot look for {} in a text", python::type_name(value)))),
        };
    }
    check_iterable(container)?;
    match container.kind() {
        ValueKind::Undefined => Ok(false),
        ValueKind::Map => Ok(!container.get_item(value)?.is_undefined()),
        _ => Ok(container.try_iter()?.any(|entry| entry == *value)),
    }
}
