//! The arguments: what a person, a pod or an engine can say to the program.
//!
//! A setting is declared twice at most, and a test holds the two together: its flag and its help stand in
//! [`SettingArguments`] (the doc comment *is* the help), its environment variables, its default and its Kubeflow type in
//! [`SETTINGS`]. The help's `[env: …] [default: …]`, `component.yaml` and the documentation come from these two.
//!
//! Values are raw here: every setting is text (or absent), because `settings.rs` has to tell a flag from a recipe from a
//! variable from a default, and checks them all by the same rules.

use crate::error::{Error, ErrorKind, Result, exit_code};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::collections::BTreeMap;
use std::ffi::OsString;

/// What one setting is besides its flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SettingInfo {
    /// The setting's name: the flag's without dashes, with `_` (`cut_sizes` for `--cut-sizes`).
    pub(crate) name: &'static str,
    /// Its environment variables; where several are set, the first wins.
    pub(crate) env: &'static [&'static str],
    /// The default as text, where there is one; for a default that is computed, words in parentheses.
    pub(crate) default: Option<&'static str>,
    /// Its input in `component.yaml`: name and type. `None` where a Kubeflow step has no use for it.
    pub(crate) kfp: Option<(&'static str, KfpType)>,
    /// Whether a recipe may set it, too.
    pub(crate) in_recipe: bool,
}

/// What a setting is to Kubeflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KfpType {
    /// Text; lists and whole recipes as well.
    String,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
}

impl KfpType {
    /// The type's word in `component.yaml`.
    ///
    /// Whole numbers are text there: the SDK's local runner (2.17) dies of `int(None)` when an `Integer` is left unset, and a
    /// pipeline has no way to hand an unset number on, while an empty text says just that.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::String | Self::Integer => "String",
            Self::Boolean => "Boolean",
        }
    }
}

impl SettingInfo {
    /// The flag on the command line, with its dashes.
    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// The default that is a value, not words about one.
    pub(crate) fn default_value(&self) -> Option<&'static str> {
        self.default.filter(|text| !text.starts_with('('))
    }
}

/// Looks a setting up by its name.
pub(crate) fn setting(name: &str) -> Option<&'static SettingInfo> {
    SETTINGS.iter().find(|info| info.name == name)
}

const fn info(
    name: &'static str,
    env: &'static [&'static str],
    default: Option<&'static str>,
    kfp: Option<(&'static str, KfpType)>,
    in_recipe: bool,
) -> SettingInfo {
    SettingInfo { name, env, default, kfp, in_recipe }
}

/// Every setting, in the order of the help.
///
/// The variables of the first block are the upstream notebook's; all others carry the program's name, because short ones
/// belong to others (`COLUMNS` is the width of every shell's terminal).
#[rustfmt::skip]
pub(crate) const SETTINGS: &[SettingInfo] = {
    use KfpType::{Boolean, Integer, String};
    &[
        info("input", &["INPUT_URI"], Some("output/step_02"), Some(("input_uri", String)), false),
        info("source_input", &[], None, None, true),
        info("output", &["OUTPUT_URI"], Some("output/step_03"), Some(("output_uri", String)), false),
        info("tokenizer_model", &["TOKENIZER_MODEL", "TOKENIZER_MODEL_NAME"], Some("RedHatAI/Llama-3.1-8B-Instruct"), Some(("tokenizer_model", String)), true),
        info("cut_sizes", &["CUT_SIZES"], Some("5,50"), Some(("cut_sizes", String)), true),
        info("qa_per_doc", &["QA_PER_DOC"], Some("3"), Some(("qa_per_doc", Integer)), true),
        info("save_gpt_oss_format", &["SAVE_GPT_OSS_FORMAT"], Some("false"), Some(("save_gpt_oss_format", Boolean)), true),
        info("seed", &["SEED"], Some("42"), Some(("seed", Integer)), true),
        info("reasoning", &["REASONING"], Some("auto"), Some(("reasoning", String)), true),

        info("recipe", &["KNOWLEDGE_MIXING_RECIPE"], None, Some(("recipe", String)), false),
        info("chat_template", &["KNOWLEDGE_MIXING_CHAT_TEMPLATE"], Some("(the tokenizer's own)"), Some(("chat_template", String)), true),
        info("columns", &["KNOWLEDGE_MIXING_COLUMNS"], Some("full"), Some(("columns", String)), true),
        info("compression", &["KNOWLEDGE_MIXING_COMPRESSION"], Some("none"), Some(("compression", String)), true),
        info("shuffle", &["KNOWLEDGE_MIXING_SHUFFLE"], Some("false"), Some(("shuffle", Boolean)), true),
        info("infeasible_cuts", &["KNOWLEDGE_MIXING_INFEASIBLE_CUTS"], Some("drop"), Some(("infeasible_cuts", String)), true),
        info("bad_rows", &["KNOWLEDGE_MIXING_BAD_ROWS"], Some("fail"), Some(("bad_rows", String)), true),
        info("select_cut", &["KNOWLEDGE_MIXING_SELECT_CUT"], Some("(the largest one written)"), Some(("select_cut", Integer)), false),

        info("output_parameters", &["KNOWLEDGE_MIXING_OUTPUT_PARAMETERS"], None, None, false),
        info("threads", &["KNOWLEDGE_MIXING_THREADS"], Some("(as many as the cgroup allows)"), Some(("threads", Integer)), false),
        info("max_retries", &["KNOWLEDGE_MIXING_MAX_RETRIES"], Some("10"), Some(("max_retries", Integer)), false),
        info("retry_timeout", &["KNOWLEDGE_MIXING_RETRY_TIMEOUT"], Some("180"), Some(("retry_timeout", Integer)), false),
        info("lease_timeout", &["KNOWLEDGE_MIXING_LEASE_TIMEOUT"], Some("30"), None, false),
        info("log_format", &["KNOWLEDGE_MIXING_LOG_FORMAT"], Some("text"), Some(("log_format", String)), false),
        info("quiet", &["KNOWLEDGE_MIXING_QUIET"], Some("false"), None, false),
    ]
};

/// Mixes synthetic question-answer data into training files: sample, format, count, repeatably.
///
/// Reads the folders that a generation step leaves (one a source) and writes one training file for each cut size,
/// with its token counts, a manifest and a report. The same input and seed give the same bytes on any machine.
#[derive(Debug, Clone, Parser)]
#[command(name = "knowledge-mixing", version, max_term_width = 110, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The sub-commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Make the training files.
    #[command(after_help = "\
Examples:
  knowledge-mixing mix --input output/step_02 --output output/step_03 --cut-sizes 5,50
  knowledge-mixing mix --input s3://bucket/step_02 --output s3://bucket/step_03 --tokenizer-model ./tokenizer")]
    Mix(SettingArguments),

    /// Show what `mix` would make, and write nothing.
    #[command(after_help = "\
Example:
  knowledge-mixing plan --input output/step_02 --cut-sizes 5,10,50 --tokenizer-model builtin")]
    Plan(PlanArguments),

    /// Re-read a finished mix, and check sizes, digests and row counts against its manifest.
    #[command(after_help = "Example:\n  knowledge-mixing verify s3://bucket/step_03")]
    Verify(VerifyArguments),

    /// Show what differs between two finished mixes: settings, inputs, rows and tokens.
    #[command(after_help = "Example:\n  knowledge-mixing diff output/monday output/tuesday")]
    Diff(DiffArguments),

    /// Help with recipe files: schema, check, example.
    #[command(subcommand)]
    Recipe(RecipeCommand),

    /// Print Kubeflow's `component.yaml` for this version of the program.
    #[command(after_help = "Example:\n  knowledge-mixing component > component.yaml")]
    Component(ComponentArguments),

    /// Run `mix` as a step of a Kubeflow pipeline: inputs, settings and outputs as the executor input says.
    #[command(after_help = "\
Example (in a component's implementation):
  command: [/usr/local/bin/knowledge-mixing, kfp-step]
  args: [--executor-input, {executorInput: null}]")]
    KfpStep(KfpStepArguments),
}

/// The settings, as given on the command line: all raw, all optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct SettingArguments {
    /// Folder or URL that holds the source folders; repeatable, rows in the order given.
    #[arg(long, value_name = "LOCATION", help_heading = "Input and output")]
    pub(crate) input: Vec<String>,

    /// One source's own folder or file, instead of its folder in --input; repeatable.
    #[arg(long, value_name = "SOURCE=LOCATION", help_heading = "Input and output")]
    pub(crate) source_input: Vec<String>,

    /// Folder or URL for the mixes, manifest.json, metrics.json and report.html.
    #[arg(long, value_name = "LOCATION", help_heading = "Input and output")]
    pub(crate) output: Option<String>,

    /// Write one file for each output parameter of a workflow engine here (feasible_cuts, selected_cut, total_samples,
    /// total_tokens).
    #[arg(long, value_name = "DIR", help_heading = "Input and output")]
    pub(crate) output_parameters: Option<String>,

    /// How many summaries of each raw document a mix holds: one mix for each number. Comma-separated, or a JSON list.
    #[arg(long, value_name = "LIST", allow_hyphen_values = true, help_heading = "What goes into a mix")]
    pub(crate) cut_sizes: Option<String>,

    /// At most so many question-answer pairs of each sampled summary.
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "What goes into a mix")]
    pub(crate) qa_per_doc: Option<String>,

    /// Drop rows whose question still holds a placeholder (`...`, `<question>`, `<Insert question here>`), as gpt-oss
    /// teachers leave them. That is all it does: messages carry the `thinking` key of the gpt-oss template in any case.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          help_heading = "What goes into a mix")]
    pub(crate) save_gpt_oss_format: Option<String>,

    /// Which summaries are sampled: 0 to 9007199254740991.
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "What goes into a mix")]
    pub(crate) seed: Option<String>,

    /// Where the teacher's reasoning stands: auto, none, a column, or a path into one
    /// (response_dict.0.reasoning_content).
    #[arg(long, value_name = "COLUMN", help_heading = "What goes into a mix")]
    pub(crate) reasoning: Option<String>,

    /// Repeats, shares, budgets, filters, splits and further sources: a file, a URL, or the YAML itself.
    #[arg(long, value_name = "RECIPE", help_heading = "What goes into a mix")]
    pub(crate) recipe: Option<String>,

    /// What to do with a cut size that the input cannot fill.
    #[arg(long, value_name = "RULE", value_parser = ["drop", "keep", "fail"], help_heading = "What goes into a mix")]
    pub(crate) infeasible_cuts: Option<String>,

    /// What to do with a row that cannot be read; skipped rows are listed in rejected.jsonl.
    #[arg(long, value_name = "RULE", value_parser = ["fail", "skip"], help_heading = "What goes into a mix")]
    pub(crate) bad_rows: Option<String>,

    /// Tokenizer of the model to be trained: a folder, a URL, a Hugging Face repository id (REPO or REPO@REVISION), or
    /// builtin.
    #[arg(long, value_name = "MODEL", help_heading = "Counting")]
    pub(crate) tokenizer_model: Option<String>,

    /// A chat template to use instead of the tokenizer's own: a file or URL.
    #[arg(long, value_name = "FILE", help_heading = "Counting")]
    pub(crate) chat_template: Option<String>,

    /// The columns of each row: full, or training (messages, unmask, token_length: all that the trainer reads, an eighth
    /// of the bytes).
    #[arg(long, value_name = "COLUMNS", value_parser = ["full", "training"], help_heading = "Files")]
    pub(crate) columns: Option<String>,

    /// How the mixes are compressed.
    #[arg(long, value_name = "METHOD", value_parser = ["none", "gzip", "zstd"], help_heading = "Files")]
    pub(crate) compression: Option<String>,

    /// A seeded order of rows instead of the natural one.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          help_heading = "Files")]
    pub(crate) shuffle: Option<String>,

    /// The cut whose mix is handed on to the next step of a workflow, and whose totals are its output parameters.
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Files")]
    pub(crate) select_cut: Option<String>,

    /// Threads to work with.
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "How to run")]
    pub(crate) threads: Option<String>,

    /// Storage, verbosity.
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

/// The settings that every sub-command with storage shares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct RunArguments {
    /// How often a request to a storage service is tried again.
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "How to run")]
    pub(crate) max_retries: Option<String>,

    /// Seconds after which a request is no longer tried again.
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, help_heading = "How to run")]
    pub(crate) retry_timeout: Option<String>,

    /// Seconds after which a run that publishes into the same bucket folder, and gives no sign of life, counts as dead.
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, help_heading = "How to run")]
    pub(crate) lease_timeout: Option<String>,

    /// How progress and warnings are written to standard error.
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], help_heading = "How to run")]
    pub(crate) log_format: Option<String>,

    /// Only warnings and errors.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          help_heading = "How to run")]
    pub(crate) quiet: Option<String>,
}

/// The arguments of `plan`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArguments {
    /// How the plan is printed.
    #[arg(long, value_enum, default_value_t = PlanFormat::Table, value_name = "FORMAT")]
    pub(crate) format: PlanFormat,

    /// The same settings as `mix`.
    #[command(flatten)]
    pub(crate) settings: SettingArguments,
}

/// How a plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// The arguments of `verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyArguments {
    /// Folder or URL of a finished mix.
    #[arg(value_name = "OUTPUT")]
    pub(crate) output: String,

    /// Storage, verbosity.
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

/// The arguments of `diff`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DiffArguments {
    /// Folder or URL of a finished mix.
    #[arg(value_name = "A")]
    pub(crate) a: String,

    /// Folder or URL of another one.
    #[arg(value_name = "B")]
    pub(crate) b: String,

    /// Storage, verbosity.
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

/// The sub-commands of `recipe`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RecipeCommand {
    /// Print the JSON schema of recipes, for editors.
    #[command(after_help = "Example:\n  knowledge-mixing recipe schema > recipe.schema.json")]
    Schema,

    /// Check a recipe: every error with line and column.
    #[command(after_help = "Example:\n  knowledge-mixing recipe check recipe.yaml")]
    Check {
        /// The recipe: a file, a URL, or the YAML itself.
        #[arg(value_name = "FILE")]
        file: String,
    },

    /// Print a commented recipe to start from.
    #[command(after_help = "Example:\n  knowledge-mixing recipe example > recipe.yaml")]
    Example,
}

/// The arguments of `component`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ComponentArguments {
    /// The image that the component runs.
    #[arg(long, value_name = "IMAGE", default_value = DEFAULT_IMAGE)]
    pub(crate) image: String,
}

/// The image named in `component.yaml`, where none is given.
pub(crate) const DEFAULT_IMAGE: &str = concat!("knowledge-mixing:", env!("CARGO_PKG_VERSION"));

/// The arguments of `kfp-step`.
#[derive(Debug, Clone, Args)]
pub(crate) struct KfpStepArguments {
    /// What Kubeflow puts in place of `{{$}}`: a JSON text, or @FILE.
    #[arg(long, value_name = "JSON")]
    pub(crate) executor_input: String,
}

/// Why there is nothing to run.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Help and version (to print, exit code 0), or a usage error in clap's words (exit code 2): `error.exit()` does both.
    Clap(Box<clap::Error>),
    /// An `@FILE` that cannot be read.
    Error(Error),
}

/// Parses the arguments, the program's name first.
///
/// # Errors
/// [`Stop`], which also stands for `--help` and `--version`.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> std::result::Result<Cli, Stop> {
    let arguments = expand_at_files(arguments).map_err(Stop::Error)?;
    let matches = command().try_get_matches_from(arguments).map_err(|error| Stop::Clap(Box::new(error)))?;
    Cli::from_arg_matches(&matches).map_err(|error| Stop::Clap(Box::new(error)))
}

/// The command line with what [`SETTINGS`] knows written into the help.
pub(crate) fn command() -> clap::Command {
    let exits = exit_codes_help();
    let mut command = Cli::command().after_long_help(format!(
        "{exits}\n\nExample:\n  knowledge-mixing mix --input output/step_02 --output output/step_03 --cut-sizes 5,50"
    ));
    for name in ["mix", "plan", "verify", "diff", "kfp-step"] {
        command = command.mut_subcommand(name, |sub| {
            let short = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            sub.mut_args(annotate).after_long_help(format!("{exits}\n\n{short}"))
        });
    }
    command
}

/// Adds variable and default to an argument's help.
fn annotate(argument: clap::Arg) -> clap::Arg {
    let Some(info) = setting(argument.get_id().as_str()) else { return argument };
    let mut note = String::new();
    if !info.env.is_empty() {
        note.push_str(&format!(" [env: {}]", info.env.join(", ")));
    }
    if let Some(default) = info.default {
        note.push_str(&format!(" [default: {}]", default.trim_matches(['(', ')'])));
    }
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    argument.help(format!("{help}{note}"))
}

/// The exit codes, for the long help.
pub(crate) fn exit_codes_help() -> String {
    use exit_code as x;
    let rows: &[(u8, &str)] = &[
        (x::OK, "the mix is whole"),
        (x::USAGE, "the command line, a variable or a recipe is wrong"),
        (x::DATA, "the input cannot be used as it is"),
        (x::NO_FEASIBLE_CUT, "no cut that was asked for is feasible"),
        (x::NOT_FOUND, "an input, a tokenizer or a template is not there"),
        (x::UNREACHABLE, "a storage service cannot be reached: worth a retry"),
        (x::BUG, "a bug of this program"),
        (x::IO, "reading or writing failed"),
        (x::TRY_AGAIN, "another run is at work on the same output: try again"),
        (x::INTERRUPTED, "ended by SIGINT"),
        (x::TERMINATED, "ended by SIGTERM"),
    ];
    let mut text = String::from("Exit codes:");
    for (code, words) in rows {
        text.push_str(&format!("\n  {code:>3}  {words}"));
    }
    text
}

/// Whether a recipe's value is the recipe itself and not the place of one: more than one line, or a JSON object.
pub(crate) fn is_inline_recipe(value: &str) -> bool {
    let value = value.trim();
    // A mapping on one line, too: no path or URL has a colon with a blank behind it, unless somebody wants to be cruel.
    value.contains('\n') || value.starts_with('{') || value.contains(": ")
}

impl SettingArguments {
    /// The settings from values by name (`cut_sizes`: `5,50`), as an engine brings them: by the same parser, so with the
    /// same checks as on the command line.
    ///
    /// # Errors
    /// A usage error that names the flag and the value.
    pub(crate) fn from_values(values: &BTreeMap<String, Vec<String>>) -> Result<Self> {
        let mut arguments = vec!["knowledge-mixing".to_string(), "mix".to_string()];
        for (name, values) in values {
            let flag = name.replace('_', "-");
            arguments.extend(values.iter().map(|value| format!("--{flag}={value}")));
        }
        let cli = command()
            .try_get_matches_from(arguments)
            .and_then(|matches| Cli::from_arg_matches(&matches))
            .map_err(|error| Error::new(ErrorKind::Usage, one_line(&error)))?;
        match cli.command {
            Command::Mix(settings) => Ok(settings),
            _ => Err(Error::new(ErrorKind::Bug, "settings parsed to another sub-command")),
        }
    }
}

/// Clap's message without its decoration and its usage lines.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.trim_start_matches("error: ").lines().map(str::trim);
    lines
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .collect::<Vec<_>>()
        .join(" ")
        .trim()
        .to_string()
}

/// Puts the content of files in place of arguments `@FILE` and `--flag=@FILE`: Argo hands arguments over 128 KiB over in
/// this way. `@@text` stands for a value that begins with `@`. One newline at a file's end does not count.
///
/// # Errors
/// A usage error that names the file.
pub(crate) fn expand_at_files(arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>> {
    arguments
        .into_iter()
        .enumerate()
        .map(|(place, argument)| {
            // The first one is the program's own name.
            let Some(text) = argument.to_str().filter(|_| place > 0) else { return Ok(argument) };
            if text.starts_with('@') {
                return expand_at_file(text).map(OsString::from);
            }
            match text.split_once("=@") {
                Some((flag, rest)) if flag.starts_with("--") && !flag.contains('=') => {
                    expand_at_file(&format!("@{rest}")).map(|value| OsString::from(format!("{flag}={value}")))
                }
                _ => Ok(argument),
            }
        })
        .collect()
}

/// The value behind `@FILE`; any other value as it is.
///
/// # Errors
/// A usage error that names the file.
pub(crate) fn expand_at_file(value: &str) -> Result<String> {
    match value.strip_prefix('@') {
        None => Ok(value.to_string()),
        Some(rest) if rest.starts_with('@') => Ok(rest.to_string()),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Error::new(ErrorKind::Usage, "cannot read the file that an argument names with @")
                    .at(path)
                    .caused_by(error)
                    .hint("write @@ for a value that begins with @")
            })?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Ok(text.strip_suffix('\r').unwrap_or(text).to_string())
        }
    }
}

#[cfg(test)]
mod tests;
