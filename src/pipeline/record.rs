//! What the manifest says of a run, before its files are written.

use super::prepare::Prepared;
use crate::manifest::{
    CutRecord, MANIFEST_FORMAT, Manifest, Measure, MixSettings, Program, Requested, ShareRecord, SourceRecord,
};
use crate::mixing::{CutPlan, NO_TEXT, Row, Size, SourcePlan};
use crate::settings::Settings;
use std::collections::{BTreeMap, HashSet};

/// The manifest without its outputs.
pub(crate) fn manifest(settings: &Settings, prepared: &Prepared) -> Manifest {
    Manifest {
        format: MANIFEST_FORMAT,
        program: Program { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        settings: mix_settings(settings),
        tokenizer: prepared.tokenizer.clone(),
        inputs: prepared.artifacts.inputs.clone(),
        sources: sources(prepared),
        cuts: cuts(prepared),
        outputs: Vec::new(),
    }
}

fn mix_settings(settings: &Settings) -> MixSettings {
    MixSettings {
        cut_sizes: settings.cut_sizes.clone(),
        qa_per_doc: settings.qa_per_doc,
        save_gpt_oss_format: settings.save_gpt_oss_format,
        seed: settings.seed,
        reasoning: settings.reasoning.to_string(),
        columns: settings.columns.name().to_owned(),
        compression: settings.compression.name().to_owned(),
        infeasible_cuts: settings.infeasible_cuts.name().to_owned(),
        bad_rows: settings.bad_rows.name().to_owned(),
        order: settings.order.name().to_owned(),
        recipe: settings.recipe_given.then(|| settings.recipe.for_manifest()),
    }
}

fn sources(prepared: &Prepared) -> Vec<SourceRecord> {
    let mut records: Vec<SourceRecord> = prepared
        .statistics
        .sources
        .iter()
        .zip(&prepared.sources)
        .map(|(statistics, source)| SourceRecord {
            name: source.name.clone(),
            kind: source.kind.name().to_owned(),
            read: statistics.read,
            kept: statistics.kept,
            dropped: statistics.dropped.iter().cloned().collect::<BTreeMap<_, _>>(),
            documents: 0,
            summaries: 0,
        })
        .collect();
    let mut documents: HashSet<(u32, u32)> = HashSet::new();
    let mut summaries: HashSet<(u32, u32, u32)> = HashSet::new();
    for row in prepared.table.iter().filter(|row| row.is_kept()) {
        let Row { source, document, summary, .. } = *row;
        let record = &mut records[source as usize];
        record.documents += u64::from(document != NO_TEXT && documents.insert((source, document)));
        record.summaries += u64::from(summary != NO_TEXT && summaries.insert((source, document, summary)));
    }
    records
}

fn cuts(prepared: &Prepared) -> Vec<CutRecord> {
    let record = |cut: &crate::mixing::Cut| {
        let plan = prepared.plans.iter().find(|plan| plan.cut == cut.size);
        let sources: Vec<ShareRecord> = plan
            .into_iter()
            .flat_map(|plan| {
                plan.sources.iter().zip(&prepared.sources).map(move |(of_source, source)| (plan, of_source, source))
            })
            .map(|(plan, of_source, source)| ShareRecord {
                name: source.name.clone(),
                samples: of_source.actual.samples,
                tokens: of_source.actual.tokens,
                distinct: of_source.distinct,
                rule: of_source.rule.clone(),
                requested: requested(plan, of_source),
            })
            .collect();
        let validation = plan.and_then(validation);
        CutRecord {
            cut: cut.size,
            feasible: cut.feasible,
            written: cut.written,
            samples: sources.iter().map(|source| source.samples).sum(),
            tokens: sources.iter().map(|source| source.tokens).sum(),
            validation_samples: validation.map(|(samples, _)| samples),
            validation_tokens: validation.map(|(_, tokens)| tokens),
            sources,
        }
    };
    prepared.cuts.requested.iter().map(record).collect()
}

/// What the recipe asked of a source, in numbers; nothing where it asks nothing of any source.
pub(crate) fn requested(plan: &CutPlan, of_source: &SourcePlan) -> Option<Requested> {
    if plan.sources.iter().all(|of_source| of_source.rule.is_none()) {
        return None;
    }
    let size: fn(Size) -> u64 = match plan.measure {
        Measure::Tokens => |size| size.tokens,
        Measure::Samples => |size| size.samples,
    };
    let got = size(of_source.actual);
    Some(Requested {
        measure: plan.measure,
        target: of_source.target.unwrap_or(got),
        available: size(of_source.available),
        actual: got,
        shortfall: of_source.shortfall.unwrap_or(0),
    })
}

/// Samples and tokens that a split keeps back; nothing where it keeps nothing.
pub(crate) fn validation(plan: &CutPlan) -> Option<(u64, u64)> {
    let sum = |size: fn(Size) -> u64| plan.sources.iter().map(|of_source| size(of_source.validation)).sum();
    let samples = sum(|size| size.samples);
    (samples > 0).then(|| (samples, sum(|size| size.tokens)))
}
