//! `mix` and `plan`: the stages composed in one process. The text stays in memory from survey to write, and the input is
//! read once.

use super::context::Context;
use super::count::SampleCounter;
use super::fail_on;
use super::finish::{Outcome, finish, open_output};
use super::manifest::{manifest, settings_record};
use super::plan::{MixPlan, PlanOptions, Tokenizers, nothing_left, plan_mix};
use super::prepare::{Job, PrepareOptions, check_locations, prepare};
use super::statistics::statistics;
use super::survey::{Survey, SurveyOptions, survey};
use super::write::{Encoding, WriteMixOptions, write_mix};
use crate::error::Result;
use crate::index::Index;
use crate::manifest::{Manifest, Measure, MixKind, TokenizerRecord};
use crate::recipe::{Source, Thinking, WrittenReasoning, nearest};
use crate::report::{self, format::line, statistics::Statistics};
use crate::sample::{Reasoning, RejectReason, written_reasoning};
use crate::settings::Settings;
use crate::storage::Publication;
use crate::tokens::{self, ChatTemplate, LoadedTokenizer, TokenizerFiles};
use std::sync::Arc;

/// Reports what [`mix`] would make, and whether it is what the recipe requests; writes nothing.
///
/// # Errors
/// Everything that [`mix`] finds before it writes.
pub(crate) async fn plan(settings: &Settings, context: &Context) -> Result<(Outcome, Result<()>)> {
    let Planned { plan, manifest, statistics, .. } = plan_run(settings, context).await?;
    Ok((Outcome::of_plan(manifest, statistics, plan.selected_cut), plan.checked))
}

/// Makes the mix and publishes it.
///
/// # Errors
/// Each with its kind and exit code; then nothing is published, and an earlier mix is unchanged.
pub(crate) async fn mix(settings: &Settings, context: &Context) -> Result<Outcome> {
    // First, because opening creates the output.
    check_locations(&PrepareOptions::of(settings))?;
    // Opened before anything is read: an output that cannot be written should not cost a run.
    let publication = open_output(settings, context).await?;
    let written = match plan_run(settings, context).await {
        Ok(planned) => write_run(planned, settings, &publication, context).await,
        Err(error) => Err(error),
    };
    match written {
        Ok(Written { manifest, statistics, selected_cut, rejected }) => {
            finish(manifest, statistics, selected_cut, &rejected, publication, settings, context).await
        }
        Err(error) => {
            publication.abort().await;
            Err(error)
        }
    }
}

/// A run up to the point where files are written.
struct Planned {
    sources: Vec<Source>,
    survey: Survey,
    plan: MixPlan,
    manifest: Manifest,
    statistics: Statistics,
    /// What encodes for the trainer.
    encoding: Encoding,
}

/// Prepares, surveys and plans; the tokenizer loads while the input is read.
async fn plan_run(settings: &Settings, context: &Context) -> Result<Planned> {
    // Before any row is read: the template decides which reasoning is kept.
    let prepare_options = PrepareOptions::of(settings);
    let (mut job, (files, template, written)) =
        futures::try_join!(prepare(&prepare_options, context), fetch_template(settings, context))?;
    job.sources.iter_mut().for_each(|source| source.reasoning = written);
    let survey_options = SurveyOptions::of(settings, &job.sources, template.clone());
    let encodes = needs_training_tokens(settings);
    let rules = settings.tokenizer_rules;
    let loading = move |context: &Context| LoadedTokenizer::load(&files, template, rules, encodes, &context.pool);
    let loading = context.compute("loading the tokenizer", loading);
    // The first error ends the run: a wrong tokenizer should not cost reading all rows.
    let (tokenizer, (survey, index)) = futures::try_join!(loading, survey(&job, &survey_options, context))?;
    let (options, settings_record) = (PlanOptions::of(settings), settings_record(settings));
    let (reasoning, thinking, limits) = (settings.reasoning.clone(), settings.thinking, settings.fail_on.clone());
    let planning = move |context: &Context| {
        warn_of_reading(&survey, &job, &reasoning, context);
        tokenizer.warning.iter().for_each(|warning| context.warnings.warn(warning.clone()));
        if !job.made.only {
            warn_of_reasoning(&survey, thinking, &tokenizer.name, context);
        }
        let (mut plan, statistics, tokenizer, encoding) =
            plan_survey(&survey, index, &job.sources, tokenizer, &options, context)?;
        warn_of_unused_block_size(&plan, &options, context);
        let manifest = manifest(settings_record, tokenizer, &survey, &plan, &job, &statistics);
        if plan.checked.is_ok() {
            plan.checked = fail_on::check(&manifest, &report::metrics::metrics(&manifest, &statistics), &limits);
        }
        Ok(Planned { sources: job.sources, survey, plan, manifest, statistics, encoding })
    };
    context.compute("planning", planning).await
}

/// Fetches the tokenizer's files and compiles its chat template, or the given one; returns also which reasoning it prints.
async fn fetch_template(
    settings: &Settings,
    context: &Context,
) -> Result<(TokenizerFiles, Arc<ChatTemplate>, WrittenReasoning)> {
    let (rules, thinking, date) = (settings.tokenizer_rules, settings.thinking, tokens::date_of_run()?);
    let _step = context.progress.step("loading the tokenizer");
    let files = tokens::fetch(&context.storage, &settings.tokenizer_model).await?;
    let given = tokens::given_template(&context.storage, settings.chat_template.as_ref()).await?;
    let compile = move |_: &Context| {
        let template = ChatTemplate::load(&files, given, rules, date)?;
        let written = written_reasoning(thinking, &template);
        Ok((files, Arc::new(template), written))
    };
    context.compute("compiling the chat template", compile).await
}

/// Warns of reasoning that the chat template does not print.
fn warn_of_reasoning(survey: &Survey, thinking: Thinking, tokenizer: &str, context: &Context) {
    let samples: u64 = survey.ledgers.iter().map(|ledger| ledger.reasoning_left_out).sum();
    let have = match (thinking, samples) {
        (Thinking::Always | Thinking::Never, _) | (_, 0) => return,
        (Thinking::Auto, 1) => "1 sample has".to_owned(),
        (Thinking::Auto, samples) => format!("{samples} samples have"),
    };
    context
        .warnings
        .warn(format!("{have} reasoning, but the chat template of {tokenizer} does not print it; it is left out"));
}

/// Warns of a block size without documents: blocks are how a trainer reads documents.
fn warn_of_unused_block_size(plan: &MixPlan, options: &PlanOptions, context: &Context) {
    let has_documents = plan.plans.iter().chain(&plan.document_plans).any(|plan| plan.mix == MixKind::Document);
    if options.preflight.block_size.is_some() && !has_documents {
        context.warnings.warn(
            "--block-size has no effect: the run has no document mix; pass --documents to make one of the summaries"
                .to_owned(),
        );
    }
}

/// Whether the run has to know what the trainer makes of each sample.
fn needs_training_tokens(settings: &Settings) -> bool {
    let options = PlanOptions::of(settings);
    options.mixing.measure() == Measure::LossTokens
        || settings.formats.iter().any(|format| format.is_tokens())
        || options.preflight.is_requested(MixKind::Chat)
        || !settings.fail_on.is_empty()
}

/// Plans the mixes of a survey and computes the statistics.
fn plan_survey(
    survey: &Survey,
    index: Index,
    sources: &[Source],
    tokenizer: LoadedTokenizer,
    options: &PlanOptions,
    context: &Context,
) -> Result<(MixPlan, Statistics, TokenizerRecord, Encoding)> {
    if survey.samples.is_empty() {
        return Err(nothing_left(sources, &survey.ledgers, &[]));
    }
    let LoadedTokenizer { template, counter, training, documents, eos, .. } = tokenizer;
    let samples = SampleCounter {
        context,
        sources,
        samples: &survey.samples,
        texts: &survey.texts,
        template: &template,
        places: &survey.places,
    };
    let tokenizers = Tokenizers { counter, training, documents };
    let (plan, encoders) = plan_mix(index, &survey.ledgers, options, &samples, tokenizers)?;
    let statistics = statistics(survey, &plan, sources, &samples, eos.as_deref(), context.warnings.all())?;
    let record = TokenizerRecord {
        name: tokenizer.name,
        digest: tokenizer.digest,
        rules: tokenizer.rules.name().to_owned(),
        class: tokenizer.class.map(str::to_owned),
        chat_template_digest: template.digest(),
        chat_template_date: template.date_used(),
    };
    let conversations = encoders.conversations.map(|encoder| (template, encoder));
    Ok((plan, statistics, record, Encoding { conversations, documents: encoders.documents }))
}

/// A run whose rows are written and not yet visible.
struct Written {
    manifest: Manifest,
    statistics: Statistics,
    selected_cut: u32,
    rejected: Vec<crate::input::RejectedRow>,
}

async fn write_run(
    planned: Planned,
    settings: &Settings,
    publication: &Publication,
    context: &Context,
) -> Result<Written> {
    let Planned { sources, mut survey, mut plan, mut manifest, statistics, encoding } = planned;
    std::mem::replace(&mut plan.checked, Ok(()))?;
    let selected_cut = plan.selected_cut;
    let rejected = std::mem::take(&mut survey.rejected);
    let options = WriteMixOptions::of(settings);
    manifest.outputs = write_mix(sources, survey, plan, encoding, options, publication, context).await?;
    Ok(Written { manifest, statistics, selected_cut, rejected })
}

/// Warnings about rows that no source takes, and conditions that no row meets.
fn warn_of_conditions(survey: &Survey, sources: &[Source], context: &Context) {
    const NAMED: usize = 5;
    for (source, ledger) in sources.iter().zip(&survey.ledgers) {
        let Some(conditions) = &source.conditions else { continue };
        if ledger.read == 0 && ledger.elsewhere > 0 {
            let meant = conditions.iter().find_map(|condition| {
                let prefix = format!("{}=", condition.column);
                let values: Vec<&str> =
                    ledger.unwanted.keys().filter_map(|value| value.strip_prefix(&prefix)).collect();
                condition.texts().find_map(|text| nearest(text, values.iter().copied()))
            });
            let meant = meant.map_or_else(String::new, |value| format!("; did you mean `{value}`?"));
            let columns: Vec<String> = conditions.iter().map(|condition| format!("`{}`", condition.column)).collect();
            let which = if columns.len() == 1 { "condition" } else { "conditions" };
            let (name, columns) = (&source.name, columns.join(" and "));
            context.warnings.warn(format!("source {name}: no row meets its {which} on {columns}{meant}"));
        }
        if !ledger.unwanted.is_empty() {
            let mut values: Vec<(&String, &u64)> = ledger.unwanted.iter().collect();
            values.sort_by_key(|(value, rows)| (std::cmp::Reverse(**rows), *value));
            let rows: u64 = ledger.unwanted.values().sum();
            let mut named: Vec<String> =
                values.iter().take(NAMED).map(|(value, rows)| format!("{rows} {}", line(value))).collect();
            if values.len() > NAMED {
                named.push(format!("{} more values", values.len() - NAMED));
            }
            let are = if rows == 1 { "1 row belongs".to_owned() } else { format!("{rows} rows belong") };
            context.warnings.warn(format!("{are} to no source: {}", named.join(", ")));
        }
    }
}

/// Warnings about what was read.
fn warn_of_reading(survey: &Survey, job: &Job, reasoning: &Reasoning, context: &Context) {
    let sources = &job.sources;
    let has_condition = |name: &str| sources.iter().any(|source| source.name == name && source.conditions.is_some());
    for file in survey.inputs.iter().filter(|file| file.rows == 0 && !has_condition(&file.source)) {
        context.warnings.warn(format!("{}/{} is empty", file.source, file.key));
    }
    warn_of_conditions(survey, sources, context);
    for made in &job.made.sources {
        made.nothing_made(sources, &survey.ledgers).into_iter().for_each(|warning| context.warnings.warn(warning));
    }
    for (source, ledger) in sources.iter().zip(&survey.ledgers).filter(|(_, ledger)| ledger.read > 0) {
        let (name, reasons) = (&source.name, ledger.reasons());
        match (ledger.kept, ledger.read) {
            (0, 1) => context.warnings.warn(format!("source {name}: the only row was dropped: {reasons}")),
            (0, rows) => context.warnings.warn(format!("source {name}: all {rows} rows were dropped: {reasons}")),
            _ => {}
        }
    }
    if matches!(reasoning, Reasoning::Path(_))
        && !survey.samples.iter().any(|sample| sample.body.kind().has_reasoning())
    {
        context.warnings.warn(format!("no row has reasoning at `{reasoning}`"));
    }
    warn_of_rejected(survey, context);
}

/// Warnings about rejected rows. `plan` writes no rejected.jsonl and a run may still fail, so they do not claim that the file exists.
fn warn_of_rejected(survey: &Survey, context: &Context) {
    let refused = survey.rejected.iter().filter(|row| row.reason == RejectReason::TemplateRefused).count();
    for (rows, why) in [(survey.rejected.len() - refused, "cannot be read"), (refused, "the chat template refuses")] {
        match rows {
            0 => {}
            1 => context.warnings.warn(format!("skipped 1 row that {why}; a complete mix lists it in rejected.jsonl")),
            rows => context
                .warnings
                .warn(format!("skipped {rows} rows that {why}; a complete mix lists them in rejected.jsonl")),
        }
    }
}
