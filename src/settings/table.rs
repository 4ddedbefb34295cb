//! The settings. Each is declared here and nowhere else: flag, variables, default, help, Kubeflow input, recipe key, type.
//!
//! An entry is `field: Type = Setting { … };` with its help as the doc comment: the first paragraph is the short help and
//! has to fit one line; the rest is shown by `--help` and in `docs/settings.md`. From the entries come the fields of the
//! structs below, the flags, the variables, `docs/settings.md`, the inputs in `component.yaml`, and the keys of recipes.
//! To add a setting, add an entry, use its field, and test what it does; `UPDATE_DOCS=1 cargo test --lib` regenerates
//! the files.

use super::resolve::Resolver;
use super::setting::{DefaultValue, KfpType, RecipeKey, Setting};
use super::values::{FailOn, Kind, MemorySize, Value};
use crate::error::Result;
use crate::input::MIX_FOLDER;
use crate::progress::LogFormat;
use crate::recipe::{
    BadRows, Choice, Columns, Compression, Documents, Format, InfeasibleCuts, Order, RawDocuments, Thinking,
    TokenizerRules,
};
use crate::sample::Reasoning;
use crate::storage::Location;
use crate::tokens::TokenizerModel;
use std::path::PathBuf;
use std::time::Duration;

/// Sections of the help.
const INPUT_AND_OUTPUT: &str = "Input and output";
const CONTENT: &str = "Content of a mix";
const TOKENS: &str = "Tokens";
const FILES: &str = "Files";
const TRAINING: &str = "Training";
const EXECUTION: &str = "Execution";

/// The largest seed: Kubeflow passes integers as doubles.
const MAX_SEED: u64 = (1 << 53) - 1;
/// The largest cut size: no document has a million summaries.
const MAX_CUT: u64 = 1_000_000;
const MAX_U32: u64 = u32::MAX as u64;

/// Declares structs of settings with their table.
macro_rules! settings {
    ($(
        $(#[doc = $group_doc:literal])+
        struct $group:ident {
            $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $setting:expr;)+
        }
    )+) => {
        $(
            $(#[doc = $group_doc])+
            #[derive(Debug, Clone)]
            pub(crate) struct $group {
                $($(#[doc = $doc])+ pub(crate) $field: $type,)+
            }

            impl $group {
                /// The settings of these fields.
                pub(crate) const TABLE: &'static [Setting] = &[
                    $($setting.with(&[$($doc),+], |texts, kind| <$type as Value>::parse(texts, kind).map(drop))),+
                ];

                /// Resolves and checks every setting.
                ///
                /// # Errors
                /// A usage error that names the flag, variable or recipe key, the value, and what was expected.
                pub(super) fn resolve(resolver: &Resolver<'_>) -> Result<Self> {
                    Ok(Self { $($field: resolver.get(&$setting)?,)+ })
                }
            }
        )+

        /// Every setting, in the order of the help.
        pub(crate) fn all() -> impl Iterator<Item = &'static Setting> + Clone {
            [$($group::TABLE),+].into_iter().flatten()
        }
    };
}

// The first variables are those of the upstream notebook. All others carry the program's name, because short ones have
// other meanings (`COLUMNS` is the width of every shell's terminal).
settings! {
    /// The settings of `mix` and `plan`.
    struct MixSettings {
        /// Folder or URL with the source folders; can be given several times.
        ///
        /// Rows keep the order in which the folders are given.
        inputs: Vec<Location> = Setting {
            short: Some('i'),
            env: &["INPUT_URI"],
            folder_env: Some(("OUTPUT_DATA_FOLDER", "")),
            default: DefaultValue::Text("output/step_02"),
            heading: INPUT_AND_OUTPUT,
            value_name: "LOCATION",
            kind: Kind::Texts,
            kfp: Some(("input_uri", KfpType::String)),
            kfp_help: Some("Folder or URL with the source folders, or a JSON list of several; the step reads it directly, nothing is copied"),
            recipe: RecipeKey::Same,
            refuses_empty_flag: true,
            ..Setting::new("input")
        };

        /// Folder or file of one source, instead of its folder in --input; can be given several times.
        source_inputs: Vec<(String, Location)> = Setting {
            heading: INPUT_AND_OUTPUT,
            value_name: "SOURCE=LOCATION",
            kind: Kind::Texts,
            ..Setting::new("source_input")
        };

        /// Folder or URL to write the mixes, manifest.json, metrics.json and report.html to.
        output: Location = Setting {
            short: Some('o'),
            env: &["OUTPUT_URI"],
            folder_env: Some(("OUTPUT_DATA_FOLDER", MIX_FOLDER)),
            default: DefaultValue::Text("output/step_03"),
            heading: INPUT_AND_OUTPUT,
            value_name: "LOCATION",
            kfp: Some(("output_uri", KfpType::String)),
            kfp_help: Some("Folder on a mounted volume or URL to write the mixes to; the artifact mixes then stays empty, and dataset_uri names the selected mix"),
            refuses_empty_flag: true,
            ..Setting::new("output")
        };

        /// Replace files in the output that belong to no mix.
        ///
        /// A mix is replaced as a whole in any case. Without this, a file that no manifest of this program names, such as a
        /// report.html of your own, is not overwritten: the run ends with exit code 2.
        overwrite: bool = Setting {
            env: &["KNOWLEDGE_MIXING_OVERWRITE"],
            default: DefaultValue::Text("false"),
            heading: INPUT_AND_OUTPUT,
            value_name: "BOOL",
            kind: Kind::Switch,
            kfp: Some(("overwrite", KfpType::Boolean)),
            ..Setting::new("overwrite")
        };

        /// Tokenizer of the model to train: a folder, a URL, a Hugging Face repository id, or builtin.
        ///
        /// A repository id is OWNER/NAME or OWNER/NAME@REVISION. An existing folder wins over a repository id.
        tokenizer_model: TokenizerModel = Setting {
            env: &["TOKENIZER_MODEL", "TOKENIZER_MODEL_NAME", "STUDENT_MODEL"],
            default: DefaultValue::Text("RedHatAI/Llama-3.1-8B-Instruct"),
            heading: TOKENS,
            value_name: "MODEL",
            kfp: Some(("tokenizer_model", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("tokenizer_model")
        };

        /// Which rules make a tokenizer of its files.
        ///
        /// See docs/tokenizers.md for the classes that transformers 5 builds by rules of its own.
        tokenizer_rules: TokenizerRules = Setting {
            env: &["KNOWLEDGE_MIXING_TOKENIZER_RULES"],
            default: DefaultValue::Text("auto"),
            heading: TOKENS,
            value_name: "RULES",
            kind: Kind::Choice(TokenizerRules::WORDS),
            kfp: Some(("tokenizer_rules", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("tokenizer_rules")
        };

        /// Number of summaries per raw document in a mix; one mix per number.
        ///
        /// Separated by commas (`5,50`) or as a JSON list (`[5, 50]`).
        cut_sizes: Vec<u32> = Setting {
            env: &["CUT_SIZES"],
            default: DefaultValue::Text("5,50"),
            heading: CONTENT,
            value_name: "LIST",
            kind: Kind::Numbers { min: 1, max: MAX_CUT },
            kfp: Some(("cut_sizes", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("cut_sizes")
        };

        /// Maximum number of question-answer pairs per sampled summary.
        qa_per_doc: u32 = Setting {
            env: &["QA_PER_DOC"],
            default: DefaultValue::Text("3"),
            heading: CONTENT,
            value_name: "N",
            kind: Kind::Number { min: 1, max: MAX_U32 },
            kfp: Some(("qa_per_doc", KfpType::Integer)),
            recipe: RecipeKey::Same,
            ..Setting::new("qa_per_doc")
        };

        /// Also write document mixes, for continued pretraining.
        ///
        /// A document mix, combined_cut_{N}x.cpt.jsonl, holds each distinct summary of the QA sources once, with the summaries of
        /// the mix of the same cut. Sources of documents, such as extractive_summary_cpt, have a document mix without this.
        documents: Documents = Setting {
            env: &["GENERATE_CPT"],
            default: DefaultValue::Text("false"),
            heading: CONTENT,
            value_name: "RULE",
            kind: Kind::SwitchOr(Documents::WORDS),
            kfp: Some(("documents", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("documents")
        };

        /// Whether document mixes also hold the raw documents.
        ///
        /// Those of all sources, except a raw document that is a document of another source already.
        raw_documents: RawDocuments = Setting {
            env: &["KNOWLEDGE_MIXING_RAW_DOCUMENTS"],
            default: DefaultValue::Text("none"),
            heading: CONTENT,
            value_name: "RULE",
            kind: Kind::Choice(RawDocuments::WORDS),
            kfp: Some(("raw_documents", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("raw_documents")
        };

        /// Drop rows whose question contains a placeholder left by gpt-oss teachers.
        ///
        /// Placeholders are `...`, `<question>` and `<Insert question here>`. Despite its name, which is the upstream
        /// notebook's, this setting does not change the format of messages.
        save_gpt_oss_format: bool = Setting {
            env: &["SAVE_GPT_OSS_FORMAT"],
            default: DefaultValue::Text("false"),
            heading: CONTENT,
            value_name: "BOOL",
            kind: Kind::Switch,
            kfp: Some(("save_gpt_oss_format", KfpType::Boolean)),
            recipe: RecipeKey::Same,
            ..Setting::new("save_gpt_oss_format")
        };

        /// Seed of every random choice: a whole number from 0 to 9007199254740991.
        seed: u64 = Setting {
            env: &["SEED"],
            default: DefaultValue::Text("42"),
            heading: CONTENT,
            value_name: "N",
            kind: Kind::Number { min: 0, max: MAX_SEED },
            kfp: Some(("seed", KfpType::Integer)),
            recipe: RecipeKey::Same,
            ..Setting::new("seed")
        };

        /// Column with the teacher's reasoning: auto, none, a column, or a path into one.
        ///
        /// A path looks like `response_dict.0.reasoning_content`; `auto` tries the columns that known generators write.
        reasoning: Reasoning = Setting {
            env: &["REASONING"],
            default: DefaultValue::Text("auto"),
            heading: CONTENT,
            value_name: "COLUMN",
            kfp: Some(("reasoning", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("reasoning")
        };

        /// Whether messages have the teacher's reasoning.
        ///
        /// A trainer expects the reasoning of every message that has the key, also of one with an empty text. If the chat
        /// template does not print it, the trainer never learns to end an answer.
        thinking: Thinking = Setting {
            env: &["KNOWLEDGE_MIXING_THINKING"],
            default: DefaultValue::Text("auto"),
            heading: CONTENT,
            value_name: "RULE",
            kind: Kind::Choice(Thinking::WORDS),
            kfp: Some(("thinking", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("thinking")
        };

        /// Train on all messages but the system's instead of only on the assistant's.
        ///
        /// The recipe can set it for single sources; a chat's own `unmask` wins.
        unmask: Option<bool> = Setting {
            env: &["KNOWLEDGE_MIXING_UNMASK"],
            default: DefaultValue::Described("true for question-answer pairs, false for chats"),
            heading: CONTENT,
            value_name: "BOOL",
            kind: Kind::Switch,
            kfp: Some(("unmask", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("unmask")
        };

        /// Recipe: a file, a URL, or the YAML text itself.
        ///
        /// A recipe sets repeats, shares, budgets, filters, splits and additional sources: see docs/recipes.md.
        recipe_argument: Option<String> = Setting {
            env: &["KNOWLEDGE_MIXING_RECIPE"],
            heading: CONTENT,
            value_name: "RECIPE",
            kfp: Some(("recipe", KfpType::String)),
            ..Setting::new("recipe")
        };

        /// Chat template to use instead of the tokenizer's own: a file or URL.
        chat_template: Option<Location> = Setting {
            env: &["KNOWLEDGE_MIXING_CHAT_TEMPLATE"],
            default: DefaultValue::Described("the tokenizer's own"),
            heading: TOKENS,
            value_name: "FILE",
            kfp: Some(("chat_template", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("chat_template")
        };

        /// Sequence length at which the trainer drops samples: those with this many tokens or more.
        max_seq_len: Option<u32> = Setting {
            env: &["KNOWLEDGE_MIXING_MAX_SEQ_LEN"],
            heading: TRAINING,
            value_name: "TOKENS",
            kind: Kind::Number { min: 1, max: MAX_U32 },
            kfp: Some(("max_seq_len", KfpType::Integer)),
            recipe: RecipeKey::Same,
            ..Setting::new("max_seq_len")
        };

        /// Tokens that a GPU takes at a time; the trainer drops longer samples from their batch.
        max_tokens_per_gpu: Option<u32> = Setting {
            env: &["KNOWLEDGE_MIXING_MAX_TOKENS_PER_GPU"],
            heading: TRAINING,
            value_name: "TOKENS",
            kind: Kind::Number { min: 1, max: MAX_U32 },
            kfp: Some(("max_tokens_per_gpu", KfpType::Integer)),
            recipe: RecipeKey::Same,
            ..Setting::new("max_tokens_per_gpu")
        };

        /// Samples of a training step, over all GPUs.
        effective_batch_size: Option<u32> = Setting {
            env: &["KNOWLEDGE_MIXING_EFFECTIVE_BATCH_SIZE"],
            heading: TRAINING,
            value_name: "SAMPLES",
            kind: Kind::Number { min: 1, max: MAX_U32 },
            kfp: Some(("effective_batch_size", KfpType::Integer)),
            recipe: RecipeKey::Same,
            ..Setting::new("effective_batch_size")
        };

        /// Number of GPUs.
        gpus: Option<u32> = Setting {
            env: &["KNOWLEDGE_MIXING_GPUS"],
            heading: TRAINING,
            value_name: "N",
            kind: Kind::Number { min: 1, max: MAX_U32 },
            kfp: Some(("gpus", KfpType::Integer)),
            recipe: RecipeKey::Same,
            ..Setting::new("gpus")
        };

        /// Number of epochs.
        epochs: Option<u32> = Setting {
            env: &["KNOWLEDGE_MIXING_EPOCHS"],
            heading: TRAINING,
            value_name: "N",
            kind: Kind::Number { min: 1, max: MAX_U32 },
            kfp: Some(("epochs", KfpType::Integer)),
            recipe: RecipeKey::Same,
            ..Setting::new("epochs")
        };

        /// Tokens of a block in which the trainer reads documents.
        ///
        /// The report then says how many blocks a document mix has, and how many steps.
        block_size: Option<u32> = Setting {
            env: &["KNOWLEDGE_MIXING_BLOCK_SIZE"],
            heading: TRAINING,
            value_name: "TOKENS",
            kind: Kind::Number { min: 1, max: MAX_U32 },
            kfp: Some(("block_size", KfpType::Integer)),
            recipe: RecipeKey::Same,
            ..Setting::new("block_size")
        };

        /// Fail if a figure is higher: NAME=LIMIT, such as dropped=1%; can be given several times.
        ///
        /// Names are those of metrics.json. A name below `cut_N.preflight.`, such as `dropped` or `steps`, applies to every cut.
        /// A percentage is of the samples or tokens of the mix, or of the rows read. The run ends with code 3, and nothing is published.
        fail_on: Vec<FailOn> = Setting {
            env: &["KNOWLEDGE_MIXING_FAIL_ON"],
            heading: TRAINING,
            value_name: "NAME=LIMIT",
            kind: Kind::Texts,
            kfp: Some(("fail_on", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("fail_on")
        };

        /// Columns of each row.
        columns: Columns = Setting {
            env: &["KNOWLEDGE_MIXING_COLUMNS"],
            default: DefaultValue::Text("full"),
            heading: FILES,
            value_name: "COLUMNS",
            kind: Kind::Choice(Columns::WORDS),
            kfp: Some(("columns", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("columns")
        };

        /// Formats of the mixes, separated by commas; each mix is written in each of them.
        ///
        /// `tokens` has the ids and labels that training_hub's data processing makes of the same conversations, so that the
        /// trainer can skip it: see docs/trainers.md.
        formats: Vec<Format> = Setting {
            env: &["KNOWLEDGE_MIXING_FORMATS"],
            default: DefaultValue::Text("messages"),
            heading: FILES,
            value_name: "FORMATS",
            kind: Kind::Choices(Format::WORDS),
            kfp: Some(("formats", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("formats")
        };

        /// Add attention_mask to the rows of tokens files.
        ///
        /// axolotl needs it; the other trainers do not.
        attention_mask: bool = Setting {
            env: &["KNOWLEDGE_MIXING_ATTENTION_MASK"],
            default: DefaultValue::Text("false"),
            heading: FILES,
            value_name: "BOOL",
            kind: Kind::Switch,
            kfp: Some(("attention_mask", KfpType::Boolean)),
            recipe: RecipeKey::Same,
            ..Setting::new("attention_mask")
        };

        /// Compression of the mixes.
        compression: Compression = Setting {
            env: &["KNOWLEDGE_MIXING_COMPRESSION"],
            default: DefaultValue::Text("none"),
            heading: FILES,
            value_name: "METHOD",
            kind: Kind::Choice(Compression::WORDS),
            kfp: Some(("compression", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("compression")
        };

        /// Write rows in a random order, set by the seed, instead of source by source.
        order: Order = Setting {
            env: &["KNOWLEDGE_MIXING_SHUFFLE"],
            default: DefaultValue::Text("false"),
            heading: FILES,
            value_name: "BOOL",
            kind: Kind::Switch,
            kfp: Some(("shuffle", KfpType::Boolean)),
            recipe: RecipeKey::Named("order", Kind::Choice(Order::WORDS)),
            ..Setting::new("shuffle")
        };

        /// What to do with a cut size that the input cannot fill.
        infeasible_cuts: InfeasibleCuts = Setting {
            env: &["KNOWLEDGE_MIXING_INFEASIBLE_CUTS"],
            default: DefaultValue::Text("drop"),
            heading: CONTENT,
            value_name: "RULE",
            kind: Kind::Choice(InfeasibleCuts::WORDS),
            kfp: Some(("infeasible_cuts", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("infeasible_cuts")
        };

        /// What to do with a row that cannot be read, or that the chat template refuses.
        bad_rows: BadRows = Setting {
            env: &["KNOWLEDGE_MIXING_BAD_ROWS"],
            default: DefaultValue::Text("fail"),
            heading: CONTENT,
            value_name: "RULE",
            kind: Kind::Choice(BadRows::WORDS),
            kfp: Some(("bad_rows", KfpType::String)),
            recipe: RecipeKey::Same,
            ..Setting::new("bad_rows")
        };

        /// Maximum size of one input row, in bytes.
        ///
        /// A larger row ends the run with code 3, whatever --bad-rows says: it is not held in memory to the end.
        max_row_bytes: usize = Setting {
            env: &["KNOWLEDGE_MIXING_MAX_ROW_BYTES"],
            default: DefaultValue::Text("268435456"),
            heading: EXECUTION,
            value_name: "BYTES",
            kind: Kind::Number { min: 1, max: MAX_U32 },
            ..Setting::new("max_row_bytes")
        };

        /// Cut whose mix the next step of a workflow gets, and whose totals are output parameters.
        select_cut: Option<u32> = Setting {
            env: &["KNOWLEDGE_MIXING_SELECT_CUT"],
            default: DefaultValue::Described("the largest cut written"),
            heading: FILES,
            value_name: "N",
            kind: Kind::Number { min: 1, max: MAX_U32 },
            kfp: Some(("select_cut", KfpType::Integer)),
            ..Setting::new("select_cut")
        };

        /// Format of the file that the next step of a workflow gets: one of --formats.
        select_format: Option<Format> = Setting {
            env: &["KNOWLEDGE_MIXING_SELECT_FORMAT"],
            default: DefaultValue::Described("the first of --formats"),
            heading: FILES,
            value_name: "FORMAT",
            kind: Kind::Choice(Format::WORDS),
            kfp: Some(("select_format", KfpType::String)),
            ..Setting::new("select_format")
        };

        /// Folder to write a workflow engine's output parameters to, one file each.
        ///
        /// The files are feasible_cuts, selected_cut, total_samples, total_tokens, dataset_uri (where the selected mix is) and the
        /// figures of the run that are known, such as rows_read. `mix` also writes report.html, summary.md and metrics.json there.
        output_parameters: Option<PathBuf> = Setting {
            env: &["KNOWLEDGE_MIXING_OUTPUT_PARAMETERS"],
            heading: INPUT_AND_OUTPUT,
            value_name: "DIR",
            ..Setting::new("output_parameters")
        };

        /// Print the tables of sources, mixes and token lengths at the end of a mix, as `plan` does.
        verbose: bool = Setting {
            short: Some('v'),
            env: &["KNOWLEDGE_MIXING_VERBOSE"],
            default: DefaultValue::Text("false"),
            heading: EXECUTION,
            value_name: "BOOL",
            kind: Kind::Switch,
            ..Setting::new("verbose")
        };

        /// Number of threads.
        threads: usize = Setting {
            env: &["KNOWLEDGE_MIXING_THREADS"],
            // Respects the cgroup's quota.
            default: DefaultValue::Computed("the number of CPUs that the cgroup allows", || {
                std::thread::available_parallelism().map_or(1, usize::from).min(1024).to_string()
            }),
            heading: EXECUTION,
            value_name: "N",
            kind: Kind::Number { min: 1, max: 1024 },
            kfp: Some(("threads", KfpType::Integer)),
            ..Setting::new("threads")
        };
    }

    /// The settings of every sub-command that uses storage.
    struct RunSettings {
        /// Maximum number of retries of a request to a storage service.
        max_retries: usize = Setting {
            env: &["KNOWLEDGE_MIXING_MAX_RETRIES"],
            default: DefaultValue::Text("10"),
            heading: EXECUTION,
            value_name: "N",
            kind: Kind::Number { min: 0, max: 1000 },
            kfp: Some(("max_retries", KfpType::Integer)),
            ..Setting::new("max_retries")
        };

        /// Seconds after which a failed request is no longer retried.
        retry_timeout: Duration = Setting {
            env: &["KNOWLEDGE_MIXING_RETRY_TIMEOUT"],
            default: DefaultValue::Text("180"),
            heading: EXECUTION,
            value_name: "SECONDS",
            kind: Kind::Number { min: 0, max: 86_400 },
            kfp: Some(("retry_timeout", KfpType::Integer)),
            ..Setting::new("retry_timeout")
        };

        /// Seconds after which an inactive run that holds the lease on a bucket folder counts as dead.
        lease_timeout: Duration = Setting {
            env: &["KNOWLEDGE_MIXING_LEASE_TIMEOUT"],
            default: DefaultValue::Text("30"),
            heading: EXECUTION,
            value_name: "SECONDS",
            kind: Kind::Number { min: 1, max: 3600 },
            ..Setting::new("lease_timeout")
        };

        /// Memory that the program may use, such as 4GiB; with more it ends with 3 before the system kills it.
        ///
        /// Counted are the program's own pages, not those of files. The message names what was being done, such as rendering a
        /// chat template.
        memory_limit: Option<MemorySize> = Setting {
            env: &["KNOWLEDGE_MIXING_MEMORY_LIMIT"],
            default: DefaultValue::Described("nine tenths of what the container allows, else of the machine's memory"),
            heading: EXECUTION,
            value_name: "SIZE",
            ..Setting::new("memory_limit")
        };

        /// Seconds that one operation may take, such as rendering a conversation or loading a tokenizer.
        operation_timeout: Duration = Setting {
            env: &["KNOWLEDGE_MIXING_OPERATION_TIMEOUT"],
            default: DefaultValue::Text("60"),
            heading: EXECUTION,
            value_name: "SECONDS",
            kind: Kind::Number { min: 1, max: 86_400 },
            ..Setting::new("operation_timeout")
        };

        /// Format of progress and warnings on standard error.
        log_format: LogFormat = Setting {
            env: &["KNOWLEDGE_MIXING_LOG_FORMAT"],
            default: DefaultValue::Text("text"),
            heading: EXECUTION,
            value_name: "FORMAT",
            kind: Kind::Choice(LogFormat::WORDS),
            kfp: Some(("log_format", KfpType::String)),
            ..Setting::new("log_format")
        };

        /// Print only warnings and errors.
        quiet: bool = Setting {
            short: Some('q'),
            env: &["KNOWLEDGE_MIXING_QUIET"],
            default: DefaultValue::Text("false"),
            heading: EXECUTION,
            value_name: "BOOL",
            kind: Kind::Switch,
            ..Setting::new("quiet")
        };
    }
}
