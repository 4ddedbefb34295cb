//! The values that the page's template shows, except for its histograms.

use super::charts::{self, Caption, StackedBar, color};
use crate::manifest::{CutRecord, Manifest, Measure, MixKind, ShareRecord};
use crate::recipe::Flag;
use crate::report::example::{Example, Part, Role, Why};
use crate::report::format::{counted, cut_name, line, percent, thousands, visible};
use crate::report::metrics::reason_key;
use crate::report::statistics::{CutSourceStatistics, CutStatistics, FlagStatistics, FlaggedPair, Statistics};
use crate::report::wording::{DEFAULT_RULE, measured};
use minijinja::context;
use minijinja::value::{Serde, Value};
use std::collections::BTreeMap;

/// Every cut that was written, with the contribution of each source and the recipe's targets.
pub(super) fn cuts(manifest: &Manifest) -> Vec<Value> {
    manifest.cuts.iter().filter(|cut| cut.written).map(cut_view).collect()
}

fn cut_view(cut: &CutRecord) -> Value {
    let sources: Vec<Value> = cut.sources.iter().enumerate().map(source_view).collect();
    let measure = cut.sources.iter().find_map(|share| share.requested).map(|requested| requested.measure);
    context! {
        cut => cut.cut,
        prefix => format!("cut_{}", cut.cut),
        name => cut_name(cut.cut),
        measure => measure.map(Measure::name),
        measured => measure.map(|measure| measured(measure, cut.mix)),
        has_validation => cut.validation_samples.is_some(),
        sources,
    }
}

fn source_view((index, share): (usize, &ShareRecord)) -> Value {
    context! {
        name => share.name.as_str(),
        color => color(index),
        samples => share.samples,
        rule => share.rule.as_deref().map_or_else(|| DEFAULT_RULE.to_owned(), line),
        has_rule => share.rule.is_some(),
        requested => share.requested.map(Serde),
    }
}

/// The cuts whose tokens were counted as the trainer encodes them.
pub(super) fn trainings(manifest: &Manifest) -> Vec<Value> {
    let source = |(index, share): (usize, &ShareRecord)| {
        let reasons = reasons(&share.training.as_ref()?.left_out);
        Some(context! { name => share.name.as_str(), color => color(index), reasons })
    };
    let view = |cut: &CutRecord| {
        let reasons = reasons(&cut.training()?.left_out);
        let sources: Vec<Value> = cut.sources.iter().enumerate().filter_map(source).collect();
        Some(context! { cut => cut.cut, name => cut_name(cut.cut), sources, reasons })
    };
    manifest.cuts.iter().filter_map(view).collect()
}

/// The cuts of which it is known how they will be trained.
pub(super) fn preflights(manifest: &Manifest) -> Vec<Value> {
    let view = |cut: &CutRecord| {
        let reasons = reasons(&cut.preflight.as_ref()?.dropped);
        Some(context! { cut => cut.cut, name => cut_name(cut.cut), reasons })
    };
    manifest.cuts.iter().filter_map(view).collect()
}

/// Every document mix: the part of its metrics' names before the figure, its sources, and whether it has more figures.
pub(super) fn document_mixes(manifest: &Manifest) -> Vec<Value> {
    let is_beside = manifest.main_mix() == MixKind::Chat;
    let view = |cut: &CutRecord| {
        let prefix = if is_beside { format!("cut_{}.documents", cut.cut) } else { format!("cut_{}", cut.cut) };
        let measure = cut.sources.iter().find_map(|share| share.requested).map(|requested| requested.measure);
        let dropped = cut.preflight.as_ref().map(|preflight| reasons(&preflight.dropped));
        context! {
            prefix,
            name => cut_name(cut.cut),
            sources => cut.sources.iter().enumerate().map(source_view).collect::<Vec<_>>(),
            measure => measure.map(Measure::name),
            measured => measure.map(|measure| measured(measure, cut.mix)),
            has_validation => cut.validation_samples.is_some(),
            has_preflight => cut.preflight.is_some(),
            is_beside,
            reasons => dropped,
        }
    };
    manifest.document_mixes().iter().filter(|cut| cut.written).map(view).collect()
}

/// The sources whose documents are made of the rows of others.
pub(super) fn made(manifest: &Manifest) -> Vec<Value> {
    let made = manifest.sources.iter().filter(|source| !source.made_of.is_empty());
    made.map(|source| context! { name => source.name.as_str(), made_of => source.made_of.clone() }).collect()
}

/// The reasons for which samples are not trained: the part of their metric's name, and text.
fn reasons(samples: &BTreeMap<String, u64>) -> Vec<Value> {
    samples
        .keys()
        .map(|reason| context! { key => reason_key(reason), text => line(&reason.replace('_', " ")) })
        .collect()
}

/// The stacked bars of samples and of tokens.
pub(super) fn bars(statistics: &Statistics, mix: MixKind) -> Vec<Value> {
    if statistics.cuts.is_empty() {
        return Vec::new();
    }
    let rows = match mix {
        MixKind::Chat => "Samples",
        MixKind::Document => "Documents",
    };
    vec![
        bars_of(statistics, rows, CutSourceStatistics::samples),
        bars_of(statistics, "Tokens", CutSourceStatistics::tokens),
    ]
}

fn bars_of(statistics: &Statistics, title: &str, amount: fn(&CutSourceStatistics) -> u64) -> Value {
    let bar = |cut: &CutStatistics| {
        // Sources that share a color share a part.
        let mut parts: Vec<(usize, u64)> = Vec::new();
        for (index, source) in cut.sources.iter().enumerate() {
            match parts.last_mut() {
                Some((last, sum)) if *last == color(index) => *sum += amount(source),
                _ => parts.push((color(index), amount(source))),
            }
        }
        let total = parts.iter().map(|(_, amount)| amount).sum();
        StackedBar { label: cut_name(cut.cut), total: thousands(total), parts }
    };
    let bars: Vec<StackedBar> = statistics.cuts.iter().map(bar).collect();
    let totals: Vec<String> = bars.iter().map(|bar| format!("{} {}", bar.label, bar.total)).collect();
    let caption = Caption {
        id: format!("bars-{}", title.to_ascii_lowercase()),
        title: format!("{title} by cut"),
        description: format!("Totals: {}. The table below has the figures of each source.", totals.join(", ")),
    };
    context! { title, chart => Serde(charts::stacked_bars(caption, &bars)) }
}

/// The reasons for which rows were dropped, the most frequent one first, with the rows of each source.
pub(super) fn drops(manifest: &Manifest) -> Vec<Value> {
    // Reasons that share a metric share an entry, too.
    let mut by_key: BTreeMap<String, (String, Vec<Value>, u64)> = BTreeMap::new();
    for source in &manifest.sources {
        for (reason, rows) in &source.dropped {
            let entry = by_key.entry(reason_key(reason)).or_insert_with(|| (line(reason), Vec::new(), 0));
            let name = line(&source.name);
            entry.1.push(context! { name, rows => rows, of_read => percent(*rows, source.read) });
            entry.2 += rows;
        }
    }
    let mut reasons: Vec<_> = by_key.into_iter().collect();
    reasons.sort_by_key(|(_, (_, _, rows))| std::cmp::Reverse(*rows));
    reasons.into_iter().map(|(key, (reason, sources, _))| context! { key, reason, sources }).collect()
}

/// The sample conversations, in the order of their sources.
pub(super) fn samples(statistics: &Statistics) -> Vec<Value> {
    let part = |part: &Part| {
        context! {
            text => visible(&part.text),
            role => part.role.map_or("template", Role::name),
            is_trained => part.is_trained,
            elided => (part.elided > 0).then(|| counted(part.elided, "character", "characters")),
        }
    };
    let sample = |example: &Example| {
        context! {
            source => line(&example.source),
            why => example.why.name(),
            tokens => counted(u64::from(example.tokens), "token", "tokens"),
            loss_tokens => example.loss_tokens.map(|tokens| thousands(u64::from(tokens))),
            flags => example.flags.iter().map(flag_name).collect::<Vec<_>>(),
            parts => example.parts.iter().map(part).collect::<Vec<_>>(),
        }
    };
    statistics.examples.iter().map(sample).collect()
}

/// What the samples can be filtered by: their sources and the reasons for which they are shown.
pub(super) fn sample_choices(statistics: &Statistics) -> Value {
    let mut sources: Vec<String> = statistics.examples.iter().map(|example| line(&example.source)).collect();
    sources.dedup();
    let mut reasons: Vec<Why> = statistics.examples.iter().map(|example| example.why).collect();
    reasons.sort_unstable();
    reasons.dedup();
    context! { sources, reasons => reasons.into_iter().map(Why::name).collect::<Vec<_>>() }
}

/// The samples with each flag, and a few of them.
pub(super) fn flags(statistics: &Statistics) -> Vec<Value> {
    let pair = |pair: &FlaggedPair| {
        context! { source => line(&pair.source), question => visible(&pair.question), answer => visible(&pair.answer) }
    };
    let view = |flag: &FlagStatistics| {
        context! {
            key => flag.flag.name(),
            name => flag_name(flag.flag),
            text => flag.flag.text(),
            dropped => flag.dropped,
            pairs => flag.examples.iter().map(pair).collect::<Vec<_>>(),
        }
    };
    statistics.flags.iter().map(view).collect()
}

fn flag_name(flag: Flag) -> String {
    flag.name().replace('_', " ")
}

/// Every setting and its value as text, in the order of the manifest.
pub(super) fn settings(settings: &serde_json::Value) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => line(text),
        serde_json::Value::Array(values) => values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    // What is not set says nothing.
    let is_set = |value: &serde_json::Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
    let entries = settings.as_object().into_iter().flatten().filter(|(name, value)| *name != "recipe" && is_set(value));
    entries.map(|(name, value)| (name.replace('_', "-"), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(visible("a\0b\u{1b}c\n\u{85}"), "a\u{2400}b\u{241b}c\n\u{fffd}");
    }
}
