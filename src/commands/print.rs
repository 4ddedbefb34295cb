//! Standard output: results, which have to arrive, and tables for people, which never decide whether a run succeeds.

use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::Outcome;
use crate::progress::Progress;
use crate::report::table::{DEFAULT_WIDTH, table};
use crate::report::wording::RunKind;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

/// Prints a result.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    check(match out.as_fd().try_clone_to_owned() {
        // Not through `Stdout`, which reports success for a descriptor that is not open for writing.
        Ok(descriptor) => File::from(descriptor).write_all(text.as_bytes()),
        // No descriptor is left.
        Err(_) => out.write_all(text.as_bytes()).and_then(|()| out.flush()),
    })
}

/// Prints the help or the version, in colour on a terminal.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print_help(help: &clap::Error) -> Result<()> {
    if io::stdout().is_terminal() { check(help.print()) } else { print(&help.render().to_string()) }
}

/// Prints the table of a complete mix. The mix does not depend on it: a failure is a warning.
pub(super) fn print_mix(outcome: &Outcome, progress: &Progress) {
    if progress.is_quiet() {
        return;
    }
    if let Err(error) = print_table(outcome, RunKind::Mix) {
        progress.warning(&error.line());
    }
}

/// The outcome of writing to standard output.
fn check(written: io::Result<()>) -> Result<()> {
    match written {
        // A reader that closes the pipe early, such as `head`, has all that it needs.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => {
            written.map_err(|error| Error::new(ErrorKind::Io, "cannot write to standard output").caused_by(error))
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
