//! What a person sees of a mix: statistics, the terminal's table, the page.

mod format;
pub mod metrics;
pub mod statistics;
pub mod table;

#[cfg(test)]
mod synthetic;
pub mod summary { pub fn summary(_: &crate::dataset::manifest::Manifest, _: &super::statistics::Statistics) -> String { String::new() } }
pub mod page { pub fn page(_: &crate::dataset::manifest::Manifest, _: &super::statistics::Statistics) -> crate::Result<String> { Ok(String::new()) } }
