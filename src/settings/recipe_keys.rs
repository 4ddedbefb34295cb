//! The settings in a recipe: which keys there are, what they accept, and their part of the JSON schema.

use super::setting::Setting;
use super::table;
use super::values::Kind;
use crate::error::{Error, Result};
use crate::recipe::{Position, Recipe, RecipeSetting, RecipeValue, Word};
use serde_json::{Map, Value, json};

/// Parses a recipe and checks all of it, its settings included. Errors name `place`: a file, a URL or a flag.
///
/// # Errors
/// A usage error with line and column.
pub(crate) fn parse_recipe(text: &str, place: &str) -> Result<Recipe> {
    let recipe = Recipe::parse(text, place)?;
    recipe.settings.iter().try_for_each(|written| check(written, place))?;
    Ok(recipe)
}

/// All mistakes in a recipe, in the order of their lines: those of its settings, or else the first one of its other keys.
pub(crate) fn recipe_mistakes(text: &str, place: &str) -> Vec<Error> {
    match Recipe::parse(text, place) {
        Ok(recipe) => recipe.settings.iter().filter_map(|written| check(written, place).err()).collect(),
        Err(error) => vec![error],
    }
}

/// The JSON schema of recipes, for editors.
pub(crate) fn recipe_schema() -> String {
    let properties = recipe_settings().map(|(setting, key, kind)| (key.to_owned(), property(setting, kind)));
    let schema = Recipe::schema(properties.collect());
    // A schema is always valid JSON.
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// The settings that a recipe may set, with key and form.
fn recipe_settings() -> impl Iterator<Item = (&'static Setting, &'static str, Kind)> + Clone {
    table::all().filter_map(|setting| setting.recipe_key().map(|(key, kind)| (setting, key, kind)))
}

fn check(written: &RecipeSetting, place: &str) -> Result<()> {
    let Some((setting, _, kind)) = recipe_settings().find(|(_, key, _)| *key == written.key) else {
        let keys: Vec<&str> = recipe_settings().map(|(_, key, _)| key).collect();
        return Err(Recipe::unknown_key(written, place, &keys));
    };
    let (texts, at): (Vec<String>, Position) = match &written.value {
        RecipeValue::Nothing => return Ok(()),
        RecipeValue::One(text, _) if text.trim().is_empty() => return Ok(()),
        RecipeValue::One(text, at) => (vec![text.clone()], *at),
        RecipeValue::List(items, at) => {
            let texts = items.iter().map(|(text, _)| text.clone()).collect();
            // The first item that is not valid by itself; a list may also be wrong as a whole.
            let is_bad = |text: &String| setting.check(std::slice::from_ref(text), kind).is_err();
            let bad = items.iter().find(|(text, _)| is_bad(text));
            match bad.filter(|_| matches!(kind, Kind::Texts | Kind::Numbers { .. } | Kind::Choices(_))) {
                Some((text, at)) => (vec![text.clone()], *at),
                None => (texts, *at),
            }
        }
    };
    setting.check(&texts, kind).map_err(|error| error.at(format_args!("{place}:{at}")))
}

fn word_schema(word: &Word) -> Value {
    json!({"const": word.name, "description": word.help.trim()})
}

/// A setting's property in the schema.
fn property(setting: &Setting, kind: Kind) -> Value {
    let mut property = match kind {
        Kind::Text => json!({"type": ["string", "null"]}),
        Kind::Texts => json!({"type": ["array", "null"], "items": {"type": "string"}}),
        Kind::Switch => json!({"type": ["boolean", "null"]}),
        Kind::SwitchOr(words) => {
            let more = words.iter().skip(2).map(word_schema);
            let accepted = [json!({"type": ["boolean", "null"]})].into_iter().chain(more);
            json!({"oneOf": accepted.collect::<Vec<_>>()})
        }
        Kind::Number { min, max } => json!({"type": ["integer", "null"], "minimum": min, "maximum": max}),
        Kind::Numbers { min, max } => {
            json!({"type": ["array", "null"], "items": {"type": "integer", "minimum": min, "maximum": max}})
        }
        Kind::Choice(words) => {
            json!({"oneOf": words.iter().map(word_schema).chain([json!({"type": "null"})]).collect::<Vec<_>>()})
        }
        Kind::Choices(words) => {
            let items: Vec<Value> = words.iter().map(word_schema).collect();
            json!({"type": ["array", "null"], "items": {"oneOf": items}})
        }
    };
    if let Some(properties) = property.as_object_mut() {
        let mut described: Map<String, Value> = Map::new();
        described.insert("description".into(), format!("{} (flag {}).", setting.help(), setting.flag()).into());
        described.append(properties);
        *properties = described;
    }
    property
}
