//! Stage 4: encodes the rows of every mix.

use super::context::Context;
use super::plan::MixPlan;
use super::survey::Survey;
use crate::error::{Error, ErrorKind, Result};
use crate::excerpt::excerpt_of_list;
use crate::manifest::{MixKind, OutputFile, OutputKind};
use crate::mixing::{CutPlan, Reader, Row, TrainedSize, most_copies, source_ranges, trained_sizes};
use crate::output::{FileRows, RowsFile, Training, WriteOptions, WriteSource, write_rows};
use crate::progress::ProgressUnit;
use crate::recipe::{Columns, Format, Source};
use crate::sample::row_layout;
use crate::settings::Settings;
use crate::storage::Publication;
use crate::tokens::{ChatTemplate, DocumentEncoder, TrainingEncoder};
use std::sync::Arc;

/// How mixes are written.
#[derive(Debug, Clone)]
pub(crate) struct WriteMixOptions {
    /// The columns of a row of messages.
    pub(crate) columns: Columns,
    /// The formats of each mix.
    pub(crate) formats: Vec<Format>,
    /// Whether rows of tokens have `attention_mask`.
    pub(crate) attention_mask: bool,
    /// The sequence length at which the trainer drops samples.
    pub(crate) max_seq_len: Option<u32>,
    /// How files are written.
    pub(crate) files: WriteOptions,
}

impl WriteMixOptions {
    /// The options of a run with these settings.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            columns: settings.columns,
            formats: settings.formats.clone(),
            attention_mask: settings.attention_mask,
            max_seq_len: settings.max_seq_len,
            files: WriteOptions { compression: settings.compression, order: settings.order, seed: settings.seed },
        }
    }
}

/// What encodes samples for the trainer; files of tokens need it.
pub(super) struct Encoding {
    pub(super) conversations: Option<(Arc<ChatTemplate>, TrainingEncoder)>,
    pub(super) documents: Option<DocumentEncoder>,
}

/// Writes the files of all mixes under staging names; returns what the manifest says of them.
///
/// # Errors
/// If a file cannot be written, or the trainer would leave out every sample of one.
pub(crate) async fn write_mix(
    sources: Vec<Source>,
    survey: Survey,
    plan: MixPlan,
    encoding: Encoding,
    options: WriteMixOptions,
    publication: &Publication,
    context: &Context,
) -> Result<Vec<OutputFile>> {
    let Survey { samples, texts, .. } = survey;
    let MixPlan { rows, mut plans, document_plans, .. } = plan;
    plans.extend(document_plans);
    let (files, outputs): (Vec<RowsFile>, Vec<OutputRows>) = files(&plans, &rows, sources.len(), &options)?;
    let file_options = options.files;
    let preparing = move |context: &Context| {
        let most_copies = context.pool.install(|| most_copies(&rows, &plans));
        let kept = || {
            rows.iter().map(|row| {
                let mix = sources[row.record.source as usize].kind.mix();
                Reader { mix, max_seq_len: options.max_seq_len }.left_out(&row.record).is_none()
            })
        };
        let training = encoding.conversations.map(|(template, encoder)| Training {
            template,
            encoder,
            kept: (0..).zip(kept()).filter_map(|(at, kept)| kept.then_some(at)).collect(),
            attention_mask: options.attention_mask,
        });
        let layout = row_layout(options.columns, &sources, &samples, &texts);
        if let Some(keys) = layout.too_many_keys() {
            let (more, names) = (keys.len() - 1, excerpt_of_list(keys));
            context.warnings.warn(format!(
                "messages have more than {more} different keys ({names}); `datasets` makes a column of each, in every row"
            ));
        }
        Ok(WriteSource {
            layout,
            sources,
            samples,
            texts,
            token_lengths: rows.iter().map(|row: &Row| row.record.tokens).collect(),
            training,
            documents: encoding.documents,
            source_ranges: source_ranges(&rows),
            most_copies,
            plans,
        })
    };
    let source = Arc::new(context.compute("preparing rows", preparing).await?);
    let total = source.most_copies.iter().map(|&copies| u64::from(copies)).sum();
    let bar = context.progress.bar("writing", total, ProgressUnit::Rows);
    let staged = write_rows(&source, &files, file_options, publication, &context.pool, &bar.counter()).await?;
    let output = |(output, file): (OutputRows, crate::storage::StagedFile)| OutputFile {
        name: file.name,
        kind: output.kind,
        mix: output.mix,
        cut: Some(output.cut),
        format: Some(output.format.name().to_owned()),
        rows: Some(output.rows),
        tokens: Some(output.tokens),
        loss_tokens: output.loss_tokens,
        bytes: file.bytes,
        digest: file.digest,
    };
    Ok(outputs.into_iter().zip(staged).map(output).collect())
}

/// What the manifest says of the rows of one output file.
struct OutputRows {
    kind: OutputKind,
    mix: MixKind,
    cut: u32,
    format: Format,
    rows: u64,
    tokens: u64,
    loss_tokens: Option<u64>,
}

/// The files of all cuts: each mix, and its validation file if anything is held out, in each format.
fn files(
    plans: &[CutPlan],
    rows: &[Row],
    sources: usize,
    options: &WriteMixOptions,
) -> Result<(Vec<RowsFile>, Vec<OutputRows>)> {
    let mut files = Vec::new();
    for (number, plan) in plans.iter().enumerate() {
        let cut = plan.cut;
        let copies = |at: usize, source: u32| plan.copies(at, source);
        let held_out = |at: usize, _: u32| u32::from(plan.is_validation(at));
        let mix_kind = plan.mix;
        let reader = Reader { mix: mix_kind, max_seq_len: options.max_seq_len };
        let stem = match mix_kind {
            MixKind::Chat => format!("combined_cut_{cut}x"),
            MixKind::Document => format!("combined_cut_{cut}x.cpt"),
        };
        let validation = format!("{stem}.validation");
        for &format in &options.formats {
            let sizes: [Option<TrainedSize>; 2] = match format.is_tokens() && mix_kind == MixKind::Chat {
                true => [
                    Some(trained_sizes(rows, sources, reader, copies).into_iter().sum()),
                    Some(trained_sizes(rows, sources, reader, held_out).into_iter().sum()),
                ],
                false => [None, None],
            };
            let [of_mix, of_validation] = sizes;
            if let Some(size) = of_mix.as_ref().filter(|size| size.samples == 0) {
                return Err(nothing_to_train(cut, size));
            }
            let mix = (OutputKind::Mix, &stem, FileRows::Mix(number), plan.actual(), of_mix);
            let validation =
                (OutputKind::Validation, &validation, FileRows::Validation(number), plan.validation(), of_validation);
            for (kind, stem, rows, size, trained) in [mix, validation] {
                let (samples, tokens, loss_tokens) = match trained {
                    Some(trained) => (trained.samples, trained.tokens, Some(trained.loss_tokens)),
                    None => (size.samples, size.tokens, None),
                };
                if samples > 0 {
                    let file = RowsFile { stem: stem.clone(), format, mix: mix_kind, rows };
                    files.push((
                        file,
                        OutputRows { kind, mix: mix_kind, cut, format, rows: samples, tokens, loss_tokens },
                    ));
                }
            }
        }
    }
    Ok(files.into_iter().unzip())
}

/// The error for a file of tokens without rows, which trainers refuse.
fn nothing_to_train(cut: u32, size: &TrainedSize) -> Error {
    let reasons = size.left_out.iter().map(|(reason, samples)| format!("{samples} {}", reason.reason()));
    let reasons = reasons.collect::<Vec<_>>().join(", ");
    Error::new(ErrorKind::Data, format!("cut {cut}: the trainer would leave out every sample: {reasons}"))
        .hint("raise --max-seq-len, or check the chat template and the answers")
}
