//! Stage 3: decides which samples each mix holds.

use super::context::Context;
use super::count::SampleCounter;
use crate::error::{Error, ErrorKind, Result};
use crate::index::Index;
use crate::input::SourceLedger;
use crate::manifest::Preflight;
use crate::mixing::{self, CutPlan, Cuts, PreflightOptions, Row, TrainedSize, select_cut};
use crate::recipe::{InfeasibleCuts, OnLong, Recipe};
use crate::settings::Settings;
use crate::tokens::{Counter, TrainingEncoder, TrainingTokenizer};

/// What is requested of the mixes.
#[derive(Debug, Clone)]
pub(crate) struct PlanOptions {
    /// Filters, budgets, the validation split.
    pub(crate) mixing: mixing::Options,
    /// The cuts, ascending.
    pub(crate) cut_sizes: Vec<u32>,
    /// What happens to cuts that the data cannot fill.
    pub(crate) infeasible_cuts: InfeasibleCuts,
    /// The cut that is passed to a next step; `None` is the largest one written.
    pub(crate) select_cut: Option<u32>,
    /// The longest sample that the trainer takes, if longer ones are kept.
    pub(crate) keep_longer_than: Option<u32>,
    /// How the mixes will be trained.
    pub(crate) preflight: PreflightOptions,
}

impl PlanOptions {
    /// The options of a run with these settings.
    pub(crate) fn of(settings: &Settings) -> Self {
        let Recipe { filter, .. } = &settings.recipe;
        Self {
            mixing: mixing::Options::from_recipe(&settings.recipe, settings.seed, settings.max_seq_len),
            cut_sizes: settings.cut_sizes.clone(),
            infeasible_cuts: settings.infeasible_cuts,
            select_cut: settings.select_cut,
            preflight: preflight_options(settings),
            keep_longer_than: filter.max_tokens.filter(|_| filter.long_samples == OnLong::Keep),
        }
    }
}

/// How the settings say that the mixes will be trained.
pub(super) fn preflight_options(settings: &Settings) -> PreflightOptions {
    PreflightOptions {
        max_seq_len: settings.max_seq_len,
        max_tokens_per_gpu: settings.max_tokens_per_gpu,
        effective_batch_size: settings.effective_batch_size,
        gpus: settings.gpus,
        epochs: settings.epochs,
    }
}

/// Which samples each mix holds.
#[derive(Debug)]
pub(crate) struct MixPlan {
    /// Every sample, in natural order.
    pub(crate) rows: Vec<Row>,
    /// The requested cuts.
    pub(crate) cuts: Cuts,
    /// The mixes to write, ascending.
    pub(crate) plans: Vec<CutPlan>,
    /// The cut that is passed to a next step.
    pub(crate) selected_cut: u32,
    /// Whether the plans give what the recipe requests; the sub-command `plan` shows them in any case.
    pub(crate) checked: Result<()>,
    /// What the trainer gets of each source of each mix, if that was counted.
    pub(crate) trained: Option<Vec<Vec<TrainedSize>>>,
    /// What the trainer will do with each mix, if that was counted.
    pub(crate) preflights: Option<Vec<Preflight>>,
    /// Which library counted tokens.
    pub(crate) counted_by: String,
}

/// Decides which samples each mix holds. Tokens are counted in between: all of them if a filter needs them, else those that
/// a cut can hold. With a tokenizer for training, what the trainer makes of the latter is counted, too, and its encoder
/// returned.
///
/// # Errors
/// If no sample is left, no cut is feasible, or the selected cut is not written.
pub(super) fn plan_mix(
    mut index: Index,
    ledgers: &[SourceLedger],
    options: &PlanOptions,
    samples: &SampleCounter<'_>,
    counter: Counter,
    training: Option<TrainingTokenizer>,
) -> Result<(MixPlan, Option<TrainingEncoder>)> {
    let SampleCounter { context, sources, .. } = *samples;
    let mut counted_by = None;
    if mixing::needs_tokens(&options.mixing) {
        let all: Vec<u32> = (0..).take(index.records.len()).collect();
        let (lengths, by) = samples.count(&counter, &all)?;
        index.records.iter_mut().zip(lengths).for_each(|(record, length)| record.tokens = length);
        counted_by = Some(by);
    }
    let (mut rows, warnings) = context.pool.install(|| mixing::place(index, sources, &options.mixing));
    warnings.into_iter().for_each(|warning| context.warnings.warn(warning));
    if !rows.iter().any(Row::is_kept) {
        return Err(nothing_left(ledgers, &rows));
    }
    let cuts = mixing::feasible(&rows, sources, &options.cut_sizes, options.infeasible_cuts)?;
    cuts.warnings.iter().for_each(|warning| context.warnings.warn(warning));
    let written = cuts.written();
    // Before anything is counted or written: a wrong --select-cut should not cost a run.
    let selected_cut = select_cut(&written, options.select_cut)?;
    let candidates = mixing::candidates(&rows, sources, written.last().copied().unwrap_or_default());
    let counted_by = match counted_by {
        Some(counted_by) => counted_by,
        None => samples.count_rows(&counter, &mut rows, &candidates)?,
    };
    let encoder = match training {
        Some(training) => {
            // Two vocabularies at once would be the peak of the run's memory.
            drop(counter);
            let encoder = training.into_encoder()?;
            samples.count_training_tokens(&encoder, &mut rows, &candidates)?;
            Some(encoder)
        }
        None => {
            // Freeing hundreds of thousands of strings is not worth waiting for.
            context.pool.spawn(move || drop(counter));
            None
        }
    };
    let plan_cut = |cut: &u32| mixing::plan_cut(&rows, sources, &options.mixing, *cut);
    let plans: Vec<CutPlan> = context.pool.install(|| written.iter().map(plan_cut).collect());
    if let (Some(plan), Some(most)) = (plans.last(), options.keep_longer_than) {
        warn_of_long_samples(plan, &rows, most, context);
    }
    let trained = encoder.as_ref().map(|_| {
        let of_plan = |plan: &CutPlan| {
            mixing::trained_sizes(&rows, sources.len(), options.preflight.max_seq_len, |at, source| {
                plan.copies(at, source)
            })
        };
        plans.iter().map(of_plan).collect()
    });
    let preflights = encoder
        .as_ref()
        .map(|_| plans.iter().map(|plan| mixing::preflight(plan, &rows, &options.preflight)).collect::<Vec<_>>());
    let checked = mixing::check(&plans, sources, options.mixing.on_shortfall);
    Ok((MixPlan { rows, cuts, plans, selected_cut, checked, trained, preflights, counted_by }, encoder))
}

/// The error for an input of which no sample is left.
pub(super) fn nothing_left(ledgers: &[SourceLedger], filtered: &[Row]) -> Error {
    let mut all = SourceLedger::default();
    ledgers.iter().for_each(|ledger| all.merge(ledger));
    filtered.iter().for_each(|row| all.drop_rows(row.fate.reason(), 1));
    let why = match all.read {
        0 => "no file has any rows".to_owned(),
        1 => format!("the only row was dropped: {}", all.reasons()),
        rows => format!("all {rows} rows were dropped: {}", all.reasons()),
    };
    Error::new(ErrorKind::Data, format!("nothing to mix: {why}"))
        .hint("check the rows that the generation step wrote, --save-gpt-oss-format, and the recipe's filters")
}

/// Warns of what a trainer that takes at most `most` tokens misses.
fn warn_of_long_samples(plan: &CutPlan, rows: &[Row], most: u32, context: &Context) {
    let (mut samples, mut tokens) = (0u64, 0u64);
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.record.tokens > most) {
        let copies = u64::from(plan.copies(at, row.record.source));
        samples += copies;
        tokens += copies * u64::from(row.record.tokens - most);
    }
    let cut = plan.cut;
    let are = match samples {
        0 => return,
        1 => "1 sample is".to_owned(),
        samples => format!("{samples} samples are"),
    };
    context.warnings.warn(format!(
        "cut {cut}: {are} longer than {most} tokens and kept (long_samples: keep); {tokens} tokens are beyond that limit"
    ));
}
