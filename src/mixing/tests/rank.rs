//! What follows from ranks by hash.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The rank of each (source, raw document, summary) of a table.
fn ranks(table: &Table) -> BTreeMap<&(u32, String, String), u32> {
    let named = |row: &Row| Some((&table.summaries[row.record.summary?.place()], row.rank));
    table.rows.iter().filter_map(named).collect()
}

#[test]
fn neither_the_order_of_rows_nor_new_documents_change_what_is_chosen() {
    let sources = known_sources();
    let mut table = usual(4, 9);
    table.rank(&sources, 42);
    let before = ranks(&table);

    let mut reversed = table.clone();
    reversed.rows.reverse();
    reversed.rank(&sources, 42);
    assert_eq!(ranks(&reversed), before);

    let mut more = Table::default();
    more.add(0, "new", "new summary", "n", 1);
    let grown = usual(6, 9);
    for row in &grown.rows {
        let text = |number: Option<Number>| &grown.documents[number.unwrap().place()];
        let (source, _, summary) = &grown.summaries[row.record.summary.unwrap().place()];
        more.add(*source, text(row.record.document), summary, "", 1);
    }
    more.rank(&sources, 42);
    let after = ranks(&more);
    assert!(before.iter().all(|(key, rank)| after[key] == *rank));

    let mut other_seed = table.clone();
    other_seed.rank(&sources, 43);
    assert_ne!(ranks(&other_seed), before);
}

#[test]
fn every_summary_is_chosen_equally_often_over_the_seeds() {
    // 20 summaries, 4 are chosen, 4000 seeds: each is expected 800 times.
    let sources = known_sources();
    let mut table = Table::default();
    for summary in 0..20 {
        table.add(0, "raw", &format!("summary {summary}"), "", 1);
    }
    let mut chosen = [0f64; 20];
    for seed in 0..4000 {
        table.rank(&sources, seed);
        for (row, count) in table.rows.iter().zip(&mut chosen) {
            *count += f64::from(u8::from(row.rank < 4));
        }
    }
    // Without replacement: the variance of a count is 4000 × 0.2 × 0.8, and the sum of squares is scaled by 19/20.
    let chi: f64 = chosen.iter().map(|count| (count - 800.0).powi(2) / 640.0).sum::<f64>() * 19.0 / 20.0;
    // 99.99% of chi-square with 19 degrees of freedom.
    assert!(chi < 51.0, "{chi}: {chosen:?}");
}

proptest! {
    #[test]
    fn ranks_are_what_sorting_the_hashes_gives(
        rows in prop::collection::vec((0u32..3, 0u32..3, 0u32..8), 0..60),
        seed in any::<u64>(),
    ) {
        let sources = known_sources();
        let rank_hash = |source: u32, document: u32, summary: u32| {
            let name = &sources[source as usize].name;
            RankHasher::new(seed, name, &format!("d{document}")).summary(&format!("s{summary}"))
        };
        let mut sorted = rows;
        sorted.sort_by_key(|row| row.0);
        let mut table = Table::default();
        for (source, document, summary) in &sorted {
            table.add(*source, &format!("d{document}"), &format!("s{summary}"), "", 1);
        }
        table.rank(&sources, seed);
        for (at, &(source, document, summary)) in sorted.iter().enumerate() {
            let row = table.rows[at];
            let pair = sorted[..at].iter().filter(|&&other| other == (source, document, summary)).count();
            prop_assert_eq!(row.pair as usize, pair);
            let mut siblings: Vec<Hash128> = sorted
                .iter()
                .filter(|other| (other.0, other.1) == (source, document))
                .map(|other| rank_hash(source, document, other.2))
                .collect();
            siblings.sort();
            siblings.dedup();
            let own = rank_hash(source, document, summary);
            let rank = if source == 2 { 0 } else { siblings.binary_search(&own).unwrap() };
            prop_assert_eq!(row.rank as usize, rank);
        }
    }
}
