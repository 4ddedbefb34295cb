//! What the manifest says of a run before its files are written.

use super::plan::MixPlan;
use super::prepare::Job;
use super::statistics::{requested, validation};
use super::survey::Survey;
use crate::index::Number;
use crate::manifest::{
    CutRecord, MANIFEST_FORMAT, Manifest, MixKind, MixState, Preflight, Program, SettingsRecord, ShareRecord,
    SourceRecord, TokenizerRecord, TrainingRecord,
};
use crate::mixing::{Cut, CutPlan, Row, TrainedSize};
use crate::recipe::{Documents, RawDocuments, Source};
use crate::report::statistics::{SourceStatistics, Statistics};
use crate::settings::Settings;
use std::collections::HashSet;

/// The manifest without its outputs.
pub(super) fn manifest(
    settings: SettingsRecord,
    tokenizer: TokenizerRecord,
    survey: &Survey,
    plan: &MixPlan,
    job: &Job,
    statistics: &Statistics,
) -> Manifest {
    let sources = &job.sources;
    let main = Mixes {
        mix: plan.plans.first().map(|plan| plan.mix).unwrap_or_default(),
        plans: &plan.plans,
        trained: plan.trained.as_deref(),
        preflights: plan.preflights.as_deref(),
    };
    let documents = Mixes {
        mix: MixKind::Document,
        plans: &plan.document_plans,
        trained: None,
        preflights: plan.document_preflights.as_deref(),
    };
    let has_documents = !plan.document_plans.is_empty();
    let records = |mixes: &Mixes<'_>| plan.cuts.requested.iter().map(|cut| cut_record(cut, mixes, sources)).collect();
    Manifest {
        format: MANIFEST_FORMAT,
        // Decided when the mix is published.
        state: MixState::Replacing,
        run: String::new(),
        left_over: Vec::new(),
        program: Program { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        settings,
        tokenizer,
        inputs: survey.inputs.clone(),
        sources: source_records(job, &statistics.sources, survey, &plan.rows),
        cuts: records(&main),
        document_cuts: if has_documents { records(&documents) } else { Vec::new() },
        outputs: Vec::new(),
    }
}

/// The settings that decide the bytes of a mix.
pub(super) fn settings_record(settings: &Settings) -> SettingsRecord {
    SettingsRecord {
        cut_sizes: settings.cut_sizes.clone(),
        qa_per_doc: settings.qa_per_doc,
        save_gpt_oss_format: settings.save_gpt_oss_format,
        seed: settings.seed,
        reasoning: settings.reasoning.to_string(),
        thinking: settings.thinking.name().to_owned(),
        unmask: settings.unmask,
        columns: settings.columns.name().to_owned(),
        compression: settings.compression.name().to_owned(),
        infeasible_cuts: settings.infeasible_cuts.name().to_owned(),
        bad_rows: settings.bad_rows.name().to_owned(),
        order: settings.order.name().to_owned(),
        formats: settings.formats.iter().map(|format| format.name().to_owned()).collect(),
        attention_mask: settings.attention_mask,
        max_seq_len: settings.max_seq_len,
        max_tokens_per_gpu: settings.max_tokens_per_gpu,
        effective_batch_size: settings.effective_batch_size,
        gpus: settings.gpus,
        epochs: settings.epochs,
        block_size: settings.block_size,
        documents: (settings.documents != Documents::No).then(|| settings.documents.name().to_owned()),
        raw_documents: (settings.raw_documents != RawDocuments::None).then(|| settings.raw_documents.name().to_owned()),
        recipe: settings.recipe_given.then(|| settings.recipe.for_manifest()),
    }
}

/// The mixes of all cuts that hold samples of one kind.
struct Mixes<'p> {
    mix: MixKind,
    plans: &'p [CutPlan],
    trained: Option<&'p [Vec<TrainedSize>]>,
    preflights: Option<&'p [Preflight]>,
}

fn source_records(job: &Job, statistics: &[SourceStatistics], survey: &Survey, rows: &[Row]) -> Vec<SourceRecord> {
    let made_of = |name: &str| -> Vec<String> {
        let made = job.made.sources.iter().find(|made| job.sources[made.source].name == name);
        made.into_iter().flat_map(|made| &made.of).map(|of| job.sources[*of].name.clone()).collect()
    };
    let mut records: Vec<SourceRecord> = statistics
        .iter()
        .zip(&job.sources)
        .zip(&survey.ledgers)
        .map(|((statistics, source), ledger)| SourceRecord {
            name: source.name.clone(),
            kind: source.kind.name().to_owned(),
            made_of: made_of(&source.name),
            unwanted: ledger.unwanted.clone(),
            read: statistics.read,
            kept: statistics.kept,
            dropped: statistics.dropped.iter().cloned().collect(),
            reasoning_left_out: ledger.reasoning_left_out,
            flagged: statistics.flagged,
            flags: statistics.flags.iter().map(|(flag, samples)| (flag.name().to_owned(), *samples)).collect(),
            documents: 0,
            summaries: 0,
        })
        .collect();
    let mut documents: HashSet<(u32, Number)> = HashSet::new();
    let mut summaries: HashSet<(u32, Number)> = HashSet::new();
    for row in rows.iter().filter(|row| row.is_kept()) {
        let source = row.record.source;
        let record = &mut records[source as usize];
        record.documents += u64::from(row.record.document.is_some_and(|number| documents.insert((source, number))));
        record.summaries += u64::from(row.record.summary.is_some_and(|number| summaries.insert((source, number))));
    }
    records
}

fn cut_record(cut: &Cut, mixes: &Mixes<'_>, sources: &[Source]) -> CutRecord {
    let number = mixes.plans.iter().position(|plan| plan.cut == cut.size);
    let plan = number.map(|number| &mixes.plans[number]);
    let trained = number.and_then(|number| mixes.trained?.get(number));
    let actual = plan.map(CutPlan::actual).unwrap_or_default();
    let validation = plan.and_then(validation);
    CutRecord {
        cut: cut.size,
        mix: mixes.mix,
        feasible: cut.feasible,
        written: cut.written,
        samples: actual.samples,
        tokens: actual.tokens,
        validation_samples: validation.map(|(samples, _)| samples),
        validation_tokens: validation.map(|(_, tokens)| tokens),
        sources: plan.map(|plan| share_records(plan, trained, sources)).unwrap_or_default(),
        preflight: number.and_then(|number| mixes.preflights?.get(number)).cloned(),
    }
}

fn share_records(plan: &CutPlan, trained: Option<&Vec<TrainedSize>>, sources: &[Source]) -> Vec<ShareRecord> {
    (0..)
        .zip(&plan.sources)
        .zip(sources)
        .filter(|(_, source)| source.kind.mix() == plan.mix)
        .map(|((number, of_source), source): ((usize, _), _)| ShareRecord {
            name: source.name.clone(),
            samples: of_source.actual.samples,
            tokens: of_source.actual.tokens,
            distinct: of_source.distinct,
            rule: of_source.rule.clone(),
            requested: requested(plan, of_source),
            training: trained.and_then(|trained| trained.get(number)).map(training_record),
        })
        .collect()
}

fn training_record(size: &TrainedSize) -> TrainingRecord {
    TrainingRecord {
        samples: size.samples,
        tokens: size.tokens,
        loss_tokens: size.loss_tokens,
        left_out: size.left_out.iter().map(|(reason, samples)| (reason.reason().to_owned(), *samples)).collect(),
    }
}
