//! What is taken away before anything is ranked.

use super::{Fate, Filter, NO_TEXT, Row};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Marks rows that are too long or too short in [`Row::fate`].
///
/// Wants [`Row::tokens`] where [`Filter::max_tokens`] is set; asks `response_chars` only where
/// [`Filter::min_response_chars`] is.
pub(crate) fn filter(rows: &mut [Row], filter: &Filter, response_chars: impl Fn(usize) -> usize) {
    for (at, row) in rows.iter_mut().enumerate().filter(|(_, row)| row.is_kept()) {
        if filter.max_tokens.is_some_and(|most| row.tokens > most) {
            row.fate = Fate::TooLong;
        } else if filter.min_response_chars.is_some_and(|least| response_chars(at) < least as usize) {
            row.fate = Fate::ShortResponse;
        }
    }
}

/// Of the rows with the same [`Row::content`], keeps the best: of the first source, then of the lowest rank, then by
/// the texts of raw document and summary (never by position), then the first pair. Marks the others, returns their
/// number. Wants the rows ranked; who drops any ranks them again.
pub(crate) fn drop_duplicates<'t>(rows: &mut [Row], text: impl Fn(u32) -> &'t str) -> u64 {
    let text = |id: u32| if id == NO_TEXT { "" } else { text(id) };
    let mut best: HashMap<[u8; 16], usize> = HashMap::with_capacity(rows.len());
    let mut dropped = 0;
    for at in 0..rows.len() {
        if !rows[at].is_kept() {
            continue;
        }
        let loser = match best.entry(rows[at].content) {
            Entry::Vacant(entry) => {
                entry.insert(at);
                continue;
            }
            Entry::Occupied(mut entry) => {
                let (old, new) = (&rows[*entry.get()], &rows[at]);
                let by_texts = || {
                    let texts = |row: &Row| (text(row.document), text(row.summary));
                    if (old.document, old.summary) == (new.document, new.summary) {
                        std::cmp::Ordering::Equal
                    } else {
                        texts(new).cmp(&texts(old))
                    }
                };
                let better = (new.source, new.rank)
                    .cmp(&(old.source, old.rank))
                    .then_with(by_texts)
                    .then_with(|| new.pair.cmp(&old.pair));
                if better.is_lt() { entry.insert(at) } else { at }
            }
        };
        rows[loser].fate = Fate::Duplicate;
        dropped += 1;
    }
    dropped
}
