//! The sources: the four that the generator leaves, and those that a recipe adds.

pub use crate::recipe::Kind as SourceKind;

/// The raw-document source whose rows have no summary of their own.
pub const DOCUMENT_BASED_QA: &str = "document_based_qa";

/// The two sources that decide which cuts are feasible.
pub const SUMMARY_SOURCES: [&str; 2] = ["extractive_summary", "detailed_summary"];

/// One source of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name: the name of its folder, and what `metadata.source` says.
    pub name: String,
    /// What its rows are.
    pub kind: SourceKind,
    /// Whether the summary stands in the user's message (`{outline}\n{summary}\n\n{question}`) or only the outline
    /// (`In {outline}, {question}`).
    pub with_document: bool,
    /// `unmask` of a `messages` row that does not say it itself.
    pub unmask: bool,
}

impl Source {
    /// A source of a kind, with the context that the kind has by default.
    pub fn new(name: impl Into<String>, kind: SourceKind) -> Self {
        Self { name: name.into(), kind, with_document: kind != SourceKind::FactQa, unmask: true }
    }
}

/// The four sources of the generator, in the order in which they stand in a mix.
pub fn known_sources() -> Vec<Source> {
    vec![
        Source::new(SUMMARY_SOURCES[0], SourceKind::SummaryQa),
        Source::new(SUMMARY_SOURCES[1], SourceKind::SummaryQa),
        Source::new("key_facts_to_qa", SourceKind::FactQa),
        Source::new(DOCUMENT_BASED_QA, SourceKind::DocumentQa),
    ]
}
