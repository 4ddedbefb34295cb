//! The tests (`x is ...`) whose answers differ between minijinja and jinja2.

use super::objects::{Cycler, Digits};
use super::operators::is_iterable;
use super::python::{Number, is_namespace, type_name};
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

/// Adds them to `environment`.
pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_test("iterable", is_iterable);
    environment.add_test("sequence", |value: &Value| match value.kind() {
        // What has a length and an index: maps and undefined values, too.
        ValueKind::Undefined | ValueKind::String | ValueKind::Seq => true,
        ValueKind::Map => !is_namespace(value),
        ValueKind::Iterable => value.len().is_some(),
        _ => false,
    });
    environment.add_test("mapping", |value: &Value| value.kind() == ValueKind::Map && !is_namespace(value));
    environment.add_test("callable", is_callable);
    environment.add_test("odd", |value: &Value| remainder(value).map(|rest| rest == 1.0));
    environment.add_test("even", |value: &Value| remainder(value).map(|rest| rest == 0.0));
}

/// Functions and macros are plain objects; the engine has no others that a template can reach, except `loop`.
fn is_callable(value: &Value) -> bool {
    // jinja2's undefined values can be called, and raise.
    let is_function = value.is_undefined() || value.kind() == ValueKind::Plain;
    let is_data = value.downcast_object_ref::<Cycler>().is_some() || value.downcast_object_ref::<Digits>().is_some();
    (is_function && !is_data) || value.as_object().is_some_and(|object| object.type_name().ends_with("::Macro"))
}

/// The rest of a division by two, between 0 and 2.
fn remainder(value: &Value) -> Result<f64, Error> {
    match Number::of(value) {
        Some(Number::Integer(number)) => Ok(number.rem_euclid(2) as f64),
        Some(Number::Float(number)) => Ok(number.rem_euclid(2.0)),
        None => {
            let message = format!("cannot use `%` between {} and a number", type_name(value));
            Err(Error::new(ErrorKind::InvalidOperation, message))
        }
    }
}
