//! Log lines and progress: bars on a terminal, a line every few seconds in a pod. Both are for people, so writing them is best
//! effort: if standard error is full or closed, the run goes on.

use indicatif::{MultiProgress, ProgressDrawTarget, ProgressStyle};
use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How often progress is logged where standard error is not a terminal.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// The format of log lines. They go to standard error; standard output is for results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Human-readable lines.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Useful to know.
    Info,
    /// Needs attention.
    Warning,
    /// The run failed.
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

/// Writes log lines and progress to standard error. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    format: LogFormat,
    quiet: bool,
    silent: bool,
    bars: Option<MultiProgress>,
}

impl Progress {
    /// Progress on standard error; with `quiet`, only warnings and errors.
    pub(crate) fn new(format: LogFormat, quiet: bool) -> Self {
        let bars = format == LogFormat::Text && !quiet && std::io::stderr().is_terminal();
        Self { format, quiet, silent: false, bars: bars.then(MultiProgress::new) }
    }

    /// Writes nothing.
    pub(crate) fn silent() -> Self {
        Self { format: LogFormat::Text, quiet: true, silent: true, bars: None }
    }

    /// Whether only warnings and errors are written.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Logs a line at level `info`.
    pub(crate) fn info(&self, message: &str) {
        if !self.quiet {
            self.line(Level::Info, message);
        }
    }

    /// Logs a line at level `warning`.
    pub(crate) fn warning(&self, message: &str) {
        self.line(Level::Warning, message);
    }

    /// Logs a line at level `error`.
    pub(crate) fn error(&self, message: &str) {
        self.line(Level::Error, message);
    }

    fn line(&self, level: Level, message: &str) {
        if self.silent {
            return;
        }
        let line = log_line(self.format, level, message);
        let _ = match &self.bars {
            // Not `suspend`, which panics if the terminal is gone.
            Some(bars) if !bars.is_hidden() => bars.println(line),
            _ => std::io::stderr().lock().write_all(format!("{line}\n").as_bytes()),
        };
    }

    /// Starts a progress bar for `total` units of work. The bar disappears when the returned guard is dropped.
    pub(crate) fn bar(&self, name: &'static str, total: u64, unit: ProgressUnit) -> ProgressBar {
        let bar = match &self.bars {
            Some(bars) => {
                let units = match unit {
                    ProgressUnit::Bytes => "{bytes}/{total_bytes}",
                    ProgressUnit::Rows => "{human_pos}/{human_len}",
                };
                let style = ProgressStyle::with_template(&format!("{name:<9} {{wide_bar}} {units} {{eta}}"));
                let bar = bars.add(indicatif::ProgressBar::new(total));
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar
            }
            None => indicatif::ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden()),
        };
        let counted = bar.clone();
        let percent = move |_| {
            let percent = (counted.position() * 100).checked_div(counted.length().unwrap_or(0)).unwrap_or(0);
            format!("{name}: {percent}%")
        };
        self.with_logger(bar, percent)
    }

    /// Shows a step whose length is unknown until the returned guard is dropped: a sign on a terminal, elsewhere a line every few
    /// seconds.
    pub(crate) fn step(&self, name: &'static str) -> ProgressBar {
        let bar = match &self.bars {
            Some(bars) => {
                let bar = bars.add(indicatif::ProgressBar::new_spinner().with_message(name));
                // Without a thread that moves the sign: the system may give none.
                bar.tick();
                bar
            }
            None => indicatif::ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
        };
        self.with_logger(bar, move |elapsed: Duration| format!("{name}: {} seconds so far", elapsed.as_secs()))
    }

    /// Adds the logger that replaces a bar where none is visible: it logs every few seconds, until the bar is dropped.
    fn with_logger(
        &self,
        bar: indicatif::ProgressBar,
        line: impl Fn(Duration) -> String + Send + 'static,
    ) -> ProgressBar {
        let is_logged = self.bars.is_none() && !self.quiet;
        let logger = if is_logged { self.log_regularly(line) } else { None };
        ProgressBar { counter: ProgressCounter(bar), _logger: logger }
    }

    /// Logs a line every few seconds until the returned sender is dropped; never if the system gives no thread.
    fn log_regularly(&self, line: impl Fn(Duration) -> String + Send + 'static) -> Option<mpsc::Sender<Infallible>> {
        let (tx, rx) = mpsc::channel::<Infallible>();
        let (progress, began) = (self.clone(), Instant::now());
        let log = move || {
            while rx.recv_timeout(LOG_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
                progress.info(&line(began.elapsed()));
            }
        };
        std::thread::Builder::new().name("progress".to_owned()).spawn(log).ok().map(|_| tx)
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

/// What a progress bar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgressUnit {
    /// Bytes.
    Bytes,
    /// Rows.
    Rows,
}

/// A visible progress bar, or the regular log lines that replace it where standard error is not a terminal. Both end when
/// it is dropped, so an error path cannot leave a bar on the screen or a logging thread behind.
#[derive(Debug)]
pub(crate) struct ProgressBar {
    counter: ProgressCounter,
    /// Dropping the sender ends the logging thread.
    _logger: Option<mpsc::Sender<Infallible>>,
}

impl ProgressBar {
    /// A handle that advances the bar from any thread.
    pub(crate) fn counter(&self) -> ProgressCounter {
        self.counter.clone()
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        self.counter.0.finish_and_clear();
    }
}

/// Advances a [`ProgressBar`]. It may outlive the bar; then it has no effect.
#[derive(Debug, Clone)]
pub(crate) struct ProgressCounter(indicatif::ProgressBar);

impl ProgressCounter {
    /// Counts finished units.
    pub(crate) fn advance(&self, units: u64) {
        self.0.inc(units);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::TermLike;
    use std::io;

    /// A terminal whose window is closed.
    #[derive(Debug)]
    struct ClosedTerminal;

    fn closed() -> io::Result<()> {
        Err(io::Error::other("the terminal is closed"))
    }

    impl TermLike for ClosedTerminal {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            closed()
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            closed()
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            closed()
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            closed()
        }
        fn write_line(&self, _: &str) -> io::Result<()> {
            closed()
        }
        fn write_str(&self, _: &str) -> io::Result<()> {
            closed()
        }
        fn clear_line(&self) -> io::Result<()> {
            closed()
        }
        fn flush(&self) -> io::Result<()> {
            closed()
        }
    }

    #[test]
    fn a_terminal_that_is_closed_does_not_end_the_run() {
        let target = ProgressDrawTarget::term_like(Box::new(ClosedTerminal));
        let bars = Some(MultiProgress::with_draw_target(target));
        let progress = Progress { format: LogFormat::Text, quiet: false, silent: false, bars };
        let bar = progress.bar("reading", 100, ProgressUnit::Rows);
        for _ in 0..10 {
            bar.counter().advance(10);
            progress.warning("odd");
        }
        drop(bar);
        progress.error("failed");
    }

    #[test]
    fn log_lines_in_both_formats() {
        assert_eq!(log_line(LogFormat::Text, Level::Info, "done"), "done");
        assert_eq!(log_line(LogFormat::Text, Level::Warning, "odd"), "warning: odd");
        assert_eq!(
            log_line(LogFormat::Json, Level::Error, "a \"b\"\nc"),
            r#"{"level":"error","message":"a \"b\"\nc"}"#
        );
    }
}
