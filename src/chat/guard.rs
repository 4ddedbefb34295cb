//! The bound on what a template may build. Fuel bounds its steps, but a few steps can double a text many times over:
//! so each render has a budget of bytes, and whatever makes a longer text out of shorter ones pays from it first.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};
use std::cell::Cell;

/// What every render may build, whatever the size of its conversation.
const BASE: u64 = 16 << 20;
/// How many times its conversation a render may build on top of that.
const FACTOR: u64 = 64;
/// What one entry of a list or map is taken to cost.
const ENTRY: u64 = 32;

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

/// Pays for a value that is about to become part of a larger one.
pub(super) fn pay_for(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::String => pay(value.as_str().map_or(0, str::len) as u64),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => pay(value.len().unwrap_or(1) as u64 * ENTRY),
        _ => Ok(()),
    }
}

fn too_much() -> Error {
    Error::new(ErrorKind::InvalidOperation, "the template builds more text than any conversation needs")
}
