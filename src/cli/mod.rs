//! The command line: sub-commands and their arguments. The flags of settings come from the settings' own table.

mod at_files;
mod flags;

pub(crate) use flags::{InputFlags, RunFlags};

use crate::error::{Error, exit_code};
use crate::message;
use crate::settings::{self, SettingValues};
use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::sync::OnceLock;

/// Mix synthetic question-answer data into training files.
///
/// Reads the folders that a generation step writes, one per source, and writes one training file per cut size, with token
/// counts, a manifest and a report. The same input and seed give the same bytes on any machine.
#[derive(Debug, Clone, Parser)]
#[command(name = "knowledge-mixing", version, max_term_width = 110)]
pub(crate) struct Cli {
    /// The sub-command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The sub-commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Write the training files.
    #[command(after_help = "\
Examples:
  knowledge-mixing mix --input output/step_02 --output output/step_03 --cut-sizes 5,50
  knowledge-mixing mix --input s3://bucket/step_02 --output s3://bucket/step_03 --tokenizer-model ./tokenizer")]
    Mix(MixArguments),

    /// Show what `mix` would write, without writing it.
    #[command(after_help = "\
Example:
  knowledge-mixing plan --input output/step_02 --cut-sizes 5,10,50 --tokenizer-model builtin")]
    Plan(PlanArguments),

    /// Check a mix against its manifest: sizes, digests and row counts.
    ///
    /// With --deep, every row is read, and all figures of the manifest and of metrics.json that follow from the rows are computed
    /// again. Each that differs is a line: file, figure, the figure expected, the figure found.
    #[command(after_help = "\
Examples:
  knowledge-mixing verify s3://bucket/step_03
  knowledge-mixing verify output/step_03 --deep --tokenizer-model ./tokenizer")]
    Verify(VerifyArguments),

    /// Compare two mixes: settings, inputs, rows and tokens.
    #[command(after_help = "Example:\n  knowledge-mixing diff output/monday output/tuesday")]
    Diff(DiffArguments),

    /// Print a report of a finished mix: its summary, its page or its figures.
    #[command(after_help = "\
Examples:
  knowledge-mixing report s3://bucket/step_03
  knowledge-mixing report s3://bucket/step_03 --format html > report.html")]
    Report(ReportArguments),

    /// Print conversations or documents of a finished mix, and what of them is trained.
    ///
    /// The chat template of the mix's tokenizer renders them, if it is built in, in a folder of its name, or given. Which samples are
    /// printed depends on the seed alone. Long contexts are shown without their middle, questions and answers as a whole. Characters
    /// that a terminal would obey are shown as symbols.
    #[command(after_help = "\
Examples:
  knowledge-mixing sample output/step_03 -n 5 --source key_facts_to_qa
  knowledge-mixing sample s3://bucket/step_03 --flagged --tokenizer-model ./tokenizer | less -R")]
    Sample(SampleArguments),

    /// Count what files of messages hold: rows, roles, tokens, duplicates, empty answers.
    ///
    /// The files can be of this program or of any other: .jsonl, .json or .parquet, also compressed, with a column `messages`. Their
    /// figures are added up. Rows that are not readable are counted, and the first of them named.
    #[command(after_help = "\
Examples:
  knowledge-mixing stats output/step_03/combined_cut_5x.jsonl --tokenizer-model ./tokenizer --max-seq-len 8192
  knowledge-mixing stats chats/*.jsonl.zst --format json")]
    Stats(StatsArguments),

    /// Write a recipe for what is in the input.
    ///
    /// The recipe has the sources that are found, with their rows and the version of the generator that wrote them, the largest cuts
    /// that they can fill, and as comments what else can be set. Folders that belong to no source are comments with a guess of what
    /// they hold.
    #[command(after_help = "\
Examples:
  knowledge-mixing init --input output/step_02
  knowledge-mixing init --input s3://bucket/step_02 --tokenizer-model ./tokenizer - > recipe.yaml")]
    Init(InitArguments),

    /// Delete what earlier mixes have left over in a bucket.
    ///
    /// A mix in a bucket replaces an earlier one without deleting the files that it has not itself: a late request must not hit
    /// the file of another run. The manifest names them. Let no run publish to the output while this deletes them.
    #[command(after_help = "Example:\n  knowledge-mixing clean s3://bucket/step_03")]
    Clean(CleanArguments),

    /// Work with recipe files: print the schema, check a recipe, print an example.
    #[command(subcommand)]
    Recipe(RecipeCommand),

    /// Print Kubeflow's `component.yaml` or Argo's `workflow-template.yaml`.
    #[command(after_help = "\
Examples:
  knowledge-mixing component > component.yaml
  knowledge-mixing component --for argo --image registry/knowledge-mixing:1 | kubectl apply -f -")]
    Component(ComponentArguments),

    /// Print the completions of a shell.
    #[command(after_help = "Example:\n  knowledge-mixing completions bash > /etc/bash_completion.d/knowledge-mixing")]
    Completions(CompletionsArguments),

    /// Print the manual page.
    #[command(after_help = "Example:\n  knowledge-mixing man | man -l -")]
    Man,

    /// Run `mix` as a step of a Kubeflow pipeline, as described by the executor input.
    #[command(after_help = "\
Example (in a component's implementation):
  command: [/usr/local/bin/knowledge-mixing, kfp-step]
  args: [--executor-input, {executorInput: null}]")]
    KfpStep(KfpStepArguments),
}

/// The version of the library that counts tokens: with the settings, it decides the bytes of a mix.
const TOKENIZERS_VERSION: &str = "0.23.2";

/// The commit that the program was built from.
static COMMIT: OnceLock<&'static str> = OnceLock::new();

/// Sets the commit that `--version` shows; an empty one is none, because a build without git has no other.
pub(crate) fn set_commit(commit: Option<&'static str>) {
    if let Some(commit) = commit {
        // A process has one commit.
        let _ = COMMIT.set(commit);
    }
}

/// What `--version` prints.
fn long_version(commit: Option<&str>) -> String {
    let commit = commit.map(str::trim).filter(|commit| !commit.is_empty());
    let commit = commit.map(|commit| format!("\ncommit {commit}")).unwrap_or_default();
    format!("{}{commit}\ntokenizers {TOKENIZERS_VERSION}", env!("CARGO_PKG_VERSION"))
}

/// The arguments of `mix`.
#[derive(Debug, Clone, Args)]
pub(crate) struct MixArguments {
    /// Show what would be written, and write nothing: the same as `plan`.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// The settings.
    #[command(flatten)]
    pub(crate) settings: SettingValues,
}

/// The arguments of `plan`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArguments {
    /// Format of the plan.
    #[arg(long, value_enum, default_value_t = PlanFormat::Table, value_name = "FORMAT")]
    pub(crate) format: PlanFormat,

    /// The settings of `mix`.
    #[command(flatten)]
    pub(crate) settings: SettingValues,
}

/// The format of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// A table for people.
    Table,
    /// JSON for programs.
    Json,
}

/// The arguments of `verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyArguments {
    /// Folder or URL of a mix.
    #[arg(value_name = "MIX")]
    pub(crate) mix: String,

    /// Read every row and compute the figures of the mix again.
    #[arg(long)]
    pub(crate) deep: bool,

    /// Tokenizer of the mix: a folder, a URL, a Hugging Face repository id, or builtin; without it, the one that the mix names.
    #[arg(long, value_name = "MODEL", requires = "deep")]
    pub(crate) tokenizer_model: Option<String>,

    /// File or URL of the chat template, instead of the tokenizer's own.
    #[arg(long, value_name = "LOCATION", requires = "deep")]
    pub(crate) chat_template: Option<String>,

    /// Storage and logging.
    #[command(flatten)]
    pub(crate) run: RunFlags,
}

/// The arguments of `report`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArguments {
    /// Folder or URL of a mix.
    #[arg(value_name = "MIX")]
    pub(crate) mix: String,

    /// Which report.
    #[arg(long, value_enum, default_value_t = ReportFormat::Markdown, value_name = "FORMAT")]
    pub(crate) format: ReportFormat,

    /// Storage and logging.
    #[command(flatten)]
    pub(crate) run: RunFlags,
}

/// Which report of a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// The summary: summary.md.
    Markdown,
    /// The page: report.html.
    Html,
    /// The figures: metrics.json.
    Json,
}

/// The arguments of `sample`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SampleArguments {
    /// Folder or URL of a mix.
    #[arg(value_name = "MIX")]
    pub(crate) mix: String,

    /// Number of samples.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) count: u16,

    /// Only samples of this source; documents, if it is a source of documents.
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,

    /// Cut of the mix; without it, the largest.
    #[arg(long, value_name = "N")]
    pub(crate) cut: Option<u32>,

    /// Only samples whose question or answer looks broken.
    #[arg(long)]
    pub(crate) flagged: bool,

    /// Seed that decides which samples are printed.
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub(crate) seed: u64,

    /// Tokenizer that renders: a folder, a URL, a Hugging Face repository id, or builtin; without it, the mix's own.
    #[arg(long, value_name = "MODEL")]
    pub(crate) tokenizer_model: Option<String>,

    /// File or URL of the chat template, instead of the tokenizer's own.
    #[arg(long, value_name = "LOCATION")]
    pub(crate) chat_template: Option<String>,

    /// Storage and logging.
    #[command(flatten)]
    pub(crate) run: RunFlags,
}

/// The arguments of `stats`.
#[derive(Debug, Clone, Args)]
pub(crate) struct StatsArguments {
    /// File or URL of messages; can be given several times.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<String>,

    /// Format of the figures.
    #[arg(long, value_enum, default_value_t = TextFormat::Text, value_name = "FORMAT")]
    pub(crate) format: TextFormat,

    /// Tokenizer that counts: a folder, a URL, a Hugging Face repository id, or builtin, a stand-in.
    #[arg(long, value_name = "MODEL", default_value = "builtin")]
    pub(crate) tokenizer_model: String,

    /// File or URL of the chat template, instead of the tokenizer's own.
    #[arg(long, value_name = "LOCATION")]
    pub(crate) chat_template: Option<String>,

    /// Sequence length at which the trainer drops rows: counts those with at least this many tokens, too.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_seq_len: Option<u32>,

    /// Count the tokens that the trainer learns from, too.
    #[arg(long)]
    pub(crate) loss_tokens: bool,

    /// Storage and logging.
    #[command(flatten)]
    pub(crate) run: RunFlags,
}

/// The arguments of `init`.
#[derive(Debug, Clone, Args)]
pub(crate) struct InitArguments {
    /// File to write the recipe to, or - to print it.
    #[arg(value_name = "FILE", default_value = "recipe.yaml")]
    pub(crate) file: String,

    /// Replace the file if it exists.
    #[arg(long)]
    pub(crate) force: bool,

    /// Tokenizer that the recipe names; without it, that of the environment, or builtin.
    #[arg(long, value_name = "MODEL")]
    pub(crate) tokenizer_model: Option<String>,

    /// The input, storage and logging.
    #[command(flatten)]
    pub(crate) settings: InputFlags,
}

/// The arguments of `clean`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CleanArguments {
    /// Folder or URL of a mix.
    #[arg(value_name = "MIX")]
    pub(crate) mix: String,

    /// Storage and logging.
    #[command(flatten)]
    pub(crate) run: RunFlags,
}

/// The arguments of `diff`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DiffArguments {
    /// Folder or URL of a mix.
    #[arg(value_name = "A")]
    pub(crate) a: String,

    /// Folder or URL of the mix to compare it with.
    #[arg(value_name = "B")]
    pub(crate) b: String,

    /// Exit with 1 if the mixes differ.
    #[arg(long)]
    pub(crate) exit_code: bool,

    /// Format of the differences.
    #[arg(long, value_enum, default_value_t = TextFormat::Text, value_name = "FORMAT")]
    pub(crate) format: TextFormat,

    /// Storage and logging.
    #[command(flatten)]
    pub(crate) run: RunFlags,
}

/// The format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextFormat {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// The arguments of `completions`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompletionsArguments {
    /// Shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// The sub-commands of `recipe`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RecipeCommand {
    /// Print the JSON schema of recipes, for editors.
    #[command(after_help = "Example:\n  knowledge-mixing recipe schema > recipe.schema.json")]
    Schema,

    /// Check a recipe; errors name line and column.
    #[command(after_help = "Example:\n  knowledge-mixing recipe check recipe.yaml")]
    Check {
        /// Recipe: a file, a URL, or the YAML text itself.
        #[arg(value_name = "RECIPE")]
        recipe: String,
    },

    /// Print a commented recipe to start from.
    #[command(after_help = "Example:\n  knowledge-mixing recipe example > recipe.yaml")]
    Example,
}

/// The arguments of `component`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ComponentArguments {
    /// Workflow engine.
    #[arg(long = "for", value_enum, default_value_t = Engine::Kubeflow, value_name = "ENGINE")]
    pub(crate) engine: Engine,
    /// Container image of the step.
    #[arg(long, value_name = "IMAGE", default_value = DEFAULT_IMAGE)]
    pub(crate) image: String,
    /// Print the component with the names of the public knowledge-tuning pipeline's own mixing component.
    #[arg(long)]
    pub(crate) upstream: bool,
}

/// A workflow engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// Kubeflow Pipelines: a component.
    Kubeflow,
    /// Argo Workflows: a workflow template.
    Argo,
}

/// The default image of the step.
pub(crate) const DEFAULT_IMAGE: &str = concat!("knowledge-mixing:", env!("CARGO_PKG_VERSION"));

/// The arguments of `kfp-step`.
#[derive(Debug, Clone, Args)]
pub(crate) struct KfpStepArguments {
    /// Kubeflow's executor input, which replaces `{{$}}`: JSON text, or @FILE.
    #[arg(long, value_name = "JSON")]
    pub(crate) executor_input: String,
}

/// Why there is nothing to run.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Help or version (exit code 0), or a usage error in clap's words (exit code 2).
    Clap(Box<clap::Error>),
    /// An `@FILE` argument that cannot be read.
    Error(Error),
}

/// Parses the arguments; the first one is the name of the program.
///
/// # Errors
/// [`Stop`], also for `--help` and `--version`.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Stop> {
    let arguments = at_files::expand(arguments).map_err(Stop::Error)?;
    let failed = |error| Stop::Clap(Box::new(without_values(with_switch_tip(error, &arguments))));
    let matches = command().try_get_matches_from(&arguments).map_err(failed)?;
    Cli::from_arg_matches(&matches).map_err(|error| Stop::Clap(Box::new(without_values(error))))
}

/// Makes what an error repeats of the command line fit for a message: see [`message::shown_value`].
fn without_values(mut error: clap::Error) -> clap::Error {
    let contexts: Vec<_> = error.context().map(|(kind, value)| (kind, value.clone())).collect();
    for (kind, value) in contexts {
        let is_value = matches!(kind, ContextKind::InvalidValue | ContextKind::InvalidSubcommand)
            || kind == ContextKind::InvalidArg && error.kind() == clap::error::ErrorKind::UnknownArgument;
        let fit = |text: &String| match is_value {
            true => message::shown_value(text).unwrap_or_else(|| format!("({} characters)", text.chars().count())),
            false => message::part(text),
        };
        match value {
            ContextValue::String(text) => error.insert(kind, ContextValue::String(fit(&text))),
            ContextValue::Strings(texts) => error.insert(kind, ContextValue::Strings(texts.iter().map(fit).collect())),
            _ => None,
        };
    }
    error
}

/// Adds a tip if the value of a switch stands behind a space: `--documents only`.
fn with_switch_tip(mut error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidArg).cloned() else { return error };
    let flag = arguments.windows(2).find_map(|pair| {
        let name = pair[0].to_str()?.strip_prefix("--")?;
        let setting = settings::all().find(|setting| setting.name.replace('_', "-") == name)?;
        (pair[1] == *value && setting.takes_after_equals_sign(&value)).then_some(name)
    });
    if let Some(flag) = flag.filter(|_| error.kind() == clap::error::ErrorKind::UnknownArgument) {
        let tip = format!("a value needs an equals sign: write '--{flag}={value}'");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// The command line, with the exit codes in the long help of every sub-command that has more than two.
pub(crate) fn command() -> clap::Command {
    let exits = exit_codes_help();
    let mut command = Cli::command().long_version(long_version(COMMIT.get().copied())).after_long_help(format!(
        "{exits}\n\nExample:\n  knowledge-mixing mix --input output/step_02 --output output/step_03 --cut-sizes 5,50"
    ));
    for name in ["mix", "plan", "verify", "diff", "report", "sample", "stats", "init", "clean", "kfp-step"] {
        command = command.mut_subcommand(name, |sub| {
            let examples = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            sub.after_long_help(format!("{exits}\n\n{examples}"))
        });
    }
    command
}

/// The exit codes in the long help.
fn exit_codes_help() -> String {
    use exit_code as x;
    let rows: &[(u8, &str)] = &[
        (x::OK, "success; diff also exits with 0 if the mixes differ"),
        (x::DIFFERENT, "diff --exit-code: the mixes differ"),
        (x::USAGE, "invalid command line, variable or recipe; a file of somebody else is in the way"),
        (
            x::DATA,
            "invalid data: rows, tokenizer, chat template or manifest; a recipe's shortfall; a mix that differs from its manifest",
        ),
        (x::NO_FEASIBLE_CUT, "a requested or selected cut cannot be written"),
        (x::NOT_FOUND, "an input, recipe, tokenizer, chat template or mix was not found"),
        (x::UNREACHABLE, "a storage service is unreachable: retry later"),
        (x::BUG, "a bug in this program"),
        (x::IO, "reading or writing failed"),
        (x::TRY_AGAIN, "another run is publishing to this output, or the mix is being replaced: retry later"),
        (x::INTERRUPTED, "stopped by SIGINT"),
        (x::TERMINATED, "stopped by SIGTERM"),
    ];
    let mut text = String::from("Exit codes:");
    for (code, meaning) in rows {
        text.push_str(&format!("\n  {code:>3}  {meaning}"));
    }
    text
}

#[cfg(test)]
mod tests;
