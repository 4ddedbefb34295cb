//! From the nodes of a recipe to its types. What is wrong is collected, so that all of it is reported at once; a value that is wrong
//! counts as not given.

use super::condition::{ConditionValue, Number};
use super::decimal::Decimal;
use super::nearest::nearest;
use super::number::{Quantity, positive};
use super::position::Position;
use super::yaml::{Node, Yaml};
use crate::error::{Error, ErrorKind};
use crate::message::{invalid_value, shown_value};
use schemars::JsonSchema;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, IntoDeserializer};
use std::fmt;

/// The hint of mistakes that have no better one.
pub(super) const SYNTAX_HINT: &str =
    "run `knowledge-mixing recipe example` to see the keys, or `knowledge-mixing recipe schema` for an editor's schema";

/// What is wrong with a recipe, where, and what to do; an empty hint is left out.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub(super) at: Option<Position>,
    pub(super) message: String,
    pub(super) hint: String,
}

impl Mistake {
    pub(crate) fn new(at: Position, message: impl Into<String>, hint: Option<String>) -> Self {
        Self { at: Some(at), message: message.into(), hint: hint.unwrap_or_default() }
    }

    /// Line and column; none if the whole text is wrong.
    pub(crate) fn at(&self) -> Option<Position> {
        self.at
    }

    /// The error about a recipe from `place`: a file, a URL or a flag.
    pub(crate) fn error(self, place: &str) -> Error {
        let at = self.at.map_or(place.to_owned(), |at| format!("{place}:{at}"));
        let error = Error::new(ErrorKind::Usage, self.message).at(at);
        if self.hint.is_empty() { error } else { error.hint(self.hint) }
    }
}

/// A value that is not accepted: the message, and what is most likely meant.
pub(super) struct Invalid {
    message: String,
    meant: Option<&'static str>,
}

impl Invalid {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), meant: None }
    }
}

/// Collects mistakes.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) mistakes: Vec<Mistake>,
}

impl Reading {
    pub(super) fn mistake(&mut self, at: Position, message: impl Into<String>, meant: Option<&str>) {
        let hint = meant.map_or(SYNTAX_HINT.to_owned(), |meant| format!("did you mean `{meant}`?"));
        self.mistakes.push(Mistake { at: Some(at), message: message.into(), hint });
    }

    /// Calls `read` with each key of a map. It returns false for a key that `T` does not have.
    pub(super) fn section<T: JsonSchema>(&mut self, node: &Node, mut read: impl FnMut(&mut Self, &str, &Node) -> bool) {
        for (key, at, value) in self.keys(node) {
            if !read(self, key, value) {
                let keys = keys_of::<T>();
                let meant = nearest(key, keys.iter().map(String::as_str));
                let one_of = if keys.len() == 1 { "" } else { "one of " };
                self.mistake(
                    at,
                    format!("{}: expected {one_of}{}", key_message("unknown", key), keys.join(", ")),
                    meant,
                );
            }
        }
    }

    /// The keys of a map, with their positions and values; none if there is no value.
    pub(super) fn keys<'n>(&mut self, node: &'n Node) -> Vec<(&'n str, Position, &'n Node)> {
        if !matches!(node.value, Yaml::Null | Yaml::Map(_)) {
            self.mistake(node.at, "expected keys with values (`key: value`)", None);
        }
        let entries = node.entries();
        let mut keys = Vec::with_capacity(entries.len());
        for (number, entry) in entries.iter().enumerate() {
            if entries[..number].iter().any(|earlier| earlier.key == entry.key) {
                self.mistake(entry.at, key_message("duplicate", &entry.key), None);
            } else {
                keys.push((entry.key.as_str(), entry.at, &entry.value));
            }
        }
        keys
    }

    /// A value that may be absent.
    pub(super) fn value<T: FromNode>(&mut self, node: &Node) -> Option<T> {
        if node.is_null() {
            return None;
        }
        match T::from_node(node) {
            Ok(value) => Some(value),
            Err(invalid) => {
                self.mistake(node.at, invalid.message, invalid.meant);
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: DeserializeOwned>(&mut self, node: &Node) -> Option<T> {
        self.value::<OneOf<T>>(node).map(|word| word.0)
    }

    /// A list of words, each one of a few.
    pub(super) fn words<T: DeserializeOwned>(&mut self, node: &Node) -> Vec<T> {
        match &node.value {
            Yaml::Null => Vec::new(),
            Yaml::List(items) => items.iter().filter_map(|item| self.item(item)).collect(),
            _ => {
                self.mistake(node.at, "expected a list (`[a, b]`)", None);
                Vec::new()
            }
        }
    }

    /// A word of a list, where a missing one is a mistake.
    fn item<T: DeserializeOwned>(&mut self, node: &Node) -> Option<T> {
        if node.is_null() {
            self.mistake(node.at, "expected a single word", None);
        }
        self.word(node)
    }

    /// A list of values; an absent one is a mistake.
    pub(super) fn values<T: FromNode>(&mut self, node: &Node) -> Option<Vec<T>> {
        match &node.value {
            Yaml::Null => None,
            Yaml::List(items) => {
                let values: Vec<Option<T>> = items.iter().map(|item| self.required(item)).collect();
                values.into_iter().collect()
            }
            _ => {
                self.mistake(node.at, "expected a list (`[a, b]`)", None);
                None
            }
        }
    }

    fn required<T: FromNode>(&mut self, node: &Node) -> Option<T> {
        if node.is_null() {
            self.mistake(node.at, "expected a value", None);
        }
        self.value(node)
    }

    /// A text that may be absent. What YAML reads as a number has to be in quotes.
    pub(super) fn text(&mut self, node: &Node) -> Option<String> {
        if let Yaml::Text(text) = &node.value {
            return Some(text.clone());
        }
        match node.scalar() {
            Some(text) => {
                let message = format!("{}: expected a text", invalid_value(text));
                let hint = "put it in quotes".to_owned();
                self.mistakes.push(Mistake { at: Some(node.at), message, hint });
            }
            None if node.is_null() => {}
            None => self.mistake(node.at, "expected a text", None),
        }
        None
    }

    /// A list of paths or URLs.
    pub(super) fn paths(&mut self, node: &Node) -> Option<Vec<String>> {
        match &node.value {
            Yaml::Null => None,
            Yaml::List(items) => {
                let paths: Vec<_> = items.iter().map(|item| self.path(item)).collect();
                paths.into_iter().collect()
            }
            _ => {
                self.mistake(node.at, "expected a list (`[a, b]`)", None);
                None
            }
        }
    }

    fn path(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Yaml::Text(text) => return Some(text.clone()),
            _ => match node.scalar() {
                // Another spelling of the number or word would be read as the same path.
                Some(text) => {
                    let message = format!("{}: expected a path or URL", invalid_value(text));
                    let hint = "put it in quotes".to_owned();
                    self.mistakes.push(Mistake { at: Some(node.at), message, hint });
                }
                None => self.mistake(node.at, "expected a path or URL", None),
            },
        }
        None
    }
}

/// The beginning of the message about a key that is `unknown`, or something else. A file that is no recipe may hold secrets.
pub(super) fn key_message(what: &str, key: &str) -> String {
    match shown_value(key) {
        Some(key) => format!("{what} key `{key}`"),
        None => format!("{what} key of {} characters", key.chars().count()),
    }
}

/// The keys of a type, from its schema.
fn keys_of<T: JsonSchema>() -> Vec<String> {
    let schema = schemars::schema_for!(T).to_value();
    schema["properties"].as_object().map(|keys| keys.keys().cloned().collect()).unwrap_or_default()
}

/// A type that is read from a single value.
pub(super) trait FromNode: Sized {
    fn from_node(node: &Node) -> Result<Self, Invalid>;
}

impl FromNode for bool {
    fn from_node(node: &Node) -> Result<Self, Invalid> {
        match (&node.value, node.scalar()) {
            (Yaml::Bool(value), _) => Ok(*value),
            (_, Some(text)) => Err(Invalid::new(format!("{}: expected true or false", invalid_value(text)))),
            (_, None) => Err(Invalid::new("expected true or false")),
        }
    }
}

/// Numbers may be in quotes. They are parsed from their text, so that `0.3` is three tenths.
fn number<T>(node: &Node, expected: &str, parse: fn(&str) -> Result<T, String>) -> Result<T, Invalid> {
    match (&node.value, node.scalar()) {
        (Yaml::Number(text) | Yaml::Text(text), _) => parse(text).map_err(Invalid::new),
        (_, Some(text)) => Err(Invalid::new(format!("{}: expected {expected}", invalid_value(text)))),
        (_, None) => Err(Invalid::new(format!("expected {expected}"))),
    }
}

impl FromNode for Decimal {
    fn from_node(node: &Node) -> Result<Self, Invalid> {
        number(node, "a number, such as 2.5 or 0.02", str::parse)
    }
}

impl FromNode for Quantity {
    fn from_node(node: &Node) -> Result<Self, Invalid> {
        number(node, "a whole number, such as 250000, 1.5k or 100M", str::parse)
    }
}

/// At least 1.
impl FromNode for u32 {
    fn from_node(node: &Node) -> Result<Self, Invalid> {
        number(node, "a whole number of at least 1", positive)
    }
}

impl FromNode for Number {
    fn from_node(node: &Node) -> Result<Self, Invalid> {
        number(node, "a number", |text| {
            Self::parse(text).ok_or_else(|| format!("{}: expected a number", invalid_value(text)))
        })
    }
}

impl FromNode for ConditionValue {
    fn from_node(node: &Node) -> Result<Self, Invalid> {
        match &node.value {
            Yaml::Bool(value) => Ok(Self::Bool(*value)),
            Yaml::Number(text) => Number::parse(text)
                .map(Self::Number)
                .ok_or_else(|| Invalid::new(format!("{}: expected a finite number", invalid_value(text)))),
            Yaml::Text(text) => Ok(Self::Text(text.clone())),
            Yaml::Null | Yaml::List(_) | Yaml::Map(_) => Err(Invalid::new("expected a text, a number, true or false")),
        }
    }
}

/// A value of an enumeration without data.
struct OneOf<T>(T);

impl<T: DeserializeOwned> FromNode for OneOf<T> {
    fn from_node(node: &Node) -> Result<Self, Invalid> {
        let Some(text) = node.scalar() else { return Err(Invalid::new("expected a single word")) };
        let deserializer: StrDeserializer<'_, Unknown> = text.into_deserializer();
        T::deserialize(deserializer).map(Self).map_err(|Unknown(words)| Invalid {
            message: format!("{}: expected one of {}", invalid_value(text), words.join(", ")),
            meant: nearest(text, words.iter().copied()),
        })
    }
}

/// The words that an enumeration has, if a text is none of them.
#[derive(Debug)]
struct Unknown(&'static [&'static str]);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl std::error::Error for Unknown {}

impl de::Error for Unknown {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}
