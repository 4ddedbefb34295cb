//! How far a run is: bars on a terminal, a line every few seconds in a pod.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a pod's log hears of progress.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// How a run tells people what it does. Everything goes to standard error; standard output is for results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// What a person may want to know.
    Info,
    /// What a person should look at.
    Warning,
    /// Why the run failed.
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The run's voice: log lines and progress.
#[derive(Debug, Clone)]
pub struct Progress {
    format: LogFormat,
    quiet: bool,
    silent: bool,
    bars: Option<MultiProgress>,
}

impl Progress {
    /// Progress on standard error; with `quiet`, only warnings and errors.
    pub fn new(format: LogFormat, quiet: bool) -> Self {
        let bars = format == LogFormat::Text && !quiet && std::io::stderr().is_terminal();
        Self { format, quiet, silent: false, bars: bars.then(MultiProgress::new) }
    }

    /// Says nothing at all.
    pub fn silent() -> Self {
        Self { format: LogFormat::Text, quiet: true, silent: true, bars: None }
    }

    /// Whether only warnings and errors are wanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A line for people.
    pub fn info(&self, message: &str) {
        if !self.quiet {
            self.line(Level::Info, message);
        }
    }

    /// A line that a person should look at.
    pub fn warning(&self, message: &str) {
        self.line(Level::Warning, message);
    }

    /// Why the run failed.
    pub fn error(&self, message: &str) {
        self.line(Level::Error, message);
    }

    fn line(&self, level: Level, message: &str) {
        if self.silent {
            return;
        }
        let line = log_line(self.format, level, message);
        match &self.bars {
            Some(bars) => bars.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Begins a phase of `total` units; with `bytes`, the units are bytes.
    pub fn phase(&self, name: &'static str, total: u64, bytes: bool) -> Phase {
        let bar = match &self.bars {
            Some(bars) => {
                let units = if bytes { "{bytes}/{total_bytes}" } else { "{human_pos}/{human_len}" };
                let style = ProgressStyle::with_template(&format!("{name:<9} {{wide_bar}} {units} {{eta}}"));
                let bar = bars.add(ProgressBar::new(total));
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar
            }
            None => ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden()),
        };
        let ended = Arc::new(AtomicBool::new(false));
        if self.bars.is_none() && !self.quiet {
            let (voice, bar, ended) = (self.clone(), bar.clone(), ended.clone());
            // A detached thread: it ends with its phase, and nothing waits for it.
            std::thread::spawn(move || {
                loop {
                    std::thread::park_timeout(LOG_EVERY);
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let percent = (bar.position() * 100).checked_div(bar.length().unwrap_or(0)).unwrap_or(0);
                    voice.info(&format!("{name}: {percent}%"));
                }
            });
        }
        Phase { bar, ended }
    }
}

/// A line of the log.
fn log_line(format: LogFormat, level: Level, message: &str) -> String {
    match (format, level) {
        (LogFormat::Json, _) => serde_json::json!({ "level": level.as_str(), "message": message }).to_string(),
        (LogFormat::Text, Level::Info) => message.to_owned(),
        (LogFormat::Text, _) => format!("{}: {message}", level.as_str()),
    }
}

/// One phase of a run: reading, counting, writing.
#[derive(Debug, Clone)]
pub struct Phase {
    bar: ProgressBar,
    ended: Arc<AtomicBool>,
}

impl Phase {
    /// A phase that nobody sees.
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), ended: Arc::default() }
    }

    /// Some units are done.
    pub fn advance(&self, units: u64) {
        self.bar.inc(units);
    }

    /// The phase is over.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_for_people_or_for_programs() {
        assert_eq!(log_line(LogFormat::Text, Level::Info, "done"), "done");
        assert_eq!(log_line(LogFormat::Text, Level::Warning, "odd"), "warning: odd");
        assert_eq!(
            log_line(LogFormat::Json, Level::Error, "a \"b\"\nc"),
            r#"{"level":"error","message":"a \"b\"\nc"}"#
        );
    }
}
