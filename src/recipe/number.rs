//! Numbers in a recipe: parsed exactly, with errors that name what is accepted.

use super::Decimal;
use super::decimal::exact;
use crate::message::invalid_value;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A number of tokens or samples: `250000`, `1.5k`, `100M`, `2B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(u64);

impl Quantity {
    /// The number.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for Quantity {
    type Err = String;

    /// Parses a number with an optional suffix `k`, `M`, `G` (or `B`) or `T` for 10^3, 10^6, 10^9 or 10^12, in any case;
    /// the result is a whole number up to 10^15. The error is a complete message.
    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let (number, places) = match trimmed.chars().last().map(|c| c.to_ascii_lowercase()) {
            Some('k') => (&trimmed[..trimmed.len() - 1], 3),
            Some('m') => (&trimmed[..trimmed.len() - 1], 6),
            Some('g' | 'b') => (&trimmed[..trimmed.len() - 1], 9),
            Some('t') => (&trimmed[..trimmed.len() - 1], 12),
            _ => (trimmed, 0),
        };
        exact(number, places)
            .filter(|&n| n <= 1_000_000_000_000_000)
            .and_then(|n| u64::try_from(n).ok())
            .map(Self)
            .ok_or_else(|| {
                format!("{}: expected a whole number up to 1000T, such as 250000, 1.5k or 100M", invalid_value(text))
            })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A whole number with an optional suffix k, M, G (or B) or T: 100M is 100 million.",
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 1_000_000_000_000_000u64},
                {"type": "string", "pattern": number_pattern("[kKmMgGbBtT]?")}
            ]
        })
    }
}

/// As a string: `0.1` in a manifest is exactly a tenth, not the nearest float.
impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number with at most six decimal places, such as 2.5 or 0.02.",
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1_000_000_000_000u64},
                {"type": "string", "pattern": number_pattern("")}
            ]
        })
    }
}

/// A whole number from 1: `5`, or `5.0`, because Kubeflow passes integers as doubles.
pub(super) fn positive(text: &str) -> Result<u32, String> {
    exact(text, 0)
        .and_then(|n| u32::try_from(n).ok())
        .filter(|&n| n > 0)
        .ok_or_else(|| format!("{}: expected a whole number from 1 to {}", invalid_value(text), u32::MAX))
}

/// A whole number of at least 1 in the schema.
pub(super) struct Positive;

impl JsonSchema for Positive {
    fn schema_name() -> Cow<'static, str> {
        "Positive".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A whole number of at least 1.",
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": u32::MAX}, {"type": "string", "pattern": number_pattern("")}]
        })
    }
}

/// The form of a number in quotes, in the syntax of JSON schemas. What it is worth is left to the program.
fn number_pattern(suffix: &str) -> String {
    format!(r"^\s*\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?{suffix}\s*$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_whole_numbers_with_an_optional_suffix() {
        for (text, number) in [
            ("1", 1),
            ("250000", 250_000),
            ("1.5k", 1_500),
            ("100M", 100_000_000),
            ("100m", 100_000_000),
            ("2B", 2_000_000_000),
            ("2g", 2_000_000_000),
            ("0.5T", 500_000_000_000),
            ("1e6", 1_000_000),
            ("1000T", 1_000_000_000_000_000),
        ] {
            assert_eq!(text.parse::<Quantity>().map(Quantity::get), Ok(number), "{text}");
        }
        for text in ["", "k", "1.5", "1.0005k", "-1", "1001T", "5x", "1 k5", "1kk", "é"] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }
}
