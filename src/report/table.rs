//! The closing table: what a run read, dropped and wrote, for people at a terminal or before a pod's log.
//!
//! It is plain text without colours; all frames are ASCII, so it reads the same wherever it ends up.

use super::format::{counted, line, percent, thousands};
use super::statistics::{self, CutStatistics, SourceStatistics, Statistics};
use crate::manifest::{Manifest, Measure};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, TableComponent};

/// The width of a table where the terminal's width is not known.
pub(crate) const DEFAULT_WIDTH: u16 = 80;

/// The limits that the closing table has a column for; the page shows more of them.
const LIMITS: [u32; 2] = [4096, 8192];

/// A name that is longer may be broken to make room for what stands beside it.
const LONG_NAME: usize = 24;

/// Narrower than this, words would be broken into letters; the terminal may wrap the lines instead.
const MIN_WIDTH: u16 = 64;

/// Whether the mixes were made or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// `mix`: they are there.
    Mix,
    /// `plan`: nothing was written.
    Plan,
}

/// The closing table: sources, drops, mixes, token lengths, and what a recipe asked for and got.
///
/// `width` is the number of columns of the terminal ([`DEFAULT_WIDTH`] where it is not known); cells wrap where a table
/// would be wider. The text ends with a newline. For `plan`, the manifest's cuts are `written` where they would be.
pub(crate) fn table(manifest: &Manifest, statistics: &Statistics, occasion: Occasion, width: u16) -> String {
    let mut text = sources(manifest, statistics, width);
    text.push_str(&drops(&statistics.sources));
    text.push_str(&mixes(statistics, occasion, width));
    text.push_str(&not_as_asked(manifest, statistics, occasion));
    text.push_str(&lengths(statistics, width));
    text.push_str(&wishes(statistics, occasion, width));
    text.truncate(text.trim_end().len());
    text + "\n"
}

fn sources(manifest: &Manifest, statistics: &Statistics, width: u16) -> String {
    let mut table = new_table(&["Sources", "read", "dropped", "kept", "documents", "summaries"], 1, width);
    for source in &statistics.sources {
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
    if statistics.sources.len() > 1 {
        table.add_row([
            "all".to_owned(),
            thousands(statistics.sources.iter().map(|source| source.read).sum()),
            thousands(statistics.sources.iter().map(SourceStatistics::dropped_rows).sum()),
            thousands(statistics.sources.iter().map(|source| source.kept).sum()),
        ]);
    }
    finish(&table)
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

fn mixes(statistics: &Statistics, occasion: Occasion, width: u16) -> String {
    let title = match occasion {
        Occasion::Mix => "Mixes",
        Occasion::Plan => "Would be",
    };
    let mut table = new_table(&[title, "source", "samples", "of mix", "tokens", "of mix"], 2, width);
    for cut in &statistics.cuts {
        let (samples, tokens) = (cut.samples(), cut.tokens());
        let mut name = cut_name(cut.cut);
        for source in &cut.sources {
            table.add_row([
                std::mem::take(&mut name),
                line(&source.name),
                thousands(source.samples()),
                percent(source.samples(), samples),
                thousands(source.tokens()),
                percent(source.tokens(), tokens),
            ]);
        }
        table.add_row([name, "all".to_owned(), thousands(samples), String::new(), thousands(tokens), String::new()]);
        if let Some((samples, tokens)) = cut.validation {
            let name = "kept for validation".to_owned();
            table.add_row([String::new(), name, thousands(samples), String::new(), thousands(tokens), String::new()]);
        }
    }
    if table.is_empty() { String::new() } else { finish(&table) }
}

/// The infeasible cuts, each in a line, and the figures that say why.
fn not_as_asked(manifest: &Manifest, statistics: &Statistics, occasion: Occasion) -> String {
    let mut lines: Vec<String> = infeasible_cuts(manifest, occasion).collect();
    if lines.is_empty() {
        return String::new();
    }
    lines.extend(mean_summaries(statistics));
    lines.join("\n") + "\n\n"
}

/// A sentence about each infeasible cut and what was done with it.
pub(super) fn infeasible_cuts(manifest: &Manifest, occasion: Occasion) -> impl Iterator<Item = String> {
    manifest.cuts.iter().filter(|cut| !cut.feasible).map(move |cut| {
        let done = match (cut.written, occasion) {
            (true, Occasion::Mix) => "but was written all the same",
            (true, Occasion::Plan) => "but would be written all the same",
            (false, Occasion::Mix) => "and was not written",
            (false, Occasion::Plan) => "and would not be written",
        };
        format!("cut {} is not feasible {done}", cut_name(cut.cut))
    })
}

/// What feasibility is judged by: a cut N needs a mean of N in each of these sources.
pub(super) fn mean_summaries(statistics: &Statistics) -> Option<String> {
    let mean = |source: &SourceStatistics| Some(format!("{} {:.1}", line(&source.name), source.mean_summaries()?));
    let means: Vec<String> = statistics.sources.iter().filter_map(mean).collect();
    (!means.is_empty()).then(|| format!("mean summaries of a raw document: {}", means.join(", ")))
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
    if table.is_empty() { String::new() } else { finish(&table) }
}

fn length_row(cut: String, name: &str, sorted: &[u32]) -> Row {
    let mut row = Row::new();
    row.add_cell(cut.into()).add_cell(name.into());
    match statistics::summarise(sorted) {
        Some(summary) => {
            for length in [summary.min, summary.median, summary.p95, summary.max] {
                row.add_cell(thousands(u64::from(length)).into());
            }
        }
        None => {
            for _ in 0..4 {
                row.add_cell("-".into());
            }
        }
    }
    for limit in LIMITS {
        row.add_cell(thousands(statistics::overlong(sorted, limit).samples).into());
    }
    row
}

fn wishes(statistics: &Statistics, occasion: Occasion, width: u16) -> String {
    let got = match occasion {
        Occasion::Mix => "got",
        Occasion::Plan => "would get",
    };
    let names = statistics.cuts.iter().flat_map(|cut| &cut.sources).map(|source| source.name.chars().count());
    let longest_name = names.max().unwrap_or(0);
    let Some(measure) = statistics.cuts.iter().find_map(CutStatistics::measure) else { return String::new() };
    let title = match measure {
        Measure::Tokens => "Tokens",
        Measure::Samples => "Samples",
    };
    let mut table = new_table(&[title, "source", "wish", "there", "asked", got, "short by"], 3, width);
    for (place, column) in table.column_iter_mut().enumerate() {
        // The words wrap, so that no number and no name has to, unless it is an uncommonly long one.
        if place != 2 && (place != 1 || longest_name <= LONG_NAME) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    for cut in statistics.cuts.iter().filter(|cut| cut.has_wishes()) {
        let mut name = cut_name(cut.cut);
        for (source, requested) in cut.sources.iter().filter_map(|source| Some((source, source.requested?))) {
            table.add_row([
                std::mem::take(&mut name),
                line(&source.name),
                source.rule.as_deref().map_or_else(|| UNASKED.to_owned(), line),
                thousands(requested.available),
                thousands(requested.target),
                thousands(requested.actual),
                or_dash(requested.shortfall),
            ]);
        }
    }
    if table.is_empty() { String::new() } else { finish(&table) }
}

/// What a recipe that says nothing of a source asks of it.
pub(super) const UNASKED: &str = "once";

/// One line for a log or a termination message: `5x: 1,234 samples, 567,890 tokens; 50x: ...`.
pub(crate) fn one_line(statistics: &Statistics) -> String {
    let mixes = statistics.cuts.iter().map(|cut| {
        let samples = counted(cut.samples(), "sample", "samples");
        format!("{}: {samples}, {}", cut_name(cut.cut), counted(cut.tokens(), "token", "tokens"))
    });
    mixes.collect::<Vec<_>>().join("; ")
}

/// `5x`
pub(super) fn cut_name(cut: u32) -> String {
    format!("{cut}x")
}

fn or_dash(number: u64) -> String {
    if number == 0 { "-".to_owned() } else { thousands(number) }
}

/// A table without a frame, its header underlined, numbers to the right from column `first_number` on.
fn new_table(header: &[&str], first_number: usize, width: u16) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_style(TableComponent::HeaderLines, '-').set_style(TableComponent::MiddleHeaderIntersections, '-');
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(MIN_WIDTH));
    table.set_header(header.to_vec());
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if place >= first_number {
            column.set_padding((1, 0)).set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn finish(table: &Table) -> String {
    table.trim_fmt() + "\n\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;

    #[test]
    fn a_small_run() {
        let (manifest, statistics) = synthetic::small();
        insta::assert_snapshot!(table(&manifest, &statistics, Occasion::Mix, DEFAULT_WIDTH));
        insta::assert_snapshot!(one_line(&statistics));
    }

    #[test]
    fn a_plan_says_would() {
        let (manifest, statistics) = synthetic::small();
        insta::assert_snapshot!(table(&manifest, &statistics, Occasion::Plan, DEFAULT_WIDTH));
    }

    #[test]
    fn a_recipe_sees_asked_there_got_and_short() {
        let (manifest, mut statistics) = synthetic::with_recipe();
        statistics.cuts.truncate(2);
        insta::assert_snapshot!(table(&manifest, &statistics, Occasion::Mix, DEFAULT_WIDTH));
    }

    #[test]
    fn a_huge_run_fits_into_eighty_columns() {
        let (manifest, statistics) = synthetic::huge();
        let text = table(&manifest, &statistics, Occasion::Mix, DEFAULT_WIDTH);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80, "{text}");
    }

    #[test]
    fn a_run_of_nothing_and_hostile_names_do_no_harm() {
        let (manifest, mut statistics) = synthetic::small();
        statistics.sources[0].name = "evil\u{1b}[2J\nname".to_owned();
        statistics.cuts[0].sources[0].name = "evil\u{1b}[2J\nname".to_owned();
        let text = table(&manifest, &statistics, Occasion::Mix, 40);
        assert!(!text.contains('\u{1b}'));
        let text = table(&manifest, &Statistics::default(), Occasion::Mix, 0);
        assert!(text.starts_with("Sources"), "{text}");
    }
}
