//! The bound on what a template may build. Fuel bounds its steps, but a few steps can double a text many times over:
//! so each render has a budget of bytes, and whatever makes a longer text out of shorter ones pays from it first.

use super::python;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};
use std::cell::Cell;
use std::fmt::{self, Write as _};

/// What every render may build, whatever the size of its conversation.
const BASE: u64 = 16 << 20;
/// How many times its conversation a render may build on top of that.
const FACTOR: u64 = 64;

thread_local! {
    // A render runs from start to end on one thread, and none runs within another.
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// Starts the budget of one render whose conversation has so many bytes.
pub(super) fn start(conversation: usize) {
    LEFT.set(BASE + FACTOR * conversation as u64);
}

/// Pays for so many bytes, or says that the template builds too much.
pub(super) fn pay(bytes: u64) -> Result<(), Error> {
    LEFT.with(|left| match left.get().checked_sub(bytes) {
        Some(rest) => {
            left.set(rest);
            Ok(())
        }
        None => Err(too_much()),
    })
}

/// Checks a text that is being built against the budget, without paying for it.
pub(super) fn built(bytes: usize) -> Result<(), Error> {
    if bytes as u64 > LEFT.get() { Err(too_much()) } else { Ok(()) }
}

/// Writes a value as a template prints it, within the budget.
///
/// A small list that holds itself many times over prints as a huge text, so this stops while it is written.
pub(super) fn write(out: &mut impl fmt::Write, value: &Value) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        pay(text.len() as u64)?;
        return out.write_str(text).map_err(Error::from);
    }
    if value.kind() == ValueKind::Number && !value.is_integer() {
        let text = f64::try_from(value.clone()).map_or_else(|_| value.to_string(), python::float);
        return out.write_str(&text).map_err(Error::from);
    }
    // The value's own printing gives up where the writer does.
    write!(Paying(out), "{value}").map_err(|_| too_much())
}

/// A writer that pays for what it writes.
struct Paying<'a, W: fmt::Write>(&'a mut W);

impl<W: fmt::Write> fmt::Write for Paying<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        pay(text.len() as u64).map_err(|_| fmt::Error)?;
        self.0.write_str(text)
    }
}

/// A writer to nowhere.
struct Nowhere;

impl fmt::Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

/// The filter that operands of `~` pass through: they become text.
pub(super) const PAY_TEXT: &str = "__pay_text";
/// The filter that operands of `+` pass through: lists stay lists. (It sorts before [`PAY_TEXT`]: an operand between
/// both operators pays for the dearer.)
pub(super) const PAY_ENTRIES: &str = "__pay_entries";
/// The filter that long stretches of plain text pay with.
pub(super) const PAY_RAW: &str = "__pay_raw";

/// Adds the paying filters.
pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_filter(PAY_TEXT, |value: Value| -> Result<Value, Error> {
        write(&mut Nowhere, &value)?;
        Ok(value)
    });
    environment.add_filter(PAY_ENTRIES, |value: Value| -> Result<Value, Error> {
        match value.as_str() {
            Some(text) => pay(text.len() as u64)?,
            None => pay(value.len().unwrap_or(0) as u64)?,
        }
        Ok(value)
    });
    environment.add_filter(PAY_RAW, |bytes: u64| -> Result<&'static str, Error> {
        pay(bytes)?;
        Ok("")
    });
}

fn too_much() -> Error {
    Error::new(ErrorKind::InvalidOperation, "the template builds more text than any conversation needs")
}
