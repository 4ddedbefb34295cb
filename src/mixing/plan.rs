//! How often each row stands in the mix of one cut: repeats, shares and budgets.

use super::order::source_order;
use super::shares::{solve_shares, split_budget};
use super::{Amount, Budget, Options, RepeatUnit, Row, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::Measure;
use crate::recipe::{Decimal, OnShortfall};
use std::collections::HashSet;

/// The mix of one cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CutPlan {
    /// The cut size N.
    pub(crate) cut: u32,
    /// How often each row of the table stands in it; 0: not at all. A row with [`Row::validation`] stands in the
    /// validation file (once), any other in the mix.
    pub(crate) copies: Vec<u32>,
    /// What each source was asked for and gives.
    pub(crate) sources: Vec<SourcePlan>,
    /// What asked and got are measured in.
    pub(crate) measure: Measure,
}

/// What one source was asked for and gives to one mix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourcePlan {
    /// What the recipe asks for, in words (`repeat 2.5`, `share 0.1`), where it asks for something.
    pub(crate) rule: Option<String>,
    /// So much of [`CutPlan::measure`] is asked for, where a share or a budget says so.
    pub(crate) target: Option<u64>,
    /// Its samples in this cut, before any repeat, share or budget.
    pub(crate) available: Size,
    /// What stands in the mix, copies counted.
    pub(crate) actual: Size,
    /// How many different rows stand in the mix.
    pub(crate) distinct: u64,
    /// What stands in the validation file.
    pub(crate) validation: Size,
    /// By how much of [`CutPlan::measure`] it stays behind the target, because there is no more of it.
    pub(crate) shortfall: Option<u64>,
}

/// A number of samples and their tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Samples.
    pub(crate) samples: u64,
    /// Their tokens.
    pub(crate) tokens: u64,
}

impl Size {
    fn add(&mut self, row: &Row, copies: u32) {
        self.samples += u64::from(copies);
        self.tokens += u64::from(row.tokens) * u64::from(copies);
    }
}

/// How much of the measure one row is.
fn measured(measure: Measure, row: &Row) -> u64 {
    match measure {
        Measure::Tokens => u64::from(row.tokens),
        Measure::Samples => 1,
    }
}

/// The rows whose tokens have to be counted before [`plan_cut`]: those that any cut up to `max_cut` can hold.
pub(crate) fn candidates(rows: &[Row], sources: &[Source], max_cut: u32) -> Vec<u32> {
    let wanted = |row: &Row| {
        let source = &sources[row.source as usize];
        !source.is_off() && source.holds(row, max_cut)
    };
    rows.iter().enumerate().filter(|(_, row)| wanted(row)).map(|(at, _)| at as u32).collect()
}

impl Source {
    /// Whether the recipe wants none of it.
    fn is_off(&self) -> bool {
        matches!(self.amount, Amount::Repeat { times: Decimal::ZERO, .. } | Amount::Share(Decimal::ZERO))
    }
}

/// Plans the mix of one cut. Wants the rows ranked, split and the [`candidates`] counted.
///
/// A source that cannot give what is asked of it gives all that it may; whether that will do is for [`check`] to say.
pub(crate) fn plan_cut(rows: &[Row], sources: &[Source], options: &Options, cut: u32) -> CutPlan {
    let measure = match options.budget {
        Some(Budget::Samples(_)) => Measure::Samples,
        _ => Measure::Tokens,
    };
    let mut plan = CutPlan { cut, copies: vec![0; rows.len()], sources: Vec::new(), measure };
    let mut held: Vec<Vec<u32>> = vec![Vec::new(); sources.len()];
    plan.sources.resize(sources.len(), SourcePlan::default());
    for (at, row) in rows.iter().enumerate() {
        let source = &sources[row.source as usize];
        if source.is_off() || !source.holds(row, cut) {
            continue;
        }
        let of_source = &mut plan.sources[row.source as usize];
        if row.validation {
            plan.copies[at] = 1;
            of_source.validation.add(row, 1);
        } else {
            held[row.source as usize].push(at as u32);
            of_source.available.add(row, 1);
        }
    }
    let mut pools: Vec<Pool> =
        sources.iter().zip(held).map(|(source, held)| Pool::new(rows, source, options, measure, held)).collect();
    set_targets(&mut plan, &pools, sources, options);
    for ((pool, source), of_source) in pools.iter_mut().zip(sources).zip(&mut plan.sources) {
        of_source.rule = rule(source, options);
        let all = pool.capacity();
        let target = of_source.target.unwrap_or(all);
        pool.take(target, |at, copies| {
            plan.copies[at as usize] += copies;
        });
        for &at in &pool.held {
            let copies = plan.copies[at as usize];
            of_source.actual.add(&rows[at as usize], copies);
            of_source.distinct += u64::from(copies > 0);
        }
        of_source.shortfall = of_source.target.filter(|&target| target > all).map(|target| target - all);
    }
    plan
}

/// What each source is asked for, where a share or a budget asks.
fn set_targets(plan: &mut CutPlan, pools: &[Pool], sources: &[Source], options: &Options) {
    let capacities: Vec<u64> = pools.iter().map(Pool::capacity).collect();
    let shares: Vec<Option<Decimal>> = sources
        .iter()
        .map(|source| match source.amount {
            Amount::Share(share) => Some(share),
            Amount::Repeat { .. } => None,
        })
        .collect();
    let targets = match options.budget {
        Some(Budget::Tokens(budget) | Budget::Samples(budget)) => {
            let weighted = sources.iter().any(|source| source.weight.is_some());
            let weights: Vec<u64> = sources
                .iter()
                .zip(&capacities)
                .map(|(source, &capacity)| match (source.weight, weighted, capacity) {
                    _ if source.is_off() => 0,
                    (Some(weight), ..) => weight.millionths(),
                    (None, false, capacity) => capacity,
                    // A source that is not there asks for nothing, unless somebody gave it a weight.
                    (None, true, 0) => 0,
                    (None, true, _) => Decimal::ONE_IN_MILLIONTHS,
                })
                .collect();
            split_budget(budget, &shares, &weights).into_iter().map(Some).collect()
        }
        None => solve_shares(&shares, &capacities),
    };
    for (of_source, target) in plan.sources.iter_mut().zip(targets) {
        of_source.target = target;
    }
}

/// What the recipe asks of a source, in words.
fn rule(source: &Source, options: &Options) -> Option<String> {
    let most = |text: String| match source.max_repeat {
        Some(most) => format!("{text}, up to {most} times"),
        None => text,
    };
    let repeat = match source.amount {
        Amount::Share(share) => return Some(most(format!("share {share}"))),
        Amount::Repeat { times: Decimal::ONE, .. } => None,
        Amount::Repeat { times, unit: RepeatUnit::Sample } => Some(format!("repeat {times}")),
        Amount::Repeat { times, unit: RepeatUnit::Document } => Some(format!("repeat {times} by document")),
    };
    let budget = options.budget.map(|_| match source.weight {
        Some(weight) => most(format!("weight {weight}")),
        None => most("part of the budget".to_owned()),
    });
    match (repeat, budget) {
        (Some(repeat), Some(budget)) => Some(format!("{repeat}, {budget}")),
        (repeat, budget) => repeat.or(budget),
    }
}

/// The samples of one source in one cut: a sequence of so many whole copies and a part, all in the source's one order.
struct Pool<'r> {
    rows: &'r [Row],
    measure: Measure,
    /// The rows there are: in input order, or in the source's order where a part of them may be taken.
    held: Vec<u32>,
    /// How often all of them may be taken.
    whole: u32,
    /// Those that may be taken once more after that, in the source's order.
    part: Vec<u32>,
}

impl<'r> Pool<'r> {
    fn new(rows: &'r [Row], source: &Source, options: &Options, measure: Measure, mut held: Vec<u32>) -> Self {
        let (most, unit) = match source.amount {
            Amount::Share(_) => (source.max_repeat.unwrap_or(Decimal::ONE), RepeatUnit::Sample),
            Amount::Repeat { times, unit } => match (options.budget, source.max_repeat) {
                (Some(_), Some(most)) => (most, RepeatUnit::Sample),
                _ => (times, unit),
            },
        };
        let in_part = most.part() != Decimal::ZERO;
        if matches!(source.amount, Amount::Share(_)) || options.budget.is_some() || in_part {
            held = source_order(rows, source, options.seed, held);
        }
        let part = match unit {
            _ if !in_part => Vec::new(),
            RepeatUnit::Sample => held[..most.part().of(held.len() as u64) as usize].to_vec(),
            RepeatUnit::Document => part_of_documents(rows, &held, most.part()),
        };
        Self { rows, measure, held, whole: u32::try_from(most.whole()).unwrap_or(u32::MAX), part }
    }

    fn size(&self, places: &[u32]) -> u64 {
        places.iter().map(|&at| measured(self.measure, &self.rows[at as usize])).sum()
    }

    /// How much may be taken.
    fn capacity(&self) -> u64 {
        self.size(&self.held).saturating_mul(u64::from(self.whole)).saturating_add(self.size(&self.part))
    }

    /// Takes what there is up to the target, stopping before the first sample that does not fit.
    fn take(&self, target: u64, mut give: impl FnMut(u32, u32)) {
        let one = self.size(&self.held);
        let whole = match one {
            0 => self.whole,
            _ => u32::try_from(target / one).unwrap_or(u32::MAX).min(self.whole),
        };
        if whole > 0 {
            self.held.iter().for_each(|&at| give(at, whole));
        }
        let mut left = target.saturating_sub(one.saturating_mul(u64::from(whole)));
        let rest = if whole < self.whole { &self.held } else { &self.part };
        for &at in rest {
            let size = measured(self.measure, &self.rows[at as usize]);
            if size > left {
                break;
            }
            left -= size;
            give(at, 1);
        }
    }
}

/// All rows of a part of the documents. `held` is in the source's order; a document's place is that of its best row,
/// which is the same in every cut.
fn part_of_documents(rows: &[Row], held: &[u32], part: Decimal) -> Vec<u32> {
    let mut seen = HashSet::new();
    let mut documents: Vec<u32> = Vec::new();
    for &at in held {
        let group = rows[at as usize].group;
        if seen.insert(group) {
            documents.push(group);
        }
    }
    let many = part.of(documents.len() as u64) as usize;
    let chosen: HashSet<u32> = documents[..many].iter().copied().collect();
    held.iter().copied().filter(|&at| chosen.contains(&rows[at as usize].group)).collect()
}

/// Whether these plans will do.
///
/// # Errors
/// [`ErrorKind::Data`] where a mix would hold no sample, or a source falls short and the recipe does not let it.
pub(crate) fn check(plans: &[CutPlan], sources: &[Source], on_shortfall: OnShortfall) -> Result<()> {
    for plan in plans {
        let measure = plan.measure.name();
        let short: Vec<String> = plan
            .sources
            .iter()
            .zip(sources)
            .filter_map(|(of_source, source)| {
                let (target, missing) = (of_source.target?, of_source.shortfall?);
                let asked = of_source.rule.as_deref().unwrap_or_default();
                let name = &source.name;
                Some(format!("{name} ({asked}) should give {target} {measure} and lacks {missing}"))
            })
            .collect();
        if on_shortfall == OnShortfall::Fail && !short.is_empty() {
            return Err(Error::new(ErrorKind::Data, format!("cut {}: {}", plan.cut, short.join("; "))).hint(
                "ask for less, give more data, let the source be repeated (max_repeat), or take what there is (on_shortfall: cap)",
            ));
        }
        if plan.sources.iter().all(|of_source| of_source.actual.samples == 0) {
            return Err(Error::new(ErrorKind::Data, format!("cut {}: the mix would hold no sample", plan.cut)).hint(
                "look at what the filters drop, at repeats of 0, at shares of sources without rows, and at budgets smaller than one sample",
            ));
        }
    }
    Ok(())
}
