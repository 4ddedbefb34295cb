//! Stage 4: encodes the rows of every mix.

use super::context::Context;
use super::plan::MixPlan;
use super::survey::Survey;
use crate::error::Result;
use crate::manifest::{OutputFile, OutputKind};
use crate::mixing::{Row, most_copies, source_ranges};
use crate::output::{FileRows, Format, RowsFile, WriteOptions, WriteSource, write_rows};
use crate::progress::ProgressUnit;
use crate::recipe::{Columns, Source};
use crate::sample::row_layout;
use crate::settings::Settings;
use crate::storage::Publication;
use std::sync::Arc;

/// How mixes are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteMixOptions {
    /// The columns of a row.
    pub(crate) columns: Columns,
    /// How files are written.
    pub(crate) files: WriteOptions,
}

impl WriteMixOptions {
    /// The options of a run with these settings.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            columns: settings.columns,
            files: WriteOptions {
                format: Format::MessagesJsonl,
                compression: settings.compression,
                order: settings.order,
                seed: settings.seed,
            },
        }
    }
}

/// Writes the files of all mixes under staging names; returns what the manifest says of them.
///
/// # Errors
/// If a file cannot be written.
pub(crate) async fn write_mix(
    sources: Vec<Source>,
    survey: Survey,
    plan: MixPlan,
    options: WriteMixOptions,
    publication: &Publication,
    context: &Context,
) -> Result<Vec<OutputFile>> {
    let Survey { samples, texts, .. } = survey;
    let MixPlan { rows, plans, .. } = plan;
    let (files, outputs): (Vec<RowsFile>, Vec<OutputRows>) =
        (0..plans.len()).flat_map(|number| files_of_cut(&plans[number], number)).unzip();
    let preparing = move |context: &Context| {
        let most_copies = context.pool.install(|| most_copies(&rows, &plans));
        Ok(WriteSource {
            layout: row_layout(options.columns, &sources, &samples, &texts),
            sources,
            samples,
            texts,
            token_lengths: rows.iter().map(|row: &Row| row.record.tokens).collect(),
            source_ranges: source_ranges(&rows),
            most_copies,
            plans,
        })
    };
    let source = Arc::new(context.compute("preparing rows", preparing).await?);
    let total = source.most_copies.iter().map(|&copies| u64::from(copies)).sum();
    let bar = context.progress.bar("writing", total, ProgressUnit::Rows);
    let staged = write_rows(&source, files, options.files, publication, &context.pool, &bar.counter()).await?;
    let output = |(output, file): (OutputRows, crate::storage::StagedFile)| OutputFile {
        name: file.name,
        kind: output.kind,
        cut: Some(output.cut),
        rows: Some(output.rows),
        tokens: Some(output.tokens),
        bytes: file.bytes,
        digest: file.digest,
    };
    Ok(outputs.into_iter().zip(staged).map(output).collect())
}

/// The rows of one output file.
struct OutputRows {
    kind: OutputKind,
    cut: u32,
    rows: u64,
    tokens: u64,
}

/// The files of one cut: its mix, and its validation file if anything is held out.
fn files_of_cut(plan: &crate::mixing::CutPlan, number: usize) -> Vec<(RowsFile, OutputRows)> {
    let cut = plan.cut;
    let mix = (OutputKind::Mix, format!("combined_cut_{cut}x"), FileRows::Mix(number), plan.actual());
    let validation = (
        OutputKind::Validation,
        format!("combined_cut_{cut}x.validation"),
        FileRows::Validation(number),
        plan.validation(),
    );
    [mix, validation]
        .into_iter()
        .filter(|(.., size)| size.samples > 0)
        .map(|(kind, stem, rows, size)| {
            (RowsFile { stem, rows }, OutputRows { kind, cut, rows: size.samples, tokens: size.tokens })
        })
        .collect()
}
