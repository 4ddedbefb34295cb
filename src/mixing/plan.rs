//! How often each row is in the mix of one cut: repeats, shares and budgets.

use super::left_out::Reader;
use super::options::{Options, holds};
use super::row::Row;
use super::shares::{solve_shares, split_budget};
use super::source_order::source_order;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{Measure, MixKind};
use crate::recipe::{Amount, Decimal, OnShortfall, RepeatUnit, Source};
use fixedbitset::FixedBitSet;
use std::collections::HashSet;

/// The mix of one cut. How often a row is in it takes two bits, however large a repeat is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CutPlan {
    /// The cut size N.
    pub(crate) cut: u32,
    /// What its rows are: only sources of such samples are part of it.
    pub(crate) mix: MixKind,
    /// What each source is requested to give, and gives.
    pub(crate) sources: Vec<SourcePlan>,
    /// What targets are measured in.
    pub(crate) measure: Measure,
    /// The rows that the mix may hold: those of this cut that are not held out.
    available: FixedBitSet,
    /// The rows that are in the mix once more than their source's [`SourcePlan::whole_copies`].
    extra: FixedBitSet,
    /// The rows of this cut that are held out.
    held_out: FixedBitSet,
}

impl CutPlan {
    /// How often the row at this place of the table, of this source, is in the mix.
    pub(crate) fn copies(&self, at: usize, source: u32) -> u32 {
        if !self.available.contains(at) {
            return 0;
        }
        self.sources[source as usize].whole_copies + u32::from(self.extra.contains(at))
    }

    /// What is in the mix, copies counted.
    pub(crate) fn actual(&self) -> Size {
        self.sources.iter().map(|of_source| of_source.actual).sum()
    }

    /// What is in the validation file.
    pub(crate) fn validation(&self) -> Size {
        self.sources.iter().map(|of_source| of_source.validation).sum()
    }

    /// Whether the row at this place is in the validation file.
    pub(crate) fn is_validation(&self, at: usize) -> bool {
        self.held_out.contains(at)
    }
}

/// What one source is requested to give to one mix, and gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourcePlan {
    /// The recipe's rule for it (`repeat 2.5`, `share 0.1`), if there is one.
    pub(crate) rule: Option<String>,
    /// The amount of [`CutPlan::measure`] that a share or a budget requests.
    pub(crate) target: Option<u64>,
    /// Its samples in this cut before any repeat, share or budget.
    pub(crate) available: Size,
    /// What is in the mix, copies counted.
    pub(crate) actual: Size,
    /// The number of different rows in the mix.
    pub(crate) distinct: u64,
    /// What is in the validation file.
    pub(crate) validation: Size,
    /// How much of [`CutPlan::measure`] it stays below its target because there is no more of it.
    pub(crate) shortfall: Option<u64>,
    /// How often every row of it is in the mix at least.
    whole_copies: u32,
}

/// A number of samples and their tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Samples.
    pub(crate) samples: u64,
    /// Their tokens.
    pub(crate) tokens: u64,
    /// Those that count for the trainer's loss; zero if they were not counted.
    pub(crate) loss_tokens: u64,
}

impl Size {
    fn add(&mut self, row: &Row, copies: u32, reader: Reader) {
        self.samples += u64::from(copies);
        self.tokens += u64::from(row.record.tokens) * u64::from(copies);
        self.loss_tokens += loss_tokens(row, reader) * u64::from(copies);
    }

    /// How much of a measure it is.
    pub(crate) fn of(self, measure: Measure) -> u64 {
        match measure {
            Measure::Tokens => self.tokens,
            Measure::Samples => self.samples,
            Measure::LossTokens => self.loss_tokens,
        }
    }
}

impl std::iter::Sum for Size {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), |sum, size| Self {
            samples: sum.samples + size.samples,
            tokens: sum.tokens + size.tokens,
            loss_tokens: sum.loss_tokens + size.loss_tokens,
        })
    }
}

/// How much of the options' measure one row is.
fn measured(options: &Options, reader: Reader, row: &Row) -> u64 {
    match options.measure() {
        Measure::Tokens => u64::from(row.record.tokens),
        Measure::Samples => 1,
        Measure::LossTokens => loss_tokens(row, reader),
    }
}

/// The tokens of a row that count for the loss; a row that the trainer leaves out has none.
fn loss_tokens(row: &Row, reader: Reader) -> u64 {
    if reader.left_out(&row.record).is_some() { 0 } else { row.record.loss_tokens.into() }
}

/// The rows whose tokens have to be counted before [`plan_cut`]: those that a cut up to `max_cut` can hold.
pub(crate) fn candidates(rows: &[Row], sources: &[Source], max_cut: u32) -> Vec<u32> {
    let wanted = |row: &Row| {
        let source = &sources[row.record.source as usize];
        !source.is_off() && holds(source, row, max_cut)
    };
    (0..).zip(rows).filter(|(_, row)| wanted(row)).map(|(at, _)| at).collect()
}

/// Plans the mix of one cut that is made of samples of one kind. Needs rows that are ranked and held out, and the [`candidates`] counted.
///
/// A source that cannot give what is requested gives all that it may; [`check`] says whether that is enough.
pub(crate) fn plan_cut(rows: &[Row], sources: &[Source], options: &Options, cut: u32, mix: MixKind) -> CutPlan {
    let reader = Reader { mix, max_seq_len: options.max_seq_len };
    let empty = FixedBitSet::with_capacity(rows.len());
    let mut plan = CutPlan {
        cut,
        mix,
        sources: vec![SourcePlan::default(); sources.len()],
        measure: options.measure(),
        available: empty.clone(),
        extra: empty.clone(),
        held_out: empty,
    };
    let places = hold(&mut plan, rows, sources, reader);
    let mut supplies: Vec<Supply> =
        sources.iter().zip(places).map(|(source, places)| Supply::new(rows, source, options, reader, places)).collect();
    set_targets(&mut plan, &supplies, sources, options);
    for ((supply, source), of_source) in supplies.iter_mut().zip(sources).zip(&mut plan.sources) {
        of_source.rule = if source.kind.mix() == mix { rule(source, options) } else { None };
        let capacity = supply.capacity();
        of_source.whole_copies = supply.take(of_source.target.unwrap_or(capacity), &mut plan.extra);
        for &at in &supply.places {
            let copies = of_source.whole_copies + u32::from(plan.extra.contains(at as usize));
            of_source.actual.add(&rows[at as usize], copies, reader);
            of_source.distinct += u64::from(copies > 0);
        }
        of_source.shortfall = of_source.target.and_then(|target| target.checked_sub(capacity)).filter(|&by| by > 0);
    }
    plan
}

/// Marks the rows of the cut; returns the places of each source's rows that are not held out.
fn hold(plan: &mut CutPlan, rows: &[Row], sources: &[Source], reader: Reader) -> Vec<Vec<u32>> {
    let mut places: Vec<Vec<u32>> = vec![Vec::new(); sources.len()];
    for (at, row) in rows.iter().enumerate() {
        let number = row.record.source as usize;
        if !is_part(&sources[number], plan.mix) || !holds(&sources[number], row, plan.cut) {
            continue;
        }
        if row.held_out {
            plan.held_out.insert(at);
            plan.sources[number].validation.add(row, 1, reader);
        } else {
            plan.available.insert(at);
            places[number].push(at as u32);
            plan.sources[number].available.add(row, 1, reader);
        }
    }
    places
}

/// Whether a source takes part in a mix.
fn is_part(source: &Source, mix: MixKind) -> bool {
    source.kind.mix() == mix && !source.is_off()
}

/// Sets the target of each source that has a share or takes part in a budget.
fn set_targets(plan: &mut CutPlan, supplies: &[Supply<'_>], sources: &[Source], options: &Options) {
    let capacities: Vec<u64> = supplies.iter().map(Supply::capacity).collect();
    let mix = plan.mix;
    let shares: Vec<Option<Decimal>> =
        sources.iter().map(|source| source.share.filter(|_| is_part(source, mix))).collect();
    let targets = match options.budget {
        Some(budget) => {
            let weighted = sources.iter().any(|source| source.weight.is_some() && is_part(source, mix));
            let weights: Vec<u64> = sources
                .iter()
                .zip(&capacities)
                .map(|(source, &capacity)| match (source.weight, weighted, capacity) {
                    _ if !is_part(source, mix) => 0,
                    (Some(weight), ..) => weight.millionths(),
                    (None, false, capacity) => capacity,
                    // A source without rows requests nothing, unless it was given a weight.
                    (None, true, 0) => 0,
                    (None, true, _) => Decimal::ONE_IN_MILLIONTHS,
                })
                .collect();
            split_budget(budget.amount(), &shares, &weights).into_iter().map(Some).collect()
        }
        None => solve_shares(&shares, &capacities),
    };
    for ((of_source, target), source) in plan.sources.iter_mut().zip(targets).zip(sources) {
        of_source.target = target.filter(|_| source.kind.mix() == mix);
    }
}

/// The recipe's rule for a source, in words.
fn rule(source: &Source, options: &Options) -> Option<String> {
    let at_most = |text: String| match source.max_repeat {
        Some(most) => format!("{text}, at most {most} times"),
        None => text,
    };
    let repeat = match source.amount() {
        Amount::Share(share) => return Some(at_most(format!("share {share}"))),
        Amount::Repeat { times: Decimal::ONE, .. } => None,
        Amount::Repeat { times, unit: RepeatUnit::Sample } => Some(format!("repeat {times}")),
        Amount::Repeat { times, unit: RepeatUnit::Document } => Some(format!("repeat {times} by document")),
    };
    let budget = options.budget.map(|_| match source.weight {
        Some(weight) => at_most(format!("weight {weight}")),
        None => at_most("part of the budget".to_owned()),
    });
    match (repeat, budget) {
        (Some(repeat), Some(budget)) => Some(format!("{repeat}, {budget}")),
        (repeat, budget) => repeat.or(budget),
    }
}

/// What one source can give to one cut: a number of whole copies of its rows and a fraction, all in the source's order.
struct Supply<'r> {
    rows: &'r [Row],
    options: &'r Options,
    reader: Reader,
    /// Its rows: in input order, or in the source's order if a part of them may be taken.
    places: Vec<u32>,
    /// How often all of them may be taken.
    whole: u32,
    /// Those that may be taken once more, in the source's order.
    fraction: Vec<u32>,
}

impl<'r> Supply<'r> {
    fn new(rows: &'r [Row], source: &Source, options: &'r Options, reader: Reader, mut places: Vec<u32>) -> Self {
        let amount = source.amount();
        let (most, unit) = match amount {
            Amount::Share(_) => (source.max_repeat.unwrap_or(Decimal::ONE), RepeatUnit::Sample),
            Amount::Repeat { times, unit } => match (options.budget, source.max_repeat) {
                (Some(_), Some(most)) => (most, RepeatUnit::Sample),
                _ => (times, unit),
            },
        };
        let has_fraction = most.part() != Decimal::ZERO;
        if matches!(amount, Amount::Share(_)) || options.budget.is_some() || has_fraction {
            places = source_order(rows, source, options.seed, places);
        }
        let fraction = match unit {
            _ if !has_fraction => Vec::new(),
            RepeatUnit::Sample => places[..most.part().of(places.len() as u64) as usize].to_vec(),
            RepeatUnit::Document => fraction_of_documents(rows, &places, most.part()),
        };
        Self { rows, options, reader, places, whole: u32::try_from(most.whole()).unwrap_or(u32::MAX), fraction }
    }

    fn size(&self, places: &[u32]) -> u64 {
        places.iter().map(|&at| measured(self.options, self.reader, &self.rows[at as usize])).sum()
    }

    /// How much may be taken.
    fn capacity(&self) -> u64 {
        self.size(&self.places).saturating_mul(u64::from(self.whole)).saturating_add(self.size(&self.fraction))
    }

    /// Takes up to the target, stopping before the first row that does not fit. Returns the number of whole copies; rows
    /// that are taken once more go into `extra`.
    fn take(&self, target: u64, extra: &mut FixedBitSet) -> u32 {
        let one = self.size(&self.places);
        let whole = match one {
            0 => self.whole,
            _ => u32::try_from(target / one).unwrap_or(u32::MAX).min(self.whole),
        };
        let mut left = target.saturating_sub(one.saturating_mul(u64::from(whole)));
        let rest = if whole < self.whole { &self.places } else { &self.fraction };
        for &at in rest {
            let size = measured(self.options, self.reader, &self.rows[at as usize]);
            if size > left {
                break;
            }
            left -= size;
            extra.insert(at as usize);
        }
        whole
    }
}

/// All rows of a part of the documents. `places` is in the source's order; a document's place is that of its best row,
/// which is the same in every cut.
fn fraction_of_documents(rows: &[Row], places: &[u32], part: Decimal) -> Vec<u32> {
    let group = |at: u32| rows[at as usize].group;
    let mut seen = HashSet::new();
    let documents: Vec<u32> = places.iter().map(|&at| group(at)).filter(|group| seen.insert(*group)).collect();
    let chosen: HashSet<u32> = documents[..part.of(documents.len() as u64) as usize].iter().copied().collect();
    places.iter().copied().filter(|&at| chosen.contains(&group(at))).collect()
}

/// Checks that these plans give what is requested.
///
/// # Errors
/// [`ErrorKind::Data`] if a mix would hold no sample, or a source falls short and the recipe does not allow it.
pub(crate) fn check(plans: &[CutPlan], sources: &[Source], on_shortfall: OnShortfall) -> Result<()> {
    for plan in plans {
        let cut = match plan.mix {
            MixKind::Chat => format!("cut {}", plan.cut),
            MixKind::Document => format!("cut {}, documents", plan.cut),
        };
        let measure = plan.measure.name().replace('_', " ");
        let short: Vec<String> = plan
            .sources
            .iter()
            .zip(sources)
            .filter_map(|(of_source, source)| {
                let (target, shortfall) = (of_source.target?, of_source.shortfall?);
                let rule = of_source.rule.as_deref().unwrap_or_default();
                let name = &source.name;
                Some(format!("{name} ({rule}) is {shortfall} {measure} short of its target of {target}"))
            })
            .collect();
        if on_shortfall == OnShortfall::Fail && !short.is_empty() {
            return Err(Error::new(ErrorKind::Data, format!("{cut}: {}", short.join("; "))).hint(
                "lower the target, add data, allow repeats (max_repeat), or accept what is available (on_shortfall: cap)",
            ));
        }
        if plan.sources.iter().all(|of_source| of_source.actual.samples == 0) {
            return Err(Error::new(ErrorKind::Data, format!("{cut}: the mix would be empty")).hint(
                "check the filters, repeats of 0, shares of sources without rows, and budgets smaller than one sample",
            ));
        }
    }
    Ok(())
}
