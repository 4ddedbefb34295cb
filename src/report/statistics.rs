//! The numbers behind every report, computed once by the mixing run.

/// What a person wants to know of a run.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// Each source, in the order of the sources.
    pub sources: Vec<SourceStatistics>,
    /// Each cut that was written (or, for `plan`, would be), ascending.
    pub cuts: Vec<CutStatistics>,
    /// A few sample conversations of each source, as the chat template renders them.
    pub examples: Vec<Example>,
    /// Every warning of the run.
    pub warnings: Vec<String>,
    /// Which library counted: `fastokens`, checked against `tokenizers`, or `tokenizers` itself.
    pub counted_by: String,
}

/// What became of a source's rows.
#[derive(Debug, Clone, Default)]
pub struct SourceStatistics {
    /// The source's name.
    pub name: String,
    /// Rows read.
    pub read: u64,
    /// Rows that became samples.
    pub kept: u64,
    /// Rows dropped: reason and number, the largest first.
    pub dropped: Vec<(String, u64)>,
    /// For a summary source: each raw document with the distinct summaries it has, in input order.
    pub documents: Vec<DocumentStatistics>,
}

/// The summaries that a raw document offers.
#[derive(Debug, Clone, Default)]
pub struct DocumentStatistics {
    /// The document's outline, by which a person knows it.
    pub outline: String,
    /// Distinct summaries.
    pub summaries: u32,
}

/// One mix.
#[derive(Debug, Clone, Default)]
pub struct CutStatistics {
    /// The cut size N.
    pub cut: u32,
    /// The largest number of summaries a raw document was asked for; equals `cut`.
    pub sources: Vec<CutSourceStatistics>,
}

/// What one source gives to one mix.
#[derive(Debug, Clone, Default)]
pub struct CutSourceStatistics {
    /// The source's name.
    pub name: String,
    /// The token length of every sample, copies counted, ascending.
    pub lengths: Vec<u32>,
    /// Distinct samples.
    pub distinct: u64,
    /// What the recipe asked for, in words, where it asked for something.
    pub asked: Option<String>,
    /// What there is: tokens of the source's samples in this cut before any repeat or budget.
    pub available_tokens: u64,
    /// By how many tokens the source stays behind what was asked for.
    pub shortfall_tokens: Option<u64>,
}

/// A conversation as the chat template renders it.
#[derive(Debug, Clone, Default)]
pub struct Example {
    /// The source it is from.
    pub source: String,
    /// The rendered text.
    pub text: String,
    /// Its token length.
    pub tokens: u32,
}
