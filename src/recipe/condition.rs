//! `where`: which rows of its files belong to a source.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A condition on one column of a row, which the row meets if it meets every given part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Condition {
    /// The column, such as `dataset_type`.
    #[schemars(length(min = 1))]
    pub(crate) column: String,
    /// The value that the column must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) equals: Option<ConditionValue>,
    /// The values of which the column must have one.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) one_of: Option<Vec<ConditionValue>>,
    /// The smallest number that the column may have; a number in a string counts as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at_least: Option<Number>,
    /// The largest number that the column may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at_most: Option<Number>,
}

/// The conditions of a source, all of which a row has to meet: one, or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conditions(pub(super) Vec<Condition>);

impl Conditions {
    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }

    /// The first condition that a row does not meet, and the value of its column. `value` gives the value of a column.
    ///
    /// # Errors
    /// Those of `value`.
    pub(crate) fn unmet<E>(
        &self,
        value: impl Fn(&str) -> Result<serde_json::Value, E>,
    ) -> Result<Option<(&Condition, serde_json::Value)>, E> {
        for condition in &self.0 {
            let value = value(&condition.column)?;
            if !condition.is_met(&value) {
                return Ok(Some((condition, value)));
            }
        }
        Ok(None)
    }
}

/// One condition as itself, several as a list.
impl Serialize for Conditions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [condition] => condition.serialize(serializer),
            conditions => conditions.serialize(serializer),
        }
    }
}

impl JsonSchema for Conditions {
    fn schema_name() -> Cow<'static, str> {
        "Conditions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let condition = generator.subschema_for::<Condition>();
        json_schema!({"anyOf": [condition, {"type": "array", "items": condition, "minItems": 1}]})
    }
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Number(f64);

// A finite number equals itself.
impl Eq for Number {}

impl Number {
    /// The finite number that a text says.
    pub(super) fn parse(text: &str) -> Option<Self> {
        parse_number(text).map(Self)
    }

    /// Whether no number is at least this and at most the other.
    pub(super) fn is_above(self, other: Self) -> bool {
        self.0 > other.0
    }
}

/// It may be in quotes.
impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let form = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$";
        json_schema!({"type": ["number", "string"], "pattern": form})
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

#[cfg(test)]
mod tests {
    use crate::recipe::Recipe;
    use serde_json::json;

    fn is_met(condition: serde_json::Value, value: serde_json::Value) -> bool {
        let mut with_column = json!({"column": "c"});
        with_column.as_object_mut().unwrap().extend(condition.as_object().unwrap().clone());
        let recipe = json!({"sources": {"s": {"kind": "messages", "where": with_column}}}).to_string();
        let recipe = Recipe::parse(&recipe, "recipe").unwrap();
        let source = recipe.all_sources().into_iter().find(|source| source.name == "s").unwrap();
        source.conditions.unwrap().unmet(|_| Ok::<_, ()>(value.clone())).unwrap().is_none()
    }

    #[test]
    fn a_row_meets_a_list_of_conditions_if_it_meets_each() {
        let recipe = "sources: {s: {kind: messages, where: [{column: a, equals: x}, {column: b, at_least: 2}]}}";
        let recipe = Recipe::parse(recipe, "recipe").unwrap();
        let source = recipe.all_sources().into_iter().find(|source| source.name == "s").unwrap();
        let conditions = source.conditions.unwrap();
        let unmet = |row: serde_json::Value| {
            let unmet = conditions.unmet(|column| Ok::<_, ()>(row[column].clone())).unwrap();
            unmet.map(|(condition, value)| format!("{} {value}", condition.column))
        };
        assert_eq!(unmet(json!({"a": "x", "b": "2.0"})), None);
        assert_eq!(unmet(json!({"a": "y", "b": 1})).as_deref(), Some("a \"y\""));
        assert_eq!(unmet(json!({"a": "x", "b": 1})).as_deref(), Some("b 1"));
        assert_eq!(unmet(json!({"a": "x"})).as_deref(), Some("b null"));
        let manifest = json!([{"column": "a", "equals": "x"}, {"column": "b", "at_least": 2.0}]);
        assert_eq!(serde_json::to_value(&conditions).unwrap(), manifest);
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
