//! The rooms of the planning together, on small tables.

use super::*;
use crate::error::ErrorKind;
use crate::recipe::InfeasibleCuts;

/// A table made of texts, and the texts.
#[derive(Default, Clone, Debug)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    pub(super) texts: Vec<String>,
}

impl Table {
    pub(super) fn id(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return NO_TEXT;
        }
        let at = self.texts.iter().position(|t| t == text).unwrap_or_else(|| {
            self.texts.push(text.to_owned());
            self.texts.len() - 1
        });
        at as u32
    }

    /// A row whose messages are `content` and whose tokens are given.
    pub(super) fn add(&mut self, source: u32, document: &str, summary: &str, content: &str, tokens: u32) -> &mut Self {
        let outline = if document.is_empty() { String::new() } else { format!("outline of {document}") };
        let mut row = Row::new(source, self.id(document), self.id(&outline), self.id(summary));
        row.content.copy_from_slice(&blake3::hash(content.as_bytes()).as_bytes()[..16]);
        row.tokens = tokens;
        self.rows.push(row);
        self
    }

    pub(super) fn rank(&mut self, sources: &[Source], seed: u64) {
        let texts = self.texts.clone();
        rank(&mut self.rows, sources, seed, |id| texts[id as usize].as_str());
    }

    pub(super) fn prepare(&mut self, sources: &[Source], options: &Options) -> Vec<String> {
        let texts = self.texts.clone();
        prepare(&mut self.rows, sources, options, |id| texts[id as usize].as_str(), |_| 10)
    }
}

pub(super) fn known_sources() -> Vec<Source> {
    vec![
        Source::new("extractive_summary", Kind::SummaryQa, 2),
        Source::new("detailed_summary", Kind::SummaryQa, 2),
        Source::new("key_facts_to_qa", Kind::FactQa, 2),
        Source::new("document_based_qa", Kind::DocumentQa, 2),
    ]
}

/// Two summary sources: `documents` raw documents with `summaries` summaries of three pairs; and five rows of each
/// other source.
pub(super) fn usual(documents: u32, summaries: u32) -> Table {
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
    assert!(table.prepare(&sources, &options).is_empty());
    let cuts = feasible(&table.rows, &sources, &[6, 2, 2, 7], InfeasibleCuts::Drop).unwrap();
    assert_eq!(cuts.written(), [2, 6]);
    assert_eq!(cuts.largest_feasible, Some(6));
    insta::assert_snapshot!(cuts.warnings.join("\n"), @"cut 7 is not feasible: extractive_summary has 6.00 in the mean (18 summaries of 3 raw documents), detailed_summary has 6.00 in the mean (18 summaries of 3 raw documents): left out");
    assert_eq!(candidates(&table.rows, &sources, 6).len(), 2 * 3 * 6 * 2 + 10);
    let plans: Vec<CutPlan> =
        cuts.written().into_iter().map(|cut| plan_cut(&table.rows, &sources, &options, cut)).collect();
    check(&plans, &sources, options.on_shortfall).unwrap();
    for (plan, cut) in plans.iter().zip([2, 6]) {
        // Three documents, two pairs of 10 and 11 tokens.
        let summaries = Size { samples: 3 * cut * 2, tokens: 3 * cut * 21 };
        let got: Vec<Size> = plan.sources.iter().map(|source| source.actual).collect();
        let rest = Size { samples: 5, tokens: 35 };
        assert_eq!(got, [summaries, summaries, rest, rest]);
        assert!(plan.sources.iter().all(|source| source.actual == source.available && source.rule.is_none()));
        assert!(plan.copies.iter().all(|&n| n <= 1));
    }
    // Nested, and in natural order.
    assert!(plans[0].copies.iter().zip(&plans[1].copies).all(|(small, large)| small <= large));
    let units = units(&table.rows, &plans, 42, false);
    assert!(units.is_sorted_by_key(|unit| unit.row));
    assert_eq!(units.len(), 2 * 3 * 6 * 2 + 10);
}

#[test]
fn no_feasible_cut_is_an_error_that_names_the_largest() {
    let sources = known_sources();
    let mut table = usual(2, 3);
    table.rank(&sources, 1);
    let error = feasible(&table.rows, &sources, &[5, 50], InfeasibleCuts::Drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoFeasibleCut);
    insta::assert_snapshot!(error, @r"
    no cut is feasible, the largest feasible cut is 3: cut 5 is not feasible: extractive_summary has 3.00 in the mean (6 summaries of 2 raw documents), detailed_summary has 3.00 in the mean (6 summaries of 2 raw documents)
      hint: ask for cuts up to 3 (--cut-sizes 3), or take what there is (--infeasible-cuts keep)
    ");
    let error = feasible(&table.rows, &sources, &[3, 4], InfeasibleCuts::Fail).unwrap_err();
    insta::assert_snapshot!(error, @r"
    cut 4 is not feasible: extractive_summary has 3.00 in the mean (6 summaries of 2 raw documents), detailed_summary has 3.00 in the mean (6 summaries of 2 raw documents); the largest feasible cut is 3
      hint: ask for cuts up to 3 (--cut-sizes 3), or let infeasible cuts be left out (--infeasible-cuts drop)
    ");
    let cuts = feasible(&table.rows, &sources, &[50, 5], InfeasibleCuts::Keep).unwrap();
    assert_eq!(cuts.written(), [5, 50]);
    assert!(cuts.requested.iter().all(|cut| !cut.feasible));
}

#[test]
fn the_mean_decides_and_is_exact() {
    let sources = known_sources();
    let mut table = Table::default();
    for (document, summaries) in [("a", 5), ("b", 4)] {
        for summary in 0..summaries {
            table.add(0, document, &format!("{document}{summary}"), "", 1);
        }
    }
    table.rank(&sources, 1);
    // 4.5 in the mean: 4 is feasible, 5 is not, though document a has five.
    let cuts = feasible(&table.rows, &sources, &[4, 5], InfeasibleCuts::Drop).unwrap();
    assert_eq!(cuts.written(), [4]);
    assert_eq!(cuts.offers[0].to_string(), "extractive_summary has 4.50 in the mean (9 summaries of 2 raw documents)");
    // Nine hundred and ninety-nine thousandths are not rounded up.
    let offer = feasible::Offer { source: "x".into(), documents: 1000, summaries: 9999 };
    assert_eq!(offer.to_string(), "x has 9.99 in the mean (9999 summaries of 1000 raw documents)");
}

#[test]
fn equal_summaries_of_two_raw_documents_are_two_and_equal_ones_of_one_are_one() {
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
    insta::assert_snapshot!(cuts.warnings.join("\n"), @"no summary source is there: all cuts would be the same, only the smallest (5) is written");
}

#[test]
fn further_summary_sources_have_a_say_only_where_the_known_ones_are_not_there() {
    let mut sources = known_sources();
    sources.push(Source::new("wiki", Kind::SummaryQa, 2));
    let mut table = usual(2, 3);
    table.add(4, "w", "one", "w1", 1);
    table.rank(&sources, 1);
    assert_eq!(feasible(&table.rows, &sources, &[3], InfeasibleCuts::Drop).unwrap().written(), [3]);
    table.rows.retain(|row| row.source == 4);
    assert_eq!(
        feasible(&table.rows, &sources, &[3], InfeasibleCuts::Drop).unwrap_err().kind(),
        ErrorKind::NoFeasibleCut
    );
}
