//! `recipe.yaml`: how much of each source a mix holds, in a file that can be reviewed, versioned and repeated.
//!
//! [`Recipe::read`] reads and checks a recipe; without a mistake, the result holds no contradiction. Without a recipe the program behaves
//! as with [`Recipe::default`].

mod check;
mod choices;
mod condition;
mod decimal;
mod flag;
mod model;
mod nearest;
mod number;
mod parse;
mod position;
mod reading;
mod settings;
mod sources;
mod yaml;

pub(crate) use choices::{
    BadRows, Choice, Columns, Compression, Documents, Format, InfeasibleCuts, Kind, OnDuplicate, OnLong, OnShortfall,
    Order, RawDocuments, ReasoningKey, RepeatUnit, Thinking, TokenizerRules, Word, WrittenReasoning,
};
pub(crate) use condition::Conditions;
pub(crate) use decimal::Decimal;
pub(crate) use flag::{Flag, Flags};
pub(crate) use model::Recipe;
pub(crate) use nearest::nearest;
pub(crate) use reading::Mistake;
pub(crate) use settings::{RecipeSetting, RecipeValue};
pub(crate) use sources::{Amount, KNOWN_DOCUMENTS, KNOWN_SOURCES, Source, document_source, is_known_documents};

#[cfg(test)]
mod tests;
