//! `summary.md`: the run in a few Markdown tables, for Kubeflow's page of a run.

use super::format::{counted, line, percent, thousands};
use super::statistics::{self, CutStatistics, LIMITS, SourceStatistics, Statistics};
use super::table::{self, Occasion, UNASKED, cut_name};
use crate::manifest::Manifest;
use std::ops::Range;

/// The name of the summary's file.
pub(crate) const SUMMARY_NAME: &str = "summary.md";

/// The run in Markdown: warnings, mixes by source, token lengths, what a recipe asked for, rows.
///
/// Texts of others are escaped, so that none of them can be a link, a table's cell or HTML.
pub(crate) fn summary(manifest: &Manifest, statistics: &Statistics) -> String {
    let mut text = String::from("# Knowledge mix\n\n");
    if let Some(largest) = statistics.cuts.last() {
        text.push_str(&format!(
            "The largest cut, {}, holds **{}** in **{}**.\n\n",
            cut_name(largest.cut),
            counted(largest.tokens(), "token", "tokens"),
            counted(largest.samples(), "sample", "samples"),
        ));
    } else {
        text.push_str("No mix was written.\n\n");
    }
    let warnings: String = statistics.warnings.iter().map(|warning| format!("- {}\n", escape(warning))).collect();
    if !warnings.is_empty() {
        text.push_str(&format!("## Warnings\n\n{warnings}\n"));
    }
    text.push_str(&mixes(statistics));
    let mut notes: Vec<String> = table::infeasible_cuts(manifest, Occasion::Mix).collect();
    if !notes.is_empty() {
        notes.extend(table::mean_summaries(statistics));
        text.push_str(&format!("{}.\n\n", escape(&notes.join("; "))));
    }
    text.push_str(&lengths(statistics));
    text.push_str(&wishes(statistics));
    text.push_str(&rows(statistics));
    text.truncate(text.trim_end().len());
    text + "\n"
}

fn mixes(statistics: &Statistics) -> String {
    let rows = statistics.cuts.iter().flat_map(|cut| {
        let (samples, tokens) = (cut.samples(), cut.tokens());
        let sources = cut.sources.iter().map(move |source| {
            vec![
                cut_name(cut.cut),
                escape(&source.name),
                thousands(source.samples()),
                percent(source.samples(), samples),
                thousands(source.tokens()),
                percent(source.tokens(), tokens),
            ]
        });
        let all = [cut_name(cut.cut), "all".to_owned(), thousands(samples), String::new(), thousands(tokens)];
        let validation = cut.validation.map(|(samples, tokens)| {
            let name = "kept for validation".to_owned();
            vec![cut_name(cut.cut), name, thousands(samples), String::new(), thousands(tokens), String::new()]
        });
        sources.chain([all.map(|cell| bold(&cell)).into_iter().chain([String::new()]).collect()]).chain(validation)
    });
    table_of("Samples and tokens", &["cut", "source", "samples", "of cut", "tokens", "of cut"], 2..6, rows)
}

fn lengths(statistics: &Statistics) -> String {
    let over = LIMITS.map(|limit| format!("longer than {limit}"));
    let mut header = vec!["cut", "min", "median", "p95", "max"];
    header.extend(over.iter().map(String::as_str));
    let rows = statistics.cuts.iter().filter_map(|cut| {
        let all = cut.lengths();
        let length = statistics::summarise(&all)?;
        let mut row = vec![cut_name(cut.cut)];
        row.extend([length.min, length.median, length.p95, length.max].map(|length| thousands(u64::from(length))));
        row.extend(LIMITS.map(|limit| {
            let overlong = statistics::overlong(&all, limit);
            if overlong.samples == 0 {
                return "0".to_owned();
            }
            format!("{} ({} cut off)", thousands(overlong.samples), counted(overlong.tokens, "token", "tokens"))
        }));
        Some(row)
    });
    table_of("Token length", &header, 1..header.len(), rows)
}

fn wishes(statistics: &Statistics) -> String {
    let rows = statistics.cuts.iter().flat_map(|cut| {
        cut.sources.iter().filter_map(|source| Some((source, source.requested?))).map(|(source, requested)| {
            vec![
                cut_name(cut.cut),
                escape(&source.name),
                escape(source.rule.as_deref().unwrap_or(UNASKED)),
                thousands(requested.available),
                thousands(requested.target),
                thousands(requested.actual),
                thousands(requested.shortfall),
            ]
        })
    });
    let Some(measure) = statistics.cuts.iter().find_map(CutStatistics::measure) else { return String::new() };
    let available = format!("{} available", measure.name());
    let header = ["cut", "source", "wish", available.as_str(), "asked", "got", "short by"];
    table_of("What the recipe asked for", &header, 3..7, rows)
}

fn rows(statistics: &Statistics) -> String {
    let reasons = |source: &SourceStatistics| {
        let reasons: Vec<String> =
            source.dropped.iter().map(|(reason, rows)| format!("{} {}", thousands(*rows), escape(reason))).collect();
        reasons.join(", ")
    };
    let rows = statistics.sources.iter().map(|source| {
        vec![
            escape(&source.name),
            thousands(source.read),
            thousands(source.kept),
            thousands(source.dropped_rows()),
            reasons(source),
        ]
    });
    // Why is told in words.
    table_of("Rows", &["source", "read", "kept", "dropped", "why"], 1..4, rows)
}

/// A heading and a table, the columns `numbers` to the right; nothing where there are no rows.
fn table_of(title: &str, header: &[&str], numbers: Range<usize>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut rows = rows.map(|row| format!("| {} |\n", row.join(" | "))).peekable();
    if rows.peek().is_none() {
        return String::new();
    }
    let lines = (0..header.len()).map(|place| if numbers.contains(&place) { "---:" } else { "---" });
    let lines: Vec<&str> = lines.collect();
    let body: String = rows.collect();
    format!("## {title}\n\n| {} |\n| {} |\n{body}\n", header.join(" | "), lines.join(" | "))
}

fn bold(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("**{text}**") }
}

/// A foreign text as one line of Markdown that means nothing but itself.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in line(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // Not all of ASCII's signs: a summary is also read as it is.
            '\\' | '|' | '`' | '*' | '[' | ']' | '!' | '#' | '~' | '$' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // Within a word it means nothing, and source names have many.
            '_' if escaped.ends_with(|before: char| before.is_alphanumeric()) => escaped.push('_'),
            '_' => escaped.push_str("\\_"),
            c => escaped.push(c),
        }
    }
    // Bare addresses become links by themselves in some dialects.
    escaped.replace("://", ":&#47;&#47;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;

    #[test]
    fn a_small_run() {
        let (manifest, statistics) = synthetic::small();
        insta::assert_snapshot!(summary(&manifest, &statistics));
    }

    #[test]
    fn a_recipe() {
        let (manifest, mut statistics) = synthetic::with_recipe();
        statistics.cuts.truncate(1);
        insta::assert_snapshot!(summary(&manifest, &statistics));
    }

    #[test]
    fn foreign_texts_mean_nothing_but_themselves() {
        let text = escape("<b>a|b</b> [x](https://y) `c` _d_ e_f\n# g");
        let expected = "&lt;b&gt;a\\|b&lt;/b&gt; \\[x\\](https:&#47;&#47;y) \\`c\\` \\_d_ e_f \\# g";
        assert_eq!(text, expected);
        let (manifest, mut statistics) = synthetic::small();
        statistics.warnings.push(synthetic::HOSTILE.to_owned());
        assert!(!summary(&manifest, &statistics).contains("<script"));
        assert!(summary(&manifest, &Statistics::default()).contains("No mix was written"));
    }
}
