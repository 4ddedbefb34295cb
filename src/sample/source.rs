//! The sources: the four that the generator leaves, and those that a recipe adds.

use crate::recipe::KNOWN_SOURCES;
pub(crate) use crate::recipe::Kind as SourceKind;

/// One source of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its name: the name of its folder, and what `metadata.source` says.
    pub(crate) name: String,
    /// What its rows are.
    pub(crate) kind: SourceKind,
    /// Whether the summary stands in the user's message (`{outline}\n{summary}\n\n{question}`) or only the outline
    /// (`In {outline}, {question}`).
    pub(crate) with_document: bool,
    /// `unmask` of a `messages` row that does not say it itself.
    pub(crate) unmask: bool,
}

impl Source {
    /// A source of a kind, with the context that the kind has by default.
    pub(crate) fn new(name: impl Into<String>, kind: SourceKind) -> Self {
        let with_document = matches!(kind, SourceKind::SummaryQa | SourceKind::DocumentQa);
        Self { name: name.into(), kind, with_document, unmask: kind != SourceKind::Messages }
    }
}

/// The four sources of the generator, in the order in which they stand in a mix.
pub(crate) fn known_sources() -> Vec<Source> {
    KNOWN_SOURCES.map(|(name, kind)| Source::new(name, kind)).to_vec()
}
