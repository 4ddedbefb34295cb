//! The sub-commands, one file each.

mod clean;
mod component;
mod diff;
mod dotenv;
mod kfp_step;
mod mix;
mod plan;
mod print;
mod recipe;
mod runtime;
mod session;
mod signals;
mod umask;
mod verify;

use self::session::Session;
use crate::cli::{self, Cli, Command};
use crate::error::{Error, ErrorKind, Result, exit_code};
use crate::progress::Progress;
use crate::settings::{self, Environment, RunSettings};
use crate::{storage, workflow};
use std::ffi::OsString;
use std::panic::AssertUnwindSafe;

/// Runs the program and maps the outcome to an exit code.
///
/// Not generic: whoever calls a generic function compiles it, with everything that it runs.
pub fn main(arguments: Vec<OsString>) -> u8 {
    umask::set();
    // Before any thread exists: variables of a .env file become part of the environment.
    let dotenv = dotenv::load();
    storage::install_tls_provider();
    // Until the settings are known.
    let logging = Progress::new(Default::default(), false);
    let cli = match cli::parse(arguments) {
        Ok(cli) => cli,
        Err(cli::Stop::Clap(error)) if error.use_stderr() => {
            let _ = error.print();
            return exit_code::USAGE;
        }
        Err(cli::Stop::Clap(help)) => {
            let printed = print::print_help(&help);
            return printed.map_or_else(|error| report(&logging, &error), |()| exit_code::OK);
        }
        Err(cli::Stop::Error(error)) => return report(&logging, &error),
    };
    let environment = settings::process_environment();
    let settings = match run_settings(&cli, &environment) {
        Ok(settings) => settings,
        Err(error) => return report(&logging, &error),
    };
    let progress = Progress::new(settings.log_format, settings.quiet);
    let outcome = dotenv.and_then(|()| {
        let run = AssertUnwindSafe(|| {
            signals::run(settings.storage(), &progress, |storage| {
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
        Err(error) => report(&progress, &error),
    }
}

fn report(progress: &Progress, error: &Error) -> u8 {
    progress.error(&error.to_string());
    workflow::termination::report(error);
    error.kind().exit_code()
}

/// The settings that every sub-command shares; one without storage uses the defaults.
fn run_settings(cli: &Cli, environment: &Environment) -> Result<RunSettings> {
    let given = match &cli.command {
        Command::Mix(given) => given.clone(),
        Command::Plan(arguments) => arguments.settings.clone(),
        Command::Verify(arguments) => arguments.run.0.clone(),
        Command::Diff(arguments) => arguments.run.0.clone(),
        Command::Clean(arguments) => arguments.run.0.clone(),
        Command::KfpStep(arguments) => workflow::kfp_step::run_arguments(&arguments.executor_input)?,
        Command::Recipe(_) | Command::Component(_) => Default::default(),
    };
    RunSettings::of(&given, environment)
}

async fn run(cli: Cli, session: &Session<'_>) -> Result<()> {
    match cli.command {
        Command::Mix(given) => mix::run(&given, session).await,
        Command::Plan(arguments) => plan::run(&arguments, session).await,
        Command::Verify(arguments) => verify::run(&arguments, session).await,
        Command::Diff(arguments) => diff::run(&arguments, session).await,
        Command::Clean(arguments) => clean::run(&arguments, session).await,
        Command::Recipe(command) => recipe::run(&command, session).await,
        Command::Component(arguments) => component::run(&arguments),
        Command::KfpStep(arguments) => kfp_step::run(&arguments, session).await,
    }
}
