//! Compares the figures of a manifest with those of the rows, and with each other.

use super::tally::Tally;
use crate::manifest::{CutRecord, Manifest, Measure, MixKind, OutputFile, OutputKind, Preflight, ShareRecord};
use crate::mixing::{
    OVER_MAX_TOKENS_PER_GPU, PreflightOptions, PreflightSums, preflight_of_documents, preflight_of_sums,
};
use crate::recipe::Format;
use serde_json::Value;
use std::fmt::Display;

/// How many differences are listed; the rest is counted.
const MAX_LINES: usize = 1000;

/// No figure of a mix comes near this: with larger ones, nothing is computed.
const MAX_FIGURE: u64 = 1 << 48;

/// A file of samples, its format, and what its rows come to.
pub(super) type TalliedFile<'m> = (&'m OutputFile, Format, Tally);

/// The differences found so far, one per line.
#[derive(Debug, Default)]
pub(super) struct Differences {
    lines: Vec<String>,
    more: usize,
}

impl Differences {
    pub(super) fn add(&mut self, line: String) {
        match self.lines.len() < MAX_LINES {
            true => self.lines.push(line),
            false => self.more += 1,
        }
    }

    /// Compares a recorded figure with what was found.
    pub(super) fn equal(&mut self, place: impl Display, figure: &str, recorded: u64, found: u64) {
        if recorded != found {
            self.add(format!("{place}: {figure}: expected {recorded}, found {found}"));
        }
    }

    pub(super) fn into_lines(mut self) -> Vec<String> {
        if self.more > 0 {
            self.lines.push(format!("and {} more", self.more));
        }
        self.lines
    }
}

/// Compares a manifest with the rows of its files.
pub(super) fn compare(manifest: &Manifest, files: &[TalliedFile<'_>], differences: &mut Differences) {
    for (file, _, tally) in files {
        compare_file(file, tally, differences);
    }
    compare_sources(manifest, differences);
    let sizes = |cuts: &[CutRecord]| cuts.iter().map(|cut| cut.cut).collect::<Vec<_>>();
    for cuts in [&manifest.cuts, &manifest.document_cuts].into_iter().filter(|cuts| !cuts.is_empty()) {
        if sizes(cuts) != manifest.settings.cut_sizes {
            let (recorded, found) = (&manifest.settings.cut_sizes, sizes(cuts));
            differences.add(format!("manifest.json: settings.cut_sizes: expected {recorded:?}, found {found:?}"));
        }
    }
    for cut in manifest.cuts.iter().chain(&manifest.document_cuts) {
        let of_cut: Vec<&TalliedFile<'_>> =
            files.iter().filter(|(file, ..)| file.cut == Some(cut.cut) && file.mix == cut.mix).collect();
        compare_cut(manifest, cut, &of_cut, differences);
    }
}

/// Compares the figures of one file.
fn compare_file(file: &OutputFile, tally: &Tally, differences: &mut Differences) {
    let name = &file.name;
    for example in &tally.examples {
        differences.add(format!("{name}: {example}"));
    }
    if tally.wrong > tally.examples.len() as u64 {
        differences.add(format!("{name}: {} rows are wrong in all", tally.wrong));
    }
    let is_of_cut = file.cut.is_some_and(|cut| name.starts_with(&format!("combined_cut_{cut}x.")));
    if !is_of_cut {
        let cut = file.cut.map_or_else(|| "none".to_owned(), |cut| cut.to_string());
        differences.add(format!("{name}: cut: expected {cut}, found that of the name"));
    }
    // Rows that are wrong have no figures.
    if tally.wrong > 0 {
        return;
    }
    let loss_tokens = Some(tally.loss_tokens).filter(|tokens| *tokens > 0 || file.loss_tokens.is_some());
    let figures = [
        ("rows", file.rows, Some(tally.rows)),
        ("tokens", file.tokens, Some(tally.lengths().tokens())),
        ("loss_tokens", file.loss_tokens, loss_tokens),
    ];
    for (figure, recorded, found) in figures {
        match (recorded, found) {
            (Some(recorded), Some(found)) => differences.equal(name, figure, recorded, found),
            (None, Some(found)) => differences.add(format!("{name}: {figure}: expected none, found {found}")),
            (_, None) => {}
        }
    }
}

/// Compares the row counts of sources with each other and with those of the input files.
fn compare_sources(manifest: &Manifest, differences: &mut Differences) {
    for source in &manifest.sources {
        let place = format!("manifest.json: source {}", source.name.escape_debug());
        let found = total(source.dropped.values().copied().chain([source.kept]));
        differences.equal(&place, "read (kept and dropped)", source.read, found);
        // With conditions of a recipe, sources share the rows of their files.
        if manifest.settings.recipe.is_none() && source.made_of.is_empty() {
            let rows = total(manifest.inputs.iter().filter(|file| file.source == source.name).map(|file| file.rows));
            differences.equal(&place, "read (rows of its files)", source.read, rows);
        }
    }
}

fn compare_cut(manifest: &Manifest, cut: &CutRecord, files: &[&TalliedFile<'_>], differences: &mut Differences) {
    let place = match cut.mix {
        MixKind::Chat => format!("manifest.json: cut {}", cut.cut),
        MixKind::Document => format!("manifest.json: cut {} documents", cut.cut),
    };
    let of_kind = |kind: OutputKind| files.iter().filter(move |(file, ..)| file.kind == kind);
    if cut.written != of_kind(OutputKind::Mix).next().is_some() {
        differences.add(format!("{place}: written: expected {}, found {}", cut.written, !cut.written));
    }
    for (figure, recorded, found) in [
        ("samples", cut.samples, total(cut.sources.iter().map(|share| share.samples))),
        ("tokens", cut.tokens, total(cut.sources.iter().map(|share| share.tokens))),
    ] {
        differences.equal(&place, &format!("{figure} (of its sources)"), recorded, found);
    }
    // The rows of a file of tokens are what the trainer makes of the samples.
    for (file, format, tally) in of_kind(OutputKind::Mix) {
        match format.is_tokens() && cut.mix == MixKind::Chat {
            true => compare_training(&place, cut, tally, differences),
            false => {
                let found = tally.lengths();
                differences.equal(&place, &format!("samples (of {})", file.name), cut.samples, found.samples());
                differences.equal(&place, &format!("tokens (of {})", file.name), cut.tokens, found.tokens());
                // The token ids of documents do not say where they are from.
                if !format.is_tokens() {
                    compare_shares(&place, cut, tally, differences);
                }
            }
        }
    }
    let validation = of_kind(OutputKind::Validation);
    for (file, _, tally) in validation.filter(|(_, format, _)| !format.is_tokens() || cut.mix == MixKind::Document) {
        let (found, of_file) = (tally.lengths(), format!("(of {})", file.name));
        let recorded = [cut.validation_samples, cut.validation_tokens].map(Option::unwrap_or_default);
        differences.equal(&place, &format!("validation_samples {of_file}"), recorded[0], found.samples());
        differences.equal(&place, &format!("validation_tokens {of_file}"), recorded[1], found.tokens());
    }
    for share in &cut.sources {
        compare_share(&format!("{place}, source {}", share.name.escape_debug()), share, differences);
    }
    if let Some(preflight) = &cut.preflight {
        let tokens = of_kind(OutputKind::Mix).find(|(_, format, _)| format.is_tokens()).map(|(.., tally)| tally);
        compare_preflight(manifest, &place, cut, preflight, tokens, differences);
    }
}

/// Compares what the trainer gets of a mix with a file of tokens.
fn compare_training(place: &str, cut: &CutRecord, tally: &Tally, differences: &mut Differences) {
    let training = cut.training().unwrap_or_default();
    let found = tally.lengths();
    differences.equal(place, "training.samples", training.samples, found.samples());
    differences.equal(place, "training.tokens", training.tokens, found.tokens());
    differences.equal(place, "training.loss_tokens", training.loss_tokens, tally.loss_tokens);
}

/// Compares the shares of sources with a file of texts.
fn compare_shares(place: &str, cut: &CutRecord, tally: &Tally, differences: &mut Differences) {
    let distinct = |place: &str, recorded: u64, samples: u64, contents: usize, differences: &mut Differences| {
        // Samples with the same content are distinct, unless duplicates are dropped.
        if recorded < contents as u64 || recorded > samples {
            differences
                .add(format!("{place}: distinct: expected {recorded}, found {contents} contents in {samples} rows"));
        }
    };
    if !tally.names_sources() {
        let recorded = total(cut.sources.iter().map(|share| share.distinct));
        let contents = tally.sources.values().map(|source| source.contents.len()).sum();
        distinct(place, recorded, tally.lengths().samples(), contents, differences);
        return;
    }
    for share in &cut.sources {
        let place = format!("{place}, source {}", share.name.escape_debug());
        let found = tally.sources.get(&share.name);
        let lengths = found.map(|source| source.lengths.clone()).unwrap_or_default();
        differences.equal(&place, "samples", share.samples, lengths.samples());
        differences.equal(&place, "tokens", share.tokens, lengths.tokens());
        let contents = found.map_or(0, |source| source.contents.len());
        distinct(&place, share.distinct, lengths.samples(), contents, differences);
    }
}

/// Compares the figures of a source's share with each other.
fn compare_share(place: &str, share: &ShareRecord, differences: &mut Differences) {
    if let Some(training) = &share.training {
        let found = total(training.left_out.values().copied().chain([training.samples]));
        differences.equal(place, "samples (trained and left out)", share.samples, found);
    }
    if let Some(requested) = &share.requested {
        let found = match requested.measure {
            Measure::Tokens => Some(share.tokens),
            Measure::Samples => Some(share.samples),
            Measure::LossTokens => share.training.as_ref().map(|training| training.loss_tokens),
        };
        if let Some(found) = found {
            differences.equal(place, "requested.actual", requested.actual, found);
        }
    }
}

/// Computes again what a trainer will do with a mix: from a file of tokens, or else from what the manifest says of its samples.
fn compare_preflight(
    manifest: &Manifest,
    place: &str,
    cut: &CutRecord,
    recorded: &Preflight,
    tokens: Option<&Tally>,
    differences: &mut Differences,
) {
    let settings = &manifest.settings;
    let options = PreflightOptions {
        max_seq_len: settings.max_seq_len,
        max_tokens_per_gpu: settings.max_tokens_per_gpu,
        effective_batch_size: settings.effective_batch_size,
        gpus: settings.gpus,
        epochs: settings.epochs,
        block_size: settings.block_size,
    };
    let divisors =
        [options.max_tokens_per_gpu, options.effective_batch_size, options.gpus, options.epochs, options.block_size];
    let over = recorded.dropped.get(OVER_MAX_TOKENS_PER_GPU).copied().unwrap_or_default();
    let figures = [recorded.samples, recorded.tokens, recorded.loss_tokens, over, cut.samples, cut.tokens];
    if divisors.contains(&Some(0)) || figures.iter().any(|figure| *figure > MAX_FIGURE) {
        differences
            .add(format!("{place}: preflight: expected settings of at least 1 and figures of at most {MAX_FIGURE}"));
        return;
    }
    let found = match cut.mix {
        MixKind::Document => preflight_of_documents(cut.samples, cut.tokens, &options),
        MixKind::Chat => {
            let mut left_out = recorded.dropped.clone();
            left_out.remove(OVER_MAX_TOKENS_PER_GPU);
            if let Some(training) = cut.training() {
                left_out = training.left_out;
            }
            let of_manifest = PreflightSums {
                samples: recorded.samples,
                tokens: recorded.tokens,
                loss_tokens: recorded.loss_tokens,
                over,
            };
            let sums = tokens.map_or(of_manifest, |tally| sums_of(tally, options.max_tokens_per_gpu));
            let placed = total(left_out.values().copied().chain([sums.samples, sums.over]));
            differences.equal(place, "samples (trained and dropped)", cut.samples, placed);
            preflight_of_sums(sums, left_out, &options)
        }
    };
    let json = |preflight: &Preflight| serde_json::to_value(preflight).unwrap_or_default();
    compare_values(&format!("{place}: preflight"), &json(recorded), &json(&found), differences);
}

/// What of a file of tokens fits into a GPU.
fn sums_of(tally: &Tally, max_tokens_per_gpu: Option<u32>) -> PreflightSums {
    let mut sums = PreflightSums { loss_tokens: tally.fitting_loss_tokens, ..PreflightSums::default() };
    for (length, samples) in tally.lengths().iter() {
        if max_tokens_per_gpu.is_some_and(|most| length > most) {
            sums.over += samples;
        } else {
            sums.samples += samples;
            sums.tokens += u64::from(length) * samples;
        }
    }
    sums
}

/// Compares all values of two objects.
fn compare_values(place: &str, recorded: &Value, found: &Value, differences: &mut Differences) {
    match (recorded, found) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                compare_values(&format!("{place}.{}", name.escape_debug()), &recorded[name], &found[name], differences);
            }
        }
        _ if recorded == found => {}
        _ => differences.add(format!("{place}: expected {recorded}, found {found}")),
    }
}

/// A sum of figures that may be anything.
fn total(figures: impl IntoIterator<Item = u64>) -> u64 {
    figures.into_iter().fold(0, u64::saturating_add)
}
