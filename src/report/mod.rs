//! What a person sees of a mix: statistics, the terminal's table, the page.

mod format;
pub mod metrics;
pub mod statistics;
pub mod table;

#[cfg(test)]
mod synthetic;
