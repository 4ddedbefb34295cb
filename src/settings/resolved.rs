//! Resolved settings.

use super::given::{Environment, SettingValues};
use super::resolve::Resolver;
use super::table::{MixSettings, RunSettings};
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::{Format, Recipe};
use crate::storage::StorageOptions;
use crate::watchdog::Limits;
use std::ops::Deref;

/// What `mix` and `plan` need to know: the resolved settings, which this dereferences to, and the recipe.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    values: MixSettings,
    /// Whether an input is given, or else the default applies.
    pub(crate) inputs_given: bool,
    /// The recipe; the default one if none is given.
    pub(crate) recipe: Recipe,
    /// Whether a recipe is given.
    pub(crate) recipe_given: bool,
    /// The format of the file that is passed to a next step.
    pub(crate) selected_format: Format,
}

impl Deref for Settings {
    type Target = MixSettings;

    fn deref(&self) -> &MixSettings {
        &self.values
    }
}

impl Settings {
    /// Resolves and checks all settings of `mix` and `plan`.
    ///
    /// # Errors
    /// A usage error that names the flag, variable or recipe key, the value, and what was expected.
    pub(crate) fn resolve(given: &SettingValues, recipe: Option<Recipe>, environment: &Environment) -> Result<Self> {
        let resolver = Resolver { given, recipe: recipe.as_ref(), environment };
        let values = MixSettings::resolve(&resolver)?;
        Ok(Self {
            selected_format: selected_format(&values)?,
            inputs_given: resolver.text(MixSettings::TABLE, "input")?.is_some(),
            recipe_given: values.recipe_argument.is_some(),
            recipe: recipe.unwrap_or_default(),
            values,
        })
    }
}

/// The format of the file that is passed to a next step: the first one, unless another is selected.
fn selected_format(values: &MixSettings) -> Result<Format> {
    let first = values.formats.first().copied().unwrap_or_default();
    let selected = values.select_format.unwrap_or(first);
    if values.formats.contains(&selected) {
        return Ok(selected);
    }
    let formats: Vec<&str> = values.formats.iter().map(|format| format.name()).collect();
    let message = format!("invalid value `{}`: expected one of --formats: {}", selected.name(), formats.join(", "));
    Err(Error::new(ErrorKind::Usage, message).at("--select-format"))
}

/// The recipe or its location, if one is given: it has to be read before the other settings can be resolved.
///
/// # Errors
/// A usage error.
pub(crate) fn recipe_argument(given: &SettingValues, environment: &Environment) -> Result<Option<String>> {
    Resolver { given, recipe: None, environment }.text(MixSettings::TABLE, "recipe")
}

/// The tokenizer, if one is given.
///
/// # Errors
/// A usage error.
pub(crate) fn tokenizer_argument(given: &SettingValues, environment: &Environment) -> Result<Option<String>> {
    Resolver { given, recipe: None, environment }.text(MixSettings::TABLE, "tokenizer_model")
}

impl RunSettings {
    /// Resolves and checks the settings of every sub-command that uses storage.
    ///
    /// # Errors
    /// A usage error that names the flag or variable, the value, and what was expected.
    pub(crate) fn of(given: &SettingValues, environment: &Environment) -> Result<Self> {
        Self::resolve(&Resolver { given, recipe: None, environment })
    }

    /// The limits of the program.
    pub(crate) fn limits(&self) -> Limits {
        Limits { memory: self.memory_limit.map(|size| size.0), operation: self.operation_timeout }
    }

    /// The options of storage.
    pub(crate) fn storage(&self) -> StorageOptions {
        StorageOptions {
            max_retries: self.max_retries,
            retry_timeout: self.retry_timeout,
            lease_timeout: self.lease_timeout,
            ..StorageOptions::default()
        }
    }
}
