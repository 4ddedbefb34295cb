//! Which samples are in which mix, how often, and in what order: pure functions on index records. No text, no I/O, no
//! clock, no random numbers.
//!
//! The table of [`Row`]s is in *natural order*: by source, then in input order. The steps, in this order:
//!
//! 1. **filter** ([`filter`]): too long, too short. What a filter drops stays in the table, marked by [`Row::fate`].
//! 2. **rank** ([`rank`]): each summary's rank within its raw document, each pair's number within its summary.
//! 3. **dedup** ([`dedup`]): of exact duplicates the best-ranked is kept, and the others are ranked again.
//! 4. **hold out** ([`hold_out`]): whole documents go to the validation side.
//! 5. **feasibility** ([`feasible()`]): which of the requested cuts the data can fill.
//! 6. **plan** ([`plan_cut`]): repeats, shares and budgets decide how often each row is in the mix of one cut. Conversations and
//!    documents are two mixes, each with its own shares and budget.
//! 7. **order** ([`order`]): one sequence of (row, copy) that all files share.
//!
//! [`place()`] does 1 to 4: everything that is the same for every cut.

mod dedup;
mod feasible;
mod filter;
mod hold_out;
mod left_out;
mod options;
mod order;
mod place;
mod plan;
mod preflight;
mod rank;
mod row;
mod shares;
mod source_order;

pub(crate) use feasible::{Cut, Cuts, feasible, select_cut};
pub(crate) use left_out::{Reader, TrainedSize, trained_sizes};
pub(crate) use options::{Options, needs_content, needs_tokens};
pub(crate) use order::{OutputRow, ShuffledOrder, most_copies, natural_order, source_ranges};
pub(crate) use place::place;
pub(crate) use plan::{CutPlan, Size, SourcePlan, candidates, check, plan_cut};
pub(crate) use preflight::{
    OVER_MAX_TOKENS_PER_GPU, PreflightOptions, PreflightSums, document_preflight, preflight, preflight_of_documents,
    preflight_of_sums,
};
pub(crate) use row::Row;

#[cfg(test)]
mod tests;
