//! The error type: a message for the person who reads a pod's log, and an exit code for the engine.

use crate::message;
use std::{fmt, io};

/// The exit codes. Argo's executor reserves 64 and 65, so neither is used here.
pub(crate) mod exit_code {
    /// The mix is complete.
    pub(crate) const OK: u8 = 0;
    /// `diff --exit-code`: the mixes differ.
    pub(crate) const DIFFERENT: u8 = 1;
    /// The command line, an environment variable or a recipe is invalid.
    pub(crate) const USAGE: u8 = 2;
    /// The input data is invalid.
    pub(crate) const DATA: u8 = 3;
    /// None of the requested cuts is feasible.
    pub(crate) const NO_FEASIBLE_CUT: u8 = 4;
    /// An input, a tokenizer or a chat template was not found.
    pub(crate) const NOT_FOUND: u8 = 66;
    /// A storage service cannot be reached; a retry may succeed.
    pub(crate) const UNREACHABLE: u8 = 69;
    /// A bug in this program.
    pub(crate) const BUG: u8 = 70;
    /// Reading or writing failed.
    pub(crate) const IO: u8 = 74;
    /// Another run is publishing to the same output; a retry may succeed.
    pub(crate) const TRY_AGAIN: u8 = 75;
    /// Stopped by SIGINT.
    pub(crate) const INTERRUPTED: u8 = 130;
    /// Stopped by SIGTERM.
    pub(crate) const TERMINATED: u8 = 143;
}

/// The kinds of error, one per exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Two mixes differ, and the caller wants to know that by the exit code.
    Different,
    /// The command line, an environment variable or a recipe is invalid.
    Usage,
    /// The input data is invalid.
    Data,
    /// None of the requested cuts is feasible.
    NoFeasibleCut,
    /// An input, a tokenizer or a chat template was not found.
    NotFound,
    /// A storage service cannot be reached.
    Unreachable,
    /// A bug in this program.
    Bug,
    /// Reading or writing failed, or access was denied.
    Io,
    /// Another run is publishing to the same output.
    TryAgain,
    /// Stopped by SIGINT.
    Interrupted,
    /// Stopped by SIGTERM.
    Terminated,
}

impl ErrorKind {
    /// Returns the exit code that reports this kind to the caller.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Different => exit_code::DIFFERENT,
            Self::Usage => exit_code::USAGE,
            Self::Data => exit_code::DATA,
            Self::NoFeasibleCut => exit_code::NO_FEASIBLE_CUT,
            Self::NotFound => exit_code::NOT_FOUND,
            Self::Unreachable => exit_code::UNREACHABLE,
            Self::Bug => exit_code::BUG,
            Self::Io => exit_code::IO,
            Self::TryAgain => exit_code::TRY_AGAIN,
            Self::Interrupted => exit_code::INTERRUPTED,
            Self::Terminated => exit_code::TERMINATED,
        }
    }
}

/// The error type of the program: what failed, where, why, and what to do.
///
/// Messages are lowercase fragments. [`fmt::Display`] joins them as `place: message: cause` and prints the hint on its own
/// line. Whatever its parts hold, it shows no secret, no control character and at most 2,000 characters of each: see [`message::part`].
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    place: Option<String>,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Maximum number of causes that are shown.
const MAX_CAUSES: usize = 8;

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Creates an error from its kind and a message that says what failed.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, place: None, message: message.into(), hint: None, source: None }
    }

    /// Sets the place where it failed: a URL, a file, `file:line`, a flag, a variable.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// Sets the hint: what the reader can do about it, as an imperative.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Appends what else is to be known, after a semicolon.
    #[must_use]
    pub(crate) fn and(mut self, remark: &str) -> Self {
        self.message = format!("{}; {remark}", self.message);
        self
    }

    /// The same error again, without its cause.
    pub(crate) fn without_cause(&self) -> Self {
        let Self { kind, place, message, hint, .. } = self;
        Self { kind: *kind, place: place.clone(), message: message.clone(), hint: hint.clone(), source: None }
    }

    /// Sets the underlying error.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The error for a thread that the system does not start; `action` completes "cannot ...".
    pub(crate) fn no_thread(action: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Io, format!("cannot {action}")).caused_by(source).hint(NO_THREAD_HINT)
    }

    /// Whether the cause is that the system gives this process no more descriptors or threads.
    pub(crate) fn is_limit(&self) -> bool {
        self.is_thread_limit() || matches!(self.os_code(), Some(libc::EMFILE | libc::ENFILE))
    }

    /// Whether the cause is that the system gives this process no more threads.
    pub(crate) fn is_thread_limit(&self) -> bool {
        self.os_code() == Some(libc::EAGAIN)
    }

    fn os_code(&self) -> Option<i32> {
        self.source.as_deref()?.downcast_ref::<io::Error>()?.raw_os_error()
    }

    /// Returns the kind, which determines the exit code.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the reader can do about it.
    pub(crate) fn advice(&self) -> Option<String> {
        self.hint.as_deref().map(message::part)
    }

    /// Returns the error as one line without the hint, for termination messages and lists of rejected rows.
    pub fn line(&self) -> String {
        let mut line = String::new();
        if let Some(place) = &self.place {
            line.push_str(&message::part(place));
            line.push_str(": ");
        }
        line.push_str(&message::part(&self.message));
        let mut cause = self.source.as_deref().map(|e| e as &dyn std::error::Error);
        for _ in 0..MAX_CAUSES {
            let Some(error) = cause else { break };
            let text = message::part(error.to_string().trim_end());
            // Many libraries repeat their cause in their own message.
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {}", message::part(hint)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

/// The hint for a thread that the system does not start.
const NO_THREAD_HINT: &str = "raise the limit of threads: `ulimit -u`, or the container's limit of processes";

/// The hint for an error of the system because too many files are open; `None` for any other error.
pub(crate) fn open_files_hint(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error() {
        Some(libc::EMFILE) => Some("raise the limit of open files: `ulimit -n 1024`"),
        Some(libc::ENFILE) => Some("raise the system's limit of open files (`fs.file-max`), or stop other programs"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::is_hidden;
    use proptest::prelude::*;

    #[test]
    fn an_error_says_where_what_why_and_what_to_do() {
        let error = Error::new(ErrorKind::Io, "cannot write")
            .at("out/manifest.json")
            .caused_by(std::io::Error::other("no space left"))
            .hint("free some space");
        assert_eq!(error.to_string(), "out/manifest.json: cannot write: no space left\n  hint: free some space");
        assert_eq!(error.kind().exit_code(), 74);
    }

    proptest! {
        #[test]
        fn no_part_of_an_error_breaks_its_lines(parts in prop::array::uniform4("(?s).{0,40}")) {
            let [place, message, cause, hint] = parts;
            let error = Error::new(ErrorKind::Data, message).at(place).caused_by(cause).hint(hint);
            prop_assert!(!error.line().contains(is_hidden));
            let text = error.to_string();
            prop_assert_eq!(text.lines().count(), 2);
            prop_assert!(!text.replacen('\n', "", 1).contains(is_hidden));
        }
    }

    #[test]
    fn every_part_of_an_error_is_short() {
        let huge = || "x".repeat(1_000_000);
        let error = Error::new(ErrorKind::Data, huge()).at(huge()).caused_by(huge() + "y").hint(huge());
        assert!(error.to_string().len() < 9000);
    }

    #[test]
    fn a_cause_that_the_message_contains_is_not_repeated() {
        let error =
            Error::new(ErrorKind::Io, "cannot write: no space left").caused_by(std::io::Error::other("no space left"));
        assert_eq!(error.line(), "cannot write: no space left");
    }
}
