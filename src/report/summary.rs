//! `summary.md`.

/// placeholder
pub fn summary(_: &crate::dataset::manifest::Manifest, _: &super::statistics::Statistics) -> String {
    String::new()
}
