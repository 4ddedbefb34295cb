//! Phrases that several reports share.

use super::format::{counted, cut_name, line, thousands};
use super::statistics::{SourceStatistics, Statistics};
use crate::manifest::{CutRecord, Manifest, Measure, MixKind, Preflight};

/// The command that a report belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunKind {
    /// `mix`: the files are written.
    Mix,
    /// `plan`: no file is written.
    Plan,
}

/// What has to be said of counts by the built-in tokenizer.
pub(super) const STAND_IN: &str =
    "tokens were counted with builtin, a stand-in: for real models the counts are 10 to 25% too high";

/// The rule of a source for which the recipe has none: each sample is in the mix once.
pub(super) const DEFAULT_RULE: &str = "once";

/// What the rows of a mix are called.
pub(super) fn rows_of(mix: MixKind) -> &'static str {
    match mix {
        MixKind::Chat => "samples",
        MixKind::Document => "documents",
    }
}

/// A number of rows of a mix: `1 sample`, `2 documents`.
pub(super) fn counted_rows(number: u64, mix: MixKind) -> String {
    match mix {
        MixKind::Chat => counted(number, "sample", "samples"),
        MixKind::Document => counted(number, "document", "documents"),
    }
}

/// What a recipe's targets for a mix count.
pub(super) fn measured(measure: Measure, mix: MixKind) -> &'static str {
    match measure {
        Measure::Tokens => "tokens",
        Measure::Samples => rows_of(mix),
        Measure::LossTokens => "loss tokens",
    }
}

/// The mixes of which the settings say how they are trained, each with its name: a document mix beside one of conversations says so.
pub(super) fn trained_mixes(manifest: &Manifest) -> impl Iterator<Item = (String, &CutRecord, &Preflight)> {
    let main = manifest.cuts.iter().map(|cut| (cut_name(cut.cut), cut));
    let documents = manifest.document_cuts.iter().map(|cut| (format!("{} documents", cut_name(cut.cut)), cut));
    main.chain(documents).filter_map(|(name, cut)| Some((name, cut, cut.preflight.as_ref()?)))
}

/// A sentence for each infeasible cut that says whether it was written.
pub(super) fn infeasible_cuts(manifest: &Manifest, run: RunKind) -> impl Iterator<Item = String> {
    manifest.cuts.iter().filter(|cut| !cut.feasible).map(move |cut| {
        let consequence = match (cut.written, run) {
            (true, RunKind::Mix) => "but was written anyway",
            (true, RunKind::Plan) => "but would be written anyway",
            (false, RunKind::Mix) => "and was not written",
            (false, RunKind::Plan) => "and would not be written",
        };
        format!("cut {} is not feasible {consequence}", cut_name(cut.cut))
    })
}

/// The figures that decide feasibility: a cut N needs an average of N summaries per raw document in each of these sources.
pub(super) fn average_summaries(statistics: &Statistics) -> Option<String> {
    let average =
        |source: &SourceStatistics| Some(format!("{} {:.1}", line(&source.name), source.average_summaries()?));
    let averages: Vec<String> = statistics.sources.iter().filter_map(average).collect();
    (!averages.is_empty()).then(|| format!("average summaries per document: {}", averages.join(", ")))
}

/// Says that a mix of conversations is not a document mix, if a trainer could take it for one: its rows have a column `document`.
pub(super) fn not_documents(manifest: &Manifest) -> Option<String> {
    let is_written = manifest.cuts.iter().any(|cut| cut.written);
    if manifest.main_mix() != MixKind::Chat || manifest.settings.columns != "full" || !is_written {
        return None;
    }
    let how = if manifest.document_cuts.is_empty() { " (write them with --documents)" } else { "" };
    Some(format!(
        "A file without .cpt in its name holds conversations: with is_pretraining=True, a trainer would read its column document \
         instead, which repeats each summary for each of its pairs. For continued pretraining, use the .cpt files{how}"
    ))
}

/// What a trainer drops of a mix and why, and how its samples are packed, a line each.
pub(super) fn preflight_notes(cut: &str, preflight: &Preflight) -> impl Iterator<Item = String> {
    let dropped: Vec<String> =
        preflight.dropped.iter().map(|(reason, samples)| format!("{} {}", thousands(*samples), line(reason))).collect();
    let dropped =
        (!dropped.is_empty()).then(|| format!("dropped by the trainer from cut {cut}: {}", dropped.join(", ")));
    let packing = preflight.micro_batches.map(|[at_least, at_most]| {
        let balance = preflight.balance_percent.unwrap_or_default();
        format!(
            "cut {cut}: {} to {} micro-batches per GPU and epoch (a bound: the trainer shuffles), GPUs balanced to at least {balance}%",
            thousands(at_least),
            thousands(at_most),
        )
    });
    let blocks = preflight.blocks.map(|blocks| format!("cut {cut}: {}", counted(blocks, "block", "blocks")));
    [dropped, blocks, packing].into_iter().flatten()
}

/// The calls of training_hub that train the mixes of the largest cut as the settings say, ready to paste; none if they do not say it.
pub(super) fn training_calls(manifest: &Manifest) -> Vec<String> {
    let Some(cut) = trained_mixes(manifest).map(|(_, cut, _)| cut.cut).max() else { return Vec::new() };
    let settings = &manifest.settings;
    let has_chats = manifest.main_mix() == MixKind::Chat;
    let suffix = match settings.compression.as_str() {
        "gzip" => ".gz",
        "zstd" => ".zst",
        _ => "",
    };
    // The length that a trainer is given: of a conversation, or of a block of documents.
    let numbers = |length: (&str, Option<u32>)| -> String {
        let given = [
            length,
            ("max_tokens_per_gpu", settings.max_tokens_per_gpu),
            ("effective_batch_size", settings.effective_batch_size),
            ("nproc_per_node", settings.gpus),
            ("num_epochs", settings.epochs),
        ];
        given.into_iter().filter_map(|(name, value)| Some(format!(", {name}={}", value?))).collect()
    };
    let has = |format: &str| settings.formats.iter().any(|known| known == format);
    let mut calls = Vec::new();
    if has("messages") && !manifest.document_mixes().is_empty() {
        let numbers = numbers(("block_size", settings.block_size));
        calls.push(format!(
            "training_hub: sft(..., data_path=\"combined_cut_{cut}x.cpt.jsonl{suffix}\", is_pretraining=True{numbers})"
        ));
    }
    if has("messages") && has_chats {
        let numbers = numbers(("max_seq_len", settings.max_seq_len));
        calls.push(format!("training_hub: sft(..., data_path=\"combined_cut_{cut}x.jsonl{suffix}\"{numbers})"));
    }
    if has("tokens") && has_chats {
        let numbers = numbers(("max_seq_len", settings.max_seq_len));
        calls.push(format!(
            "training_hub: osft(..., data_path=\"combined_cut_{cut}x.tokens.jsonl{suffix}\", use_processed_dataset=True{numbers})"
        ));
    }
    if !suffix.is_empty() && !calls.is_empty() {
        calls.push("training_hub reads only plain .jsonl files: write the mix with --compression none".to_owned());
    }
    calls
}
