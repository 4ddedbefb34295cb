//! The rank hash byte for byte, and the properties that follow from it.

use super::rank::{RankHasher, rank_hash};
use super::tests::{Table, known_sources, usual};
use super::*;
use proptest::prelude::*;

fn hex(bytes: [u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_rank_hash_has_not_changed() {
    // The same vectors stand in docs/recipes.md; `b3sum` over the bytes that it describes gives them too.
    assert_eq!(hex(rank_hash(42, "extractive_summary", "raw", "summary")), "01d1381155e91ad446df59f0bb36b77a");
    assert_eq!(hex(rank_hash(0, "", "", "")), "1407a50e5506c30e1b161e4446dfe48a");
    assert_eq!(hex(rank_hash(u64::MAX, "detailed_summary", "é\u{0}", "\n")), "05ac14f042ada9dcf98a55d987f8109a");
}

#[test]
fn the_rank_hash_is_blake3_over_parts_with_their_lengths() {
    let mut bytes = Vec::new();
    for part in [b"km-rank-v1".as_slice(), &42u64.to_le_bytes(), b"extractive_summary", b"raw", b"summary"] {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part);
    }
    assert_eq!(rank_hash(42, "extractive_summary", "raw", "summary"), blake3::hash(&bytes).as_bytes()[..16]);
}

#[test]
fn orders_and_splits_have_not_changed() {
    assert_eq!(hex(order::order_hash(42, "general", &[7; 16])), "409ebcd1db4029546fbaf9f3d647bbd7");
    assert_eq!(hex(split::split_hash(42, "document", b"raw")), "7f1d37549d1ae524dbe8da9c9cce692f");
    let keys = [(42, 0, 0), (42, 1, 0), (42, 0, 1), (7, 1_000_000, 3)]
        .map(|(seed, row, copy)| order::order_key(seed, row, copy));
    assert_eq!(keys, [2530954509600685017, 1450401237223979975, 2208332896721199789, 13819526237909668524]);
}

#[test]
fn a_part_cannot_pass_for_its_neighbour() {
    assert_ne!(rank_hash(1, "a", "bc", "d"), rank_hash(1, "ab", "c", "d"));
    assert_ne!(rank_hash(1, "a", "b", "cd"), rank_hash(1, "a", "bc", "d"));
    let hasher = RankHasher::new(1, "a", "b");
    assert_eq!(hasher.summary("c"), rank_hash(1, "a", "b", "c"));
}

/// The rank of each (source, document, summary) of a table.
fn ranks(table: &Table) -> std::collections::BTreeMap<(u32, String, String), u32> {
    let text = |id: u32| if id == NO_TEXT { String::new() } else { table.texts[id as usize].clone() };
    table.rows.iter().map(|row| ((row.source, text(row.document), text(row.summary)), row.rank)).collect()
}

#[test]
fn neither_the_order_of_rows_nor_new_documents_change_what_is_chosen() {
    let sources = known_sources();
    let mut table = usual(4, 9);
    table.rank(&sources, 42);
    let before = ranks(&table);

    let mut turned = table.clone();
    turned.rows.reverse();
    turned.rank(&sources, 42);
    assert_eq!(ranks(&turned), before);

    let mut more = Table::default();
    more.add(0, "new", "new summary", "n", 1);
    let mut grown = usual(6, 9);
    more.rows.append(
        &mut grown
            .rows
            .iter()
            .map(|row| {
                let mut row = *row;
                let shift = |id: &mut u32| {
                    if *id != NO_TEXT {
                        *id += more.texts.len() as u32
                    }
                };
                shift(&mut row.document);
                shift(&mut row.summary);
                shift(&mut row.outline);
                row
            })
            .collect(),
    );
    more.texts.append(&mut grown.texts);
    more.rank(&sources, 42);
    let after = ranks(&more);
    assert!(before.iter().all(|(key, rank)| after[key] == *rank));

    table.rank(&sources, 43);
    assert_ne!(ranks(&table), before, "another seed, another choice");
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
            let mut siblings: Vec<[u8; 16]> = sorted
                .iter()
                .filter(|other| (other.0, other.1) == (source, document))
                .map(|other| rank_hash(seed, &sources[source as usize].name, &format!("d{document}"), &format!("s{}", other.2)))
                .collect();
            siblings.sort();
            siblings.dedup();
            let own = rank_hash(seed, &sources[source as usize].name, &format!("d{document}"), &format!("s{summary}"));
            let rank = if source == 2 { 0 } else { siblings.binary_search(&own).unwrap() };
            prop_assert_eq!(row.rank as usize, rank);
        }
    }
}
