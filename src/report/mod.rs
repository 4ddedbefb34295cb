//! The reports on a mix: the end of a run, its tables, metrics, the Markdown summary, the HTML page and the dataset card.

pub(crate) mod card;
pub(crate) mod closing;
pub(crate) mod conversation;
pub(crate) mod example;
pub(crate) mod format;
pub(crate) mod length_counts;
pub(crate) mod messages_statistics;
pub(crate) mod metrics;
pub(crate) mod page;
pub(crate) mod recipe_draft;
pub(crate) mod statistics;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod wording;

#[cfg(test)]
pub(crate) mod synthetic;
