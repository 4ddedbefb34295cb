//! The YAML of a recipe: keys and values, each with its line and column.

use super::position::Position;
use crate::message::without_quotes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{DuplicateKeyPolicy, MessageFormatter, Spanned, UserMessageFormatter};
use std::fmt;

/// A value and where it is.
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Yaml,
}

/// A value as YAML 1.2 has it: `yes` and `on` are words.
pub(super) enum Yaml {
    Null,
    Bool(bool),
    /// In its shortest decimal form, which is what the recipe says: `0.3` stays `0.3`, `5.0` and `1e3` become `5` and `1000`.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key, where it is, and its value.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) value: Node,
}

impl Node {
    /// Parses a document; `None` if it is empty. The keys of a map may occur twice: the reader says so.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, Box<serde_yaml::Error>> {
        let options = serde_yaml::options! {
            with_snippet: false, strict_booleans: true, duplicate_keys: DuplicateKeyPolicy::PassThrough
        };
        serde_yaml::from_str_with_options(text, options).map_err(Box::new)
    }

    /// The entries of a map.
    pub(super) fn entries(&self) -> &[Entry] {
        if let Yaml::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The entry at this path (`["sources", "general", "share"]`), or its deepest existing parent.
    pub(super) fn find(&self, path: &[String]) -> Option<&Entry> {
        let (key, rest) = path.split_first()?;
        let entry = self.entries().iter().find(|entry| entry.key == *key)?;
        Some(entry.value.find(rest).unwrap_or(entry))
    }

    /// Where the key at this path is (`["sources", "general", "where", "1", "column"]`: `1` is the second item of a list), or its deepest
    /// existing parent. What may be a list and is not counts as its first item.
    pub(super) fn position(&self, path: &[String]) -> Option<Position> {
        let (key, rest) = path.split_first()?;
        if let Yaml::List(items) = &self.value {
            let item = items.get(key.parse::<usize>().ok()?)?;
            return Some(item.position(rest).unwrap_or(item.at));
        }
        match self.entries().iter().find(|entry| entry.key == *key) {
            Some(entry) => Some(entry.value.position(rest).unwrap_or(entry.at)),
            None if key == "0" => self.position(rest),
            None => None,
        }
    }

    /// The text of a single value.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Yaml::Bool(true) => Some("true"),
            Yaml::Bool(false) => Some("false"),
            Yaml::Number(text) | Yaml::Text(text) => Some(text),
            Yaml::Null | Yaml::List(_) | Yaml::Map(_) => None,
        }
    }

    /// Whether there is no value.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Yaml::Null)
    }
}

/// The position of what the parser refuses, and its message in terms of recipes: keys and values.
pub(super) fn syntax_error(error: &serde_yaml::Error) -> (Option<Position>, String) {
    let at = error.location().map(|location| Position { line: location.line(), column: location.column() });
    (at, without_quotes(&UserMessageFormatter.format_message(error.without_snippet())))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Yaml>::deserialize(deserializer)?;
        Ok(Self { at: Position::from(&spanned), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Yaml, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Yaml::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Yaml, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Node>()? {
            entries.push(Entry { at: Position::from(&key), key: key.value, value });
        }
        Ok(Yaml::Map(entries))
    }
}
