//! `where`: which rows of its files belong to a source.

use schemars::JsonSchema;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A condition on one column of a row, which the row meets if it meets every given part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    /// The column, such as `dataset_type`.
    pub(crate) column: String,
    /// The value that the column must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) equals: Option<ConditionValue>,
    /// The values of which the column must have one.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub(crate) one_of: Option<Vec<ConditionValue>>,
    /// The smallest number that the column may have; a number in a string counts as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at_least: Option<Number>,
    /// The largest number that the column may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at_most: Option<Number>,
}

impl Condition {
    /// Whether a column with this value meets the condition. A row without the column, or with `null`, never does.
    pub(crate) fn is_met(&self, value: &serde_json::Value) -> bool {
        if value.is_null() {
            return false;
        }
        let number = number_of(value);
        self.equals.as_ref().is_none_or(|expected| expected.is(value))
            && self.one_of.as_ref().is_none_or(|list| list.iter().any(|expected| expected.is(value)))
            && self.at_least.is_none_or(|least| number.is_some_and(|number| number >= least.0))
            && self.at_most.is_none_or(|most| number.is_some_and(|number| number <= most.0))
    }

    /// The texts that `equals` and `in` name.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let values = self.equals.iter().chain(self.one_of.iter().flatten());
        values.filter_map(|value| match value {
            ConditionValue::Text(text) => Some(text.as_str()),
            ConditionValue::Number(_) | ConditionValue::Bool(_) => None,
        })
    }
}

/// A value to compare a column with. Numbers and booleans also equal the strings that generators write for them: `2` equals
/// `"2.0"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum ConditionValue {
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text; upper and lower case differ.
    Text(String),
}

impl ConditionValue {
    fn is(&self, value: &serde_json::Value) -> bool {
        match self {
            Self::Text(expected) => match value {
                serde_json::Value::String(text) => text == expected,
                serde_json::Value::Bool(is_true) => expected == if *is_true { "true" } else { "false" },
                other => other.is_number() && parse_number(expected).is_some_and(|it| Some(it) == number_of(other)),
            },
            Self::Number(Number(expected)) => number_of(value) == Some(*expected),
            Self::Bool(expected) => match value {
                serde_json::Value::String(text) => text.eq_ignore_ascii_case(if *expected { "true" } else { "false" }),
                other => other.as_bool() == Some(*expected),
            },
        }
    }
}

/// A finite number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Number(f64);

// A finite number equals itself.
impl Eq for Number {}

impl Number {
    /// Whether no number is at least this and at most the other.
    pub(super) fn is_above(self, other: Self) -> bool {
        self.0 > other.0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn parse_number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// The number that a value is, or that its text says.
fn number_of(value: &serde_json::Value) -> Option<f64> {
    value.as_f64().or_else(|| parse_number(value.as_str()?))
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match ConditionValue::deserialize(deserializer)? {
            ConditionValue::Number(number) => Ok(number),
            ConditionValue::Text(text) => {
                parse_number(&text).map(Self).ok_or_else(|| de::Error::custom(not_a_number(&text)))
            }
            ConditionValue::Bool(value) => Err(de::Error::custom(not_a_number(&value.to_string()))),
        }
    }
}

fn not_a_number(value: &str) -> String {
    format!("invalid value `{value}`: expected a number")
}

impl<'de> Deserialize<'de> for ConditionValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl Visitor<'_> for ValueVisitor {
            type Value = ConditionValue;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }

            fn visit_bool<E>(self, value: bool) -> Result<ConditionValue, E> {
                Ok(ConditionValue::Bool(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<ConditionValue, E> {
                self.visit_f64(value as f64)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<ConditionValue, E> {
                self.visit_f64(value as f64)
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<ConditionValue, E> {
                match value.is_finite() {
                    true => Ok(ConditionValue::Number(Number(value))),
                    false => Err(E::custom(not_a_number(&value.to_string()))),
                }
            }

            fn visit_str<E>(self, value: &str) -> Result<ConditionValue, E> {
                Ok(ConditionValue::Text(value.to_owned()))
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn is_met(condition: serde_json::Value, value: serde_json::Value) -> bool {
        let mut with_column = json!({"column": "c"});
        with_column.as_object_mut().unwrap().extend(condition.as_object().unwrap().clone());
        serde_json::from_value::<Condition>(with_column).unwrap().is_met(&value)
    }

    #[test]
    fn values_are_compared_as_generators_write_them() {
        for (condition, value, expected) in [
            (json!({"equals": "YES"}), json!("YES"), true),
            (json!({"equals": "YES"}), json!("yes"), false),
            (json!({"equals": 2}), json!("2.0"), true),
            (json!({"equals": "2"}), json!(2.0), true),
            (json!({"equals": "2"}), json!("2.0"), false),
            (json!({"equals": true}), json!("True"), true),
            (json!({"equals": "true"}), json!(true), true),
            (json!({"equals": "a"}), json!(null), false),
            (json!({"in": ["a", 2]}), json!("2"), true),
            (json!({"in": ["a", 2]}), json!("b"), false),
            (json!({"at_least": 2}), json!("2.0"), true),
            (json!({"at_least": 2}), json!(1.9), false),
            (json!({"at_least": 2}), json!("many"), false),
            (json!({"at_most": "2.5"}), json!(2), true),
            (json!({"at_least": 1, "at_most": 2}), json!(3), false),
            (json!({"equals": "a"}), json!(["a"]), false),
        ] {
            assert_eq!(is_met(condition.clone(), value.clone()), expected, "{condition} {value}");
        }
    }
}
