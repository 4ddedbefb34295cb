//! The sub-commands, one file each.

mod clean;
mod completions;
mod component;
mod diff;
mod dotenv;
mod init;
mod kfp_step;
mod man;
mod mix;
mod plan;
mod print;
mod recipe;
mod report;
mod runtime;
mod sample;
mod session;
mod signals;
mod stats;
mod umask;
mod verify;

use self::session::Session;
use crate::cli::{self, Cli, Command, MixArguments, PlanArguments, PlanFormat};
use crate::error::{Error, ErrorKind, Result, exit_code};
use crate::progress::{LogFormat, Progress};
use crate::settings::{self, Environment, RunSettings};
use crate::{message, secrets, storage, workflow};
use std::ffi::OsString;
use std::io::Write;
use std::panic::AssertUnwindSafe;

/// Runs the program and maps the outcome to an exit code.
///
/// `commit` is the commit that `--version` shows: the binary knows it and this library does not, so that another commit compiles only
/// the binary's few lines anew.
///
/// Not generic: whoever calls a generic function compiles it, with everything that it runs.
pub fn main(arguments: Vec<OsString>, commit: Option<&'static str>) -> u8 {
    cli::set_commit(commit);
    umask::set();
    // Before any thread exists: variables of a .env file become part of the environment.
    let dotenv = dotenv::load();
    protect_secrets(&arguments);
    show_panics();
    storage::install_tls_provider();
    // Until the settings are known.
    let logging = Progress::new(log_format(&arguments), false);
    let cli = match cli::parse(arguments) {
        Ok(cli) => cli,
        Err(cli::Stop::Clap(error)) if error.use_stderr() => {
            if logging.is_json() {
                let message = error.render().to_string();
                logging.usage_error(message.strip_prefix("error: ").unwrap_or(&message).trim_end());
            } else {
                print::print_usage_error(&error);
            }
            return exit_code::USAGE;
        }
        Err(cli::Stop::Clap(help)) => {
            let printed = print::print_help(&help);
            return printed.map_or_else(|error| fail(&logging, &error), |()| exit_code::OK);
        }
        Err(cli::Stop::Error(error)) => return fail(&logging, &error),
    };
    let environment = settings::process_environment();
    let settings = match run_settings(&cli, &environment) {
        Ok(settings) => settings,
        Err(error) => return fail(&logging, &error),
    };
    let progress = Progress::new(settings.log_format, settings.quiet);
    settings::unknown_variables(&environment).iter().for_each(|warning| progress.warning(warning));
    let outcome = dotenv.and_then(|()| {
        let run = AssertUnwindSafe(|| {
            signals::run(&settings, &progress, fail, |storage| {
                let session = Session { environment: &environment, progress: &progress, storage };
                async move { run(cli, &session).await }
            })
        });
        std::panic::catch_unwind(run).unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Bug, "the program panicked").hint("report this with the lines above"))
        })
    });
    match outcome {
        Ok(()) => exit_code::OK,
        Err(error) => fail(&progress, &error),
    }
}

/// Registers the secrets of the environment, and those in URLs of the command line.
fn protect_secrets(arguments: &[OsString]) {
    secrets::protect(|known| {
        for (name, value) in std::env::vars_os() {
            known.add_variable(&name.to_string_lossy(), &value.to_string_lossy());
        }
        arguments.iter().for_each(|argument| known.add_urls(&argument.to_string_lossy()));
    });
}

/// Reports a panic as any other message: its text may hold anything.
fn show_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = message::line(&panic.to_string().replace('\n', " "));
        // Best effort: standard error may be closed.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }));
}

/// The log format that a command line asks for, valid or not: also what is wrong with it is logged in that format.
fn log_format(arguments: &[OsString]) -> LogFormat {
    let texts: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let of_flag = texts.iter().enumerate().rev().find_map(|(at, text)| match text.strip_prefix("--log-format")? {
        "" => texts.get(at + 1).copied(),
        value => value.strip_prefix('='),
    });
    let variable = std::env::var("KNOWLEDGE_MIXING_LOG_FORMAT").ok();
    match of_flag.or(variable.as_deref()) {
        Some("json") => LogFormat::Json,
        _ => LogFormat::Text,
    }
}

fn fail(progress: &Progress, error: &Error) -> u8 {
    progress.error(error);
    workflow::termination::report(error);
    error.kind().exit_code()
}

/// The settings that every sub-command shares; one without storage uses the defaults.
fn run_settings(cli: &Cli, environment: &Environment) -> Result<RunSettings> {
    let given = match &cli.command {
        Command::Mix(arguments) => arguments.settings.clone(),
        Command::Plan(arguments) => arguments.settings.clone(),
        Command::Verify(arguments) => arguments.run.0.clone(),
        Command::Diff(arguments) => arguments.run.0.clone(),
        Command::Report(arguments) => arguments.run.0.clone(),
        Command::Clean(arguments) => arguments.run.0.clone(),
        Command::Sample(arguments) => arguments.run.0.clone(),
        Command::Stats(arguments) => arguments.run.0.clone(),
        Command::Init(arguments) => arguments.settings.0.clone(),
        Command::KfpStep(arguments) => workflow::kfp_step::run_arguments(&arguments.executor_input)?,
        Command::Recipe(_) | Command::Component(_) | Command::Completions(_) | Command::Man => Default::default(),
    };
    RunSettings::of(&given, environment)
}

async fn run(cli: Cli, session: &Session<'_>) -> Result<()> {
    match cli.command {
        Command::Mix(MixArguments { dry_run: true, settings }) => {
            plan::run(&PlanArguments { format: PlanFormat::Table, settings }, session).await
        }
        Command::Mix(arguments) => mix::run(&arguments.settings, session).await,
        Command::Plan(arguments) => plan::run(&arguments, session).await,
        Command::Verify(arguments) => verify::run(&arguments, session).await,
        Command::Diff(arguments) => diff::run(&arguments, session).await,
        Command::Report(arguments) => report::run(&arguments, session).await,
        Command::Clean(arguments) => clean::run(&arguments, session).await,
        Command::Sample(arguments) => sample::run(&arguments, session).await,
        Command::Stats(arguments) => stats::run(&arguments, session).await,
        Command::Init(arguments) => init::run(&arguments, session).await,
        Command::Recipe(command) => recipe::run(&command, session).await,
        Command::Component(arguments) => component::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man => man::run(),
        Command::KfpStep(arguments) => kfp_step::run(&arguments, session).await,
    }
}
