//! The tables of `plan` and of `mix --verbose`: what a run read, dropped and wrote, for a terminal or a pod's log.
//!
//! Plain text without colors, and all rules are ASCII, so that it reads the same everywhere.

use super::format::{cut_name, line, percent, thousands};
use super::length_counts::LengthCounts;
use super::statistics::{CutStatistics, SourceStatistics, Statistics};
use super::wording::{
    DEFAULT_RULE, RunKind, average_summaries, infeasible_cuts, measured, preflight_notes, rows_of, trained_mixes,
    training_calls,
};
use crate::manifest::{CutRecord, Manifest, MixKind};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, TableComponent, Width};

/// The width of the table if the terminal's width is unknown.
pub(crate) const DEFAULT_WIDTH: u16 = 80;

/// The limits that have a column in this table; the page shows one more.
const LIMITS: [u32; 2] = [4096, 8192];

/// Longer source names may wrap, so that the columns beside them do not have to.
const LONG_NAME: usize = 24;

/// The width of the longest word of most rules and the space after it.
const MIN_RULE: u16 = 7;

/// Below this width words would break into single letters; the terminal may wrap the lines instead.
const MIN_WIDTH: u16 = 64;

/// The tables: sources, dropped rows, mixes, token lengths and recipe targets.
///
/// `width` is the terminal's number of columns ([`DEFAULT_WIDTH`] if unknown); cells wrap if a table would be wider. The
/// text ends with a newline. For `plan`, a cut in the manifest is `written` if it would be.
pub(crate) fn table(manifest: &Manifest, statistics: &Statistics, run: RunKind, width: u16) -> String {
    let mut text = sources(manifest, statistics, width);
    text.push_str(&drops(&statistics.sources));
    text.push_str(&mixes(manifest, statistics, run, width));
    text.push_str(&document_mixes(statistics, width));
    text.push_str(&infeasible(manifest, statistics, run));
    text.push_str(&lengths(statistics, width));
    text.push_str(&targets(&statistics.cuts, manifest.main_mix(), run, width));
    let of_documents = targets(&statistics.document_cuts, MixKind::Document, run, width);
    if !of_documents.is_empty() {
        text.push_str(&format!("targets of document mixes:\n{of_documents}"));
    }
    text.push_str(&training(manifest, width));
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// Names and values, a line each, with the values in one column.
pub(super) fn aligned(lines: &[(String, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    lines.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

fn sources(manifest: &Manifest, statistics: &Statistics, width: u16) -> String {
    let mut table = new_table(&["Sources", "read", "dropped", "kept", "documents", "summaries"], 1, width);
    for source in statistics.sources.iter().filter(|source| !manifest.is_made(&source.name)) {
        let record = manifest.sources.iter().find(|record| record.name == source.name);
        let (documents, summaries) = record.map_or((0, 0), |record| (record.documents, record.summaries));
        table.add_row([
            line(&source.name),
            thousands(source.read),
            thousands(source.dropped_rows()),
            thousands(source.kept),
            or_dash(documents),
            or_dash(summaries),
        ]);
    }
    let read = || statistics.sources.iter().filter(|source| !manifest.is_made(&source.name));
    if statistics.sources.len() > 1 {
        table.add_row([
            "all".to_owned(),
            thousands(read().map(|source| source.read).sum()),
            thousands(read().map(SourceStatistics::dropped_rows).sum()),
            thousands(read().map(|source| source.kept).sum()),
        ]);
    }
    // Below the sum: documents that are made of rows are no rows.
    for source in statistics.sources.iter().filter(|source| manifest.is_made(&source.name)) {
        let name = format!("made: {}", line(&source.name));
        table.add_row([name, String::new(), String::new(), thousands(source.kept)]);
    }
    block(&table)
}

fn drops(sources: &[SourceStatistics]) -> String {
    let mut text = String::new();
    for source in sources.iter().filter(|source| !source.dropped.is_empty()) {
        let reasons: Vec<String> =
            source.dropped.iter().map(|(reason, rows)| format!("{} {}", thousands(*rows), line(reason))).collect();
        text.push_str(&format!("dropped from {}: {}\n", line(&source.name), reasons.join(", ")));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn mixes(manifest: &Manifest, statistics: &Statistics, run: RunKind, width: u16) -> String {
    let title = match run {
        RunKind::Mix => "Mixes",
        RunKind::Plan => "Planned",
    };
    let mut header = vec![title, "source", rows_of(manifest.main_mix()), "of mix", "tokens", "of mix"];
    if manifest.cuts.iter().any(|cut| cut.training().is_some()) {
        header.push("loss tokens");
    }
    let mut table = new_table(&header, 2, width);
    statistics.cuts.iter().for_each(|cut| add_mix(&mut table, cut, manifest.cut(cut.cut)));
    block(&table)
}

/// Adds the rows of one mix: its sources, their sum, what is held out. `record` has loss tokens, if they were counted.
fn add_mix(table: &mut Table, cut: &CutStatistics, record: Option<&CutRecord>) {
    let (samples, tokens) = (cut.samples(), cut.tokens());
    let mut name = cut_name(cut.cut);
    for source in &cut.sources {
        let training = record.and_then(|cut| cut.source(&source.name)?.training.as_ref());
        let mut row = vec![
            std::mem::take(&mut name),
            line(&source.name),
            thousands(source.samples()),
            percent(source.samples(), samples),
            thousands(source.tokens()),
            percent(source.tokens(), tokens),
        ];
        row.extend(training.map(|training| thousands(training.loss_tokens)));
        table.add_row(row);
    }
    let empty = String::new;
    let mut row = vec![name, "all".to_owned(), thousands(samples), empty(), thousands(tokens), empty()];
    row.extend(record.and_then(CutRecord::training).map(|training| thousands(training.loss_tokens)));
    table.add_row(row);
    if let Some((samples, tokens)) = cut.validation {
        let name = "held out for validation".to_owned();
        table.add_row([empty(), name, thousands(samples), empty(), thousands(tokens), empty()]);
    }
}

/// The document mixes beside those of conversations.
fn document_mixes(statistics: &Statistics, width: u16) -> String {
    let mut table = new_table(&["Document mixes", "source", "documents", "of mix", "tokens", "of mix"], 2, width);
    statistics.document_cuts.iter().for_each(|cut| add_mix(&mut table, cut, None));
    block(&table)
}

/// One line per infeasible cut, and the figures that explain it.
fn infeasible(manifest: &Manifest, statistics: &Statistics, run: RunKind) -> String {
    let mut lines: Vec<String> = infeasible_cuts(manifest, run).collect();
    if lines.is_empty() {
        return String::new();
    }
    lines.extend(average_summaries(statistics));
    lines.join("\n") + "\n\n"
}

fn lengths(statistics: &Statistics, width: u16) -> String {
    let over = LIMITS.map(|limit| format!(">{limit}"));
    let mut header = vec!["Token length", "source", "min", "median", "p95", "max"];
    header.extend(over.iter().map(String::as_str));
    let mut table = new_table(&header, 2, width);
    for cut in &statistics.cuts {
        let mut name = cut_name(cut.cut);
        for source in &cut.sources {
            table.add_row(length_row(std::mem::take(&mut name), &line(&source.name), &source.lengths));
        }
        table.add_row(length_row(name, "all", &cut.lengths()));
    }
    block(&table)
}

fn length_row(cut: String, name: &str, counts: &LengthCounts) -> Row {
    let lengths = counts.summary().map(|summary| [summary.min, summary.median, summary.p95, summary.max]);
    let lengths = lengths.map(|lengths| lengths.map(|length| thousands(u64::from(length))));
    let over = LIMITS.map(|limit| thousands(counts.longer_than(limit).samples));
    let mut row = vec![cut, name.to_owned()];
    row.extend(lengths.unwrap_or_else(|| ["-"; 4].map(str::to_owned)));
    row.extend(over);
    Row::from(row)
}

/// What the trainer will do with each mix, and what to call it with.
fn training(manifest: &Manifest, width: u16) -> String {
    if trained_mixes(manifest).next().is_none() {
        return String::new();
    }
    let rows = rows_of(manifest.main_mix());
    let header = ["Training", rows, "dropped", "tokens", "loss tokens", "steps/epoch", "steps", "tokens/step"];
    let mut table = new_table(&header, 1, width);
    let mut notes = String::new();
    for (name, _, preflight) in trained_mixes(manifest) {
        let or_dash = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), thousands);
        notes.extend(preflight_notes(&name, preflight).map(|note| note + "\n"));
        table.add_row([
            name,
            thousands(preflight.samples),
            thousands(preflight.dropped_samples()),
            thousands(preflight.tokens),
            thousands(preflight.loss_tokens),
            or_dash(preflight.steps_per_epoch),
            or_dash(preflight.steps),
            or_dash(preflight.tokens_per_step),
        ]);
    }
    let calls: String = training_calls(manifest).into_iter().map(|call| call + "\n").collect();
    format!("{}{notes}{calls}\n", block(&table))
}

/// What the recipe requests of the sources of mixes of one kind, and what it gets.
fn targets(cuts: &[CutStatistics], mix: MixKind, run: RunKind, width: u16) -> String {
    let actual = match run {
        RunKind::Mix => "actual",
        RunKind::Plan => "planned",
    };
    let names = cuts.iter().flat_map(|cut| &cut.sources).map(|source| source.name.chars().count());
    let longest_name = names.max().unwrap_or(0);
    let Some(measure) = cuts.iter().find_map(CutStatistics::measure) else { return String::new() };
    let title = capitalized(measured(measure, mix));
    let mut table =
        new_table(&[title.as_str(), "source", "rule", "available", "target", actual, "shortfall"], 3, width);
    for (index, column) in table.column_iter_mut().enumerate() {
        // The rule wraps, so that numbers and names of common length do not have to.
        if index != 2 && (index != 1 || longest_name <= LONG_NAME) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if index == 2 {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(MIN_RULE)));
        }
    }
    for cut in cuts {
        let mut name = cut_name(cut.cut);
        for (source, requested) in cut.sources.iter().filter_map(|source| Some((source, source.requested?))) {
            table.add_row([
                std::mem::take(&mut name),
                line(&source.name),
                source.rule.as_deref().map_or_else(|| DEFAULT_RULE.to_owned(), line),
                thousands(requested.available),
                thousands(requested.target),
                thousands(requested.actual),
                or_dash(requested.shortfall),
            ]);
        }
    }
    block(&table)
}

fn capitalized(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

fn or_dash(number: u64) -> String {
    if number == 0 { "-".to_owned() } else { thousands(number) }
}

/// A table without a frame, its header underlined, its columns right-aligned from `first_number` on.
fn new_table(header: &[&str], first_number: usize, width: u16) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_style(TableComponent::HeaderLines, '-').set_style(TableComponent::MiddleHeaderIntersections, '-');
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(MIN_WIDTH));
    table.set_header(header.to_vec());
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if index >= first_number {
            column.set_padding((1, 0)).set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The text of a table and an empty line; nothing for a table without rows.
fn block(table: &Table) -> String {
    if table.is_empty() { String::new() } else { table.trim_fmt() + "\n\n" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;

    #[test]
    fn small_run() {
        let (manifest, statistics) = synthetic::small();
        insta::assert_snapshot!(table(&manifest, &statistics, RunKind::Mix, DEFAULT_WIDTH));
    }

    #[test]
    fn a_plan_does_not_claim_that_files_exist() {
        let (manifest, statistics) = synthetic::small();
        insta::assert_snapshot!(table(&manifest, &statistics, RunKind::Plan, DEFAULT_WIDTH));
    }

    #[test]
    fn a_recipe_adds_its_targets() {
        let (manifest, mut statistics) = synthetic::with_recipe();
        statistics.cuts.truncate(2);
        insta::assert_snapshot!(table(&manifest, &statistics, RunKind::Mix, DEFAULT_WIDTH));
    }

    #[test]
    fn a_huge_run_fits_into_eighty_columns() {
        let (manifest, statistics) = synthetic::huge();
        let text = table(&manifest, &statistics, RunKind::Mix, DEFAULT_WIDTH);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80, "{text}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let (manifest, mut statistics) = synthetic::small();
        statistics.sources[0].name = "evil\u{1b}[2J\nname".to_owned();
        statistics.cuts[0].sources[0].name = "evil\u{1b}[2J\nname".to_owned();
        let text = table(&manifest, &statistics, RunKind::Mix, 40);
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn an_empty_run_has_an_empty_table() {
        let (mut manifest, _) = synthetic::small();
        manifest.cuts.clear();
        assert_eq!(table(&manifest, &Statistics::default(), RunKind::Mix, 0), "\n");
    }
}
