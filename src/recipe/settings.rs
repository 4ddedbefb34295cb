//! Settings in a recipe, as written. Their names and values are checked by the `settings` module, which knows them all.

use super::position::Position;
use super::yaml::{Node, Yaml};

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
    /// Keys, or a list of something else than values: no setting has such a value.
    Other(Position),
}

impl RecipeValue {
    pub(super) fn of(node: &Node) -> Self {
        match &node.value {
            Yaml::Null => Self::Nothing,
            Yaml::List(items) => {
                let texts: Option<_> = items.iter().map(|item| Some((item.scalar()?.to_owned(), item.at))).collect();
                texts.map_or(Self::Other(node.at), |texts| Self::List(texts, node.at))
            }
            _ => node.scalar().map_or(Self::Other(node.at), |text| Self::One(text.to_owned(), node.at)),
        }
    }
}
