//! Standard output.

use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::Outcome;
use crate::report::table::{DEFAULT_WIDTH, table};
use crate::report::wording::RunKind;
use std::io::Write;

/// Prints a text.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that closes the pipe early, such as `head`, has all that it needs.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        outcome => {
            outcome.map_err(|error| Error::new(ErrorKind::Io, "cannot write to standard output").caused_by(error))
        }
    }
}

/// Prints the table of a mix or a plan, as wide as the terminal.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print_table(outcome: &Outcome, run: RunKind) -> Result<()> {
    let (_, width) = console::Term::stdout().size_checked().unwrap_or((0, DEFAULT_WIDTH));
    let table = table(&outcome.manifest, &outcome.statistics, run, width);
    print(&format!("{table}counted by {}\n", outcome.statistics.counted_by))
}
