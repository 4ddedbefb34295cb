//! What a run says at its end: what was mixed, a line for each file, the largest risk, where the report is.

use super::format::{cut_name, line, percent, size, thousands};
use super::statistics::{SourceStatistics, Statistics};
use super::wording::{STAND_IN, counted_rows, measured, rows_of};
use crate::manifest::{CutRecord, MANIFEST_NAME, Manifest, MixKind, OutputFile, OutputKind};
use crate::tokens::BUILTIN;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Maximum number of files that have a line: with what is around them, the text has at most 15 lines.
const MAX_FILES: usize = 9;

/// The end of a run, in at most 15 lines; it ends with a newline. `location` makes the shown location of a file of its name.
pub(crate) fn closing(
    manifest: &Manifest,
    statistics: &Statistics,
    elapsed: Duration,
    location: impl Fn(&str) -> String,
) -> String {
    let read = || statistics.sources.iter().filter(|source| !manifest.is_made(&source.name));
    let kept: u64 = read().map(|source| source.kept).sum();
    let dropped: u64 = read().map(SourceStatistics::dropped_rows).sum();
    let sources = read().filter(|source| source.kept > 0).count();
    let mut text = format!(
        "mixed {} rows of {sources} {} in {:.1} s, dropped {}\n",
        thousands(kept),
        if sources == 1 { "source" } else { "sources" },
        elapsed.as_secs_f64(),
        thousands(dropped),
    );
    text.push_str(&files(manifest, statistics, &location));
    if let Some(risk) = largest_risk(manifest, statistics) {
        text.push_str(&format!("note: {risk}\n"));
    }
    text + &format!("report: {}\n", line(&location("report.html")))
}

/// A message and the fields of an event for each mix file.
pub(crate) fn cut_events(manifest: &Manifest, location: impl Fn(&str) -> String) -> Vec<(String, Map<String, Value>)> {
    let mixes = manifest.outputs.iter().filter(|file| file.kind == OutputKind::Mix);
    let event = |file: &OutputFile| {
        let place = location(&file.name);
        let mut fields = Map::from_iter([
            ("cut".to_owned(), json!(file.cut)),
            ("file".to_owned(), json!(place)),
            ("rows".to_owned(), json!(file.rows)),
            ("tokens".to_owned(), json!(file.tokens)),
            ("bytes".to_owned(), json!(file.bytes)),
        ]);
        if file.mix == MixKind::Document {
            fields.insert("mix".to_owned(), json!(file.mix));
        }
        fields.extend(loss_tokens(manifest, file).map(|tokens| ("loss_tokens".to_owned(), json!(tokens))));
        (format!("wrote {place}"), fields)
    };
    mixes.map(event).collect()
}

/// The message and the fields of the event that ends a run.
pub(crate) fn end_event(
    manifest: &Manifest,
    statistics: &Statistics,
    elapsed: Duration,
    location: impl Fn(&str) -> String,
) -> (String, Map<String, Value>) {
    let read = || statistics.sources.iter().filter(|source| !manifest.is_made(&source.name));
    let sum = |of: fn(&SourceStatistics) -> u64| read().map(of).sum::<u64>();
    let fields = Map::from_iter([
        ("manifest".to_owned(), json!(location(MANIFEST_NAME))),
        ("rows_read".to_owned(), json!(sum(|source| source.read))),
        ("rows_kept".to_owned(), json!(sum(|source| source.kept))),
        ("rows_dropped".to_owned(), json!(sum(SourceStatistics::dropped_rows))),
        ("cuts".to_owned(), json!(statistics.cuts.iter().map(|cut| cut.cut).collect::<Vec<_>>())),
        ("bytes".to_owned(), json!(manifest.outputs.iter().map(|file| file.bytes).sum::<u64>())),
        ("seconds".to_owned(), json!((elapsed.as_secs_f64() * 1000.0).round() / 1000.0)),
    ]);
    (format!("the mix is complete: {}", location(MANIFEST_NAME)), fields)
}

/// A line for each mix file, the largest cuts last.
fn files(manifest: &Manifest, statistics: &Statistics, location: &impl Fn(&str) -> String) -> String {
    let mixes: Vec<&OutputFile> = manifest.outputs.iter().filter(|file| file.kind == OutputKind::Mix).collect();
    let (left_out, shown) = mixes.split_at(mixes.len().saturating_sub(MAX_FILES));
    let over = manifest.settings.max_seq_len;
    let has_loss_tokens = shown.iter().any(|file| loss_tokens(manifest, file).is_some());
    let mut header = vec!["cut".to_owned(), rows_of(manifest.main_mix()).to_owned(), "tokens".to_owned()];
    header.extend(has_loss_tokens.then(|| "loss tokens".to_owned()));
    header.extend(over.map(|length| format!("at least {}", thousands(u64::from(length)))));
    header.extend(["size".to_owned(), "file".to_owned()]);
    let row = |file: &&OutputFile| {
        let cut = file.cut.unwrap_or_default();
        let mut row = vec![
            cut_name(cut),
            thousands(file.rows.unwrap_or_default()),
            file.tokens.map_or_else(|| "-".to_owned(), thousands),
        ];
        if has_loss_tokens {
            row.push(loss_tokens(manifest, file).map_or_else(|| "-".to_owned(), thousands));
        }
        row.extend(over.map(|length| match file.mix {
            MixKind::Chat => share_over(statistics, cut, length),
            // Blocks do not depend on the length of documents.
            MixKind::Document => "-".to_owned(),
        }));
        row.extend([size(file.bytes), line(&location(&file.name))]);
        row
    };
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(shown.iter().map(row)).collect();
    let mut text = aligned(&rows);
    if !left_out.is_empty() {
        text.push_str(&format!("and {} more files of smaller cuts\n", thousands(left_out.len() as u64)));
    }
    text
}

fn loss_tokens(manifest: &Manifest, file: &OutputFile) -> Option<u64> {
    file.loss_tokens.or_else(|| Some(manifest.mix(file.cut?, file.mix)?.training()?.loss_tokens))
}

/// The share of the samples of a cut that have at least this many tokens.
fn share_over(statistics: &Statistics, cut: u32, length: u32) -> String {
    let Some(cut) = statistics.cuts.iter().find(|statistics| statistics.cut == cut) else { return "-".to_owned() };
    let overlong = cut.lengths().longer_than(length.saturating_sub(1)).samples;
    percent(overlong, cut.samples())
}

/// What is most likely to spoil a training on the largest cut, in one sentence.
fn largest_risk(manifest: &Manifest, statistics: &Statistics) -> Option<String> {
    let largest = statistics.cuts.last()?;
    let mixes = || manifest.cuts.iter().chain(&manifest.document_cuts).filter(|cut| cut.written);
    if let Some(risk) =
        dropped_by_the_trainer(mixes().filter(|cut| cut.cut == largest.cut)).or_else(|| shortfall(mixes()))
    {
        return Some(risk);
    }
    if manifest.tokenizer.name == BUILTIN {
        return Some(STAND_IN.to_owned());
    }
    let infeasible: Vec<String> =
        manifest.cuts.iter().filter(|cut| !cut.feasible).map(|cut| cut_name(cut.cut)).collect();
    if !infeasible.is_empty() {
        return Some(format!("the input has too few summaries for cut {}", infeasible.join(", ")));
    }
    let flagged: u64 = manifest.judged().map(|source| source.flagged).sum();
    let samples: u64 = manifest.judged().map(|source| source.kept).sum();
    if flagged * 100 >= samples.max(1) {
        let share = percent(flagged, samples.max(flagged));
        return Some(format!("{share} of the samples have signs of broken questions: see the report"));
    }
    let (source, dropped) =
        statistics.sources.iter().map(|source| (source, source.dropped_rows())).max_by_key(|(_, dropped)| *dropped)?;
    let is_large = dropped > 0 && dropped * 100 >= source.read;
    is_large.then(|| format!("{} of the rows of {} were dropped", percent(dropped, source.read), line(&source.name)))
}

/// What the trainer drops of the mix that loses the largest share; `None` if it drops nothing.
fn dropped_by_the_trainer<'m>(mixes: impl Iterator<Item = &'m CutRecord>) -> Option<String> {
    let dropped = |cut: &CutRecord| cut.preflight.as_ref().map_or(0, |preflight| preflight.dropped_samples());
    let most = mixes.filter(|cut| dropped(cut) > 0).max_by_key(|cut| share(dropped(cut), cut.samples))?;
    Some(format!(
        "the trainer will drop {} of the {} of cut {}",
        thousands(dropped(most)),
        counted_rows(most.samples, most.mix),
        cut_name(most.cut)
    ))
}

/// What the mix that misses the largest share of its targets lacks; `None` if none lacks anything.
fn shortfall<'m>(mixes: impl Iterator<Item = &'m CutRecord>) -> Option<String> {
    let requested = |cut: &'m CutRecord| cut.sources.iter().filter_map(|source| source.requested);
    let target = |cut: &'m CutRecord| requested(cut).map(|requested| requested.target).sum::<u64>();
    let lacking = |cut: &'m CutRecord| requested(cut).map(|requested| requested.shortfall).sum::<u64>();
    let most = mixes.filter(|cut| lacking(cut) > 0).max_by_key(|cut| (share(lacking(cut), target(cut)), cut.cut))?;
    let measured = measured(requested(most).next()?.measure, most.mix);
    let of = if most.mix == MixKind::Document { "the document mix of " } else { "" };
    Some(format!(
        "{of}cut {} is {} {measured} short of the recipe's targets ({}): see the report",
        cut_name(most.cut),
        thousands(lacking(most)),
        thousands(target(most)),
    ))
}

/// A share, in millionths.
fn share(part: u64, all: u64) -> u128 {
    u128::from(part) * 1_000_000 / u128::from(all.max(1))
}

/// Rows of cells in columns: all but the last right-aligned, under a header.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            match column + 1 == columns {
                true => text.push_str(cell),
                false => text.push_str(&format!("{cell:>width$}  ", width = widths[column])),
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Measure, Requested};
    use crate::report::synthetic;

    fn text(manifest: &Manifest, statistics: &Statistics) -> String {
        closing(manifest, statistics, Duration::from_millis(1234), |name| format!("output/step_03/{name}"))
    }

    fn file(cut: u32) -> OutputFile {
        OutputFile {
            name: format!("combined_cut_{cut}x.jsonl"),
            kind: OutputKind::Mix,
            mix: MixKind::Chat,
            cut: Some(cut),
            format: Some("messages".into()),
            rows: Some(100 * u64::from(cut)),
            tokens: Some(40_000 * u64::from(cut)),
            loss_tokens: None,
            bytes: 300_000 * u64::from(cut),
            digest: String::new(),
        }
    }

    #[test]
    fn a_run_ends_with_what_matters() {
        let (mut manifest, statistics) = synthetic::small();
        manifest.outputs = vec![file(2), file(5)];
        insta::assert_snapshot!(text(&manifest, &statistics));
        manifest.settings.max_seq_len = Some(1024);
        insta::assert_snapshot!(text(&manifest, &statistics));
    }

    #[test]
    fn many_files_do_not_fill_the_screen() {
        let (mut manifest, statistics) = synthetic::small();
        manifest.outputs = (1..=40).map(file).collect();
        let text = text(&manifest, &statistics);
        assert!(text.lines().count() <= 15 && text.contains("and 31 more files"), "{text}");
    }

    #[test]
    fn the_note_names_the_mix_that_loses_the_largest_share() {
        let (mut manifest, statistics) = synthetic::with_documents();
        let risk = |manifest: &Manifest| largest_risk(manifest, &statistics).unwrap();
        let drop = |cut: &mut CutRecord, samples: u64| {
            let preflight = cut.preflight.get_or_insert_default();
            preflight.dropped.insert("over_max_tokens_per_gpu".to_owned(), samples);
        };
        drop(manifest.cuts.iter_mut().rfind(|cut| cut.written).unwrap(), 20);
        assert!(risk(&manifest).contains("will drop 20 of the") && risk(&manifest).contains("samples of cut 5x"));
        let documents = manifest.document_cuts.iter_mut().rfind(|cut| cut.written).unwrap();
        drop(documents, documents.samples);
        assert!(risk(&manifest).contains("documents of cut 5x"), "{}", risk(&manifest));
    }

    #[test]
    fn the_note_names_a_shortfall_of_either_kind_of_mix() {
        let (mut manifest, statistics) = synthetic::with_documents();
        let requested = |shortfall| Requested {
            measure: Measure::Samples,
            target: 10_000,
            available: 10_000 - shortfall,
            actual: 10_000 - shortfall,
            shortfall,
        };
        manifest.cuts[0].sources[0].requested = Some(requested(1_000));
        let risk = |manifest: &Manifest| largest_risk(manifest, &statistics).unwrap();
        assert_eq!(risk(&manifest), "cut 2x is 1,000 samples short of the recipe's targets (10,000): see the report");
        manifest.document_cuts[1].sources[0].requested = Some(requested(2_000));
        assert_eq!(
            risk(&manifest),
            "the document mix of cut 5x is 2,000 documents short of the recipe's targets (10,000): see the report"
        );
    }
}
