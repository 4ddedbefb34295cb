//! Log lines and progress: bars on a terminal, a line every few seconds in a pod. Both are for people, so writing them is best
//! effort: if standard error is full or closed, the run goes on.

use crate::colour::{Colour, has_colours};
use crate::error::{Error, exit_code};
use crate::{escape, message};
use indicatif::{MultiProgress, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value};
use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

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
    has_colours: bool,
    bars: Option<MultiProgress>,
}

impl Progress {
    /// Progress on standard error; with `quiet`, only warnings and errors.
    pub(crate) fn new(format: LogFormat, quiet: bool) -> Self {
        let bars = format == LogFormat::Text && !quiet && std::io::stderr().is_terminal();
        let has_colours = format == LogFormat::Text && has_colours(&std::io::stderr());
        Self { format, quiet, silent: false, has_colours, bars: bars.then(MultiProgress::new) }
    }

    /// Writes nothing.
    pub(crate) fn silent() -> Self {
        Self { format: LogFormat::Text, quiet: true, silent: true, has_colours: false, bars: None }
    }

    /// Whether only warnings and errors are written.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Logs a line at level `info`.
    pub(crate) fn info(&self, text: &str) {
        self.event("message", text, Map::new());
    }

    /// Logs an event at level `info`; its fields are only in JSON logs.
    pub(crate) fn event(&self, event: &'static str, text: &str, fields: Map<String, Value>) {
        if !self.quiet {
            self.line(Line { level: Level::Info, event, message: &message::line(text), fields });
        }
    }

    /// Logs a line at level `warning`.
    pub(crate) fn warning(&self, text: &str) {
        self.line(Line { level: Level::Warning, event: "warning", message: &message::line(text), fields: Map::new() });
    }

    /// Logs why the program ends.
    pub(crate) fn error(&self, error: &Error) {
        let mut fields = Map::from_iter([("exit_code".to_owned(), Value::from(error.kind().exit_code()))]);
        fields.extend(error.advice().map(|hint| ("hint".to_owned(), Value::from(hint))));
        let message = match self.format {
            LogFormat::Text => error.to_string(),
            LogFormat::Json => error.line(),
        };
        self.line(Line { level: Level::Error, event: "error", message: &message, fields });
    }

    /// Logs what a library says about an invalid command line, which it formats for people.
    pub(crate) fn usage_error(&self, message: &str) {
        let fields = Map::from_iter([("exit_code".to_owned(), Value::from(exit_code::USAGE))]);
        self.line(Line { level: Level::Error, event: "error", message, fields });
    }

    /// Whether log lines are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == LogFormat::Json
    }

    fn line(&self, line: Line<'_>) {
        if self.silent {
            return;
        }
        let line = match self.has_colours {
            true => line.coloured(),
            false => line.text(self.format, SystemTime::now()),
        };
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
            let fields = [("step".to_owned(), Value::from(name)), ("percent".to_owned(), Value::from(percent))];
            (format!("{name}: {percent}%"), Map::from_iter(fields))
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
        self.with_logger(bar, move |elapsed: Duration| {
            let seconds = elapsed.as_secs();
            let fields = [("step".to_owned(), Value::from(name)), ("seconds".to_owned(), Value::from(seconds))];
            (format!("{name}: {seconds} seconds so far"), Map::from_iter(fields))
        })
    }

    /// Adds the logger that replaces a bar where none is visible: it logs every few seconds, until the bar is dropped.
    fn with_logger(
        &self,
        bar: indicatif::ProgressBar,
        line: impl Fn(Duration) -> (String, Map<String, Value>) + Send + 'static,
    ) -> ProgressBar {
        let is_logged = self.bars.is_none() && !self.quiet;
        let logger = if is_logged { self.log_regularly(line) } else { None };
        ProgressBar { counter: ProgressCounter(bar), _logger: logger }
    }

    /// Logs a line every few seconds until the returned sender is dropped; never if the system gives no thread.
    fn log_regularly(
        &self,
        line: impl Fn(Duration) -> (String, Map<String, Value>) + Send + 'static,
    ) -> Option<mpsc::Sender<Infallible>> {
        let (tx, rx) = mpsc::channel::<Infallible>();
        let (progress, began) = (self.clone(), Instant::now());
        let log = move || {
            while rx.recv_timeout(LOG_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
                let (message, fields) = line(began.elapsed());
                progress.event("progress", &message, fields);
            }
        };
        std::thread::Builder::new().name("progress".to_owned()).spawn(log).ok().map(|_| tx)
    }
}

/// A line of the log.
struct Line<'m> {
    level: Level,
    /// What kind of line it is: `docs/logs.md` lists them.
    event: &'static str,
    message: &'m str,
    fields: Map<String, Value>,
}

impl Line<'_> {
    /// The line without its end. In JSON, the fields come last; what they are called differs from the keys before them.
    fn text(self, format: LogFormat, now: SystemTime) -> String {
        let Self { level, event, message, fields } = self;
        match (format, level) {
            (LogFormat::Json, _) => {
                let mut object = Map::from_iter([
                    ("timestamp".to_owned(), humantime::format_rfc3339_millis(now).to_string().into()),
                    ("level".to_owned(), level.as_str().into()),
                    ("event".to_owned(), event.into()),
                    ("message".to_owned(), message.into()),
                ]);
                object.extend(
                    trace()
                        .map(|(id, parent)| {
                            [("trace_id".to_owned(), Value::from(id)), ("parent_id".to_owned(), Value::from(parent))]
                        })
                        .into_iter()
                        .flatten(),
                );
                object.extend(fields);
                // JSON itself escapes only some of what a terminal obeys.
                escape::line(&Value::from(object).to_string()).into_owned()
            }
            (LogFormat::Text, Level::Info) => message.to_owned(),
            (LogFormat::Text, _) => format!("{}: {message}", level.as_str()),
        }
    }

    /// The same text with colours.
    fn coloured(self) -> String {
        let colour = match self.level {
            Level::Info => return self.message.to_owned(),
            Level::Warning => Colour::Warning,
            Level::Error => Colour::Error,
        };
        let message = self.message.replacen("\n  hint:", &format!("\n  {}", Colour::Strong.paint("hint:")), 1);
        format!("{} {message}", colour.paint(&format!("{}:", self.level.as_str())))
    }
}

/// The trace and the span that started the program, if the variable TRACEPARENT says so.
/// Format: <https://www.w3.org/TR/trace-context/#traceparent-header>.
fn trace() -> Option<(String, String)> {
    trace_of(&std::env::var("TRACEPARENT").ok()?)
}

fn trace_of(value: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = value.split('-').collect();
    let [_version, trace, parent, _flags] = parts[..] else { return None };
    let is_id = |id: &str, length: usize| {
        id.len() == length && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.bytes().any(|byte| byte != b'0')
    };
    (is_id(trace, 32) && is_id(parent, 16)).then(|| (trace.to_owned(), parent.to_owned()))
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
        let progress = Progress { format: LogFormat::Text, quiet: false, silent: false, has_colours: false, bars };
        let bar = progress.bar("reading", 100, ProgressUnit::Rows);
        for _ in 0..10 {
            bar.counter().advance(10);
            progress.warning("odd");
        }
        drop(bar);
        progress.error(&Error::new(crate::error::ErrorKind::Io, "failed"));
    }

    #[test]
    fn log_lines_in_both_formats() {
        let line = |format, level, message| {
            let fields = Map::from_iter([("exit_code".to_owned(), Value::from(74))]);
            Line { level, event: "error", message, fields }.text(format, SystemTime::UNIX_EPOCH)
        };
        assert_eq!(line(LogFormat::Text, Level::Info, "done"), "done");
        assert_eq!(line(LogFormat::Text, Level::Warning, "odd"), "warning: odd");
        assert_eq!(
            line(LogFormat::Json, Level::Error, "a \"b\"\nc"),
            r#"{"timestamp":"1970-01-01T00:00:00.000Z","level":"error","event":"error","message":"a \"b\"\nc","exit_code":74}"#
        );
    }

    #[test]
    fn a_log_line_cannot_be_forged() {
        let fields = Map::from_iter([("file".to_owned(), Value::from("a\u{202e}\u{9b}b"))]);
        let line = Line { level: Level::Info, event: "cut", message: &message::line("a\nerror: b"), fields };
        assert!(
            line.text(LogFormat::Json, SystemTime::UNIX_EPOCH)
                .ends_with(r#""message":"a\\nerror: b","file":"a\u202e\u009bb"}"#)
        );
    }

    #[test]
    fn a_trace_is_carried_if_it_is_valid() {
        let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let expected = Some((trace.to_owned(), parent.to_owned()));
        assert_eq!(trace_of(&format!("00-{trace}-{parent}-01")), expected);
        for invalid in
            ["", "00", "00-x-y-01", &format!("00-{}-{parent}-01", "0".repeat(32)), &format!("00-{trace}-{parent}")]
        {
            assert_eq!(trace_of(invalid), None, "{invalid}");
        }
    }
}
