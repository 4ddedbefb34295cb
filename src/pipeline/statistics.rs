//! The statistics of a run, for reports and the manifest.

use super::count::SampleCounter;
use super::examples::{examples, flag_statistics};
use super::plan::MixPlan;
use super::survey::Survey;
use crate::error::Result;
use crate::index::Number;
use crate::manifest::{MixKind, Requested};
use crate::mixing::{CutPlan, Row, Size, SourcePlan, source_ranges};
use crate::recipe::{Flag, Flags, Source};
use crate::report::statistics::{CutSourceStatistics, CutStatistics, DocumentStatistics, SourceStatistics, Statistics};
use std::collections::{HashMap, HashSet};

/// Computes the statistics of a plan.
///
/// # Errors
/// If an example cannot be rendered.
pub(super) fn statistics(
    survey: &Survey,
    plan: &MixPlan,
    sources: &[Source],
    samples: &SampleCounter<'_>,
    eos: Option<&str>,
    warnings: Vec<String>,
) -> Result<Statistics> {
    Ok(Statistics {
        sources: source_statistics(survey, sources, plan),
        cuts: plan.plans.iter().map(|cut| cut_statistics(cut, sources, &plan.rows)).collect(),
        document_cuts: plan.document_plans.iter().map(|cut| cut_statistics(cut, sources, &plan.rows)).collect(),
        flags: flag_statistics(samples, &plan.rows, &is_judged(survey, sources, plan)),
        examples: examples(samples, plan, eos)?,
        warnings,
        counted_by: plan.counted_by.clone(),
    })
}

/// Whether the samples of a source are judged by signs of broken questions: not if they are documents made of rows that are
/// samples themselves.
fn is_judged(survey: &Survey, sources: &[Source], plan: &MixPlan) -> impl Fn(u32) -> bool {
    let is_of_documents = plan.plans.first().is_some_and(|plan| plan.mix == MixKind::Document);
    let is_read = |source: &Source| survey.inputs.iter().any(|file| file.source == source.name);
    let judged: Vec<bool> = sources.iter().map(|source| is_of_documents || is_read(source)).collect();
    move |source| judged[source as usize]
}

fn source_statistics(survey: &Survey, sources: &[Source], plan: &MixPlan) -> Vec<SourceStatistics> {
    let rows = &plan.rows;
    let main = plan.plans.first().map(|plan| plan.mix).unwrap_or_default();
    let ranges: HashMap<u32, _> =
        source_ranges(rows).into_iter().map(|range| (rows[range.start].record.source, range)).collect();
    let of_source = |(number, source): (u32, &Source)| {
        let range = ranges.get(&number).cloned().unwrap_or(0..0);
        let source_rows = range.clone();
        let mut ledger = survey.ledgers[number as usize].clone();
        for row in rows[range.clone()].iter().filter(|row| !row.is_kept()) {
            ledger.kept -= 1;
            ledger.drop_rows(row.fate.reason(), 1);
        }
        let mut dropped: Vec<(String, u64)> =
            ledger.dropped.iter().map(|(reason, rows)| ((*reason).to_owned(), *rows)).collect();
        dropped.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let is_shown = source.by_cut && source.kind.mix() == main;
        let documents = if is_shown { documents(survey, rows, range) } else { Vec::new() };
        let flagged: Vec<Flags> =
            rows[source_rows].iter().map(|row| row.flags).filter(|flags| !flags.is_empty()).collect();
        let flags = Flag::ALL.map(|flag| (flag, flagged.iter().filter(|flags| flags.contains(flag)).count() as u64));
        SourceStatistics {
            name: source.name.clone(),
            read: ledger.read,
            kept: ledger.kept,
            dropped,
            flagged: flagged.len() as u64,
            flags: flags.into_iter().filter(|(_, samples)| *samples > 0).collect(),
            documents,
        }
    };
    (0..).zip(sources).map(of_source).collect()
}

/// Each raw document of a summary source with its number of summaries, in input order.
fn documents(survey: &Survey, rows: &[Row], range: std::ops::Range<usize>) -> Vec<DocumentStatistics> {
    let mut numbers: HashMap<Option<Number>, usize> = HashMap::new();
    let mut seen: HashSet<Option<Number>> = HashSet::new();
    let mut documents: Vec<DocumentStatistics> = Vec::new();
    for at in range.filter(|at| rows[*at].is_kept()) {
        let record = &rows[at].record;
        let number = *numbers.entry(record.document).or_insert_with(|| {
            let outline = survey.samples[at].body.kind().outline(&survey.texts).to_owned();
            let number = record.document.map_or(u32::MAX, |number| number.place() as u32);
            documents.push(DocumentStatistics { number, outline, summaries: 0 });
            documents.len() - 1
        });
        documents[number].summaries += u32::from(seen.insert(record.summary));
    }
    documents
}

fn cut_statistics(plan: &CutPlan, sources: &[Source], rows: &[Row]) -> CutStatistics {
    let mut of_sources: Vec<CutSourceStatistics> = sources
        .iter()
        .zip(&plan.sources)
        .map(|(source, of_source)| CutSourceStatistics {
            name: source.name.clone(),
            rule: of_source.rule.clone(),
            requested: requested(plan, of_source),
            ..CutSourceStatistics::default()
        })
        .collect();
    for (at, row) in rows.iter().enumerate() {
        let source = row.record.source;
        of_sources[source as usize].lengths.add(row.record.tokens, plan.copies(at, source).into());
    }
    let mut is_part = sources.iter().map(|source| source.kind.mix() == plan.mix);
    of_sources.retain(|_| is_part.next().unwrap_or_default());
    CutStatistics { cut: plan.cut, sources: of_sources, validation: validation(plan) }
}

/// What the recipe requests of a source, in numbers; `None` if it has no rule for any source.
pub(super) fn requested(plan: &CutPlan, of_source: &SourcePlan) -> Option<Requested> {
    if plan.sources.iter().all(|of_source| of_source.rule.is_none()) {
        return None;
    }
    let actual = of_source.actual.of(plan.measure);
    Some(Requested {
        measure: plan.measure,
        target: of_source.target.unwrap_or(actual),
        available: of_source.available.of(plan.measure),
        actual,
        shortfall: of_source.shortfall.unwrap_or(0),
    })
}

/// Samples and tokens that are held out of a mix; `None` if there are none.
pub(super) fn validation(plan: &CutPlan) -> Option<(u64, u64)> {
    let Size { samples, tokens, .. } = plan.validation();
    (samples > 0).then_some((samples, tokens))
}
