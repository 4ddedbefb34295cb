//! The order in which a setting is looked up: flag, recipe, variable, default.
//!
//! An empty value counts as not given, because engines pass empty text for what is unset. Only an empty `--input` or
//! `--output` is an error: `--output "$UNSET"` must not write to the default.

use super::given::{Environment, SettingValues};
use super::setting::Setting;
use super::values::{Kind, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::{Recipe, RecipeValue};

/// Looks up settings.
pub(super) struct Resolver<'r> {
    pub(super) given: &'r SettingValues,
    pub(super) recipe: Option<&'r Recipe>,
    pub(super) environment: &'r Environment,
}

/// The texts of a setting, their form, and what to name in an error.
struct Found {
    texts: Vec<String>,
    kind: Kind,
    origin: String,
}

impl Resolver<'_> {
    /// The checked value of a setting.
    ///
    /// # Errors
    /// A usage error that names the flag, variable or recipe key, the value, and what was expected.
    pub(super) fn get<T: Value>(&self, setting: &Setting) -> Result<T> {
        let default = || {
            let text = setting.default_text()?;
            Some(Found { texts: vec![text], kind: setting.kind, origin: format!("default of {}", setting.flag()) })
        };
        match self.find(setting)?.or_else(default) {
            Some(found) => T::parse(&found.texts, found.kind).map_err(|error| error.at(found.origin)),
            None => {
                T::absent().ok_or_else(|| Error::new(ErrorKind::Bug, "the setting has no default").at(setting.flag()))
            }
        }
    }

    /// The unchecked text of the setting of this name, if it is given.
    ///
    /// # Errors
    /// An empty flag that has to have a value.
    pub(super) fn text(&self, table: &[Setting], name: &str) -> Result<Option<String>> {
        let setting = table.iter().find(|setting| setting.name == name);
        let found = setting.map_or(Ok(None), |setting| self.find(setting))?;
        Ok(found.and_then(|found| found.texts.into_iter().next()))
    }

    /// The variable that decides a setting, and its texts.
    pub(super) fn by_variable_alone(&self, setting: &Setting) -> Option<(&'static str, Vec<String>)> {
        if !matches!(self.by_flag(setting), Ok(None)) || self.by_recipe(setting).is_some() {
            return None;
        }
        let found = self.by_variable(setting)?;
        let names = setting.env.iter().copied().chain(setting.folder_env.map(|(variable, _)| variable));
        let variable = names.into_iter().find(|variable| found.origin.starts_with(&format!("{variable} (")))?;
        Some((variable, found.texts))
    }

    fn find(&self, setting: &Setting) -> Result<Option<Found>> {
        if let Some(found) = self.by_flag(setting)? {
            return Ok(Some(found));
        }
        Ok(self.by_recipe(setting).or_else(|| self.by_variable(setting)))
    }

    fn by_flag(&self, setting: &Setting) -> Result<Option<Found>> {
        let Some(texts) = self.given.get(setting.name) else { return Ok(None) };
        let flag = setting.flag();
        if setting.refuses_empty_flag && texts.iter().any(|text| is_empty(text)) {
            let default = setting.shown_default().unwrap_or_default();
            return Err(Error::new(ErrorKind::Usage, "empty value: expected a folder or URL")
                .at(&flag)
                .hint(format!("check the variable that is passed here, or omit {flag} to use {default}")));
        }
        let origin = match setting.kfp {
            Some((parameter, _)) if self.given.are_parameters() => format!("input parameter {parameter}"),
            _ => flag,
        };
        Ok(found(texts, setting.kind, origin))
    }

    fn by_recipe(&self, setting: &Setting) -> Option<Found> {
        let (key, kind) = setting.recipe_key()?;
        let value = self.recipe?.settings.iter().find(|written| written.key == key).map(|written| &written.value)?;
        found(&recipe_texts(value)?, kind, format!("{key} in the recipe"))
    }

    fn by_variable(&self, setting: &Setting) -> Option<Found> {
        let of_variable = setting.env.iter().find_map(|variable| {
            let text = self.environment.get(*variable)?;
            found(std::slice::from_ref(text), setting.kind, format!("{variable} (or {})", setting.flag()))
        });
        of_variable.or_else(|| {
            let (variable, below) = setting.folder_env?;
            let folder = self.environment.get(variable).filter(|folder| !is_empty(folder))?;
            let text =
                if below.is_empty() { folder.clone() } else { format!("{}/{below}", folder.trim_end_matches('/')) };
            found(&[text], setting.kind, format!("{variable} (or {})", setting.flag()))
        })
    }
}

/// The texts that are not empty, if there are any.
fn found(texts: &[String], kind: Kind, origin: String) -> Option<Found> {
    let texts: Vec<String> = texts.iter().filter(|text| !is_empty(text)).cloned().collect();
    (!texts.is_empty()).then_some(Found { texts, kind, origin })
}

fn is_empty(text: &str) -> bool {
    text.trim().is_empty()
}

fn recipe_texts(value: &RecipeValue) -> Option<Vec<String>> {
    match value {
        RecipeValue::Nothing | RecipeValue::Other(_) => None,
        RecipeValue::One(text, _) => Some(vec![text.clone()]),
        RecipeValue::List(items, _) => Some(items.iter().map(|(text, _)| text.clone()).collect()),
    }
}
