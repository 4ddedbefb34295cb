//! What a person sees of a mix: statistics, the terminal's table, the page.

pub mod statistics;
