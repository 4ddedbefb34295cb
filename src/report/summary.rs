//! `summary.md`: the run in a few Markdown tables, which Kubeflow shows with the run.

use super::format::{counted, cut_name, line, percent, short, thousands};
use super::statistics::{CutSourceStatistics, CutStatistics, LIMITS, SourceStatistics, Statistics};
use super::wording::{
    DEFAULT_RULE, RunKind, STAND_IN, average_summaries, counted_rows, infeasible_cuts, measured, not_documents,
    preflight_notes, rows_of, trained_mixes, training_calls,
};
use crate::manifest::{CutRecord, Manifest, MixKind};
use crate::recipe::Flag;
use crate::tokens::BUILTIN;
use std::ops::Range;

/// The longest example in a table, in characters.
const EXAMPLE_SHOWN: usize = 100;

/// The run in Markdown: warnings, mixes by source, token lengths, recipe targets, rows.
///
/// Untrusted text is escaped, so that it cannot become a link, a table cell or HTML.
pub(crate) fn summary(manifest: &Manifest, statistics: &Statistics) -> String {
    let mut text = String::from("# Knowledge mix\n\n");
    if let Some(largest) = statistics.cuts.last() {
        text.push_str(&format!(
            "The largest cut, {}, contains **{}** in **{}**.\n\n",
            cut_name(largest.cut),
            counted(largest.tokens(), "token", "tokens"),
            counted_rows(largest.samples(), manifest.main_mix()),
        ));
    } else {
        text.push_str("No mix was written.\n\n");
    }
    let warnings: String = statistics.warnings.iter().map(|warning| format!("- {}\n", escape(warning))).collect();
    if !warnings.is_empty() {
        text.push_str(&format!("## Warnings\n\n{warnings}\n"));
    }
    if manifest.tokenizer.name == BUILTIN {
        text.push_str(&format!("Note: {STAND_IN}.\n\n"));
    }
    text.push_str(&mixes(manifest, statistics));
    let mut notes: Vec<String> = infeasible_cuts(manifest, RunKind::Mix).collect();
    if !notes.is_empty() {
        notes.extend(average_summaries(statistics));
        text.push_str(&format!("{}.\n\n", escape(&notes.join("; "))));
    }
    text.push_str(&document_mixes(statistics));
    if let Some(note) = not_documents(manifest) {
        text.push_str(&format!("{}.\n\n", escape(&note)));
    }
    text.push_str(&lengths(statistics));
    text.push_str(&targets("Recipe targets", &statistics.cuts, manifest.main_mix()));
    text.push_str(&targets("Recipe targets of document mixes", &statistics.document_cuts, MixKind::Document));
    text.push_str(&training(manifest));
    text.push_str(&rows(manifest, statistics));
    text.push_str(&flags(statistics));
    text.truncate(text.trim_end().len());
    text + "\n"
}

fn mixes(manifest: &Manifest, statistics: &Statistics) -> String {
    let mut header = vec!["cut", "source", rows_of(manifest.main_mix()), "of mix", "tokens", "of mix"];
    let with_loss_tokens = manifest.cuts.iter().any(|cut| cut.training().is_some());
    if with_loss_tokens {
        header.push("loss tokens");
    }
    let rows = statistics.cuts.iter().flat_map(|cut| {
        let mut rows = mix_rows(cut);
        if with_loss_tokens {
            add_loss_tokens(&mut rows, manifest.cut(cut.cut), cut);
        }
        rows
    });
    let title = match manifest.main_mix() {
        MixKind::Chat => "Samples and tokens",
        MixKind::Document => "Documents and tokens",
    };
    table_of(title, &header, 2..header.len(), rows)
}

/// The document mixes beside those of conversations.
fn document_mixes(statistics: &Statistics) -> String {
    let header = ["cut", "source", "documents", "of mix", "tokens", "of mix"];
    table_of("Document mixes", &header, 2..6, statistics.document_cuts.iter().flat_map(mix_rows))
}

/// Adds a column to the rows of a mix: the loss tokens of each source, then of all; empty for what is held out.
fn add_loss_tokens(rows: &mut [Vec<String>], record: Option<&CutRecord>, cut: &CutStatistics) {
    let of_sources = cut.sources.iter().map(|source| {
        let training = record.and_then(|record| record.source(&source.name)?.training.as_ref());
        training.map_or_else(String::new, |training| thousands(training.loss_tokens))
    });
    let all = record.and_then(CutRecord::training).map_or_else(String::new, |training| thousands(training.loss_tokens));
    let column = of_sources.chain([bold(&all)]).chain(std::iter::repeat(String::new()));
    rows.iter_mut().zip(column).for_each(|(row, cell)| row.push(cell));
}

/// A row for each source of a mix, their sum, and what is held out.
fn mix_rows(cut: &CutStatistics) -> Vec<Vec<String>> {
    let (samples, tokens) = (cut.samples(), cut.tokens());
    let source_row = |source: &CutSourceStatistics| {
        vec![
            cut_name(cut.cut),
            escape(&source.name),
            thousands(source.samples()),
            percent(source.samples(), samples),
            thousands(source.tokens()),
            percent(source.tokens(), tokens),
        ]
    };
    let sum_row = |name: &str, samples: u64, tokens: u64| {
        let empty = String::new;
        vec![cut_name(cut.cut), name.to_owned(), thousands(samples), empty(), thousands(tokens), empty()]
    };
    let mut rows: Vec<Vec<String>> = cut.sources.iter().map(source_row).collect();
    rows.push(sum_row("all", samples, tokens).iter().map(|cell| bold(cell)).collect());
    if let Some((samples, tokens)) = cut.validation {
        rows.push(sum_row("held out for validation", samples, tokens));
    }
    rows
}

fn lengths(statistics: &Statistics) -> String {
    let over = LIMITS.map(|limit| format!("longer than {limit}"));
    let mut header = vec!["cut", "min", "median", "p95", "max"];
    header.extend(over.iter().map(String::as_str));
    let rows = statistics.cuts.iter().filter_map(|cut| {
        let all = cut.lengths();
        let length = all.summary()?;
        let mut row = vec![cut_name(cut.cut)];
        row.extend([length.min, length.median, length.p95, length.max].map(|length| thousands(u64::from(length))));
        row.extend(LIMITS.map(|limit| {
            let overlong = all.longer_than(limit);
            if overlong.samples == 0 {
                return "0".to_owned();
            }
            format!("{} ({} beyond it)", thousands(overlong.samples), counted(overlong.tokens, "token", "tokens"))
        }));
        Some(row)
    });
    table_of("Token length", &header, 1..header.len(), rows)
}

/// What the trainer will do with each mix, and what to call it with.
fn training(manifest: &Manifest) -> String {
    let or_dash = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), thousands);
    let rows = trained_mixes(manifest).map(|(name, _, preflight)| {
        vec![
            name,
            thousands(preflight.samples),
            thousands(preflight.dropped_samples()),
            thousands(preflight.tokens),
            thousands(preflight.loss_tokens),
            or_dash(preflight.steps_per_epoch),
            or_dash(preflight.steps),
            or_dash(preflight.tokens_per_step),
        ]
    });
    let samples = rows_of(manifest.main_mix());
    let header = ["cut", samples, "dropped", "tokens", "loss tokens", "steps per epoch", "steps", "tokens per step"];
    let mut text = table_of("Training", &header, 1..8, rows);
    for (name, _, preflight) in trained_mixes(manifest) {
        text.extend(preflight_notes(&name, preflight).map(|note| format!("- {}\n", escape(&note))));
    }
    let calls = training_calls(manifest);
    text.extend(calls.iter().map(|call| format!("- `{call}`\n")));
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// What the recipe requests of the sources of mixes of one kind, and what it gets.
fn targets(title: &str, cuts: &[CutStatistics], mix: MixKind) -> String {
    let rows = cuts.iter().flat_map(|cut| {
        cut.sources.iter().filter_map(|source| Some((source, source.requested?))).map(|(source, requested)| {
            vec![
                cut_name(cut.cut),
                escape(&source.name),
                escape(source.rule.as_deref().unwrap_or(DEFAULT_RULE)),
                thousands(requested.available),
                thousands(requested.target),
                thousands(requested.actual),
                thousands(requested.shortfall),
            ]
        })
    });
    let Some(measure) = cuts.iter().find_map(CutStatistics::measure) else { return String::new() };
    let available = format!("{} available", measured(measure, mix));
    let header = ["cut", "source", "rule", available.as_str(), "target", "actual", "shortfall"];
    table_of(title, &header, 3..7, rows)
}

fn rows(manifest: &Manifest, statistics: &Statistics) -> String {
    let reasons = |source: &SourceStatistics| {
        let reasons: Vec<String> =
            source.dropped.iter().map(|(reason, rows)| format!("{} {}", thousands(*rows), escape(reason))).collect();
        reasons.join(", ")
    };
    // Documents that are made of rows are no rows.
    let rows = statistics.sources.iter().filter(|source| !manifest.is_made(&source.name)).map(|source| {
        vec![
            escape(&source.name),
            thousands(source.read),
            thousands(source.kept),
            thousands(source.dropped_rows()),
            reasons(source),
        ]
    });
    table_of("Rows", &["source", "read", "kept", "dropped", "reasons"], 1..4, rows)
}

/// The samples with signs of broken questions, each with an example.
fn flags(statistics: &Statistics) -> String {
    let rows = statistics.flags.iter().map(|flag| {
        let example = flag.examples.first().map(|pair| match flag.flag {
            Flag::Refusal => short(&pair.answer, EXAMPLE_SHOWN),
            _ => short(&pair.question, EXAMPLE_SHOWN),
        });
        vec![
            flag.flag.text().to_owned(),
            thousands(flag.samples),
            thousands(flag.dropped),
            escape(&example.unwrap_or_default()),
        ]
    });
    table_of("Signs of broken questions", &["sign", "samples", "dropped", "example"], 1..3, rows)
}

/// A heading and a table with the columns `numbers` right-aligned; empty without rows.
pub(super) fn table_of(
    title: &str,
    header: &[&str],
    numbers: Range<usize>,
    rows: impl Iterator<Item = Vec<String>>,
) -> String {
    let mut rows = rows.map(|row| format!("| {} |\n", row.join(" | "))).peekable();
    if rows.peek().is_none() {
        return String::new();
    }
    let rules = (0..header.len()).map(|column| if numbers.contains(&column) { "---:" } else { "---" });
    let rules: Vec<&str> = rules.collect();
    let body: String = rows.collect();
    format!("## {title}\n\n| {} |\n| {} |\n{body}\n", header.join(" | "), rules.join(" | "))
}

fn bold(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("**{text}**") }
}

/// Untrusted text as one line of Markdown without any markup.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in line(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // Not all ASCII punctuation: people also read the summary as plain text.
            '\\' | '|' | '`' | '*' | '[' | ']' | '!' | '#' | '~' | '$' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // Inside a word an underscore is not markup, and source names have many.
            '_' if escaped.ends_with(|before: char| before.is_alphanumeric()) => escaped.push('_'),
            '_' => escaped.push_str("\\_"),
            c => escaped.push(c),
        }
    }
    // Some dialects turn bare URLs into links.
    escaped.replace("://", ":&#47;&#47;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;

    #[test]
    fn small_run() {
        let (manifest, statistics) = synthetic::small();
        insta::assert_snapshot!(summary(&manifest, &statistics));
    }

    #[test]
    fn run_with_a_recipe() {
        let (manifest, mut statistics) = synthetic::with_recipe();
        statistics.cuts.truncate(1);
        insta::assert_snapshot!(summary(&manifest, &statistics));
    }

    #[test]
    fn untrusted_text_has_no_markup() {
        let text = escape("<b>a|b</b> [x](https://y) `c` _d_ e_f\n# g");
        let expected = "&lt;b&gt;a\\|b&lt;/b&gt; \\[x\\](https:&#47;&#47;y) \\`c\\` \\_d_ e_f \\# g";
        assert_eq!(text, expected);
        let (manifest, mut statistics) = synthetic::small();
        statistics.warnings.push(synthetic::HOSTILE.to_owned());
        assert!(!summary(&manifest, &statistics).contains("<script"));
    }

    #[test]
    fn run_without_a_mix() {
        let (manifest, _) = synthetic::small();
        assert!(summary(&manifest, &Statistics::default()).contains("No mix was written"));
    }
}
