//! Stage 3: decides which samples each mix holds.

use super::context::Context;
use super::count::SampleCounter;
use crate::error::{Error, ErrorKind, Result};
use crate::index::Index;
use crate::input::SourceLedger;
use crate::manifest::{MixKind, Preflight};
use crate::mixing::{self, CutPlan, Cuts, PreflightOptions, Reader, Row, TrainedSize, select_cut};
use crate::recipe::{InfeasibleCuts, OnLong, Recipe, Source};
use crate::report::format::line;
use crate::settings::Settings;
use crate::tokens::{Counter, DocumentEncoder, DocumentTokenizer, TrainingEncoder, TrainingTokenizer};

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
    /// Whether files hold tokens.
    pub(crate) writes_tokens: bool,
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
            writes_tokens: settings.formats.iter().any(|format| format.is_tokens()),
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
        block_size: settings.block_size,
    }
}

/// A loaded tokenizer's counter, and what can become encoders.
pub(super) struct Tokenizers {
    pub(super) counter: Counter,
    /// Encodes conversations, if the run needs that.
    pub(super) training: Option<TrainingTokenizer>,
    pub(super) documents: DocumentTokenizer,
}

/// What encodes samples for the trainer; `None` if the run does not need it.
pub(super) struct Encoders {
    pub(super) conversations: Option<TrainingEncoder>,
    pub(super) documents: Option<DocumentEncoder>,
}

/// Which samples each mix holds.
#[derive(Debug)]
pub(crate) struct MixPlan {
    /// Every sample, in natural order.
    pub(crate) rows: Vec<Row>,
    /// The requested cuts.
    pub(crate) cuts: Cuts,
    /// The mixes to write, ascending: those of conversations, or of documents if the run has no conversations.
    pub(crate) plans: Vec<CutPlan>,
    /// The document mixes of a run that has conversations as well.
    pub(crate) document_plans: Vec<CutPlan>,
    /// The cut that is passed to a next step.
    pub(crate) selected_cut: u32,
    /// Whether the plans give what the recipe requests; the sub-command `plan` shows them in any case.
    pub(crate) checked: Result<()>,
    /// What the trainer gets of each source of each mix, if that was counted.
    pub(crate) trained: Option<Vec<Vec<TrainedSize>>>,
    /// What the trainer will do with each mix of [`Self::plans`], if that was counted.
    pub(crate) preflights: Option<Vec<Preflight>>,
    /// What the trainer will do with each mix of [`Self::document_plans`], if the settings say how it is trained.
    pub(crate) document_preflights: Option<Vec<Preflight>>,
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
    tokenizers: Tokenizers,
) -> Result<(MixPlan, Encoders)> {
    let SampleCounter { context, sources, .. } = *samples;
    let counted_by = match mixing::needs_tokens(&options.mixing) {
        true => Some(count_all_conversations(&mut index, samples, &tokenizers.counter)?),
        false => None,
    };
    let (mut rows, warnings) = context.pool.install(|| mixing::place(index, sources, &options.mixing));
    warnings.into_iter().for_each(|warning| context.warnings.warn(warning));
    if !rows.iter().any(Row::is_kept) {
        return Err(nothing_left(sources, ledgers, &rows));
    }
    let cuts = mixing::feasible(&rows, sources, &options.cut_sizes, options.infeasible_cuts)?;
    cuts.warnings.iter().for_each(|warning| context.warnings.warn(warning));
    let written = cuts.written();
    // Before anything is counted or written: a wrong --select-cut should not cost a run.
    let selected_cut = select_cut(&written, options.select_cut)?;
    let candidates = mixing::candidates(&rows, sources, written.last().copied().unwrap_or_default());
    let (counted_by, encoders) = count_candidates(&mut rows, &candidates, samples, tokenizers, options, counted_by)?;
    let plans_of = |mix: MixKind| -> Vec<CutPlan> {
        let plan_cut = |cut: &u32| mixing::plan_cut(&rows, sources, &options.mixing, *cut, mix);
        context.pool.install(|| written.iter().map(plan_cut).collect())
    };
    let mix_of = |at: &u32| sources[rows[*at as usize].record.source as usize].kind.mix();
    let has = |mix: MixKind| candidates.iter().any(|at| mix_of(at) == mix);
    let (plans, document_plans) = match (has(MixKind::Chat), has(MixKind::Document)) {
        (false, true) => (plans_of(MixKind::Document), Vec::new()),
        (_, false) => (plans_of(MixKind::Chat), Vec::new()),
        (true, true) => (plans_of(MixKind::Chat), plans_of(MixKind::Document)),
    };
    if let (Some(plan), Some(most)) = (plans.last(), options.keep_longer_than) {
        warn_of_long_samples(plan, &rows, most, context);
    }
    let trained = encoders.conversations.as_ref().map(|_| {
        let reader = Reader { mix: MixKind::Chat, max_seq_len: options.preflight.max_seq_len };
        let of_plan =
            |plan: &CutPlan| mixing::trained_sizes(&rows, sources.len(), reader, |at, source| plan.copies(at, source));
        plans.iter().map(of_plan).collect()
    });
    let counts_training = encoders.conversations.is_some();
    let preflights = preflights(&plans, &rows, &options.preflight, counts_training);
    let document_preflights = preflights_of_documents(&document_plans, &options.preflight);
    if has(MixKind::Document) {
        warn_of_large_blocks(&options.preflight, context);
    }
    let checked = mixing::check(&plans, sources, options.mixing.on_shortfall)
        .and_then(|()| mixing::check(&document_plans, sources, options.mixing.on_shortfall));
    let plan = MixPlan {
        rows,
        cuts,
        plans,
        document_plans,
        selected_cut,
        checked,
        trained,
        preflights,
        document_preflights,
        counted_by,
    };
    Ok((plan, encoders))
}

/// Counts all conversations, for a filter; returns what counted them.
fn count_all_conversations(index: &mut Index, samples: &SampleCounter<'_>, counter: &Counter) -> Result<String> {
    let is_chat = |at: &u32| samples.mix_of(*at) == MixKind::Chat;
    let all: Vec<u32> = (0..).take(index.records.len()).filter(is_chat).collect();
    let (lengths, counted_by) = samples.count(counter, &all)?;
    all.iter().zip(lengths).for_each(|(at, length)| index.records[*at as usize].tokens = length);
    Ok(counted_by)
}

/// Counts the samples that a cut can hold, and what the trainer makes of them. Conversations are counted already if `counted_by` says
/// what counted them.
fn count_candidates(
    rows: &mut [Row],
    candidates: &[u32],
    samples: &SampleCounter<'_>,
    tokenizers: Tokenizers,
    options: &PlanOptions,
    counted_by: Option<String>,
) -> Result<(String, Encoders)> {
    let context = samples.context;
    let Tokenizers { counter, training, documents } = tokenizers;
    let (chats, texts): (Vec<u32>, Vec<u32>) = candidates.iter().partition(|at| samples.mix_of(**at) == MixKind::Chat);
    let mut counted_by = match counted_by {
        None if !chats.is_empty() || texts.is_empty() => Some(samples.count_rows(&counter, rows, &chats)?),
        counted_by => counted_by,
    };
    let documents = match texts.is_empty() {
        // Its share of the vocabulary would make the encoder of conversations take a copy.
        true => None,
        false => {
            let encoder = documents.into_encoder()?;
            let by = samples.count_documents(&encoder, rows, &texts)?;
            counted_by.get_or_insert(by);
            options.writes_tokens.then_some(encoder)
        }
    };
    let conversations = match training.filter(|_| !chats.is_empty()) {
        Some(training) => {
            // Two vocabularies at once would be the peak of the run's memory.
            drop(counter);
            let encoder = training.into_encoder()?;
            samples.count_training_tokens(&encoder, rows, &chats)?;
            Some(encoder)
        }
        None => {
            // Freeing hundreds of thousands of strings is not worth waiting for.
            context.pool.spawn(move || drop(counter));
            None
        }
    };
    Ok((counted_by.unwrap_or_default(), Encoders { conversations, documents }))
}

/// What the trainer will do with each main mix, if that is known.
fn preflights(
    plans: &[CutPlan],
    rows: &[Row],
    options: &PreflightOptions,
    counts_training: bool,
) -> Option<Vec<Preflight>> {
    if plans.iter().any(|plan| plan.mix == MixKind::Document) {
        return preflights_of_documents(plans, options);
    }
    counts_training.then(|| plans.iter().map(|plan| mixing::preflight(plan, rows, options)).collect())
}

/// What the trainer will do with each document mix, if the settings say how it is trained.
fn preflights_of_documents(plans: &[CutPlan], options: &PreflightOptions) -> Option<Vec<Preflight>> {
    let is_requested = !plans.is_empty() && options.is_requested(MixKind::Document);
    is_requested.then(|| plans.iter().map(|plan| mixing::document_preflight(plan, options)).collect())
}

/// The error for an input of which no sample is left.
pub(super) fn nothing_left(sources: &[Source], ledgers: &[SourceLedger], filtered: &[Row]) -> Error {
    let mut all = SourceLedger::default();
    ledgers.iter().for_each(|ledger| all.merge(ledger));
    filtered.iter().for_each(|row| all.drop_rows(row.fate.reason(), 1));
    if all.read == 0 && all.elsewhere > 0 {
        return no_row_meets(sources, ledgers);
    }
    let why = match all.read {
        0 => "no file has any rows".to_owned(),
        1 => format!("the only row was dropped: {}", all.reasons()),
        rows => format!("all {rows} rows were dropped: {}", all.reasons()),
    };
    let hint = match all.read {
        0 => "check the files that the generation step wrote",
        _ => "check the rows that the generation step wrote, --save-gpt-oss-format, and the recipe's filters",
    };
    Error::new(ErrorKind::Data, format!("nothing to mix: {why}")).hint(hint)
}

/// The error for rows that meet the condition of no source. Names the values that occur, as far as they are counted.
fn no_row_meets(sources: &[Source], ledgers: &[SourceLedger]) -> Error {
    const NAMED: usize = 8;
    let conditional: Vec<&Source> = sources
        .iter()
        .zip(ledgers)
        .filter(|(source, ledger)| source.conditions.is_some() && ledger.elsewhere > 0)
        .map(|(source, _)| source)
        .collect();
    let mut places: Vec<String> = Vec::new();
    for source in &conditional {
        let of_source = source.paths.clone().unwrap_or_else(|| vec![source.folder_name().to_owned()]);
        places.extend(of_source.into_iter().filter(|place| !places.contains(place)).collect::<Vec<_>>());
    }
    let names: Vec<&str> = conditional.iter().map(|source| source.name.as_str()).collect();
    let whose = match &names[..] {
        [name] => format!("`where` of source {name}"),
        _ => format!("`where` of any of the sources {}", names.join(", ")),
    };
    let mut values: Vec<(&String, &u64)> = ledgers.iter().flat_map(|ledger| &ledger.unwanted).collect();
    values.sort_by_key(|(value, rows)| (std::cmp::Reverse(**rows), *value));
    let more = values.len().saturating_sub(NAMED);
    let mut named: Vec<String> =
        values.iter().take(NAMED).map(|(value, rows)| format!("{} ({rows})", line(value))).collect();
    named.extend((more > 0).then(|| format!("{more} more values")));
    Error::new(ErrorKind::Data, format!("nothing to mix: no row of {} meets {whose}", places.join(", "))).hint(
        match named.is_empty() {
            true => "check the columns and values of `where`".to_owned(),
            false => format!("check `where` against the values that occur: {}", named.join(", ")),
        },
    )
}

/// Warns of blocks that no GPU takes.
fn warn_of_large_blocks(options: &PreflightOptions, context: &Context) {
    if let (Some(size), Some(most)) = (options.block_size, options.max_tokens_per_gpu)
        && size > most
    {
        context.warnings.warn(format!(
            "--block-size {size} is larger than --max-tokens-per-gpu {most}: the trainer drops every block of a document mix and ends \
             with an error at its first step"
        ));
    }
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
