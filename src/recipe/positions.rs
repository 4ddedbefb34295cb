//! Lines and columns: where a key or an error is in the text of a recipe.

use super::nearest::nearest;
use crate::error::{Error, ErrorKind};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_yaml::{MessageFormatter, Spanned, UserMessageFormatter};
use std::fmt;

/// Parses YAML 1.2: `yes` and `on` are words, a duplicate key is an error.
pub(super) fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, Box<serde_yaml::Error>> {
    serde_yaml::from_str_with_options(text, serde_yaml::options! { with_snippet: false, strict_booleans: true })
        .map_err(Box::new)
}

/// Deserializes a key without a value as the default: all its entries may be commented out.
pub(super) fn or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The hint of every syntax error.
pub(super) const SYNTAX_HINT: &str =
    "run `knowledge-mixing recipe example` to see the keys, or `knowledge-mixing recipe schema` for an editor's schema";

/// The error for a text that is not a recipe, with line and column.
pub(super) fn syntax_error(error: &serde_yaml::Error, place: &str) -> Error {
    let at = match error.location() {
        Some(location) => format!("{place}:{}:{}", location.line(), location.column()),
        None => place.to_owned(),
    };
    let message = plain(&UserMessageFormatter.format_message(error.without_snippet()));
    let hint = meant(&message).map_or_else(|| SYNTAX_HINT.to_owned(), |word| format!("did you mean `{word}`?"));
    Error::new(ErrorKind::Usage, message).at(at).hint(hint)
}

/// The accepted word that is most likely meant by the one that a message is about.
fn meant(message: &str) -> Option<&str> {
    let (found, expected) = message.split_once(": expected one of ")?;
    let word = found.strip_prefix("unknown key `").or_else(|| found.strip_prefix("invalid value `"))?;
    let words = expected.split([',', ' ']).map(|word| word.trim_matches('`')).filter(|word| !word.is_empty());
    nearest(word.trim_end_matches('`'), words)
}

/// The parser's message in terms of recipes: keys and values, not fields and variants.
fn plain(message: &str) -> String {
    match message {
        "expected mapping start" => return "expected keys with values (`key: value`)".to_owned(),
        "expected sequence start" => return "expected a list (`[a, b]`)".to_owned(),
        "externally tagged enum expected scalar or mapping" => return "expected a single word".to_owned(),
        _ => {}
    }
    for (theirs, ours) in
        [("unknown field ", "unknown key "), ("unknown variant ", "invalid value "), ("missing field ", "missing key ")]
    {
        if let Some(rest) = message.strip_prefix(theirs) {
            return format!("{ours}{}", rest.replacen(", expected ", ": expected ", 1));
        }
    }
    match message.strip_prefix("duplicate mapping key ").and_then(|rest| rest.strip_suffix(" is not allowed here")) {
        Some(key) => format!("duplicate key {key}"),
        None => message.to_owned(),
    }
}

/// The line and column of the key at this path (`["sources", "general", "share"]`), or of its deepest existing parent.
pub(super) fn of(text: &str, path: &[String]) -> Option<(u64, u64)> {
    let mut node: Node = from_yaml(text).ok()?;
    let mut found = None;
    for key in path {
        let at = node.entries.iter().position(|(name, _)| name.value == *key);
        let Some((name, next)) = at.map(|at| node.entries.swap_remove(at)) else { break };
        found = Some((name.referenced.line(), name.referenced.column()));
        node = next;
    }
    found
}

/// The keys of a document with their positions; values are skipped.
#[derive(Default)]
struct Node {
    entries: Vec<(Spanned<String>, Node)>,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;
        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node { entries })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Node::default())
            }

            fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
                Ok(Node::default())
            }

            fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
                Ok(Node::default())
            }

            fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
                Ok(Node::default())
            }

            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::default())
            }

            fn visit_str<E>(self, _: &str) -> Result<Node, E> {
                Ok(Node::default())
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::default())
            }
        }
        deserializer.deserialize_any(NodeVisitor)
    }
}
