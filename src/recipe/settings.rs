//! Settings in a recipe, as written. Their names and values are checked by the `settings` module, which knows them all.

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_yaml::Spanned;
use std::fmt;

/// A line and a column of a recipe, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The line.
    pub(crate) line: u64,
    /// The column.
    pub(crate) column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl<T> From<&Spanned<T>> for Position {
    fn from(spanned: &Spanned<T>) -> Self {
        Self { line: spanned.referenced.line(), column: spanned.referenced.column() }
    }
}

/// A top-level key of a recipe that is not one of the recipe's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecipeSetting {
    /// The key.
    pub(crate) key: String,
    /// Where the key is.
    pub(crate) at: Position,
    /// Its value.
    pub(crate) value: RecipeValue,
}

/// The value of a setting, as text: so it passes the same checks as a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecipeValue {
    /// No value, or `null`.
    Nothing,
    /// One value.
    One(String, Position),
    /// A list of values.
    List(Vec<(String, Position)>, Position),
}

impl<'de> Deserialize<'de> for RecipeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Written>::deserialize(deserializer)?;
        let at = Position::from(&spanned);
        Ok(match spanned.value {
            Written::Nothing => Self::Nothing,
            Written::One(text) => Self::One(text, at),
            Written::List(items) => Self::List(items, at),
        })
    }
}

enum Written {
    Nothing,
    One(String),
    List(Vec<(String, Position)>),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WrittenVisitor;
        impl<'de> Visitor<'de> for WrittenVisitor {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a value or a list of values")
            }

            fn visit_unit<E>(self) -> Result<Written, E> {
                Ok(Written::Nothing)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Written, E> {
                Ok(Written::One(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Written, E> {
                Ok(Written::One(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Written, E> {
                Ok(Written::One(value.to_string()))
            }

            // The shortest decimal form: `5.0` and `1e3` become `5` and `1000`.
            fn visit_f64<E>(self, value: f64) -> Result<Written, E> {
                Ok(Written::One(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Written, E> {
                Ok(Written::One(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Written, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element::<RecipeValue>()? {
                    match item {
                        RecipeValue::One(text, at) => items.push((text, at)),
                        _ => return Err(de::Error::custom("expected a list of single values")),
                    }
                }
                Ok(Written::List(items))
            }
        }
        deserializer.deserialize_any(WrittenVisitor)
    }
}
