//! What a person sees of a mix: statistics, the terminal's table, the page.

mod charts;
pub(crate) mod format;
pub mod metrics;
pub mod page;
pub mod statistics;
pub mod summary;
pub mod table;
mod views;

#[cfg(test)]
pub(crate) mod synthetic;
