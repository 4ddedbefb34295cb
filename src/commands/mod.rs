//! The sub-commands: what each does with the rooms, and what a person and an engine hear of it.

use crate::cli::{self, Cli, Command, PlanFormat, RecipeCommand, SettingArguments};
use crate::error::{Error, ErrorKind, Result, exit_code};
use crate::pipeline::{self, Context, Outcome};
use crate::progress::{Progress, ProgressUnit};
use crate::recipe::Recipe;
use crate::report::table::{DEFAULT_WIDTH, Occasion, table};
use crate::settings::{self, Environment, RunSettings, Settings};
use crate::storage::{self, Location, Storage, StorageOptions};
use crate::warnings::Warnings;
use crate::workflow;
use crate::workflow::kfp_step::KfpStep;
use crate::workflow::mix_result::MixResult;
use crate::workflow::parameters::OutputParameters;
use std::ffi::OsString;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// No recipe is larger than this.
const MAX_RECIPE: u64 = 16 << 20;

/// What an error in a recipe is told to stand in that was given as text.
const INLINE_RECIPE: &str = "the inline recipe";

/// How long a stopped run may take to clean up behind itself.
const CLEAN_UP: Duration = Duration::from_millis(800);

/// Runs the program and gives its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    // Before any thread exists: a .env file becomes part of the environment, which wins over it.
    let dotenv = read_dotenv();
    storage::install_tls_provider();
    let cli = match cli::parse(arguments) {
        Ok(cli) => cli,
        Err(cli::Stop::Clap(error)) => {
            let _ = error.print();
            return if error.use_stderr() { exit_code::USAGE } else { exit_code::OK };
        }
        Err(cli::Stop::Error(error)) => return report(&Progress::new(Default::default(), false), &error),
    };
    let environment = settings::process_environment();
    let settings = match run_settings(&cli, &environment) {
        Ok(settings) => settings,
        Err(error) => return report(&Progress::new(Default::default(), false), &error),
    };
    let progress = Progress::new(settings.log_format, settings.quiet);
    let ran = dotenv.and_then(|()| {
        let run = AssertUnwindSafe(|| run_to_end(cli, settings.storage, &environment, &progress));
        std::panic::catch_unwind(run).unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Bug, "the program panicked").hint("report this with the lines above"))
        })
    });
    match ran {
        Ok(()) => exit_code::OK,
        Err(error) => report(&progress, &error),
    }
}

fn report(progress: &Progress, error: &Error) -> u8 {
    progress.error(&error.to_string());
    workflow::termination::report(error);
    error.kind().exit_code()
}

fn read_dotenv() -> Result<()> {
    let path = std::path::Path::new(".env");
    if !path.is_file() {
        return Ok(());
    }
    dotenvy::from_path(path).map_err(|error| {
        // The library's message holds the line, and the line may hold a secret.
        let what = match error {
            dotenvy::Error::LineParse(_, position) => format!("cannot be read at character {position} of a line"),
            _ => "cannot be read".to_owned(),
        };
        Error::new(ErrorKind::Usage, what).at(".env").hint("write NAME=value, one a line; quote values with spaces")
    })
}

/// What every sub-command shares; those without storage use the defaults.
fn run_settings(cli: &Cli, environment: &Environment) -> Result<RunSettings> {
    let arguments = match &cli.command {
        Command::Mix(arguments) => arguments.run.clone(),
        Command::Plan(arguments) => arguments.settings.run.clone(),
        Command::Verify(arguments) => arguments.run.clone(),
        Command::Diff(arguments) => arguments.run.clone(),
        Command::KfpStep(arguments) => workflow::kfp_step::run_arguments(&arguments.executor_input)?,
        _ => Default::default(),
    };
    RunSettings::resolve(&arguments, environment)
}

/// Runs a sub-command until it ends or a signal ends it.
fn run_to_end(cli: Cli, options: StorageOptions, environment: &Environment, progress: &Progress) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Io, "cannot start").caused_by(error))?;
    let warnings = Warnings::new(progress.clone());
    let storage = Storage::new(options, warnings);
    let mut stopped = false;
    let ran = runtime.block_on(async {
        tokio::select! {
            ran = run(cli, environment, progress, &storage) => ran,
            signal = signalled() => {
                stopped = true;
                // What the run had opened was dropped with it; what dropping cannot do is done here.
                let _ = tokio::time::timeout(CLEAN_UP, storage.clean_up()).await;
                let (kind, name) = signal;
                let what = match storage.has_published() {
                    true => "the mix was whole already",
                    false => "where there is no manifest.json, there is no mix",
                };
                Err(Error::new(kind, format!("stopped by {name}; {what}")))
            }
        }
    });
    // After a signal all that had to be cleaned up is: threads that still parse or count have nothing to tell anybody. After
    // an error threads that write remove their staging files when they see that nobody waits: they get the time for it.
    runtime.shutdown_timeout(if stopped { Duration::ZERO } else { CLEAN_UP });
    ran
}

async fn signalled() -> (ErrorKind, &'static str) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => (ErrorKind::Terminated, "SIGTERM"),
        _ = interrupt.recv() => (ErrorKind::Interrupted, "SIGINT"),
    }
}

async fn run(cli: Cli, environment: &Environment, progress: &Progress, storage: &Storage) -> Result<()> {
    match cli.command {
        Command::Mix(arguments) => mix(&arguments, environment, progress, storage).await,
        Command::Plan(arguments) => {
            let (settings, context) = prepare(&arguments.settings, environment, progress, storage).await?;
            let (outcome, enough) = pipeline::plan(&settings, &context).await?;
            match arguments.format {
                PlanFormat::Table => print(&closing_table(&outcome, Occasion::Plan)),
                PlanFormat::Json => print(&plan_json(&outcome)?),
            }
            .and(enough)
        }
        Command::Verify(arguments) => {
            let output = Location::parse(&arguments.output)?;
            let phase = |bytes| progress.bar("verifying", bytes, ProgressUnit::Bytes);
            let verified = pipeline::verify(storage, &output, &phase).await?;
            let pipeline::Verified { files, bytes, rows } = verified;
            print(&format!("{output}: whole: {files} files, {bytes} bytes, {rows} rows are as the manifest says\n"))
        }
        Command::Diff(arguments) => {
            let (a, b) = (Location::parse(&arguments.a)?, Location::parse(&arguments.b)?);
            let differences = pipeline::diff(storage, &a, &b).await?;
            if differences.is_empty() {
                return print("no difference\n");
            }
            print(&differences.to_string())
        }
        Command::Recipe(command) => recipe(command, storage).await,
        Command::Component(arguments) => print(&workflow::component::component_yaml(&arguments.image)),
        Command::KfpStep(arguments) => kfp_step(&arguments.executor_input, environment, progress, storage).await,
    }
}

async fn mix(
    arguments: &SettingArguments,
    environment: &Environment,
    progress: &Progress,
    storage: &Storage,
) -> Result<()> {
    let (settings, context) = prepare(arguments, environment, progress, storage).await?;
    if let Some(folder) = &settings.output_parameters {
        workflow::parameters::create_folder(folder)?;
    }
    let outcome = pipeline::mix(&settings, &context).await?;
    if let Some(folder) = &settings.output_parameters {
        OutputParameters::of(&outcome.manifest, outcome.selected_cut)?.write(folder)?;
    }
    progress.info(&format!("the mix is whole: {}", settings.output.join(crate::manifest::MANIFEST_NAME)));
    if progress.is_quiet() { Ok(()) } else { print(&closing_table(&outcome, Occasion::Mix)) }
}

/// Arguments, recipe and variables become checked settings.
async fn prepare(
    arguments: &SettingArguments,
    environment: &Environment,
    progress: &Progress,
    storage: &Storage,
) -> Result<(Settings, Context)> {
    let recipe = match settings::recipe_argument(arguments, environment) {
        Some(text) => Some(read_recipe(&text, storage).await?),
        None => None,
    };
    let settings = Settings::resolve(arguments, recipe, environment)?;
    let context = Context::new(storage.clone(), progress.clone(), storage.warnings().clone(), settings.threads)?;
    Ok((settings, context))
}

async fn kfp_step(
    executor_input: &str,
    environment: &Environment,
    progress: &Progress,
    storage: &Storage,
) -> Result<()> {
    // Dropping the step on an error or a signal removes its outputs.
    let step = KfpStep::prepare(executor_input)?;
    let (settings, context) = prepare(step.settings(), environment, progress, storage).await?;
    let outcome = pipeline::mix(&settings, &context).await?;
    if !progress.is_quiet() {
        print(&closing_table(&outcome, Occasion::Mix))?;
    }
    step.publish(&MixResult {
        manifest: outcome.manifest,
        metrics: outcome.metrics,
        report_html: outcome.report_html,
        summary_md: outcome.summary_md,
        selected_cut: outcome.selected_cut,
    })
}

async fn recipe(command: RecipeCommand, storage: &Storage) -> Result<()> {
    match command {
        RecipeCommand::Schema => print(&Recipe::schema()),
        RecipeCommand::Example => print(Recipe::example()),
        RecipeCommand::Check { file } => {
            read_recipe(&file, storage).await?;
            let place = match cli::is_inline_recipe(&file) {
                true => INLINE_RECIPE.to_owned(),
                false => Location::parse(&file)?.to_string(),
            };
            print(&format!("{place}: a recipe that can be used\n"))
        }
    }
}

/// A recipe by its place, or the recipe itself.
async fn read_recipe(value: &str, storage: &Storage) -> Result<Recipe> {
    if cli::is_inline_recipe(value) {
        return Recipe::parse(value, INLINE_RECIPE);
    }
    let location = Location::parse(value).map_err(|error| error.at("--recipe"))?;
    let bytes = storage.read(&location, MAX_RECIPE).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "no recipe there")
            .at(&location)
            .hint("give --recipe a file or URL, or the recipe itself; `knowledge-mixing recipe example` prints one")
    })?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| Error::new(ErrorKind::Usage, "the recipe is not UTF-8").at(&location).caused_by(error))?;
    Recipe::parse(text, &location.to_string())
}

fn closing_table(outcome: &Outcome, occasion: Occasion) -> String {
    let (_, width) = console::Term::stdout().size_checked().unwrap_or((0, DEFAULT_WIDTH));
    format!(
        "{}counted by {}\n",
        table(&outcome.manifest, &outcome.statistics, occasion, width),
        outcome.statistics.counted_by
    )
}

/// What a plan says to programs: the manifest as far as it is known before anything is written, and the metrics.
fn plan_json(outcome: &Outcome) -> Result<String> {
    let Outcome { manifest, metrics, selected_cut, statistics, .. } = outcome;
    let plan = serde_json::json!({
        "manifest": manifest,
        "metrics": metrics,
        "selected_cut": selected_cut,
        "warnings": statistics.warnings,
    });
    serde_json::to_string_pretty(&plan)
        .map(|text| text + "\n")
        .map_err(|error| Error::new(ErrorKind::Bug, "the plan cannot be written as JSON").caused_by(error))
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads only the first lines of the output is not to hear of an error.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => {
            written.map_err(|error| Error::new(ErrorKind::Io, "cannot write to standard output").caused_by(error))
        }
    }
}
