//! Standard output: results, which have to arrive, and tables for people, which never decide whether a run succeeds.

use crate::colour::{Colour, has_colours};
use crate::error::{Error, ErrorKind, Result};
use crate::escape;
use crate::pipeline::Outcome;
use crate::progress::Progress;
use crate::report::closing::{closing, cut_events, end_event};
use crate::report::table::{DEFAULT_WIDTH, table};
use crate::report::wording::RunKind;
use crate::settings::Settings;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

/// Prints a result, with the control characters of untrusted text escaped: see [`escape::lines`].
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print(text: &str) -> Result<()> {
    print_bytes(escape::lines(text).as_bytes())
}

/// Prints a text of which the program has painted parts: as [`print`], but colour codes stay.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print_painted(text: &str) -> Result<()> {
    const START: &str = "\x1b[";
    let mut pieces = text.split(START);
    let mut printed = escape::lines(pieces.next().unwrap_or_default()).into_owned();
    for piece in pieces {
        let is_colour = piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m');
        printed.push_str(&if is_colour { START.into() } else { escape::line(START) });
        printed.push_str(&escape::lines(piece));
    }
    print_bytes(printed.as_bytes())
}

/// Prints a result that is not necessarily text.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    check(match out.as_fd().try_clone_to_owned() {
        // Not through `Stdout`, which reports success for a descriptor that is not open for writing.
        Ok(descriptor) => File::from(descriptor).write_all(bytes),
        // No descriptor is left.
        Err(_) => out.write_all(bytes).and_then(|()| out.flush()),
    })
}

/// Prints the help or the version.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print_help(help: &clap::Error) -> Result<()> {
    print_bytes(rendered(help, has_colours(&io::stdout())).as_bytes())
}

/// Prints why a command line is invalid to standard error, as far as that can be written.
pub(super) fn print_usage_error(error: &clap::Error) {
    let text = rendered(error, has_colours(&io::stderr()));
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Not as clap prints it, which colours help only on a terminal.
fn rendered(text: &clap::Error, has_colours: bool) -> String {
    let text = text.render();
    if has_colours { text.ansi().to_string() } else { text.to_string() }
}

/// Prints the end of a complete mix, and with `is_verbose` its tables. The mix does not depend on it: a failure is a warning. Nothing is
/// printed with JSON logs, whose reader gets the figures as the fields of an event.
pub(super) fn print_mix(outcome: &Outcome, settings: &Settings, elapsed: Duration, progress: &Progress) {
    if progress.is_json() {
        let location = |name: &str| settings.output.join(name).to_string();
        for (message, fields) in cut_events(&outcome.manifest, location) {
            progress.event("cut", &message, fields);
        }
        let (message, fields) = end_event(&outcome.manifest, &outcome.statistics, elapsed, location);
        progress.event("end", &message, fields);
    }
    if progress.is_quiet() || progress.is_json() {
        return;
    }
    let tables = if settings.verbose { print_table(outcome, RunKind::Mix).and_then(|()| print("\n")) } else { Ok(()) };
    let location = |name: &str| settings.output.join(name).to_string();
    let end = closing(&outcome.manifest, &outcome.statistics, elapsed, location);
    let print_end = || if has_colours(&io::stdout()) { print_painted(&with_colours(&end)) } else { print(&end) };
    if let Err(error) = tables.and_then(|()| print_end()) {
        progress.warning(&error.line());
    }
}

/// The end of a run with what matters in colour: what was mixed, the largest risk, where the report is.
fn with_colours(end: &str) -> String {
    let labels = [("note:", Colour::Warning), ("report:", Colour::Strong)];
    let paint = |(number, line): (usize, &str)| match labels.iter().find(|(label, _)| line.starts_with(label)) {
        _ if number == 0 => Colour::Strong.paint(line) + "\n",
        Some((label, colour)) => format!("{}{}\n", colour.paint(label), &line[label.len()..]),
        None => format!("{line}\n"),
    };
    end.lines().enumerate().map(paint).collect()
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
