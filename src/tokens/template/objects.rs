//! The global functions of jinja2 that minijinja lacks, `joiner` and `cycler`, its `dict`, and integers of any length.

use minijinja::value::{Kwargs, Object, ObjectRepr, Rest, Value, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Adds them to `environment`.
pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_function("joiner", |separator: Option<Value>| {
        let separator = separator.unwrap_or_else(|| Value::from(", "));
        Value::from_object(Joiner { separator, is_used: AtomicBool::new(false) })
    });
    environment.add_function("dict", dict);
    environment.add_function("cycler", |items: Rest<Value>| match items.is_empty() {
        true => Err(Error::new(ErrorKind::InvalidOperation, "cycler: expected at least one value")),
        false => Ok(Value::from_object(Cycler { items: items.0, position: AtomicUsize::new(0) })),
    });
}

/// Returns an empty text when it is called first, then its separator.
#[derive(Debug)]
struct Joiner {
    separator: Value,
    is_used: AtomicBool,
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, _: &[Value]) -> Result<Value, Error> {
        Ok(if self.is_used.swap(true, Ordering::Relaxed) { self.separator.clone() } else { Value::from("") })
    }
}

/// Returns its values one after the other, again and again.
#[derive(Debug)]
pub(super) struct Cycler {
    items: Vec<Value>,
    position: AtomicUsize,
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let position = self.position.load(Ordering::Relaxed) % self.items.len();
        (key.as_str() == Some("current")).then(|| self.items[position].clone())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, _: &[Value]) -> Result<Value, Error> {
        match method {
            "next" => {
                let position = self.position.fetch_add(1, Ordering::Relaxed) % self.items.len();
                Ok(self.items[position].clone())
            }
            "reset" => {
                self.position.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// `dict(map or list of pairs, key=value)`.
fn dict(args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let (given, options) = from_args::<(Option<Value>, Kwargs)>(&args)?;
    let mut pairs = Vec::new();
    if let Some(given) = given {
        for entry in given.try_iter()? {
            pairs.push(match given.kind() {
                ValueKind::Map => (entry.clone(), given.get_item(&entry)?),
                _ => (entry.get_item(&Value::from(0))?, entry.get_item(&Value::from(1))?),
            });
        }
    }
    for name in options.args() {
        pairs.push((Value::from(name), options.peek(name)?));
    }
    Ok(Value::from_pairs(pairs))
}

/// An integer that is too long for the engine.
#[derive(Debug)]
pub(super) struct Digits(pub(super) String);

impl Object for Digits {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
