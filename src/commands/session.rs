//! What the sub-commands share.

use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::Context;
use crate::progress::Progress;
use crate::secrets;
use crate::settings::{self, Environment, SettingValues, Settings};
use crate::storage::{Location, Storage};
use std::io::Read;

/// The largest accepted recipe, in bytes.
const MAX_RECIPE: u64 = 16 << 20;

/// The recipe on standard input, and what errors name as its location.
const STDIN: &str = "-";
const STDIN_NAME: &str = "standard input";

/// What errors name as the location of a recipe that is given as text.
const INLINE_RECIPE: &str = "inline recipe";

/// The surroundings of a sub-command.
pub(super) struct Session<'s> {
    pub(super) environment: &'s Environment,
    pub(super) progress: &'s Progress,
    pub(super) storage: Storage,
}

impl Session<'_> {
    /// Resolves the settings of a run and makes its context.
    pub(super) async fn prepare(&self, given: &SettingValues) -> Result<(Settings, Context)> {
        let recipe = match settings::recipe_argument(given, self.environment)? {
            Some(value) => {
                let (text, place) = self.read_recipe(&value).await?;
                Some(settings::parse_recipe(&text, &place)?)
            }
            None => None,
        };
        let of_environment = settings::of_environment(given, recipe.as_ref(), self.environment);
        let settings = Settings::resolve(given, recipe, self.environment)?;
        if !of_environment.is_empty() {
            self.progress.info(&format!("from the environment: {}", of_environment.join(", ")));
        }
        let (storage, progress) = (self.storage.clone(), self.progress.clone());
        let context = Context::new(storage, progress, self.storage.warnings().clone(), settings.threads)?;
        Ok((settings, context))
    }

    /// The context of a sub-command that has no setting for the number of threads: all CPUs that the cgroup allows.
    pub(super) fn context(&self) -> Result<Context> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Context::new(self.storage.clone(), self.progress.clone(), self.storage.warnings().clone(), threads)
    }

    /// The text of a recipe that is given by its location or as text, and its location.
    pub(super) async fn read_recipe(&self, value: &str) -> Result<(String, String)> {
        let (text, place) = self.find_recipe(value).await?;
        secrets::protect(|known| known.add_urls(&text));
        Ok((text, place))
    }

    async fn find_recipe(&self, value: &str) -> Result<(String, String)> {
        if value == STDIN {
            return Ok((read_stdin()?, STDIN_NAME.to_owned()));
        }
        if is_inline_recipe(value) {
            return Ok((value.to_owned(), INLINE_RECIPE.to_owned()));
        }
        let location = Location::parse(value).map_err(|error| error.at("--recipe"))?;
        let bytes = self.storage.read(&location, MAX_RECIPE).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "recipe not found").at(&location).hint(
                "pass --recipe a file, a URL or the YAML text itself; `knowledge-mixing recipe example` prints a recipe",
            )
        })?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|error| {
            Error::new(ErrorKind::Usage, "the recipe is not valid UTF-8").at(&location).caused_by(error)
        })?;
        Ok((text, location.to_string()))
    }
}

/// The text on standard input.
fn read_stdin() -> Result<String> {
    let failed = |message: &str| Error::new(ErrorKind::Usage, message.to_owned()).at("--recipe -");
    let mut bytes = Vec::new();
    let mut input = std::io::stdin().lock().take(MAX_RECIPE + 1);
    input.read_to_end(&mut bytes).map_err(|error| failed("cannot read standard input").caused_by(error))?;
    if bytes.len() as u64 > MAX_RECIPE {
        return Err(failed("the recipe on standard input is too large: expected at most 16 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| failed("the recipe is not valid UTF-8").caused_by(error))
}

/// Whether a value is the text of a recipe, not its location: several lines, a JSON object, or a mapping on one line. No
/// usual path or URL contains a colon followed by a space.
fn is_inline_recipe(value: &str) -> bool {
    let value = value.trim();
    value.contains('\n') || value.starts_with('{') || value.contains(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipe_text_is_distinguished_from_a_location() {
        for inline in ["a: 1\nb: 2", "seed: 7", "{\"sources\": {}}", "  {}"] {
            assert!(is_inline_recipe(inline), "{inline}");
        }
        for location in ["recipe.yaml", "s3://b/recipe.yaml", "recipe.yaml\n", "C:/x"] {
            assert!(!is_inline_recipe(location), "{location}");
        }
    }
}
