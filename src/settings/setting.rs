//! What describes one setting.

use super::values::Kind;
use crate::error::Result;

/// One setting: everything that the command line, the documentation, `component.yaml` and recipes need to know about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// The name: that of the flag, with `_` (`cut_sizes` for `--cut-sizes`).
    pub(crate) name: &'static str,
    /// The short flag, if there is one.
    pub(crate) short: Option<char>,
    /// The environment variables; the first one that is set wins.
    pub(crate) env: &'static [&'static str],
    /// A variable of the upstream notebooks that names a folder, and what the value is below that folder; it comes after the others.
    pub(crate) folder_env: Option<(&'static str, &'static str)>,
    /// The value if nothing else sets it.
    pub(crate) default: DefaultValue,
    /// The section of the help.
    pub(crate) heading: &'static str,
    /// The placeholder of the value in the help.
    pub(crate) value_name: &'static str,
    /// The form of the value.
    pub(crate) kind: Kind,
    /// Name and type of the input in `component.yaml`, if a Kubeflow step has one.
    pub(crate) kfp: Option<(&'static str, KfpType)>,
    /// The help in `component.yaml`, if it differs; then the default does not apply there either.
    pub(crate) kfp_help: Option<&'static str>,
    /// The key in a recipe.
    pub(crate) recipe: RecipeKey,
    /// Whether an empty flag is an error. Otherwise an empty value counts as not given.
    pub(crate) refuses_empty_flag: bool,
    /// The lines of the entry's doc comment.
    pub(super) doc: &'static [&'static str],
    /// Checks given texts without keeping the value.
    pub(super) check: fn(&[String], Kind) -> Result<()>,
}

/// The value of a setting that is not given.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DefaultValue {
    /// No value.
    None,
    /// This text.
    Text(&'static str),
    /// No value; these words describe what the program does then.
    Described(&'static str),
    /// A text that depends on the machine, and words that describe it.
    Computed(&'static str, fn() -> String),
}

/// The key of a setting in a recipe.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RecipeKey {
    /// A recipe cannot set it.
    None,
    /// Name and value are those of the flag.
    Same,
    /// Another name and other values.
    Named(&'static str, Kind),
}

/// The type of an input in `component.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KfpType {
    /// Text; also lists and recipes.
    String,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
}

impl KfpType {
    /// The type's name in `component.yaml`.
    ///
    /// Whole numbers are text: the SDK's local runner (2.17) fails with `int(None)` if an `Integer` is left unset, and a
    /// pipeline cannot pass on an unset number. An empty text means unset.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::String | Self::Integer => "String",
            Self::Boolean => "Boolean",
        }
    }
}

impl Setting {
    /// Whether its flag takes this value only after an equals sign.
    pub(crate) fn takes_after_equals_sign(&self, value: &str) -> bool {
        matches!(self.kind, Kind::Switch | Kind::SwitchOr(_)) && (self.check)(&[value.to_owned()], self.kind).is_ok()
    }

    /// A setting with a free text as its value and nothing else.
    pub(super) const fn new(name: &'static str) -> Self {
        Self {
            name,
            short: None,
            env: &[],
            folder_env: None,
            default: DefaultValue::None,
            heading: "",
            value_name: "",
            kind: Kind::Text,
            kfp: None,
            kfp_help: None,
            recipe: RecipeKey::None,
            refuses_empty_flag: false,
            doc: &[],
            check: |_, _| Ok(()),
        }
    }

    /// Adds what the table derives from an entry's doc comment and type.
    pub(super) const fn with(self, doc: &'static [&'static str], check: fn(&[String], Kind) -> Result<()>) -> Self {
        Self { doc, check, ..self }
    }

    /// The variables as the help shows them.
    pub(crate) fn shown_variables(&self) -> Vec<String> {
        let folder = self.folder_env.map(|(variable, below)| match below {
            "" => variable.to_owned(),
            below => format!("{variable}/{below}"),
        });
        self.env.iter().map(|variable| (*variable).to_owned()).chain(folder).collect()
    }

    /// The flag, with its dashes.
    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// The first paragraph of the help, without its final period.
    pub(crate) fn help(&self) -> String {
        let first = self.doc.iter().map(|line| line.trim()).take_while(|line| !line.is_empty());
        first.collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
    }

    /// The rest of the help, empty if there is none.
    pub(crate) fn details(&self) -> String {
        let rest = self.doc.iter().map(|line| line.trim()).skip_while(|line| !line.is_empty()).skip(1);
        rest.collect::<Vec<_>>().join(" ")
    }

    /// The default as the help shows it.
    pub(crate) fn shown_default(&self) -> Option<&'static str> {
        match self.default {
            DefaultValue::None => None,
            DefaultValue::Text(text) | DefaultValue::Described(text) | DefaultValue::Computed(text, _) => Some(text),
        }
    }

    /// The default as a value.
    pub(super) fn default_text(&self) -> Option<String> {
        match self.default {
            DefaultValue::Text(text) => Some(text.to_owned()),
            DefaultValue::Computed(_, compute) => Some(compute()),
            DefaultValue::None | DefaultValue::Described(_) => None,
        }
    }

    /// The key in a recipe and the form of its value.
    pub(crate) fn recipe_key(&self) -> Option<(&'static str, Kind)> {
        match self.recipe {
            RecipeKey::None => None,
            RecipeKey::Same => Some((self.name, self.kind)),
            RecipeKey::Named(name, kind) => Some((name, kind)),
        }
    }

    /// Checks given texts.
    ///
    /// # Errors
    /// A usage error that names the value and what was expected.
    pub(super) fn check(&self, texts: &[String], kind: Kind) -> Result<()> {
        (self.check)(texts, kind)
    }
}
