//! Where in the text of a recipe something stands.

use crate::error::{Error, ErrorKind};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_yaml::{MessageFormatter, Spanned, UserMessageFormatter};
use std::fmt;

/// Reads YAML 1.2: `yes` and `on` are words, a key that stands twice is an error.
pub(super) fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, Box<serde_yaml::Error>> {
    serde_yaml::from_str_with_options(text, serde_yaml::options! { with_snippet: false, strict_booleans: true })
        .map_err(Box::new)
}

/// For keys behind which nothing stands, as when all that stood there is commented out.
pub(super) fn or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The error of a text that is no recipe, with its line and column.
pub(super) fn syntax_error(error: &serde_yaml::Error, place: &str) -> Error {
    let at = match error.location() {
        Some(location) => format!("{place}:{}:{}", location.line(), location.column()),
        None => place.to_owned(),
    };
    let message = match UserMessageFormatter.format_message(error.without_snippet()).as_ref() {
        "expected mapping start" => "keys with values (`key: value`) are expected here".to_owned(),
        "expected sequence start" => "a list (`[one, two]`) is expected here".to_owned(),
        "externally tagged enum expected scalar or mapping" => "one word is expected here".to_owned(),
        message => message.to_owned(),
    };
    Error::new(ErrorKind::Usage, message)
        .at(at)
        .hint("`knowledge-mixing recipe example` shows every key, `knowledge-mixing recipe schema` helps an editor")
}

/// The line and column of the key at this path (`["sources", "general", "share"]`), or of the deepest one on the way
/// that is there.
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

/// The keys of a document, with their places; values are passed over.
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
