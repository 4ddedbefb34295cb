//! From text to a checked recipe.

use super::model::{OWN_KEYS, Recipe};
use super::nearest::nearest;
use super::settings::RecipeSetting;
use super::{check, positions};
use crate::error::{Error, ErrorKind, Result};

impl Recipe {
    /// Parses a recipe (YAML, so JSON as well) and checks its own keys. All other keys become
    /// [`Recipe::settings`], unchecked: `settings::parse_recipe` checks those too. Errors name `place`: a file, a URL
    /// or a flag.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] with line and column for invalid YAML, an unknown key of a section, a value out of range,
    /// and keys that contradict each other.
    pub(crate) fn parse(text: &str, place: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let recipe: Option<Self> = positions::from_yaml(text).map_err(|e| positions::syntax_error(&e, place))?;
        let recipe = recipe.unwrap_or_default();
        if let Err(problem) = check::check(&recipe) {
            let at = positions::of(text, &problem.path)
                .map_or(place.to_owned(), |(line, column)| format!("{place}:{line}:{column}"));
            let error = Error::new(ErrorKind::Usage, problem.message).at(at);
            return Err(if problem.hint.is_empty() { error } else { error.hint(problem.hint) });
        }
        Ok(recipe)
    }

    /// The error for a key that is neither one of the recipe's own nor one of the given settings.
    pub(crate) fn unknown_key(setting: &RecipeSetting, place: &str, settings: &[&str]) -> Error {
        let keys = [settings, &OWN_KEYS].concat();
        let message = format!("unknown key `{}`: expected one of {}", setting.key, keys.join(", "));
        let hint = match nearest(&setting.key, keys.into_iter()) {
            Some(key) => format!("did you mean `{key}`?"),
            None => positions::SYNTAX_HINT.to_owned(),
        };
        Error::new(ErrorKind::Usage, message).at(format_args!("{place}:{}", setting.at)).hint(hint)
    }
}
