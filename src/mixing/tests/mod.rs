//! The steps of mixing together, on small tables.

mod plan;
mod rank;
mod shares;

use super::feasible::Offer;
use super::options::{Budget, Filter};
use super::row::Fate;
use super::*;
use crate::error::ErrorKind;
use crate::index::{Dictionary, Hash128, Hashes, Index, Number, RankHasher, Record};
use crate::manifest::MixKind;
use crate::recipe::{Amount, Decimal, InfeasibleCuts, Kind, OnShortfall, Recipe, RepeatUnit, Source};

/// A table of rows, and the texts behind their numbers.
#[derive(Default, Clone, Debug)]
struct Table {
    rows: Vec<Row>,
    documents: Vec<String>,
    outlines: Vec<String>,
    /// Source, raw document and summary.
    summaries: Vec<(u32, String, String)>,
}

fn number<T: PartialEq>(list: &mut Vec<T>, entry: T) -> Number {
    let place = list.iter().position(|known| *known == entry).unwrap_or_else(|| {
        list.push(entry);
        list.len() - 1
    });
    Number::from_place(place)
}

impl Table {
    /// Adds a row whose conversation is `content`; an empty text is none.
    fn add(&mut self, source: u32, document: &str, summary: &str, content: &str, tokens: u32) -> &mut Self {
        let outline = format!("outline of {document}");
        let known = !document.is_empty();
        self.rows.push(Row::new(Record {
            content: Hash128::of(content),
            document: known.then(|| number(&mut self.documents, document.to_owned())),
            outline: known.then(|| number(&mut self.outlines, outline)),
            summary: (!summary.is_empty())
                .then(|| number(&mut self.summaries, (source, document.to_owned(), summary.to_owned()))),
            tokens,
            response_chars: 10,
            train_tokens: tokens + 19,
            loss_tokens: tokens / 2,
            source,
        }));
        self
    }

    fn hashes(&self, sources: &[Source], seed: u64) -> Hashes {
        let texts = |list: &[String]| Dictionary::new(list.iter().map(|text| Hash128::of(text)).collect());
        let rank_hash = |(source, document, summary): &(u32, String, String)| {
            RankHasher::new(seed, &sources[*source as usize].name, document).summary(summary)
        };
        Hashes {
            documents: texts(&self.documents),
            outlines: texts(&self.outlines),
            summaries: Dictionary::new(self.summaries.iter().map(rank_hash).collect()),
        }
    }

    fn rank(&mut self, sources: &[Source], seed: u64) {
        let hashes = self.hashes(sources, seed);
        super::rank::rank(&mut self.rows, sources, &hashes);
    }

    fn place(&mut self, sources: &[Source], options: &Options) -> Vec<String> {
        let records = self.rows.iter().map(|row| row.record).collect();
        let index = Index { records, flags: Vec::new(), hashes: self.hashes(sources, options.seed) };
        let warnings;
        (self.rows, warnings) = place(index, sources, options);
        warnings
    }
}

/// The known sources, two pairs of each summary.
fn known_sources() -> Vec<Source> {
    let mut sources = Recipe::default().all_sources();
    sources.truncate(4);
    sources.iter_mut().filter(|source| source.kind == Kind::SummaryQa).for_each(|source| source.qa_per_doc = Some(2));
    sources
}

fn source(name: &str, kind: Kind, qa_per_doc: u32) -> Source {
    let qa_per_doc = (kind == Kind::SummaryQa).then_some(qa_per_doc);
    Source { name: name.to_owned(), kind, qa_per_doc, by_cut: kind == Kind::SummaryQa, ..known_sources().remove(0) }
}

fn request(source: &mut Source, amount: Amount) {
    (source.share, source.repeat, source.unit) = match amount {
        Amount::Share(share) => (Some(share), Decimal::ONE, RepeatUnit::Sample),
        Amount::Repeat { times, unit } => (None, times, unit),
    };
}

/// How often each row is in a cut, in the mix or held out.
fn copies(plan: &CutPlan, rows: &[Row]) -> Vec<u32> {
    let copies = |(at, row): (usize, &Row)| plan.copies(at, row.record.source) + u32::from(plan.is_validation(at));
    rows.iter().enumerate().map(copies).collect()
}

/// The sequence of all files, natural or shuffled.
fn output_rows(rows: &[Row], plans: &[CutPlan], shuffle_seed: Option<u64>) -> Vec<OutputRow> {
    let (sources, most) = (source_ranges(rows), most_copies(rows, plans));
    match shuffle_seed {
        None => natural_order(&sources, &most).collect(),
        Some(seed) => {
            let order = ShuffledOrder::new(&sources, &most, seed);
            (0..order.buckets()).flat_map(|bucket| order.bucket(bucket)).collect()
        }
    }
}

/// Two summary sources: `documents` raw documents with `summaries` summaries of three pairs; and five rows of each
/// other source.
fn usual(documents: u32, summaries: u32) -> Table {
    let mut table = Table::default();
    for source in 0..2 {
        for document in 0..documents {
            for summary in 0..summaries {
                for pair in 0..3 {
                    let summary = format!("s{source}.{document}.{summary}");
                    let content = format!("{summary}.{pair}");
                    table.add(source, &format!("d{document}"), &summary, &content, 10 + pair);
                }
            }
        }
    }
    for source in 2..4 {
        for row in 0..5 {
            let document = format!("d{}", row % documents.max(1));
            table.add(source, &document, &document, &format!("{source}.{row}"), 7);
        }
    }
    table
}

#[test]
fn without_a_recipe_a_mix_is_what_the_contract_says() {
    let sources = known_sources();
    let mut table = usual(3, 6);
    let options = Options::default();
    assert!(table.place(&sources, &options).is_empty());
    let cuts = feasible(&table.rows, &sources, &[6, 2, 2, 7], InfeasibleCuts::Drop).unwrap();
    assert_eq!(cuts.written(), [2, 6]);
    assert_eq!(cuts.largest_feasible, Some(6));
    insta::assert_snapshot!(cuts.warnings.join("\n"), @"cut 7 is not feasible and is left out: extractive_summary has 6.00 summaries per raw document on average (18 summaries of 3 raw documents), detailed_summary has 6.00 summaries per raw document on average (18 summaries of 3 raw documents)");
    assert_eq!(candidates(&table.rows, &sources, 6).len(), 2 * 3 * 6 * 2 + 10);
    let plans: Vec<CutPlan> =
        cuts.written().into_iter().map(|cut| plan_cut(&table.rows, &sources, &options, cut, MixKind::Chat)).collect();
    check(&plans, &sources, options.on_shortfall).unwrap();
    for (plan, cut) in plans.iter().zip([2, 6]) {
        // Three documents, two pairs of 10 and 11 tokens.
        let summaries = Size { samples: 3 * cut * 2, tokens: 3 * cut * 21, loss_tokens: 3 * cut * 10 };
        let got: Vec<Size> = plan.sources.iter().map(|source| source.actual).collect();
        let rest = Size { samples: 5, tokens: 35, loss_tokens: 15 };
        assert_eq!(got, [summaries, summaries, rest, rest]);
        assert!(plan.sources.iter().all(|source| source.actual == source.available && source.rule.is_none()));
        assert!(copies(plan, &table.rows).iter().all(|&n| n <= 1));
    }
    // Nested, and in natural order.
    assert!(
        copies(&plans[0], &table.rows).iter().zip(copies(&plans[1], &table.rows)).all(|(small, large)| *small <= large)
    );
    let output = output_rows(&table.rows, &plans, None);
    assert!(output.is_sorted_by_key(|row| row.row));
    assert_eq!(output.len(), 2 * 3 * 6 * 2 + 10);
}

#[test]
fn no_feasible_cut_is_an_error_that_names_the_largest() {
    let sources = known_sources();
    let mut table = usual(2, 3);
    table.rank(&sources, 1);
    let error = feasible(&table.rows, &sources, &[5, 50], InfeasibleCuts::Drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoFeasibleCut);
    insta::assert_snapshot!(error, @r"
    no requested cut is feasible: extractive_summary has 3.00 summaries per raw document on average (6 summaries of 2 raw documents), detailed_summary has 3.00 summaries per raw document on average (6 summaries of 2 raw documents); the largest feasible cut is 3
      hint: request cuts up to 3 (--cut-sizes 3), or accept what is available (--infeasible-cuts keep)
    ");
    let error = feasible(&table.rows, &sources, &[3, 4], InfeasibleCuts::Fail).unwrap_err();
    insta::assert_snapshot!(error, @r"
    cut 4 is not feasible: extractive_summary has 3.00 summaries per raw document on average (6 summaries of 2 raw documents), detailed_summary has 3.00 summaries per raw document on average (6 summaries of 2 raw documents); the largest feasible cut is 3
      hint: request cuts up to 3 (--cut-sizes 3), or leave infeasible cuts out (--infeasible-cuts drop)
    ");
    let cuts = feasible(&table.rows, &sources, &[50, 5], InfeasibleCuts::Keep).unwrap();
    assert_eq!(cuts.written(), [5, 50]);
    assert!(cuts.requested.iter().all(|cut| !cut.feasible));
}

#[test]
fn the_average_decides_and_is_exact() {
    let sources = known_sources();
    let mut table = Table::default();
    for (document, summaries) in [("a", 5), ("b", 4)] {
        for summary in 0..summaries {
            table.add(0, document, &format!("{document}{summary}"), "", 1);
        }
    }
    table.rank(&sources, 1);
    // 4.5 on average: 4 is feasible, 5 is not, though document a has five.
    let cuts = feasible(&table.rows, &sources, &[4, 5], InfeasibleCuts::Drop).unwrap();
    assert_eq!(cuts.written(), [4]);
    assert_eq!(
        cuts.offers[0].to_string(),
        "extractive_summary has 4.50 summaries per raw document on average (9 summaries of 2 raw documents)"
    );
    // Nine hundred and ninety-nine thousandths are not rounded up.
    let offer = Offer { source: "x".into(), documents: 1000, summaries: 9999 };
    assert_eq!(
        offer.to_string(),
        "x has 9.99 summaries per raw document on average (9999 summaries of 1000 raw documents)"
    );
}

#[test]
fn summaries_are_distinct_within_their_raw_document() {
    let sources = known_sources();
    let mut table = Table::default();
    table
        .add(0, "a", "same", "1", 1)
        .add(0, "b", "same", "2", 1)
        .add(0, "a", "same", "3", 1)
        .add(0, "a", "other", "4", 1);
    table.rank(&sources, 1);
    let cuts = feasible(&table.rows, &sources, &[1], InfeasibleCuts::Drop).unwrap();
    assert_eq!((cuts.offers[0].documents, cuts.offers[0].summaries), (2, 3));
    let pairs: Vec<u32> = table.rows.iter().map(|row| row.pair).collect();
    assert_eq!(pairs, [0, 0, 1, 0]);
    assert_eq!(table.rows[1].rank, 0);
}

#[test]
fn without_summary_sources_the_smallest_cut_stands_for_all() {
    let sources = known_sources();
    let mut table = Table::default();
    table.add(2, "", "", "1", 1);
    table.rank(&sources, 1);
    let cuts = feasible(&table.rows, &sources, &[50, 5], InfeasibleCuts::Fail).unwrap();
    assert_eq!(cuts.written(), [5]);
    insta::assert_snapshot!(cuts.warnings.join("\n"), @"no summary source found: all cuts would be the same, so only the smallest (5) is written");
}

#[test]
fn additional_summary_sources_decide_only_if_the_known_ones_have_no_rows() {
    let mut sources = known_sources();
    sources.push(source("wiki", Kind::SummaryQa, 2));
    let mut table = usual(2, 3);
    table.add(4, "w", "one", "w1", 1);
    table.rank(&sources, 1);
    assert_eq!(feasible(&table.rows, &sources, &[3], InfeasibleCuts::Drop).unwrap().written(), [3]);
    table.rows.retain(|row| row.record.source == 4);
    assert_eq!(
        feasible(&table.rows, &sources, &[3], InfeasibleCuts::Drop).unwrap_err().kind(),
        ErrorKind::NoFeasibleCut
    );
}
