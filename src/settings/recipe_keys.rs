//! The settings in a recipe: which keys there are, what they accept, and their part of the JSON schema.

use super::setting::Setting;
use super::table;
use super::values::Kind;
use crate::error::{Error, Result};
use crate::message::invalid_value;
use crate::recipe::{Mistake, Recipe, RecipeSetting, RecipeValue, Word, nearest};
use serde_json::{Map, Value, json};

/// Parses a recipe and checks all of it, its settings included. Errors name `place`: a file, a URL or a flag.
///
/// # Errors
/// A usage error with line and column: the first mistake.
pub(crate) fn parse_recipe(text: &str, place: &str) -> Result<Recipe> {
    let (recipe, mistakes) = read(text);
    mistakes.into_iter().next().map_or(Ok(recipe), |mistake| Err(mistake.error(place)))
}

/// All mistakes in a recipe, in the order of their lines. Text that is not YAML has only one, as the parser ends there; keys that
/// contradict each other are found when all values are valid.
pub(crate) fn recipe_mistakes(text: &str, place: &str) -> Vec<Error> {
    read(text).1.into_iter().map(|mistake| mistake.error(place)).collect()
}

fn read(text: &str) -> (Recipe, Vec<Mistake>) {
    let (recipe, mut mistakes) = Recipe::read(text);
    mistakes.extend(recipe.settings.iter().flat_map(check));
    mistakes.sort_by_key(Mistake::at);
    (recipe, mistakes)
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

fn check(written: &RecipeSetting) -> Vec<Mistake> {
    let Some((setting, _, kind)) = recipe_settings().find(|(_, key, _)| *key == written.key) else {
        let keys: Vec<&str> = recipe_settings().map(|(_, key, _)| key).collect();
        return vec![Recipe::unknown_key(written, &keys)];
    };
    let is_list = matches!(kind, Kind::Texts | Kind::Numbers { .. } | Kind::Choices(_));
    let wrong = |texts: &[String], at| {
        let error = setting.check(texts, kind).err()?;
        let hint = texts.first().and_then(|text| meant(text, kind));
        Some(Mistake::new(at, error.line(), hint.or(error.advice())))
    };
    match &written.value {
        RecipeValue::Nothing => Vec::new(),
        RecipeValue::One(text, _) if text.trim().is_empty() => Vec::new(),
        RecipeValue::One(text, at) => wrong(std::slice::from_ref(text), *at).into_iter().collect(),
        RecipeValue::List(items, at) if is_list => {
            let each = items.iter().filter_map(|(text, at)| wrong(std::slice::from_ref(text), *at));
            let each: Vec<_> = each.collect();
            let texts: Vec<String> = items.iter().map(|(text, _)| text.clone()).collect();
            // A list may also be wrong as a whole.
            if each.is_empty() { wrong(&texts, *at).into_iter().collect() } else { each }
        }
        RecipeValue::Other(at) if is_list => vec![Mistake::new(*at, "expected a value or a list of values", None)],
        RecipeValue::Other(at) => vec![Mistake::new(*at, "expected a single value", None)],
        RecipeValue::List(items, at) => {
            let texts: Vec<&str> = items.iter().map(|(text, _)| text.as_str()).collect();
            let message = format!("{}: expected a single value", invalid_value(&texts.join(", ")));
            vec![Mistake::new(*at, message, None)]
        }
    }
}

/// The word that a text is most likely meant to be.
fn meant(text: &str, kind: Kind) -> Option<String> {
    let (Kind::Choice(words) | Kind::Choices(words)) = kind else { return None };
    nearest(text, words.iter().map(|word| word.name)).map(|word| format!("did you mean `{word}`?"))
}

fn word_schema(word: &Word) -> Value {
    json!({"const": word.name, "description": word.help.trim()})
}

/// A number in quotes: its form, not its range.
const NUMBER: &str = r"[0-9]+(\.0+)?";

/// Text of this form, or empty text, which counts as not given.
fn text(form: &str) -> Value {
    json!({"type": "string", "pattern": format!(r"^\s*({form})?\s*$")})
}

/// Text that has several items of this form: separated by commas, or a JSON list.
fn text_list(item: &str) -> Value {
    text(&format!(r"{item}(\s*,\s*{item})*|\[.*\]"))
}

/// A list of at least one item, if the setting needs one; or its only item, or nothing.
fn list(setting: &Setting, kind: Kind, items: &[Value], single: &[Value]) -> Value {
    let at_least = u8::from(setting.check(&[], kind).is_err());
    let list = json!({"type": "array", "items": {"anyOf": items}, "minItems": at_least});
    let mut forms = vec![list, json!({"type": "null"})];
    forms.extend_from_slice(single);
    json!({"anyOf": forms})
}

/// A setting's property in the schema: what [`check`] accepts, as far as a schema can say it.
fn property(setting: &Setting, kind: Kind) -> Value {
    let nothing = json!({"type": "null"});
    let any_text = json!({"type": ["string", "number", "boolean"]});
    let mut property = match kind {
        Kind::Text => json!({"type": ["string", "number", "boolean", "null"]}),
        Kind::Texts => list(setting, kind, std::slice::from_ref(&any_text), std::slice::from_ref(&any_text)),
        Kind::Switch => {
            let word = text("[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|0|1");
            json!({"anyOf": [{"type": ["boolean", "null"]}, {"enum": [0, 1]}, word]})
        }
        Kind::SwitchOr(words) => {
            let names: Vec<&str> = words.iter().skip(2).map(|word| word.name).collect();
            let word = text(&format!("[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|0|1|{}", names.join("|")));
            json!({"anyOf": [{"type": ["boolean", "null"]}, {"enum": [0, 1]}, word]})
        }
        Kind::Number { min, max } => {
            json!({"anyOf": [{"type": "integer", "minimum": min, "maximum": max}, nothing, text(NUMBER)]})
        }
        Kind::Numbers { min, max } => {
            let forms = [json!({"type": "integer", "minimum": min, "maximum": max}), text_list(NUMBER)];
            list(setting, kind, &forms, &forms)
        }
        Kind::Choice(words) => {
            let words: Vec<Value> = words.iter().map(word_schema).chain([nothing, text("")]).collect();
            json!({"anyOf": words})
        }
        Kind::Choices(words) => {
            let names: Vec<&str> = words.iter().map(|word| word.name).collect();
            let items: Vec<Value> = words.iter().map(word_schema).collect();
            list(setting, kind, &items, &[text_list(&format!("({})", names.join("|")))])
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
