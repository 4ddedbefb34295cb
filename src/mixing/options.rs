//! Options of mixing.

use super::row::Row;
use crate::manifest::Measure;
use crate::recipe::{Amount, Decimal, Flags, OnDuplicate, OnLong, OnShortfall, Recipe, Source};

/// What is requested of mixing, besides the sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The seed of validation splits and orders. (Ranks have it in their hashes.)
    pub(crate) seed: u64,
    /// Which rows are dropped before anything is ranked.
    pub(crate) filter: Filter,
    /// Which part of the documents is held out for validation.
    pub(crate) validation: Option<Decimal>,
    /// The size of a mix.
    pub(crate) budget: Option<Budget>,
    /// What shares are measured in if there is no budget.
    pub(crate) share_measure: Measure,
    /// The sequence length at which the trainer drops samples; these have no loss tokens.
    pub(crate) max_seq_len: Option<u32>,
    /// What happens if the data cannot fill a share or a budget.
    pub(crate) on_shortfall: OnShortfall,
}

/// Which rows are dropped before anything is ranked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Rows with more tokens are dropped. (A recipe's `long_samples: keep` leaves this `None`.)
    pub(crate) max_tokens: Option<u32>,
    /// Rows with a shorter response are dropped.
    pub(crate) min_response_chars: Option<u32>,
    /// Of rows with the same messages, only the best-ranked is kept.
    pub(crate) duplicates: bool,
    /// Rows with one of these flags are dropped.
    pub(crate) drop_flagged: Flags,
}

/// The size of a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Budget {
    /// At most this number of tokens.
    Tokens(u64),
    /// At most this number of samples.
    Samples(u64),
    /// At most this number of tokens that count for the trainer's loss.
    LossTokens(u64),
}

impl Budget {
    fn new(measure: Measure, amount: u64) -> Self {
        match measure {
            Measure::Tokens => Self::Tokens(amount),
            Measure::Samples => Self::Samples(amount),
            Measure::LossTokens => Self::LossTokens(amount),
        }
    }

    /// Its amount, whatever it is measured in.
    pub(super) fn amount(self) -> u64 {
        match self {
            Self::Tokens(amount) | Self::Samples(amount) | Self::LossTokens(amount) => amount,
        }
    }
}

impl Options {
    /// What a recipe requests; the default recipe requests nothing.
    pub(crate) fn from_recipe(recipe: &Recipe, seed: u64, max_seq_len: Option<u32>) -> Self {
        let filter = &recipe.filter;
        Self {
            seed,
            filter: Filter {
                max_tokens: filter.max_tokens.filter(|_| filter.long_samples == OnLong::Drop),
                min_response_chars: filter.min_response_chars,
                duplicates: filter.duplicates == OnDuplicate::Drop,
                drop_flagged: filter.drop_flagged,
            },
            validation: recipe.split.map(|split| split.validation),
            budget: recipe
                .budget
                .and_then(|budget| budget.amounts().next())
                .map(|(measure, quantity)| Budget::new(measure, quantity.get())),
            share_measure: recipe.measure.unwrap_or_default(),
            max_seq_len,
            on_shortfall: recipe.on_shortfall,
        }
    }

    /// What shares and the budget are measured in.
    pub(crate) fn measure(&self) -> Measure {
        match self.budget {
            None => self.share_measure,
            Some(Budget::Tokens(_)) => Measure::Tokens,
            Some(Budget::Samples(_)) => Measure::Samples,
            Some(Budget::LossTokens(_)) => Measure::LossTokens,
        }
    }
}

/// Whether a cut holds a row of this source, before any repeat, share or budget. Rows have to be ranked.
pub(super) fn holds(source: &Source, row: &Row, cut: u32) -> bool {
    row.is_kept() && row.rank < cut && source.qa_per_doc.is_none_or(|most| row.pair < most)
}

/// Whether a filter needs all token lengths, before [`super::place`].
pub(crate) fn needs_tokens(options: &Options) -> bool {
    options.filter.max_tokens.is_some()
}

/// Whether records need their content hashes.
pub(crate) fn needs_content(sources: &[Source], options: &Options) -> bool {
    options.filter.duplicates
        || options.validation.is_some()
        || options.budget.is_some()
        || sources.iter().any(|source| match source.amount() {
            Amount::Repeat { times, .. } => times.part() != Decimal::ZERO,
            Amount::Share(_) => true,
        })
}
