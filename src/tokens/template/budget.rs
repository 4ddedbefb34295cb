//! The limit on how much text a template may build. Fuel limits the number of steps, but a few steps can double a text many
//! times over. So each render has a budget of bytes, and operations that build a text of others spend from it first: the error names the
//! template's line. What they miss is the watchdog's task.

use super::python;
use minijinja::value::Value;
use minijinja::{Error, ErrorKind};
use std::cell::Cell;
use std::fmt;

/// Bytes that every render may build, whatever the size of its conversation.
const BASE_BYTES: u64 = 16 << 20;
/// Bytes that a render may build on top of that, for each byte of its conversation.
const BYTES_PER_BYTE: u64 = 64;

thread_local! {
    // Filters have no access to a value of the render's caller. A render runs from start to end on one thread, and renders do
    // not nest, so the budget can live here.
    static REMAINING: Cell<u64> = const { Cell::new(0) };
}

/// The budget of the render that runs on this thread. Dropping it ends the budget: whatever spends afterwards fails.
#[must_use]
pub(super) struct RenderBudget(());

impl RenderBudget {
    /// Starts the budget of one render of a conversation with `conversation` bytes.
    pub(super) fn start(conversation: usize) -> Self {
        REMAINING.set(BASE_BYTES + BYTES_PER_BYTE * conversation as u64);
        Self(())
    }

    /// Spends `bytes` of this thread's budget.
    ///
    /// # Errors
    /// If fewer remain.
    pub(super) fn spend(bytes: u64) -> Result<(), Error> {
        let remaining = REMAINING.get().checked_sub(bytes).ok_or_else(exhausted)?;
        REMAINING.set(remaining);
        Ok(())
    }

    /// Checks the length of an unfinished text against this thread's budget, without spending.
    ///
    /// # Errors
    /// If fewer bytes remain.
    pub(super) fn check(bytes: usize) -> Result<(), Error> {
        if bytes as u64 > REMAINING.get() { Err(exhausted()) } else { Ok(()) }
    }

    /// Writes a value as a template prints it, and spends the bytes written.
    ///
    /// A small list that contains itself many times prints as a huge text, so the budget is checked while it is written.
    pub(super) fn write(out: &mut impl fmt::Write, value: &Value) -> Result<(), Error> {
        if let Some(text) = value.as_str() {
            Self::spend(text.len() as u64)?;
            return out.write_str(text).map_err(Error::from);
        }
        // Printing a value stops at the first error of its writer.
        python::print(&mut SpendingWriter(out), value).map_err(|_| exhausted())
    }
}

impl Drop for RenderBudget {
    fn drop(&mut self) {
        REMAINING.set(0);
    }
}

/// A writer that spends what it writes.
struct SpendingWriter<'a, W: fmt::Write>(&'a mut W);

impl<W: fmt::Write> fmt::Write for SpendingWriter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        RenderBudget::spend(text.len() as u64).map_err(|_| fmt::Error)?;
        self.0.write_str(text)
    }
}

fn exhausted() -> Error {
    Error::new(ErrorKind::InvalidOperation, "the template builds far more text than its conversation contains")
}
