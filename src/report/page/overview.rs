//! The first screen: what the owner of a training run asks first.

use crate::manifest::{CutRecord, Manifest, MixKind};
use crate::report::format::{counted, cut_name, line, percent, size, thousands};
use crate::report::statistics::{CutStatistics, Statistics};
use crate::tokens::BUILTIN;
use minijinja::context;
use minijinja::value::Value;
use std::collections::BTreeMap;

/// The sequence length that samples are compared with if the reader gave none, in tokens.
const COMMON_LIMIT: u32 = 4096;

/// What the run was made of.
pub(super) fn facts(manifest: &Manifest) -> Value {
    // Several sources can share a file.
    let files: BTreeMap<&str, u64> = manifest.inputs.iter().map(|input| (input.digest.as_str(), input.bytes)).collect();
    let sources = manifest.sources.iter().filter(|source| source.read > 0 && source.made_of.is_empty()).count();
    let cut = |cut: &CutRecord| {
        let name = cut_name(cut.cut);
        match (cut.written, cut.feasible) {
            (true, true) => name,
            (true, false) => format!("{name} (not feasible, written anyway)"),
            (false, _) => format!("{name} (not written)"),
        }
    };
    context! {
        model => line(&manifest.tokenizer.name),
        is_stand_in => manifest.tokenizer.name == BUILTIN,
        seed => manifest.settings.seed.to_string(),
        inputs => format!(
            "{} of {}, {}",
            counted(files.len() as u64, "file", "files"),
            counted(sources as u64, "source", "sources"),
            size(files.values().sum()),
        ),
        cuts => manifest.cuts.iter().map(cut).collect::<Vec<_>>().join(", "),
    }
}

/// A figure of the first screen.
#[derive(Debug, Default)]
struct Tile {
    title: String,
    /// The metric that is shown; if there is none, `text`.
    metric: Option<String>,
    text: String,
    /// What the figure means, or how to get it.
    note: String,
    /// Whether the reader should look at it.
    is_warning: bool,
}

impl Tile {
    fn metric(title: &str, metric: String, note: String) -> Self {
        Self { title: title.to_owned(), metric: Some(metric), note, ..Self::default() }
    }

    fn view(self) -> Value {
        let Self { title, metric, text, note, is_warning } = self;
        context! { title, metric, text, note, is_warning }
    }
}

/// The figures of the largest cut; empty if none was written.
pub(super) fn tiles(manifest: &Manifest, statistics: &Statistics) -> Vec<Value> {
    let Some(cut) = statistics.cuts.last() else { return Vec::new() };
    let Some(record) = manifest.cut(cut.cut) else { return Vec::new() };
    let tokens = match cut.samples() {
        0 => String::new(),
        samples => format!("{} per sample on average", thousands(cut.tokens() / samples)),
    };
    let samples = if manifest.main_mix() == MixKind::Document { "Documents" } else { "Samples" };
    let tiles = [
        Some(Tile::metric(samples, "samples".to_owned(), held_out(record))),
        Some(Tile::metric("Tokens", "tokens".to_owned(), tokens)),
        Some(trained_tokens(record, cut.tokens())),
        Some(beyond(manifest, record, cut)),
        dropped_documents(manifest),
        Some(steps(record)),
        short_documents(statistics, cut.cut),
        Some(broken(manifest)),
    ];
    tiles.into_iter().flatten().map(Tile::view).collect()
}

fn held_out(record: &CutRecord) -> String {
    match record.validation_samples {
        Some(samples) => format!("and {} held out for validation", thousands(samples)),
        None => format!("of cut {}, copies included", cut_name(record.cut)),
    }
}

/// The tokens that count for the loss, as a share of all tokens of the cut.
fn trained_tokens(record: &CutRecord, tokens: u64) -> Tile {
    let title = "Trained tokens";
    let of = |loss: u64| format!("{} of all tokens count for the loss", percent(loss, tokens));
    if let Some(preflight) = &record.preflight {
        let note = of(preflight.loss_tokens);
        return Tile::metric(title, format!("cut_{}.preflight.loss_tokens", record.cut), note);
    }
    match record.training() {
        Some(training) => {
            Tile::metric(title, format!("cut_{}.training.loss_tokens", record.cut), of(training.loss_tokens))
        }
        None => Tile {
            title: title.to_owned(),
            text: "not counted".to_owned(),
            note: "counted with --max-seq-len".to_owned(),
            ..Tile::default()
        },
    }
}

/// The share of samples that the trainer drops, or that are longer than the sequence length.
fn beyond(manifest: &Manifest, record: &CutRecord, cut: &CutStatistics) -> Tile {
    let samples = cut.samples();
    if let Some(dropped) = record.preflight.as_ref().map(|preflight| preflight.dropped_samples()) {
        let metric = format!("cut_{}.preflight.dropped", record.cut);
        let note = format!("{} of the samples", percent(dropped, samples));
        return Tile { is_warning: dropped > 0, ..Tile::metric("Dropped by the trainer", metric, note) };
    }
    let own = manifest.settings.max_seq_len;
    let limit = own.unwrap_or(COMMON_LIMIT);
    let longer = cut.lengths().longer_than(limit).samples;
    Tile {
        title: format!("Longer than {}", thousands(u64::from(limit))),
        text: percent(longer, samples),
        note: match own {
            Some(_) => format!("{} of the samples", thousands(longer)),
            None => "of the samples; your sequence length: --max-seq-len".to_owned(),
        },
        is_warning: longer > 0 && own.is_some(),
        ..Tile::default()
    }
}

/// The documents that the trainer drops of a document mix beside that of conversations; `None` if it drops none.
fn dropped_documents(manifest: &Manifest) -> Option<Tile> {
    let record = manifest.document_cuts.iter().rfind(|record| record.written)?;
    let dropped = record.preflight.as_ref()?.dropped_samples();
    let metric = format!("cut_{}.documents.preflight.dropped", record.cut);
    let note = format!("{} of the documents", percent(dropped, record.samples));
    (dropped > 0).then(|| Tile { is_warning: true, ..Tile::metric("Documents dropped", metric, note) })
}

fn steps(record: &CutRecord) -> Tile {
    let title = "Steps per epoch";
    match record.preflight.as_ref().and_then(|preflight| preflight.steps) {
        Some(steps) => {
            let note = format!("{} in all", counted(steps, "step", "steps"));
            Tile::metric(title, format!("cut_{}.preflight.steps_per_epoch", record.cut), note)
        }
        None => Tile {
            title: title.to_owned(),
            text: "unknown".to_owned(),
            note: "known with --effective-batch-size".to_owned(),
            ..Tile::default()
        },
    }
}

/// The raw documents that have fewer summaries than a cut takes; `None` without summary sources.
fn short_documents(statistics: &Statistics, cut: u32) -> Option<Tile> {
    // A document is short if it is in any source.
    let mut fewest: BTreeMap<u32, u32> = BTreeMap::new();
    for document in statistics.sources.iter().flat_map(|source| &source.documents) {
        let summaries = fewest.entry(document.number).or_insert(document.summaries);
        *summaries = document.summaries.min(*summaries);
    }
    let (all, short) = (fewest.len(), fewest.values().filter(|summaries| **summaries < cut).count());
    (all > 0).then(|| Tile {
        title: "Documents with too few summaries".to_owned(),
        text: thousands(short as u64),
        note: format!("of {}, for cut {}", thousands(all as u64), cut_name(cut)),
        is_warning: short > 0,
        ..Tile::default()
    })
}

fn broken(manifest: &Manifest) -> Tile {
    let (flagged, kept) =
        manifest.judged().fold((0, 0), |(flagged, kept), source| (flagged + source.flagged, kept + source.kept));
    if manifest.main_mix() == MixKind::Document {
        let note = "documents with control tokens of chat templates".to_owned();
        return Tile { is_warning: flagged > 0, ..Tile::metric("Flagged documents", "rows.flagged".to_owned(), note) };
    }
    let note = match flagged {
        0 => "no sign of a broken question or answer".to_owned(),
        _ => {
            format!("signs of a broken question or answer, in {} of the rows kept", percent(flagged, kept.max(flagged)))
        }
    };
    Tile { is_warning: flagged > 0, ..Tile::metric("Flagged samples", "rows.flagged".to_owned(), note) }
}
