//! Stage 2: reads every row and indexes it.

use super::context::Context;
use super::documents::{MadeDocuments, Splits, make_documents};
use super::prepare::Job;
use crate::error::Result;
use crate::index::{Index, PartsHasher, SplitBuilder, SplitIndex, check_samples};
use crate::input::{Artifacts, Places, ReadOptions, RejectedRow, SourceLedger, read};
use crate::manifest::InputFile;
use crate::mixing;
use crate::progress::ProgressUnit;
use crate::recipe::{BadRows, Flag, Flags, Source};
use crate::sample::{ParseOptions, Sample, TemplateProbe, has_template_token};
use crate::settings::Settings;
use crate::text::{TextId, TextStore};
use rayon::prelude::*;
use std::collections::HashSet;
use std::sync::Arc;

/// How rows are read, and which of their properties are indexed.
#[derive(Debug, Clone)]
pub(crate) struct SurveyOptions {
    /// How rows are parsed.
    pub(crate) parse: ParseOptions,
    /// The largest row, in bytes.
    pub(crate) max_row_bytes: usize,
    /// What happens to rows that are not readable.
    pub(crate) bad_rows: BadRows,
    /// Whether rows that the chat template refuses are bad rows, too.
    pub(crate) rejects_refused: bool,
    /// The seed of ranks.
    pub(crate) seed: u64,
    /// Whether mixing needs content hashes.
    pub(crate) content: bool,
    /// Whether a filter needs the length of responses.
    pub(crate) response_chars: bool,
}

impl SurveyOptions {
    /// The options of a run with these settings and sources.
    pub(crate) fn of(settings: &Settings, sources: &[Source], template: Arc<dyn TemplateProbe>) -> Self {
        let mixing = mixing::Options::from_recipe(&settings.recipe, settings.seed, settings.max_seq_len);
        Self {
            parse: ParseOptions {
                drop_placeholders: settings.save_gpt_oss_format,
                reasoning: settings.reasoning.clone(),
                template,
            },
            max_row_bytes: settings.max_row_bytes,
            bad_rows: settings.bad_rows,
            rejects_refused: settings.bad_rows == BadRows::Skip,
            seed: settings.seed,
            content: mixing::needs_content(sources, &mixing),
            response_chars: mixing.filter.min_response_chars.is_some(),
        }
    }
}

/// All rows, read and indexed.
#[derive(Debug)]
pub(crate) struct Survey {
    /// The samples in natural order.
    pub(crate) samples: Vec<Sample>,
    /// Their texts, which stay in memory until they are written.
    pub(crate) texts: TextStore,
    /// What became of each source's rows.
    pub(crate) ledgers: Vec<SourceLedger>,
    /// The files that were read.
    pub(crate) inputs: Vec<InputFile>,
    /// The rows that were not readable, in input order.
    pub(crate) rejected: Vec<RejectedRow>,
    /// Where the samples are from.
    pub(crate) places: Arc<Places>,
}

/// Reads and indexes the rows of all splits.
///
/// # Errors
/// What storage reports; [`crate::error::ErrorKind::Data`] with file and line for what is not readable.
pub(crate) async fn survey(job: &Job, options: &SurveyOptions, context: &Context) -> Result<(Survey, Index)> {
    let bar = context.progress.bar("reading", job.input_bytes(), ProgressUnit::Bytes);
    let read_options = ReadOptions {
        sources: job.sources.clone(),
        files: job.files.clone(),
        parse: options.parse.clone(),
        max_row_bytes: options.max_row_bytes,
        bad_rows: options.bad_rows,
    };
    let artifacts = read(&context.storage, read_options, &context.pool, &bar.counter()).await?;
    drop(bar);
    let (sources, made, options) = (job.sources.clone(), job.made.clone(), options.clone());
    let files = job.files.clone();
    let indexing = move |context: &Context| {
        let mut artifacts = artifacts;
        context.pool.install(|| {
            // If only documents are made of the rows, no template renders them.
            if options.rejects_refused && !made.only {
                let _step = context.progress.step("rendering");
                artifacts.reject_refused(&sources, &files, &*options.parse.template)?;
            }
            let places = Arc::new(artifacts.places(&files));
            let file_sources: Vec<u32> = files.iter().map(|file| file.source as u32).collect();
            index((artifacts, places), &file_sources, &sources, &made, &options)
        })
    };
    context.compute("indexing rows", indexing).await
}

/// Indexes the samples split by split, with the documents that are made of them. `file_sources` has the source of each file.
fn index(
    (artifacts, places): (Artifacts, Arc<Places>),
    file_sources: &[u32],
    sources: &[Source],
    made: &MadeDocuments,
    options: &SurveyOptions,
) -> Result<(Survey, Index)> {
    let Artifacts { texts, samples, samples_by_file, mut ledgers, inputs, rejected, .. } = artifacts;
    let counts = file_sources.iter().copied().zip(samples_by_file).collect();
    let Splits { samples, counts } = make_documents(Splits { samples, counts }, &mut ledgers, sources, made);
    check_samples(samples.len())?;
    let mut rest = &samples[..];
    let splits: Vec<&[Sample]> = counts
        .iter()
        .map(|(_, count)| {
            let split;
            (split, rest) = rest.split_at(*count);
            split
        })
        .filter(|split| !split.is_empty())
        .collect();
    let splits: Vec<(u32, SplitIndex)> = splits
        .par_iter()
        .map(|split| {
            let source = split[0].source;
            (source, index_split(split, &sources[source as usize], &texts, options))
        })
        .collect();
    let index = Index::merge(splits)?;
    Ok((Survey { samples, texts, ledgers, inputs, rejected, places }, index))
}

/// The index of the samples of one split.
fn index_split(samples: &[Sample], source: &Source, texts: &TextStore, options: &SurveyOptions) -> SplitIndex {
    let mut builder = SplitBuilder::new(texts, options.seed, source.rank_name(), samples.len());
    for sample in samples {
        let record = sample.body.kind().record(source, &mut builder);
        builder.push(record);
    }
    let mut index = builder.finish();
    index.set_flags(flags(samples, texts));
    if options.content || options.response_chars {
        index.update(|row, record| {
            let kind = samples[row].body.kind();
            if options.content {
                let mut hasher = PartsHasher::default();
                kind.hash_content(source, texts, &mut hasher);
                record.content = hasher.finish();
            }
            if options.response_chars {
                record.response_chars = u32::try_from(kind.response_chars(texts)).unwrap_or(u32::MAX);
            }
        });
    }
    index
}

/// The flags of samples, in their order. A context, which many samples share, is searched once.
fn flags(samples: &[Sample], texts: &TextStore) -> Vec<Flags> {
    let mut contexts: Vec<TextId> = samples.iter().filter_map(|sample| sample.body.kind().context()).collect();
    contexts.dedup();
    contexts.sort_unstable();
    contexts.dedup();
    let broken: HashSet<TextId> =
        contexts.into_par_iter().filter(|context| has_template_token(texts.get(*context))).collect();
    let flags_of = |sample: &Sample| {
        let kind = sample.body.kind();
        let is_broken = kind.context().is_some_and(|context| !broken.is_empty() && broken.contains(&context));
        kind.flags(texts).with(Flag::TemplateToken, is_broken)
    };
    samples.par_iter().map(flags_of).collect()
}
