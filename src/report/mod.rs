//! What a person sees of a mix: statistics, the terminal's table, the page.

mod charts;
pub(crate) mod format;
pub(crate) mod metrics;
pub(crate) mod page;
pub(crate) mod statistics;
pub(crate) mod summary;
pub(crate) mod table;
mod views;

#[cfg(test)]
pub(crate) mod synthetic;
