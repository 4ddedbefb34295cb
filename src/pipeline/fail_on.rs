//! `--fail-on`: figures that end a run if they are too high.

use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{CutRecord, Manifest, MixKind, SettingsRecord};
use crate::settings::{FailOn, Limit};
use serde_json::{Map, Value};

/// The figures of each mix: what follows `cut_N.preflight.` in metrics.json.
const OF_EVERY_CUT: [&str; 15] = [
    "dropped",
    "dropped.too_short",
    "dropped.too_long",
    "dropped.no_loss_tokens",
    "dropped.unbalanced_markers",
    "dropped.over_max_tokens_per_gpu",
    "samples",
    "tokens",
    "loss_tokens",
    "steps",
    "steps_per_epoch",
    "tokens_per_step",
    "blocks",
    "micro_batches_at_least",
    "micro_batches_at_most",
];

/// The figure of which low values are bad.
const BALANCE: &str = "balance_percent_at_least";

/// A setting that figures depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    MaxSeqLen,
    MaxTokensPerGpu,
    EffectiveBatchSize,
    BlockSize,
}

impl Need {
    fn flag(self) -> &'static str {
        match self {
            Self::MaxSeqLen => "--max-seq-len",
            Self::MaxTokensPerGpu => "--max-tokens-per-gpu",
            Self::EffectiveBatchSize => "--effective-batch-size",
            Self::BlockSize => "--block-size",
        }
    }

    fn is_met(self, settings: &SettingsRecord) -> bool {
        match self {
            Self::MaxSeqLen => settings.max_seq_len.is_some(),
            Self::MaxTokensPerGpu => settings.max_tokens_per_gpu.is_some(),
            Self::EffectiveBatchSize => settings.effective_batch_size.is_some(),
            Self::BlockSize => settings.block_size.is_some(),
        }
    }
}

/// The settings without which a figure of [`OF_EVERY_CUT`] is not known; `None` if a mix of this kind has no such figure.
fn needs(figure: &str, mix: MixKind) -> Option<&'static [Need]> {
    use Need::{BlockSize, EffectiveBatchSize, MaxSeqLen, MaxTokensPerGpu};
    let needs: &[Need] = match (mix, figure) {
        (MixKind::Chat, "blocks") => return None,
        (MixKind::Chat, "dropped.too_long") => &[MaxSeqLen],
        (MixKind::Chat, "dropped.over_max_tokens_per_gpu") => &[MaxTokensPerGpu],
        (MixKind::Chat, "steps" | "steps_per_epoch" | "tokens_per_step") => &[EffectiveBatchSize],
        (MixKind::Chat, "micro_batches_at_least" | "micro_batches_at_most") => &[EffectiveBatchSize, MaxTokensPerGpu],
        (MixKind::Chat, _) => &[],
        (MixKind::Document, "dropped" | "dropped.over_max_tokens_per_gpu") => &[BlockSize, MaxTokensPerGpu],
        (MixKind::Document, "samples" | "tokens" | "loss_tokens" | "blocks") => &[BlockSize],
        (MixKind::Document, "steps" | "steps_per_epoch" | "tokens_per_step") => &[BlockSize, EffectiveBatchSize],
        (MixKind::Document, "micro_batches_at_least" | "micro_batches_at_most") => {
            &[BlockSize, EffectiveBatchSize, MaxTokensPerGpu]
        }
        (MixKind::Document, _) => return None,
    };
    Some(needs)
}

/// What a percentage of a figure is a share of.
#[derive(Debug, PartialEq, Eq)]
struct Whole {
    /// Its name in metrics.json.
    key: String,
    /// What it counts.
    unit: &'static str,
}

/// Checks the figures of a run against their limits.
///
/// # Errors
/// [`ErrorKind::Usage`] for a name that no figure has, a figure that is not known without other settings, and a percentage without a
/// meaning; [`ErrorKind::Data`] with all figures that are too high.
pub(super) fn check(manifest: &Manifest, metrics: &Map<String, Value>, limits: &[FailOn]) -> Result<()> {
    let mut exceeded = Vec::new();
    for limit in limits {
        for key in keys(manifest, metrics, &limit.name)? {
            // A reason that did not occur, and tokens per step without steps, have no figure.
            let figure = metrics.get(&key).and_then(Value::as_u64).unwrap_or_default();
            match limit.limit {
                Limit::Number(most) if figure > most => exceeded.push(format!("{key} is {figure} (limit: {limit})")),
                Limit::Number(_) => {}
                Limit::Percent(percent) => {
                    let whole = whole(&key, manifest).ok_or_else(|| no_percentage(&limit.name))?;
                    let all = metrics.get(&whole.key).and_then(Value::as_u64).unwrap_or_default();
                    if u128::from(figure) * 100_000_000 > u128::from(percent.millionths()) * u128::from(all) {
                        exceeded.push(format!("{key} is {figure} of {all} {} (limit: {limit})", whole.unit));
                    }
                }
            }
        }
    }
    if exceeded.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Data, exceeded.join("; "))
        .at("--fail-on")
        .hint("change the settings or the data, or raise the limit; nothing was published"))
}

fn usage(message: String) -> Error {
    Error::new(ErrorKind::Usage, message).at("--fail-on")
}

fn no_percentage(name: &str) -> Error {
    usage(format!("a percentage of `{name}` has no meaning")).hint("give a number")
}

/// The mixes that are written, each with the part of its figures' names before the figure.
fn mixes(manifest: &Manifest) -> impl Iterator<Item = (String, &CutRecord)> {
    let main = manifest.cuts.iter().map(|cut| (format!("cut_{}", cut.cut), cut));
    let documents = manifest.document_cuts.iter().map(|cut| (format!("cut_{}.documents", cut.cut), cut));
    main.chain(documents).filter(|(_, cut)| cut.written)
}

/// The figures that a name selects.
fn keys(manifest: &Manifest, metrics: &Map<String, Value>, name: &str) -> Result<Vec<String>> {
    let full = mixes(manifest)
        .find_map(|(prefix, cut)| Some((name.strip_prefix(&prefix)?.strip_prefix(".preflight.")?, cut.mix)));
    let figure = full.map_or(name, |(figure, _)| figure);
    if figure == BALANCE {
        return Err(usage(format!("`{name}` cannot have a limit: low values are what is bad"))
            .hint("limit micro_batches_at_most instead"));
    }
    if !OF_EVERY_CUT.contains(&figure) {
        return match metrics.contains_key(name) {
            true => Ok(vec![name.to_owned()]),
            false => Err(usage(format!(
                "unknown figure `{name}`: expected a name of metrics.json, or one of {}",
                OF_EVERY_CUT.join(", ")
            ))),
        };
    }
    // Only document mixes have blocks: those beside a mix of conversations, too.
    let has_documents = !manifest.document_mixes().is_empty();
    let mix = match full {
        Some((_, mix)) => mix,
        None if figure == "blocks" && has_documents => MixKind::Document,
        None => manifest.main_mix(),
    };
    let needs = needs(figure, mix).ok_or_else(|| {
        let other = match mix {
            MixKind::Chat => "a document mix",
            MixKind::Document => "a mix of conversations",
        };
        usage(format!("`{name}` needs {other}"))
    })?;
    let missing: Vec<&str> =
        needs.iter().filter(|need| !need.is_met(&manifest.settings)).map(|need| need.flag()).collect();
    if !missing.is_empty() {
        return Err(usage(format!("`{name}` needs {}", missing.join(" and "))));
    }
    if full.is_some() {
        return Ok(vec![name.to_owned()]);
    }
    Ok(mixes(manifest)
        .filter(|(_, cut)| cut.mix == mix)
        .map(|(prefix, _)| format!("{prefix}.preflight.{figure}"))
        .collect())
}

/// What a percentage of a figure is a share of: the samples or tokens of its mix, or the rows read; `None` if it has no meaning.
fn whole(key: &str, manifest: &Manifest) -> Option<Whole> {
    let whole = |key: String, unit| Some(Whole { key, unit });
    // Of a document mix, the longer name matches, too.
    let mix = mixes(manifest)
        .filter_map(|(prefix, cut)| Some((key.strip_prefix(&prefix)?.strip_prefix('.')?, prefix, cut.mix)))
        .last();
    let Some((figure, prefix, mix)) = mix else {
        let (of, figure) = match key.strip_prefix("rows.") {
            Some(figure) => ("rows", figure.split('.').next()?),
            None if key.starts_with("sources.") => key.rsplit_once('.')?,
            None => return None,
        };
        return match figure {
            "dropped" | "kept" => whole(format!("{of}.read"), "rows"),
            "flagged" => whole(format!("{of}.kept"), "samples"),
            _ => None,
        };
    };
    let is_reason = figure.contains("dropped.") || figure.contains("left_out.");
    let unit = match figure.rsplit('.').next()? {
        _ if is_reason => "samples",
        "samples" | "distinct" | "dropped" => "samples",
        "tokens" | "loss_tokens" => "tokens",
        _ => return None,
    };
    // All of a mix is not a share of it.
    if figure == unit {
        return None;
    }
    let shown = if unit == "samples" && mix == MixKind::Document { "documents" } else { unit };
    whole(format!("{prefix}.{unit}"), shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;
    use serde_json::json;

    #[test]
    fn figures_above_their_limit_are_named() {
        let (manifest, _) = synthetic::small();
        let cut = manifest.cuts.iter().find(|cut| cut.written).unwrap();
        let mut metrics = Map::new();
        metrics.insert(format!("cut_{}.samples", cut.cut), json!(cut.samples));
        metrics.insert(format!("cut_{}.preflight.dropped", cut.cut), json!(cut.samples / 10));
        metrics.insert("rows.dropped".to_owned(), json!(7));
        let check = |name: &str, limit| check(&manifest, &metrics, &[FailOn { name: name.to_owned(), limit }]);
        check("dropped", Limit::Percent("10".parse().unwrap())).unwrap();
        let error = check("dropped", Limit::Percent("9.5".parse().unwrap())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.line().contains(&format!("of {} samples (limit: dropped=9.5%)", cut.samples)), "{error}");
        check("rows.dropped", Limit::Number(7)).unwrap();
        assert!(check("rows.dropped", Limit::Number(6)).unwrap_err().line().contains("rows.dropped is 7"));
        // A reason that did not occur has no figure.
        check("dropped.too_short", Limit::Number(0)).unwrap();
        assert_eq!(check("droped", Limit::Number(0)).unwrap_err().kind(), ErrorKind::Usage);
    }

    #[test]
    fn every_figure_of_training_has_a_limit_or_a_reason_for_none() {
        for (manifest, statistics) in
            [synthetic::with_recipe(), synthetic::with_documents(), synthetic::only_documents()]
        {
            let metrics = crate::report::metrics::metrics(&manifest, &statistics);
            for figure in metrics.keys().filter_map(|name| Some(name.split_once(".preflight.")?.1)) {
                assert!(figure == BALANCE || OF_EVERY_CUT.contains(&figure), "{figure}");
            }
        }
    }

    #[test]
    fn a_percentage_is_a_share_of_what_contains_it() {
        let (manifest, _) = synthetic::with_documents();
        let cut = manifest.cuts[0].cut;
        for (key, of, unit) in [
            ("rows.dropped", "rows.read", "rows"),
            ("rows.dropped.empty_response", "rows.read", "rows"),
            ("rows.flagged.refusal", "rows.kept", "samples"),
            ("sources.a.b.dropped", "sources.a.b.read", "rows"),
            ("cut_N.preflight.dropped.too_long", "cut_N.samples", "samples"),
            ("cut_N.general.samples", "cut_N.samples", "samples"),
            ("cut_N.training.loss_tokens", "cut_N.tokens", "tokens"),
            ("cut_N.documents.preflight.dropped", "cut_N.documents.samples", "documents"),
            ("cut_N.documents.over_4096.tokens", "cut_N.documents.tokens", "tokens"),
        ] {
            let name = |text: &str| text.replace("cut_N", &format!("cut_{cut}"));
            assert_eq!(whole(&name(key), &manifest), Some(Whole { key: name(of), unit }), "{key}");
        }
        for key in ["samples", "rows.read", "largest_cut", "sources.a.documents"] {
            assert_eq!(whole(key, &manifest), None, "{key}");
        }
        for figure in
            ["samples", "tokens", "preflight.steps", "token_length.max", "documents.samples", "a.shortfall_tokens"]
        {
            assert_eq!(whole(&format!("cut_{cut}.{figure}"), &manifest), None, "{figure}");
        }
    }
}
