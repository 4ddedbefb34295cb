//! The figures behind every report, computed once per run.

use super::example::Example;
use super::length_counts::LengthCounts;
use crate::manifest::{Measure, Requested};
use crate::recipe::Flag;

/// The context lengths that trainers commonly use, in tokens.
pub(crate) const LIMITS: [u32; 3] = [2048, 4096, 8192];

/// The figures of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statistics {
    /// Every source, in the order of the manifest.
    pub(crate) sources: Vec<SourceStatistics>,
    /// Every cut that was written (for `plan`: that would be written), ascending.
    pub(crate) cuts: Vec<CutStatistics>,
    /// The document mixes of a run that has conversations as well.
    pub(crate) document_cuts: Vec<CutStatistics>,
    /// What is suspicious about questions and answers, flags that occur only.
    pub(crate) flags: Vec<FlagStatistics>,
    /// A few conversations of each source in the largest cut.
    pub(crate) examples: Vec<Example>,
    /// Every warning of the run.
    pub(crate) warnings: Vec<String>,
    /// What counted tokens, as the counter names itself.
    pub(crate) counted_by: String,
}

/// The rows of one source.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceStatistics {
    /// The source's name.
    pub(crate) name: String,
    /// Rows read.
    pub(crate) read: u64,
    /// Rows that became samples.
    pub(crate) kept: u64,
    /// Dropped rows by reason, the most frequent reason first.
    pub(crate) dropped: Vec<(String, u64)>,
    /// Samples with any flag, whether or not they were dropped.
    pub(crate) flagged: u64,
    /// Samples by flag, flags that occur only.
    pub(crate) flags: Vec<(Flag, u64)>,
    /// The raw documents of a summary source, in input order; empty for other sources.
    pub(crate) documents: Vec<DocumentStatistics>,
}

/// The summaries of one raw document.
#[derive(Debug, Clone, Default)]
pub(crate) struct DocumentStatistics {
    /// Its number, the same in all sources of a run.
    pub(crate) number: u32,
    /// The document's outline, which names it in reports.
    pub(crate) outline: String,
    /// Distinct summaries.
    pub(crate) summaries: u32,
}

/// The contents of one mix.
#[derive(Debug, Clone, Default)]
pub(crate) struct CutStatistics {
    /// The cut size N.
    pub(crate) cut: u32,
    /// The contribution of each source, in the order of the sources.
    pub(crate) sources: Vec<CutSourceStatistics>,
    /// Samples and tokens held out for validation, if the recipe holds out documents.
    pub(crate) validation: Option<(u64, u64)>,
}

/// The contribution of one source to one mix.
#[derive(Debug, Clone, Default)]
pub(crate) struct CutSourceStatistics {
    /// The source's name.
    pub(crate) name: String,
    /// The token lengths of all samples, copies included.
    pub(crate) lengths: LengthCounts,
    /// The recipe's rule for the source (`repeat 2.5`, `share 0.1`), if there is one.
    pub(crate) rule: Option<String>,
    /// What the rule comes to in numbers, if the recipe has a rule for any source of the mix.
    pub(crate) requested: Option<Requested>,
}

/// The samples with one flag.
#[derive(Debug, Clone)]
pub(crate) struct FlagStatistics {
    /// The flag.
    pub(crate) flag: Flag,
    /// The samples, whether or not they were dropped.
    pub(crate) samples: u64,
    /// Those of them that a filter dropped, for whatever reason.
    pub(crate) dropped: u64,
    /// A few of them: source, question and answer.
    pub(crate) examples: Vec<FlaggedPair>,
}

/// A question and its answer, for people who judge whether a flag is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlaggedPair {
    /// The name of the source.
    pub(crate) source: String,
    /// The question, perhaps shortened.
    pub(crate) question: String,
    /// The answer, perhaps shortened.
    pub(crate) answer: String,
}

impl SourceStatistics {
    /// The number of rows that were dropped for any reason.
    pub(crate) fn dropped_rows(&self) -> u64 {
        self.dropped.iter().map(|(_, rows)| rows).sum()
    }

    /// The number of distinct summaries of all raw documents.
    pub(crate) fn summaries(&self) -> u64 {
        self.documents.iter().map(|document| u64::from(document.summaries)).sum()
    }

    /// The average number of distinct summaries per raw document; `None` for a source without documents.
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    pub(crate) fn average_summaries(&self) -> Option<f64> {
        (!self.documents.is_empty()).then(|| self.summaries() as f64 / self.documents.len() as f64)
    }
}

impl CutStatistics {
    /// Samples of all sources, copies included.
    pub(crate) fn samples(&self) -> u64 {
        self.sources.iter().map(CutSourceStatistics::samples).sum()
    }

    /// Tokens of all sources, copies included.
    pub(crate) fn tokens(&self) -> u64 {
        self.sources.iter().map(CutSourceStatistics::tokens).sum()
    }

    /// The token lengths of all sources together.
    pub(crate) fn lengths(&self) -> LengthCounts {
        let mut all = LengthCounts::default();
        self.sources.iter().for_each(|source| all.merge(&source.lengths));
        all
    }

    /// What the recipe's targets count; `None` if the recipe has no rule for any source.
    pub(crate) fn measure(&self) -> Option<Measure> {
        self.sources.iter().find_map(|source| source.requested).map(|requested| requested.measure)
    }
}

impl CutSourceStatistics {
    /// Samples, copies included.
    pub(crate) fn samples(&self) -> u64 {
        self.lengths.samples()
    }

    /// Tokens, copies included.
    pub(crate) fn tokens(&self) -> u64 {
        self.lengths.tokens()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_the_sum_of_its_sources() {
        let source = |lengths: &[(u32, u64)]| {
            let mut counts = LengthCounts::default();
            lengths.iter().for_each(|(length, copies)| counts.add(*length, *copies));
            CutSourceStatistics { lengths: counts, ..Default::default() }
        };
        let sources = vec![source(&[(5, 2), (7, 1)]), source(&[]), source(&[(7, 3), (90_000, 1)])];
        let cut = CutStatistics { cut: 1, sources, validation: None };
        let all = cut.lengths();
        assert_eq!(all.iter().collect::<Vec<_>>(), [(5, 2), (7, 4), (90_000, 1)]);
        assert_eq!((cut.samples(), cut.tokens()), (all.samples(), all.tokens()));
        assert_eq!((cut.samples(), cut.tokens()), (7, 90_038));
    }

    #[test]
    fn averages_need_documents() {
        let documents = [2, 3].map(|summaries| DocumentStatistics { summaries, ..Default::default() }).to_vec();
        let source = SourceStatistics { documents, ..Default::default() };
        assert_eq!(source.average_summaries(), Some(2.5));
        assert_eq!(SourceStatistics::default().average_summaries(), None);
    }
}
