//! Flags from the table of settings. Only what is built here is a setting: a positional argument never is, whatever its
//! name.

use crate::recipe::Word;
use crate::settings::{self, Kind, RunSettings, Setting, SettingValues};
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use std::collections::BTreeMap;
use std::ffi::OsStr;

/// The flags of all settings: of `mix` and `plan`.
impl Args for SettingValues {
    fn augment_args(command: Command) -> Command {
        command.args(settings::all().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingValues {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        given(matches, settings::all())
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Declares the flags of some settings.
macro_rules! flags {
    ($(#[doc = $doc:literal])+ $name:ident = $settings:expr) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Default)]
        pub(crate) struct $name(pub(crate) SettingValues);

        impl Args for $name {
            fn augment_args(command: Command) -> Command {
                command.args($settings.map(flag))
            }

            fn augment_args_for_update(command: Command) -> Command {
                Self::augment_args(command)
            }
        }

        impl FromArgMatches for $name {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                given(matches, $settings).map(Self)
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }
    };
}

flags! {
    /// The flags of every other sub-command that uses storage.
    RunFlags = RunSettings::TABLE.iter()
}

flags! {
    /// The flags of a sub-command that reads the input of a mix.
    InputFlags = settings::all().filter(|setting| setting.name == "input").chain(RunSettings::TABLE)
}

fn given<'s>(matches: &ArgMatches, settings: impl Iterator<Item = &'s Setting>) -> Result<SettingValues, clap::Error> {
    let mut values = BTreeMap::new();
    for setting in settings {
        let texts = matches.try_get_many::<String>(setting.name);
        let texts = texts.map_err(|error| clap::Error::raw(ErrorKind::InvalidValue, error))?;
        if let Some(texts) = texts {
            values.insert(setting.name.to_owned(), texts.cloned().collect());
        }
    }
    Ok(SettingValues::of_flags(values))
}

/// A setting's flag. Its value stays text: `settings` checks it by the same rules as a recipe's and a variable's.
fn flag(setting: &Setting) -> Arg {
    let notes = notes(setting);
    let flag = Arg::new(setting.name)
        .long(setting.name.replace('_', "-"))
        .short(setting.short)
        .value_name(setting.value_name)
        .help_heading(setting.heading)
        .help(format!("{}{notes}", setting.help()))
        .long_help(match setting.details() {
            details if details.is_empty() => format!("{}{notes}", setting.help()),
            details => format!("{}. {details}{notes}", setting.help()),
        })
        .action(ArgAction::Set);
    match setting.kind {
        Kind::Text => flag,
        Kind::Texts => flag.action(ArgAction::Append),
        Kind::Switch => flag.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::SwitchOr(words) => {
            flag.num_args(0..=1).require_equals(true).default_missing_value("true").value_parser(AnyTextAmong(words))
        }
        // So that `--seed -1` reaches the check that explains what is accepted.
        Kind::Number { .. } | Kind::Numbers { .. } => flag.allow_hyphen_values(true),
        Kind::Choice(words) | Kind::Choices(words) => flag.value_parser(AnyTextAmong(words)),
    }
}

/// Variables and default, as the help shows them.
fn notes(setting: &Setting) -> String {
    let mut notes = String::new();
    let variables = setting.shown_variables();
    if !variables.is_empty() {
        notes.push_str(&format!(" [env: {}]", variables.join(", ")));
    }
    if let Some(default) = setting.shown_default() {
        notes.push_str(&format!(" [default: {default}]"));
    }
    notes
}

/// Lists words in the help and accepts any text: an empty one counts as not given.
#[derive(Clone)]
struct AnyTextAmong(&'static [Word]);

impl TypedValueParser for AnyTextAmong {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let value = |word: &Word| PossibleValue::new(word.name).help(word.help.trim().trim_end_matches('.'));
        Some(Box::new(self.0.iter().map(value)))
    }
}
