//! Arguments, recipe, variables and defaults, checked once: the rest of the program sees only this.
//!
//! A flag wins over the recipe, the recipe over a variable, a variable over the default.

mod values;

pub(crate) use values::{MAX_SEED, parse_bool, parse_cut_sizes, parse_natural, parse_seed};

use crate::cli::{RunArguments, SettingArguments, setting};
use crate::error::{Error, ErrorKind, Result};
use crate::input::Reasoning;
use crate::progress::LogFormat;
use crate::recipe::{BadRows, Columns, Compression, InfeasibleCuts, Order, Recipe};
use crate::storage::{Location, StorageOptions};
pub(crate) use crate::tokens::TokenizerModel;
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::time::Duration;

/// The variables of the environment, as text.
pub(crate) type Environment = BTreeMap<String, String>;

/// This process's variables; those that are no text are of no use to anybody here.
pub(crate) fn process_environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// How the program runs, whatever it does.
#[derive(Debug, Clone)]
pub(crate) struct RunSettings {
    /// Retries and times of storage.
    pub(crate) storage: StorageOptions,
    /// How people are told.
    pub(crate) log_format: LogFormat,
    /// Whether they are told warnings and errors only.
    pub(crate) quiet: bool,
}

/// All that `mix` and `plan` need to know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The folders that hold the source folders, in order.
    pub(crate) inputs: Vec<Location>,
    /// Whether an input was named by anybody, or is the default.
    pub(crate) inputs_given: bool,
    /// Folders or files given for one source.
    pub(crate) source_inputs: Vec<(String, Location)>,
    /// Where the mix goes.
    pub(crate) output: Location,
    /// The tokenizer.
    pub(crate) tokenizer_model: TokenizerModel,
    /// A chat template instead of the tokenizer's own.
    pub(crate) chat_template: Option<Location>,
    /// The cuts, ascending, each once.
    pub(crate) cut_sizes: Vec<u32>,
    /// At most so many pairs of each sampled summary.
    pub(crate) qa_per_doc: u32,
    /// Whether rows with placeholder questions are dropped.
    pub(crate) save_gpt_oss_format: bool,
    /// The seed of ranks and order.
    pub(crate) seed: u64,
    /// Where a pair's reasoning stands.
    pub(crate) reasoning: Reasoning,
    /// Which columns rows have.
    pub(crate) columns: Columns,
    /// How files of rows are compressed.
    pub(crate) compression: Compression,
    /// What becomes of cuts that the data cannot fill.
    pub(crate) infeasible_cuts: InfeasibleCuts,
    /// What becomes of rows that cannot be read.
    pub(crate) bad_rows: BadRows,
    /// The order of a mix's rows.
    pub(crate) order: Order,
    /// The cut that is handed on; the largest one written where `None`.
    pub(crate) select_cut: Option<u32>,
    /// Threads to work with.
    pub(crate) threads: usize,
    /// Where to write output parameters.
    pub(crate) output_parameters: Option<std::path::PathBuf>,
    /// The recipe; the default one where none was given.
    pub(crate) recipe: Recipe,
    /// Whether one was given.
    pub(crate) recipe_given: bool,
}

/// Looks settings up by their precedence.
struct Resolver<'r> {
    flags: BTreeMap<&'static str, String>,
    recipe: BTreeMap<&'static str, String>,
    environment: &'r Environment,
}

impl Resolver<'_> {
    /// The value of a setting and where it is from.
    fn value(&self, name: &str) -> Option<(String, String)> {
        let info = setting(name)?;
        if let Some(value) = self.flags.get(name) {
            return Some((value.clone(), info.flag()));
        }
        if let Some(value) = self.recipe.get(name) {
            return Some((value.clone(), format!("the recipe's {name}")));
        }
        for variable in info.env {
            if let Some(value) = self.environment.get(*variable) {
                return Some((value.clone(), format!("{variable} (also {})", info.flag())));
            }
        }
        info.default_value().map(|value| (value.to_owned(), format!("the default of {}", info.flag())))
    }

    /// A setting that has a default.
    fn get<T>(&self, name: &str, parse: impl FnOnce(&str) -> std::result::Result<T, String>) -> Result<T> {
        match self.optional(name, parse)? {
            Some(value) => Ok(value),
            None => Err(Error::new(ErrorKind::Bug, format!("the setting {name} has no default"))),
        }
    }

    /// A setting that may be left out.
    fn optional<T>(&self, name: &str, parse: impl FnOnce(&str) -> std::result::Result<T, String>) -> Result<Option<T>> {
        let Some((value, origin)) = self.value(name) else { return Ok(None) };
        parse(value.trim()).map(Some).map_err(|accepted| usage(&origin, &value, &accepted))
    }

    fn location(&self, name: &str) -> Result<Option<Location>> {
        let Some((value, origin)) = self.value(name) else { return Ok(None) };
        Location::parse(&value).map(Some).map_err(|error| error.at(origin))
    }
}

fn usage(origin: &str, value: &str, accepted: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("`{value}` is not accepted: {accepted}")).at(origin)
}

/// One of several words.
fn word<T: ValueEnum>(text: &str) -> std::result::Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let words = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let words: Vec<String> = words.map(|word| word.get_name().to_owned()).collect();
        format!("give {}", words.join(" or "))
    })
}

/// What a recipe says of the settings that are flags, too, as text: then all go through the same checks.
fn recipe_values(recipe: &Recipe) -> BTreeMap<&'static str, String> {
    let list = |numbers: &Vec<u32>| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    given([
        ("tokenizer_model", recipe.tokenizer_model.clone()),
        ("chat_template", recipe.chat_template.clone()),
        ("cut_sizes", recipe.cut_sizes.as_ref().map(list)),
        ("qa_per_doc", recipe.qa_per_doc.map(|pairs| pairs.to_string())),
        ("seed", recipe.seed.map(|seed| seed.to_string())),
        ("reasoning", recipe.reasoning.clone()),
        ("save_gpt_oss_format", recipe.save_gpt_oss_format.map(|wanted| wanted.to_string())),
        ("columns", recipe.columns.map(|columns| columns.name().to_owned())),
        ("compression", recipe.compression.map(|compression| compression.name().to_owned())),
        ("infeasible_cuts", recipe.infeasible_cuts.map(|rule| rule.name().to_owned())),
        ("bad_rows", recipe.bad_rows.map(|rule| rule.name().to_owned())),
        ("shuffle", recipe.order.map(|order| (order == Order::Shuffle).to_string())),
    ])
}

impl RunSettings {
    /// The settings that every sub-command with storage shares.
    ///
    /// # Errors
    /// A usage error that names the flag or variable, the value, and what is accepted.
    pub(crate) fn resolve(arguments: &RunArguments, environment: &Environment) -> Result<Self> {
        let flags = run_flags(arguments);
        let resolver = Resolver { flags, recipe: BTreeMap::new(), environment };
        Ok(Self {
            storage: StorageOptions {
                max_retries: resolver.get("max_retries", |text| parse_natural(text, 0, 1000))? as usize,
                retry_timeout: Duration::from_secs(
                    resolver.get("retry_timeout", |text| parse_natural(text, 0, 86_400))?,
                ),
                lease_timeout: Duration::from_secs(resolver.get("lease_timeout", |text| parse_natural(text, 1, 3600))?),
                ..StorageOptions::default()
            },
            log_format: resolver.get("log_format", word)?,
            quiet: resolver.get("quiet", parse_bool)?,
        })
    }
}

fn run_flags(arguments: &RunArguments) -> BTreeMap<&'static str, String> {
    let RunArguments { max_retries, retry_timeout, lease_timeout, log_format, quiet } = arguments.clone();
    given([
        ("max_retries", max_retries),
        ("retry_timeout", retry_timeout),
        ("lease_timeout", lease_timeout),
        ("log_format", log_format),
        ("quiet", quiet),
    ])
}

fn given<const N: usize>(flags: [(&'static str, Option<String>); N]) -> BTreeMap<&'static str, String> {
    flags.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The recipe as text or its place, where one is asked for.
pub(crate) fn recipe_argument(arguments: &SettingArguments, environment: &Environment) -> Option<String> {
    let flags = given([("recipe", arguments.recipe.clone())]);
    Resolver { flags, recipe: BTreeMap::new(), environment }.value("recipe").map(|(value, _)| value)
}

impl Settings {
    /// Checks all settings.
    ///
    /// # Errors
    /// A usage error that names the flag, the recipe's key or the variable, the value, and what is accepted.
    pub(crate) fn resolve(
        arguments: &SettingArguments,
        recipe: Option<Recipe>,
        environment: &Environment,
    ) -> Result<Self> {
        let SettingArguments {
            input: _,
            source_input: _,
            output,
            output_parameters,
            cut_sizes,
            qa_per_doc,
            save_gpt_oss_format,
            seed,
            reasoning,
            recipe: _,
            infeasible_cuts,
            bad_rows,
            tokenizer_model,
            chat_template,
            columns,
            compression,
            shuffle,
            select_cut,
            threads,
            run: _,
        } = arguments.clone();
        let flags = given([
            ("output", output),
            ("output_parameters", output_parameters),
            ("cut_sizes", cut_sizes),
            ("qa_per_doc", qa_per_doc),
            ("save_gpt_oss_format", save_gpt_oss_format),
            ("seed", seed),
            ("reasoning", reasoning),
            ("infeasible_cuts", infeasible_cuts),
            ("bad_rows", bad_rows),
            ("tokenizer_model", tokenizer_model),
            ("chat_template", chat_template),
            ("columns", columns),
            ("compression", compression),
            ("shuffle", shuffle),
            ("select_cut", select_cut),
            ("threads", threads),
        ]);
        let recipe_values = recipe.as_ref().map(recipe_values).unwrap_or_default();
        let resolver = Resolver { flags, recipe: recipe_values, environment };
        let (inputs, inputs_given) = inputs(arguments, recipe.as_ref(), &resolver)?;
        Ok(Self {
            inputs,
            inputs_given,
            source_inputs: source_inputs(&arguments.source_input)?,
            output: resolver
                .location("output")?
                .ok_or_else(|| Error::new(ErrorKind::Bug, "the setting output has no default"))?,
            tokenizer_model: tokenizer_model_of(&resolver)?,
            chat_template: resolver.location("chat_template")?,
            cut_sizes: resolver.get("cut_sizes", parse_cut_sizes)?,
            qa_per_doc: resolver.get("qa_per_doc", |text| parse_natural(text, 1, u32::MAX.into()))? as u32,
            save_gpt_oss_format: resolver.get("save_gpt_oss_format", parse_bool)?,
            seed: resolver.get("seed", parse_seed)?,
            reasoning: resolver.get("reasoning", |text| {
                Reasoning::parse(text)
                    .ok_or_else(|| "give auto, none, a column, or a path into one (`a.0.b`)".to_owned())
            })?,
            columns: resolver.get("columns", word)?,
            compression: resolver.get("compression", word)?,
            infeasible_cuts: resolver.get("infeasible_cuts", word)?,
            bad_rows: resolver.get("bad_rows", word)?,
            order: if resolver.get("shuffle", parse_bool)? { Order::Shuffle } else { Order::Natural },
            select_cut: resolver
                .optional("select_cut", |text| parse_natural(text, 1, u32::MAX.into()))?
                .map(|cut| cut as u32),
            threads: match resolver.optional("threads", |text| parse_natural(text, 1, 1024))? {
                Some(threads) => threads as usize,
                // Knows the cgroup's quota.
                None => std::thread::available_parallelism().map_or(1, usize::from),
            },
            output_parameters: resolver.optional("output_parameters", |folder| {
                let usable = !folder.is_empty() && !folder.contains("://");
                usable.then(|| folder.into()).ok_or_else(|| "give a folder of this machine".to_owned())
            })?,
            recipe_given: recipe.is_some(),
            recipe: recipe.unwrap_or_default(),
        })
    }
}

/// The input folders: the flags, or else the recipe's, or else the variable's, or else the default.
fn inputs(
    arguments: &SettingArguments,
    recipe: Option<&Recipe>,
    resolver: &Resolver<'_>,
) -> Result<(Vec<Location>, bool)> {
    let parse = |texts: &[String], origin: &str| {
        texts.iter().map(|text| Location::parse(text).map_err(|error| error.at(origin))).collect::<Result<Vec<_>>>()
    };
    if !arguments.input.is_empty() {
        return Ok((parse(&arguments.input, "--input")?, true));
    }
    if let Some(input) = recipe.and_then(|recipe| recipe.input.as_ref()) {
        return Ok((parse(input, "the recipe's input")?, true));
    }
    let variable = |name: &&str| resolver.environment.contains_key(*name);
    let given = setting("input").is_some_and(|info| info.env.iter().any(variable));
    Ok((resolver.location("input")?.into_iter().collect(), given))
}

fn source_inputs(arguments: &[String]) -> Result<Vec<(String, Location)>> {
    arguments
        .iter()
        .map(|argument| {
            let (name, place) = argument
                .split_once('=')
                .filter(|(name, place)| !name.is_empty() && !place.is_empty())
                .ok_or_else(|| usage("--source-input", argument, "give SOURCE=LOCATION"))?;
            Ok((name.to_owned(), Location::parse(place).map_err(|error| error.at("--source-input"))?))
        })
        .collect()
}

/// `builtin`, a URL, a folder that exists, a repository id; anything else is a folder that does not exist.
fn tokenizer_model_of(resolver: &Resolver<'_>) -> Result<TokenizerModel> {
    let Some((value, origin)) = resolver.value("tokenizer_model") else {
        return Err(Error::new(ErrorKind::Bug, "the setting tokenizer_model has no default"));
    };
    let value = value.trim();
    if value.is_empty() {
        return Err(usage(&origin, value, "give a folder, a URL, a Hugging Face repository id, or builtin"));
    }
    if value == "builtin" {
        return Ok(TokenizerModel::Builtin);
    }
    if !value.contains("://") && !std::path::Path::new(value).exists() && is_repository_id(value) {
        return Ok(TokenizerModel::Hub(value.to_owned()));
    }
    Location::parse(value).map(TokenizerModel::Location).map_err(|error| error.at(origin))
}

/// `owner/name`, perhaps with `@revision`.
fn is_repository_id(text: &str) -> bool {
    let id = text.split_once('@').map_or(text, |(id, _)| id);
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    let parts: Vec<&str> = id.split('/').collect();
    parts.len() == 2 && parts.into_iter().all(part)
}

#[cfg(test)]
mod tests;
