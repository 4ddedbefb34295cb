//! Which samples stand in which mix, how often, and in what order: pure functions, no I/O, no clock, no draw.
//!
//! The table of [`Row`]s is in *natural order*: the sources in their order, within a source input order. The caller
//! makes it from the rows that became samples; what was dropped while reading is not in it. Then, in this order:
//!
//! 1. **filter** ([`filter()`], [`drop_duplicates`]): `max_tokens`, `min_response_chars`, exact duplicates. What a
//!    filter takes away stays in the table, marked by [`Row::fate`], and is seen by no later stage.
//! 2. **rank** ([`rank()`]): each summary's place within its raw document, each pair's place within its summary.
//! 3. **feasibility** ([`feasible()`]): which of the cuts asked for the data can fill.
//! 4. **split** ([`split()`]): whole documents go to the validation side.
//! 5. **cut**, then **repeat, share, budget** ([`plan_cut`]): how often each row stands in the mix of one cut.
//! 6. **order** ([`units`]): one sequence of (row, copy) that all files share.
//!
//! [`prepare`] does 1, 2 and 4: everything that is the same for every cut.

pub(crate) mod feasible;
pub(crate) mod filter;
pub(crate) mod order;
pub(crate) mod plan;
pub(crate) mod rank;
pub(crate) mod shares;
pub(crate) mod split;

pub(crate) use feasible::{Cut, Cuts, feasible, select_cut};
pub(crate) use filter::{drop_duplicates, filter};
pub(crate) use order::{Unit, units};
pub(crate) use plan::{CutPlan, Size, SourcePlan, candidates, check, plan_cut};
pub(crate) use rank::rank;
pub(crate) use split::split;

use crate::recipe::{Decimal, Kind, OnDuplicate, OnLong, Recipe};

/// A text id that stands for no text: a raw document, an outline or a summary that a row does not have.
pub(crate) const NO_TEXT: u32 = u32::MAX;

/// One kept row as the planning sees it; its number is its place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its source: the place in the list of [`Source`]s.
    pub(crate) source: u32,
    /// The text id of its raw document, [`NO_TEXT`] where that is unknown or empty.
    pub(crate) document: u32,
    /// The text id of its outline, [`NO_TEXT`] where it has none. (Only [`split()`] asks.)
    pub(crate) outline: u32,
    /// The text id of its summary, [`NO_TEXT`] where it has none.
    pub(crate) summary: u32,
    /// A hash of its messages (role and content of each, and what else is rendered): equal for exact duplicates only,
    /// and the same on every machine. May be left zero where [`needs_content`] says so.
    pub(crate) content: [u8; 16],
    /// Its token length. May be left zero where [`needs_tokens`] says so, until [`candidates`] are counted.
    pub(crate) tokens: u32,
    /// The place of its summary within its raw document; 0 outside of the summary sources. [`rank()`] fills it.
    pub(crate) rank: u32,
    /// Its place among the rows of its summary, in input order. [`rank()`] fills it.
    pub(crate) pair: u32,
    /// Rows of one group stand on one side of a split. [`split()`] fills it.
    pub(crate) group: u32,
    /// Whether a filter took it away.
    pub(crate) fate: Fate,
    /// Whether it stands on the validation side. [`split()`] fills it.
    pub(crate) validation: bool,
}

impl Row {
    /// A row of a source with its texts; everything else is zero.
    pub(crate) fn new(source: u32, document: u32, outline: u32, summary: u32) -> Self {
        Self {
            source,
            document,
            outline,
            summary,
            content: [0; 16],
            tokens: 0,
            rank: 0,
            pair: 0,
            group: 0,
            fate: Fate::Kept,
            validation: false,
        }
    }

    /// Whether no filter took it away.
    pub(crate) fn is_kept(&self) -> bool {
        self.fate == Fate::Kept
    }
}

/// What the filters made of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// It stays.
    #[default]
    Kept,
    /// It has more tokens than `max_tokens`.
    TooLong,
    /// Its response has fewer characters than `min_response_chars`.
    ShortResponse,
    /// A better-ranked row has the same messages.
    Duplicate,
}

impl Fate {
    /// The reason in the ledger of dropped rows; empty for a row that stays.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Kept => "",
            Self::TooLong => "too_long",
            Self::ShortResponse => "short_response",
            Self::Duplicate => "duplicate",
        }
    }
}

/// A source as the planning sees it, in the order of the sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its name: has a say in ranks and, for the two known summary sources, in feasibility.
    pub(crate) name: String,
    /// What its rows are.
    pub(crate) kind: Kind,
    /// At most so many pairs of each summary; `None`: all.
    pub(crate) qa_per_doc: Option<u32>,
    /// How much of it a mix holds.
    pub(crate) amount: Amount,
    /// Its weight when a budget is shared out; `None`: 1 where another source has a weight, else in proportion.
    pub(crate) weight: Option<Decimal>,
    /// Up to how many times a share or a budget may repeat it; `None`: once (or its `repeat`).
    pub(crate) max_repeat: Option<Decimal>,
}

impl Source {
    /// A source that goes once into every mix, `qa_per_doc` pairs of each summary where it is a summary source.
    pub(crate) fn new(name: impl Into<String>, kind: Kind, qa_per_doc: u32) -> Self {
        Self {
            name: name.into(),
            kind,
            qa_per_doc: (kind == Kind::SummaryQa).then_some(qa_per_doc),
            amount: Amount::default(),
            weight: None,
            max_repeat: None,
        }
    }

    /// A source as a recipe has it (and as it is without one); `qa_per_doc` is the run's setting.
    pub(crate) fn from_recipe(source: &crate::recipe::Source, qa_per_doc: u32) -> Self {
        Self {
            name: source.name.clone(),
            kind: source.kind,
            qa_per_doc: source.pairs_per_summary(qa_per_doc),
            amount: match source.share {
                Some(share) => Amount::Share(share),
                None => Amount::Repeat { times: source.repeat, unit: source.unit },
            },
            weight: source.weight,
            max_repeat: source.max_repeat,
        }
    }

    /// Whether the row of this rank and pair is in a cut, before any repeat.
    fn holds(&self, row: &Row, cut: u32) -> bool {
        row.is_kept() && row.rank < cut && self.qa_per_doc.is_none_or(|most| row.pair < most)
    }
}

/// How much of a source a mix holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    /// So many times what there is; the part is a prefix of the source's order.
    Repeat {
        /// `2.5`: two whole copies and a half.
        times: Decimal,
        /// Whether the part is counted in samples or in whole documents.
        unit: RepeatUnit,
    },
    /// So large a part of the mix.
    Share(Decimal),
}

impl Default for Amount {
    fn default() -> Self {
        Self::Repeat { times: Decimal::ONE, unit: RepeatUnit::Sample }
    }
}

pub(crate) use crate::recipe::{OnShortfall, RepeatUnit};

/// How large a mix is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Budget {
    /// At most so many tokens.
    Tokens(u64),
    /// At most so many samples.
    Samples(u64),
}

/// What the planning is asked for, besides the sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The seed of ranks, splits and the shuffled order.
    pub(crate) seed: u64,
    /// Which rows are taken away before anything is ranked.
    pub(crate) filter: Filter,
    /// Which part of the documents goes to the validation side.
    pub(crate) validation: Option<Decimal>,
    /// How large a mix is to be.
    pub(crate) budget: Option<Budget>,
    /// What becomes of a share or a budget that the data cannot fill.
    pub(crate) on_shortfall: OnShortfall,
}

impl Options {
    /// What a recipe asks for (the default recipe: nothing); seed and order are the run's settings.
    pub(crate) fn from_recipe(recipe: &Recipe, seed: u64) -> Self {
        let filter = &recipe.filter;
        Self {
            seed,
            filter: Filter {
                max_tokens: filter.max_tokens.filter(|_| filter.long_samples == OnLong::Drop),
                min_response_chars: filter.min_response_chars,
                duplicates: filter.duplicates == OnDuplicate::Drop,
            },
            validation: recipe.split.map(|split| split.validation),
            budget: recipe.budget.and_then(|budget| match (budget.tokens, budget.samples) {
                (Some(tokens), _) => Some(Budget::Tokens(tokens.get())),
                (None, Some(samples)) => Some(Budget::Samples(samples.get())),
                (None, None) => None,
            }),
            on_shortfall: recipe.on_shortfall,
        }
    }
}

/// Which rows are taken away before anything is ranked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Rows with more tokens are dropped. (A recipe's `long_samples: keep` leaves this `None`.)
    pub(crate) max_tokens: Option<u32>,
    /// Rows with a shorter response are dropped.
    pub(crate) min_response_chars: Option<u32>,
    /// Rows whose messages a better-ranked row has are dropped.
    pub(crate) duplicates: bool,
}

/// Whether token counts are needed before [`prepare`] (then all rows are counted; else only [`candidates`]).
pub(crate) fn needs_tokens(options: &Options) -> bool {
    options.filter.max_tokens.is_some()
}

/// Whether [`Row::content`] has to be filled.
pub(crate) fn needs_content(sources: &[Source], options: &Options) -> bool {
    options.filter.duplicates
        || options.validation.is_some()
        || options.budget.is_some()
        || sources.iter().any(|source| match source.amount {
            Amount::Repeat { times, .. } => times.part() != Decimal::ZERO,
            Amount::Share(_) => true,
        })
}

/// Filters, ranks and splits the table: everything that does not depend on the cut.
///
/// `text` gives the text of an id, `response_chars` the number of characters of a row's response (asked only with
/// `min_response_chars`). Returns warnings.
pub(crate) fn prepare<'t>(
    rows: &mut [Row],
    sources: &[Source],
    options: &Options,
    text: impl Fn(u32) -> &'t str + Sync,
    response_chars: impl Fn(usize) -> usize,
) -> Vec<String> {
    filter(rows, &options.filter, response_chars);
    rank(rows, sources, options.seed, &text);
    if options.filter.duplicates && drop_duplicates(rows, &text) > 0 {
        // A summary may have lost all its rows: the ones behind it move up.
        rank(rows, sources, options.seed, &text);
    }
    if let Some(part) = options.validation {
        return split(rows, sources, part, options.seed, &text);
    }
    if sources.iter().any(|source| matches!(source.amount, Amount::Repeat { unit: RepeatUnit::Document, .. })) {
        split::group(rows);
    }
    Vec::new()
}

#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod rank_tests;
#[cfg(test)]
mod shares_tests;
#[cfg(test)]
mod tests;
