//! Everything before the files: read, filter, rank, count, plan.

use super::sources::{RunSource, run_sources};
use super::{Context, inputs, record};
use crate::error::{Error, ErrorKind, Result};
use crate::input::{Artifacts, ReadOptions, read};
use crate::manifest::TokenizerRecord;
use crate::mixing::{self, CutPlan, Cuts, NO_TEXT, Row, select_cut};
use crate::output::RowLayout;
use crate::progress::ProgressUnit;
use crate::recipe::{Kind, OnLong};
use crate::report::statistics::{
    CutSourceStatistics, CutStatistics, DocumentStatistics, Example, SourceStatistics, Statistics,
};
use crate::sample::{Body, Sample, user_content};
use crate::settings::Settings;
use crate::text::{TextId, Texts};
use crate::tokens::{self, ChatTemplate, Conversation, Counter, LoadedTokenizer};
use crate::warnings::Warnings;
use std::collections::{HashMap, HashSet};

/// How many conversations of each source the report shows.
const EXAMPLES: usize = 2;

/// A run up to the point where files are written.
pub(crate) struct Prepared {
    /// All that was read.
    pub(crate) artifacts: Artifacts,
    /// The sources as the planning sees them.
    pub(crate) sources: Vec<mixing::Source>,
    /// The rows as the planning sees them.
    pub(crate) table: Vec<Row>,
    /// Each sample's token length; 0 where no mix holds it.
    pub(crate) token_lengths: Vec<u32>,
    /// The cuts asked for.
    pub(crate) cuts: Cuts,
    /// The mixes to write, ascending.
    pub(crate) plans: Vec<CutPlan>,
    /// Whether the plans give what the recipe asks for; `plan` shows them all the same.
    pub(crate) enough: Result<()>,
    /// How rows are written.
    pub(crate) layout: RowLayout,
    /// What counted.
    pub(crate) tokenizer: TokenizerRecord,
    /// The numbers behind the reports.
    pub(crate) statistics: Statistics,
}

/// Reads, filters, ranks, counts and plans.
///
/// # Errors
/// All that can be wrong with the settings, the input and the tokenizer.
pub(crate) async fn prepare(settings: &Settings, context: &Context) -> Result<Prepared> {
    let sources = run_sources(settings)?;
    inputs::check_output(settings, &sources)?;
    let notes = context.warnings.clone();
    let gathered = gather(settings, context, &sources, &notes).await?;
    // On a thread of its own: what only computes must not keep a signal from being heard.
    let (settings, context) = (settings.clone(), context.clone());
    tokio::task::spawn_blocking(move || decide(&settings, &context, &sources, gathered, notes))
        .await
        .map_err(|_| Error::new(ErrorKind::Bug, "the planning panicked"))?
}

/// What comes from outside: the rows and the tokenizer.
struct Gathered {
    artifacts: Artifacts,
    tokenizer: LoadedTokenizer,
}

async fn gather(settings: &Settings, context: &Context, sources: &[RunSource], notes: &Warnings) -> Result<Gathered> {
    // The tokenizer is fetched and loaded while the input is listed and read.
    let loading = tokio::spawn(load_tokenizer(settings.clone(), context.clone()));
    let found = inputs::find(&context.storage, settings, sources).await?;
    found.warnings.into_iter().for_each(|warning| notes.warn(warning));
    let bytes = found.files.iter().map(|file| file.object.size).sum();
    let bar = context.progress.bar("reading", bytes, ProgressUnit::Bytes);
    let options = ReadOptions {
        sources: sources.iter().map(|source| source.rows.clone()).collect(),
        files: found.files,
        drop_placeholders: settings.save_gpt_oss_format,
        reasoning: settings.reasoning.clone(),
        bad_rows: settings.bad_rows,
    };
    let counter = bar.counter();
    let reading = read(&context.storage, options, &context.pool, &counter);
    let loading =
        async { loading.await.map_err(|_| Error::new(ErrorKind::Bug, "the loading of the tokenizer panicked"))? };
    let (tokenizer, artifacts) = futures::try_join!(loading, reading)?;
    drop(bar);
    Ok(Gathered { artifacts, tokenizer })
}

/// Fetches and loads the tokenizer.
async fn load_tokenizer(settings: Settings, context: Context) -> Result<LoadedTokenizer> {
    let date = tokens::date_of_run()?;
    let files = tokens::fetch(&context.storage, &settings.tokenizer_model).await?;
    let given = tokens::given_template(&context.storage, settings.chat_template.as_ref()).await?;
    let load = move || LoadedTokenizer::load(&files, given, date, &context.pool);
    let loaded = tokio::task::spawn_blocking(load).await;
    loaded.map_err(|_| Error::new(ErrorKind::Bug, "loading the tokenizer panicked"))?
}

/// Filters, ranks, counts and plans what was gathered.
fn decide(
    settings: &Settings,
    context: &Context,
    sources: &[RunSource],
    gathered: Gathered,
    notes: Warnings,
) -> Result<Prepared> {
    let Gathered { artifacts, tokenizer: LoadedTokenizer { name, digest, template, counter } } = gathered;
    let options = mixing::Options::from_recipe(&settings.recipe, settings.seed);
    warn_of_reading(&artifacts, settings, &notes);
    if artifacts.samples.is_empty() {
        return Err(nothing_left(&artifacts, &[]));
    }
    let mixing_sources: Vec<mixing::Source> = sources.iter().map(|source| source.mixing.clone()).collect();
    let texts = &artifacts.texts;
    let mut table = table(&artifacts, sources);
    if mixing::needs_content(&mixing_sources, &options) {
        let contents = context.pool.install(|| contents(&artifacts));
        table.iter_mut().zip(contents).for_each(|(row, content)| row.content = content);
    }
    let all: Vec<u32> = (0..table.len() as u32).collect();
    let counting = Counting { context, artifacts: &artifacts, template: &template, counter: &counter };
    let mut counted = None;
    if mixing::needs_tokens(&options) {
        counted = Some(counting.count(&mut table, &all)?);
    }
    let text = |id: u32| texts.get(TextId::from_number(id));
    let response_chars = |row: usize| response_chars(texts, &artifacts.samples[row]);
    let split_warnings =
        context.pool.install(|| mixing::prepare(&mut table, &mixing_sources, &options, text, response_chars));
    split_warnings.into_iter().for_each(|warning| notes.warn(warning));
    if !table.iter().any(Row::is_kept) {
        return Err(nothing_left(&artifacts, &table));
    }
    let cuts = mixing::feasible(&table, &mixing_sources, &settings.cut_sizes, settings.infeasible_cuts)?;
    cuts.warnings.iter().for_each(|warning| notes.warn(warning.clone()));
    let written = cuts.written();
    // Before anything is counted or written: a wrong --select-cut should not cost a run.
    select_cut(&written, settings.select_cut)?;
    let counted = match counted {
        Some(counted) => counted,
        None => {
            let largest = written.last().copied().unwrap_or_default();
            let candidates = mixing::candidates(&table, &mixing_sources, largest);
            counting.count(&mut table, &candidates)?
        }
    };
    if let Some(fallback) = counted.fallback {
        notes.warn(fallback);
    }
    if let Some(info) = counted.info {
        context.progress.info(&info);
    }
    let plans: Vec<CutPlan> = context
        .pool
        .install(|| written.iter().map(|cut| mixing::plan_cut(&table, &mixing_sources, &options, *cut)).collect());
    if let (OnLong::Keep, Some(most)) = (settings.recipe.filter.long_samples, settings.recipe.filter.max_tokens) {
        plans.last().and_then(|plan| kept_long(plan, &table, most)).into_iter().for_each(|warning| notes.warn(warning));
    }
    let enough = mixing::check(&plans, &mixing_sources, options.on_shortfall);
    let examples = examples(&counting, &table, plans.last())?;
    // Taking apart some hundred thousand strings is not worth waiting for.
    context.pool.spawn(move || drop(counter));

    let statistics = Statistics {
        sources: source_statistics(&artifacts, &mixing_sources, &table),
        cuts: plans.iter().map(|plan| cut_statistics(plan, &mixing_sources, &table)).collect(),
        examples,
        warnings: notes.all(),
        counted_by: counted.by,
    };
    Ok(Prepared {
        layout: RowLayout::of(settings.columns, &artifacts.sources, &artifacts.samples, &artifacts.texts),
        token_lengths: table.iter().map(|row| row.tokens).collect(),
        tokenizer: TokenizerRecord {
            name,
            digest,
            chat_template_digest: template.digest(),
            chat_template_date: template.date_used(),
        },
        sources: mixing_sources,
        table,
        cuts,
        plans,
        enough,
        statistics,
        artifacts,
    })
}

/// The rows as the planning sees them: ids instead of texts.
fn table(artifacts: &Artifacts, sources: &[RunSource]) -> Vec<Row> {
    let or_none = |id: TextId| if id == TextId::EMPTY { NO_TEXT } else { id.number() };
    let rows = artifacts.samples.iter().map(|sample| match sample.body {
        Body::Pair { outline, raw, summary, .. } => {
            // In a summary source an empty raw document is a document like others; elsewhere it is one that is not known.
            let summaries = sources[sample.source as usize].rows.kind == Kind::SummaryQa;
            let document = if summaries { raw.number() } else { or_none(raw) };
            Row::new(sample.source, document, or_none(outline), summary.number())
        }
        Body::Chat { .. } => Row::new(sample.source, NO_TEXT, NO_TEXT, NO_TEXT),
    });
    rows.collect()
}

/// A hash of each sample's messages, the same on every machine.
fn contents(artifacts: &Artifacts) -> Vec<[u8; 16]> {
    use rayon::prelude::*;
    let content = |sample: &Sample| {
        let mut hasher = blake3::Hasher::new();
        let mut part = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        match sample.body {
            Body::Pair { outline, summary, question, response, thinking, .. } => {
                let get = |id| artifacts.texts.get(id);
                let source = &artifacts.sources[sample.source as usize];
                part(&user_content(source, get(outline), get(summary), get(question)).concat());
                part(get(response));
                part(get(thinking));
            }
            Body::Chat { messages, tools, unmask } => {
                part(artifacts.texts.get(messages));
                part(artifacts.texts.get(tools));
                part(if unmask { "unmask" } else { "" });
            }
        }
        let mut content = [0; 16];
        content.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        content
    };
    artifacts.samples.par_iter().map(content).collect()
}

fn response_chars(texts: &Texts, sample: &Sample) -> usize {
    match sample.body {
        Body::Pair { response, .. } => texts.get(response).chars().count(),
        Body::Chat { messages, .. } => {
            let messages: Vec<serde_json::Value> = serde_json::from_str(texts.get(messages)).unwrap_or_default();
            let answers = messages.iter().filter(|message| message["role"] == "assistant");
            answers.filter_map(|message| message["content"].as_str()).map(|text| text.chars().count()).sum()
        }
    }
}

/// Counts the tokens of rows.
struct Counting<'c> {
    context: &'c Context,
    artifacts: &'c Artifacts,
    template: &'c ChatTemplate,
    counter: &'c Counter,
}

/// How rows were counted.
struct Counted {
    by: String,
    fallback: Option<String>,
    info: Option<String>,
}

impl Counting<'_> {
    /// Fills the token lengths of some rows of the table.
    fn count(&self, table: &mut [Row], rows: &[u32]) -> Result<Counted> {
        let bar = self.context.progress.bar("counting", rows.len() as u64, ProgressUnit::Rows);
        let progress = bar.counter();
        let done = std::sync::atomic::AtomicUsize::new(0);
        let texts = tokens::TextSource {
            count: rows.len(),
            text: &|index, out| self.render(rows[index], out),
            progress: &|count| {
                let before = done.fetch_max(count, std::sync::atomic::Ordering::Relaxed);
                progress.advance(count.saturating_sub(before) as u64);
            },
            check: &|| Ok(()),
        };
        let counted = self.counter.count_all(&texts, &self.context.pool)?;
        for (row, length) in rows.iter().zip(&counted.lengths) {
            table[*row as usize].tokens = *length;
        }
        Ok(Counted { by: counted.backend.to_string(), fallback: counted.fallback, info: counted.info })
    }

    /// Appends a row's conversation as the chat template renders it.
    fn render(&self, row: u32, out: &mut String) -> Result<()> {
        let sample = &self.artifacts.samples[row as usize];
        let get = |id| self.artifacts.texts.get(id);
        match sample.body {
            Body::Pair { outline, summary, question, response, thinking, .. } => {
                let source = &self.artifacts.sources[sample.source as usize];
                let user = user_content(source, get(outline), get(summary), get(question)).concat();
                let pair = Conversation::Pair { user: &user, assistant: get(response), thinking: get(thinking) };
                self.template.render_into(&pair, out)
            }
            Body::Chat { messages, tools, .. } => {
                let tools = Some(get(tools)).filter(|tools| !tools.is_empty());
                self.template.render_into(&Conversation::Messages { messages: get(messages), tools }, out)
            }
        }
    }
}

/// The first conversations of each source in the largest mix.
fn examples(counting: &Counting<'_>, table: &[Row], plan: Option<&CutPlan>) -> Result<Vec<Example>> {
    let Some(plan) = plan else { return Ok(Vec::new()) };
    let mut shown: HashMap<u32, usize> = HashMap::new();
    let mut examples = Vec::new();
    for (number, row) in table.iter().enumerate() {
        if plan.copies[number] == 0 || row.validation {
            continue;
        }
        let shown = shown.entry(row.source).or_default();
        if *shown < EXAMPLES {
            *shown += 1;
            let mut text = String::new();
            counting.render(number as u32, &mut text)?;
            let source = counting.artifacts.sources[row.source as usize].name.clone();
            examples.push(Example { source, text, tokens: row.tokens });
        }
    }
    Ok(examples)
}

fn warn_of_reading(artifacts: &Artifacts, settings: &Settings, notes: &Warnings) {
    let warn = |warning: String| notes.warn(warning);
    for file in artifacts.inputs.iter().filter(|file| file.rows == 0) {
        warn(format!("{}/{} is empty", file.source, file.key));
    }
    for (source, ledger) in artifacts.sources.iter().zip(&artifacts.ledgers) {
        if ledger.read > 0 && ledger.kept == 0 {
            let all = if ledger.read == 1 { "the one row".to_owned() } else { format!("all {} rows", ledger.read) };
            let was = if ledger.read == 1 { "was" } else { "were" };
            warn(format!("{all} of {} {was} dropped: {}", source.name, reasons(&ledger.dropped)));
        }
    }
    let has_thought = |sample: &Sample| matches!(sample.body, Body::Pair { thinking, .. } if thinking != TextId::EMPTY);
    if let crate::input::Reasoning::Path(_) = settings.reasoning
        && !artifacts.samples.iter().any(has_thought)
    {
        warn(format!("no row has a reasoning at `{}`", settings.reasoning));
    }
    if !artifacts.rejected.is_empty() {
        // Not that they stand in a file: a plan writes none, and a run may fail yet.
        let rows = artifacts.rejected.len();
        let rows = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
        warn(format!("{rows} could not be read and will not be in the mix; its rejected.jsonl names them"));
    }
}

fn reasons<'r>(dropped: impl IntoIterator<Item = (&'r &'static str, &'r u64)>) -> String {
    dropped.into_iter().map(|(reason, rows)| format!("{reason} {rows}")).collect::<Vec<_>>().join(", ")
}

fn nothing_left(artifacts: &Artifacts, filtered: &[Row]) -> Error {
    let mut all = crate::input::SourceLedger::default();
    artifacts.ledgers.iter().for_each(|ledger| all.merge(ledger));
    filtered.iter().for_each(|row| all.drop_rows(row.fate.reason(), 1));
    let why = if all.read == 0 {
        "no file holds a row".to_owned()
    } else {
        let rows = if all.read == 1 { "row" } else { "rows" };
        format!("of {} {rows} none is left: {}", all.read, reasons(&all.dropped))
    };
    Error::new(ErrorKind::Data, format!("nothing to mix: {why}"))
        .hint("look at the rows that the generation step wrote; filters are --save-gpt-oss-format and the recipe's")
}

fn source_statistics(artifacts: &Artifacts, sources: &[mixing::Source], table: &[Row]) -> Vec<SourceStatistics> {
    let mut all: Vec<SourceStatistics> = Vec::with_capacity(sources.len());
    let mut start = 0;
    for (number, source) in sources.iter().enumerate() {
        let rows = &table[start..];
        let rows = &rows[..rows.partition_point(|row| row.source as usize <= number)];
        start += rows.len();
        let ledger = &artifacts.ledgers[number];
        let mut dropped: Vec<(String, u64)> =
            ledger.dropped.iter().map(|(reason, rows)| ((*reason).to_owned(), *rows)).collect();
        let mut filtered: HashMap<&str, u64> = HashMap::new();
        for row in rows.iter().filter(|row| !row.is_kept()) {
            *filtered.entry(row.fate.reason()).or_default() += 1;
        }
        let kept = ledger.kept - filtered.values().sum::<u64>();
        dropped.extend(filtered.into_iter().map(|(reason, rows)| (reason.to_owned(), rows)));
        dropped.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let documents = if source.kind == Kind::SummaryQa { documents(artifacts, rows) } else { Vec::new() };
        all.push(SourceStatistics { name: source.name.clone(), read: ledger.read, kept, dropped, documents });
    }
    all
}

/// Each raw document of a summary source with the summaries it has, in input order.
fn documents(artifacts: &Artifacts, rows: &[Row]) -> Vec<DocumentStatistics> {
    let mut numbers: HashMap<u32, usize> = HashMap::new();
    let mut seen: HashSet<(u32, u32)> = HashSet::new();
    let mut documents: Vec<DocumentStatistics> = Vec::new();
    for row in rows.iter().filter(|row| row.is_kept()) {
        let number = *numbers.entry(row.document).or_insert_with(|| {
            let outline = if row.outline == NO_TEXT { TextId::EMPTY } else { TextId::from_number(row.outline) };
            documents.push(DocumentStatistics { outline: artifacts.texts.get(outline).to_owned(), summaries: 0 });
            documents.len() - 1
        });
        documents[number].summaries += u32::from(seen.insert((row.document, row.summary)));
    }
    documents
}

/// What a trainer that takes `most` tokens will not see of the samples that the recipe keeps all the same.
fn kept_long(plan: &CutPlan, table: &[Row], most: u32) -> Option<String> {
    let (mut samples, mut tokens) = (0u64, 0u64);
    for (row, copies) in table.iter().zip(&plan.copies).filter(|(row, _)| row.tokens > most) {
        samples += u64::from(*copies);
        tokens += u64::from(*copies) * u64::from(row.tokens - most);
    }
    let cut = plan.cut;
    (samples > 0).then(|| {
        format!("cut {cut}: samples with more than {most} tokens, kept as the recipe says: {samples}, with {tokens} tokens beyond that")
    })
}

fn cut_statistics(plan: &CutPlan, sources: &[mixing::Source], table: &[Row]) -> CutStatistics {
    let mut lengths: Vec<Vec<u32>> = vec![Vec::new(); sources.len()];
    for (row, copies) in table.iter().zip(&plan.copies).filter(|(row, _)| !row.validation) {
        lengths[row.source as usize].extend(std::iter::repeat_n(row.tokens, *copies as usize));
    }
    let sources = sources.iter().zip(&plan.sources).zip(lengths).map(|((source, of_source), mut lengths)| {
        lengths.sort_unstable();
        CutSourceStatistics {
            name: source.name.clone(),
            lengths,
            distinct: of_source.distinct,
            rule: of_source.rule.clone(),
            requested: record::requested(plan, of_source),
        }
    });
    CutStatistics { cut: plan.cut, sources: sources.collect(), validation: record::validation(plan) }
}
