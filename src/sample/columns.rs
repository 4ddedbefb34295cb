//! The columns of one input row that its kind of sample needs; all others are skipped by the JSON parser.

use super::outcome::{RejectReason, RowError};
use crate::excerpt::excerpt;
use crate::text::{Interner, TextId};
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The values of the requested columns of one row, as raw JSON.
pub(crate) struct Columns<'r> {
    names: &'r [String],
    values: Vec<Option<&'r RawValue>>,
    row: &'r str,
}

impl<'r> Columns<'r> {
    /// Reads the columns `names` of a row; columns are addressed by their place in `names`.
    ///
    /// # Errors
    /// If the row is not one JSON object.
    pub(crate) fn read(row: &'r str, names: &'r [String]) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(row);
        let values = json.deserialize_map(ColumnsVisitor { names })?;
        json.end()?;
        Ok(Self { names, values, row })
    }

    /// The number of columns.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The value of a column, `null` included.
    pub(crate) fn get(&self, column: usize) -> Option<&'r RawValue> {
        self.values[column]
    }

    /// Whether the row has a column, and not as `null`.
    pub(super) fn has(&self, column: usize) -> bool {
        self.get(column).is_some_and(|value| value.get() != "null")
    }

    /// A column's name.
    pub(super) fn name(&self, column: usize) -> &'r str {
        &self.names[column]
    }

    /// A column's text; the empty text if the column is absent or `null`.
    pub(super) fn text(&self, column: usize) -> Result<Cow<'r, str>, RowError> {
        self.get(column)
            .filter(|_| self.has(column))
            .map_or(Ok(Cow::Borrowed("")), |value| unescape(self.name(column), value))
    }

    /// The interned text of a column that many rows repeat; `None` also if the column is absent or `null`.
    pub(super) fn interned(&self, column: usize, texts: &Interner) -> Result<Option<TextId>, RowError> {
        match self.get(column).filter(|_| self.has(column)) {
            Some(value) => texts.intern_escaped(value.get().as_bytes(), || unescape(self.name(column), value)),
            None => Ok(None),
        }
    }

    /// The error for a required column that is missing; `needed` lists all required columns.
    pub(super) fn missing(&self, column: usize, needed: &str) -> RowError {
        let present = serde_json::from_str::<PresentKeys>(self.row).unwrap_or_default().0;
        let present = if present.is_empty() { "none".to_owned() } else { excerpt_of_keys(&present) };
        let column = self.name(column);
        let message = format!("column `{column}` is missing; required: {needed}; found: {present}");
        RowError::bad(RejectReason::MissingColumn, message)
    }
}

/// The number of keys of a row that a message lists.
const SHOWN_KEYS: usize = 20;

/// Keys as a message lists them.
fn excerpt_of_keys(keys: &[String]) -> String {
    let shown: Vec<_> = keys.iter().take(SHOWN_KEYS).map(|key| excerpt(key)).collect();
    match keys.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The keys of a row whose values are not `null`.
#[derive(Default)]
struct PresentKeys(Vec<String>);

impl<'r> serde::Deserialize<'r> for PresentKeys {
    fn deserialize<D: serde::Deserializer<'r>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;
        impl<'r> Visitor<'r> for KeysVisitor {
            type Value = PresentKeys;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'r>>(self, mut map: A) -> Result<PresentKeys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, value)) = map.next_entry::<Key<'r>, &'r RawValue>()? {
                    if value.get() != "null" && !keys.iter().rev().take(SHOWN_KEYS).any(|known| *known == key.0) {
                        keys.push(key.0.into_owned());
                    }
                }
                Ok(PresentKeys(keys))
            }
        }
        deserializer.deserialize_map(KeysVisitor)
    }
}

/// The error for a column that is not a string.
pub(super) fn not_a_string(column: &str, json: &str) -> RowError {
    wrong_type(column, json, "a string")
}

/// The error for a column of another type than `expected`.
pub(super) fn wrong_type(column: &str, json: &str, expected: &str) -> RowError {
    let message = format!("column `{column}`: expected {expected}, found {}", type_of(json));
    RowError::bad(RejectReason::WrongType, message)
}

/// The JSON type of a value, for messages.
pub(super) fn type_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// The error for a value that is valid JSON but not valid text: an escape that is half a character.
pub(super) fn invalid_escape(column: &str, error: &serde_json::Error) -> RowError {
    let text = error.to_string();
    if text.starts_with("number out of range") {
        let message = format!("column `{column}` contains a number out of range, such as NaN or Infinity");
        return RowError::bad(RejectReason::WrongType, message);
    }
    let what = match text.split(" at line ").next().unwrap_or(&text) {
        // The parser's words for one or the other half.
        what if what.contains("surrogate") || what.contains("hex escape") => "half a surrogate pair",
        what => what,
    };
    RowError::bad(RejectReason::InvalidEscape, format!("column `{column}` has an invalid escape: {what}"))
}

/// The text of a JSON string.
pub(super) fn unescape<'r>(column: &str, value: &'r RawValue) -> Result<Cow<'r, str>, RowError> {
    let raw = value.get();
    // Most strings have no escape: the text is what stands between the quotes.
    match raw.get(1..raw.len() - 1) {
        Some(inner) if memchr::memchr(b'\\', inner.as_bytes()).is_none() => Ok(Cow::Borrowed(inner)),
        _ => serde_json::from_str::<String>(raw).map(Cow::Owned).map_err(|error| invalid_escape(column, &error)),
    }
}

struct ColumnsVisitor<'n> {
    names: &'n [String],
}

impl<'r> Visitor<'r> for ColumnsVisitor<'_> {
    type Value = Vec<Option<&'r RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'r>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![None; self.names.len()];
        // The last of several equal keys wins, as in Python.
        while let Some(key) = map.next_key::<Key<'r>>()? {
            match self.names.iter().position(|name| *name == key.0) {
                Some(column) => values[column] = Some(map.next_value::<&'r RawValue>()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(values)
    }
}

/// A key, borrowed if it has no escape.
struct Key<'r>(Cow<'r, str>);

impl<'r> serde::Deserialize<'r> for Key<'r> {
    fn deserialize<D: serde::Deserializer<'r>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'r> Visitor<'r> for KeyVisitor {
            type Value = Key<'r>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E: serde::de::Error>(self, key: &'r str) -> Result<Key<'r>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Key<'r>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
            fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Key<'r>, E> {
                Err(E::custom("a key is not text"))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}
