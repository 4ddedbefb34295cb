//! What can go wrong, told to a person who reads a pod's log, and the exit code that tells it to an engine.

use std::fmt;

/// The exit codes. Argo's executor keeps 64 and 65 for itself, so neither is used here.
pub(crate) mod exit_code {
    /// The mix is whole.
    pub(crate) const OK: u8 = 0;
    /// The command line, a variable or a recipe is wrong.
    pub(crate) const USAGE: u8 = 2;
    /// The input cannot be used as it is.
    pub(crate) const DATA: u8 = 3;
    /// No cut that was asked for is feasible.
    pub(crate) const NO_FEASIBLE_CUT: u8 = 4;
    /// An input, a tokenizer or a template is not there.
    pub(crate) const NOT_FOUND: u8 = 66;
    /// A storage service cannot be reached: worth a retry.
    pub(crate) const UNREACHABLE: u8 = 69;
    /// A bug of this program.
    pub(crate) const BUG: u8 = 70;
    /// Reading or writing failed.
    pub(crate) const IO: u8 = 74;
    /// Another run is at work on the same output: try again.
    pub(crate) const TRY_AGAIN: u8 = 75;
    /// Ended by SIGINT.
    pub(crate) const INTERRUPTED: u8 = 130;
    /// Ended by SIGTERM.
    pub(crate) const TERMINATED: u8 = 143;
}

/// The kinds of error: one for each exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line, a variable or a recipe is wrong.
    Usage,
    /// The input cannot be used as it is.
    Data,
    /// No cut that was asked for is feasible.
    NoFeasibleCut,
    /// An input, a tokenizer or a template is not there.
    NotFound,
    /// A storage service cannot be reached.
    Unreachable,
    /// A bug of this program.
    Bug,
    /// Reading or writing failed, or is not allowed.
    Io,
    /// Another run is at work on the same output.
    TryAgain,
    /// Ended by SIGINT.
    Interrupted,
    /// Ended by SIGTERM.
    Terminated,
}

impl ErrorKind {
    /// The exit code that tells this kind to an engine.
    pub fn exit_code(self) -> u8 {
        match self {
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

/// The program's one error: what failed, where, why, and what to do.
///
/// Messages are lowercase fragments; [`fmt::Display`] joins them as `place: message: cause` and puts the hint on a line
/// of its own. Nothing that is put in here may hold a secret.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    place: Option<String>,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What the fallible functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of a kind, with what failed.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, place: None, message: message.into(), hint: None, source: None }
    }

    /// Where it failed: a URL, a file, `file:line`, a flag.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind, and with it the exit code.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The error in one line, without the hint: for termination messages and ledgers.
    pub fn line(&self) -> String {
        let mut line = String::new();
        if let Some(place) = &self.place {
            line.push_str(place);
            line.push_str(": ");
        }
        line.push_str(&self.message);
        let mut cause = self.source.as_deref().map(|e| e as &dyn std::error::Error);
        while let Some(error) = cause {
            let text = error.to_string();
            // Many libraries repeat their cause in their own message.
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line.replace(['\n', '\r'], " ")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where_what_why_and_what_to_do() {
        let error = Error::new(ErrorKind::Io, "cannot write")
            .at("out/manifest.json")
            .caused_by(std::io::Error::other("no space left"))
            .hint("free some space");
        assert_eq!(error.to_string(), "out/manifest.json: cannot write: no space left\n  hint: free some space");
        assert_eq!(error.kind().exit_code(), 74);
    }

    #[test]
    fn a_cause_that_is_already_told_is_not_told_twice() {
        let error =
            Error::new(ErrorKind::Io, "cannot write: no space left").caused_by(std::io::Error::other("no space left"));
        assert_eq!(error.line(), "cannot write: no space left");
    }
}
