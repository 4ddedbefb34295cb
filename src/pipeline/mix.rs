//! `mix` and `plan`: the stages composed in one process. The text stays in memory from survey to write, and the input is
//! read once.

use super::context::Context;
use super::count::SampleCounter;
use super::finish::{Outcome, PUBLISH_OPTIONS, finish};
use super::manifest::{manifest, settings_record};
use super::plan::{MixPlan, PlanOptions, nothing_left, plan_mix};
use super::prepare::{PrepareOptions, prepare};
use super::statistics::statistics;
use super::survey::{Survey, SurveyOptions, survey};
use super::write::{WriteMixOptions, write_mix};
use crate::error::{Error, ErrorKind, Result};
use crate::index::Index;
use crate::manifest::{Manifest, Measure, TokenizerRecord};
use crate::recipe::Source;
use crate::report::statistics::Statistics;
use crate::sample::Reasoning;
use crate::settings::Settings;
use crate::storage::{Location, Publication};
use crate::tokens::{self, ChatTemplate, LoadedTokenizer, TokenizerModel, TrainingEncoder};
use tokio::task::JoinSet;

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
    // Opened before anything is read: an output that cannot be written should not cost a run.
    let publication = context.storage.publish(&settings.output, PUBLISH_OPTIONS).await?;
    let written = match plan_run(settings, context).await {
        Ok(planned) => write_run(planned, settings, &publication, context).await,
        Err(error) => Err(error),
    };
    match written {
        Ok(Written { manifest, statistics, selected_cut, rejected }) => {
            finish(manifest, statistics, selected_cut, &rejected, publication, &settings.output, context).await
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
    /// What encodes for the trainer, if the run needs that.
    encoding: Option<(ChatTemplate, TrainingEncoder)>,
}

/// Prepares, surveys and plans; the tokenizer loads while the input is listed and read.
async fn plan_run(settings: &Settings, context: &Context) -> Result<Planned> {
    let (model, template) = (settings.tokenizer_model.clone(), settings.chat_template.clone());
    // A set, because dropping it aborts its task if preparing or surveying fails.
    let mut loading = JoinSet::new();
    loading.spawn(load_tokenizer(model, template, needs_training_tokens(settings), context.clone()));
    let job = prepare(&PrepareOptions::of(settings), context).await?;
    let loading = async {
        let loaded = loading.join_next().await.and_then(std::result::Result::ok);
        loaded.unwrap_or_else(|| Err(Error::new(ErrorKind::Bug, "loading the tokenizer panicked")))
    };
    let survey_options = SurveyOptions::of(settings, &job.sources);
    // The first error ends the run: a wrong tokenizer should not cost reading all rows.
    let (tokenizer, (survey, index)) = futures::try_join!(loading, survey(&job, &survey_options, context))?;
    let (options, settings_record) = (PlanOptions::of(settings), settings_record(settings));
    let reasoning = settings.reasoning.clone();
    let planning = move |context: &Context| {
        warn_of_reading(&survey, &job.sources, &reasoning, context);
        let (plan, statistics, tokenizer, encoding) =
            plan_survey(&survey, index, &job.sources, tokenizer, &options, context)?;
        let manifest = manifest(settings_record, tokenizer, &survey, &plan, &job.sources, &statistics);
        Ok(Planned { sources: job.sources, survey, plan, manifest, statistics, encoding })
    };
    context.compute("planning", planning).await
}

/// Whether the run has to know what the trainer makes of each sample.
fn needs_training_tokens(settings: &Settings) -> bool {
    let options = PlanOptions::of(settings);
    options.mixing.measure() == Measure::LossTokens || settings.formats.iter().any(|format| format.is_tokens())
}

/// Fetches and loads the tokenizer; with `encodes` also what encodes for the trainer.
async fn load_tokenizer(
    model: TokenizerModel,
    chat_template: Option<Location>,
    encodes: bool,
    context: Context,
) -> Result<LoadedTokenizer> {
    let date = tokens::date_of_run()?;
    let files = tokens::fetch(&context.storage, &model).await?;
    let given = tokens::given_template(&context.storage, chat_template.as_ref()).await?;
    let load = move |context: &Context| LoadedTokenizer::load(&files, given, date, encodes, &context.pool);
    context.compute("loading the tokenizer", load).await
}

/// Plans the mixes of a survey and computes the statistics.
fn plan_survey(
    survey: &Survey,
    index: Index,
    sources: &[Source],
    tokenizer: LoadedTokenizer,
    options: &PlanOptions,
    context: &Context,
) -> Result<(MixPlan, Statistics, TokenizerRecord, Option<(ChatTemplate, TrainingEncoder)>)> {
    if survey.samples.is_empty() {
        return Err(nothing_left(&survey.ledgers, &[]));
    }
    let counter = SampleCounter {
        context,
        sources,
        samples: &survey.samples,
        texts: &survey.texts,
        template: &tokenizer.template,
        counter: &tokenizer.counter,
    };
    let plan = plan_mix(index, sources, &survey.ledgers, options, &counter, tokenizer.encoder.as_ref(), context)?;
    let statistics = statistics(survey, &plan, sources, &counter, context.warnings.all())?;
    let record = TokenizerRecord {
        name: tokenizer.name,
        digest: tokenizer.digest,
        chat_template_digest: tokenizer.template.digest(),
        chat_template_date: tokenizer.template.date_used(),
    };
    // Freeing hundreds of thousands of strings is not worth waiting for.
    context.pool.spawn(move || drop(tokenizer.counter));
    Ok((plan, statistics, record, tokenizer.encoder.map(|encoder| (tokenizer.template, encoder))))
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

/// Warnings about what was read.
fn warn_of_reading(survey: &Survey, sources: &[Source], reasoning: &Reasoning, context: &Context) {
    for file in survey.inputs.iter().filter(|file| file.rows == 0) {
        context.warnings.warn(format!("{}/{} is empty", file.source, file.key));
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
    // `plan` writes no rejected.jsonl and a run may still fail, so the warning does not claim that the file exists.
    match survey.rejected.len() {
        0 => {}
        1 => context.warnings.warn("skipped 1 row that cannot be read; a complete mix lists it in rejected.jsonl"),
        rows => context
            .warnings
            .warn(format!("skipped {rows} rows that cannot be read; a complete mix lists them in rejected.jsonl")),
    }
}
