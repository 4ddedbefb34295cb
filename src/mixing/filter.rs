//! Rows that are dropped for what they are.

use super::options::Filter;
use super::row::{Fate, Row};
use crate::recipe::Source;

/// Marks rows that are too long or too short in [`Row::fate`]. Needs the records' token lengths if there is a
/// [`Filter::max_tokens`], and their response lengths if there is a [`Filter::min_response_chars`]. Documents have no response, and
/// trainers divide them into blocks, whatever their length: they are not filtered.
pub(crate) fn filter(rows: &mut [Row], sources: &[Source], filter: &Filter) {
    let is_document = |row: &Row| sources[row.record.source as usize].kind.is_document();
    for row in rows.iter_mut().filter(|row| row.is_kept() && !is_document(row)) {
        if filter.max_tokens.is_some_and(|most| row.record.tokens > most) {
            row.fate = Fate::TooLong;
        } else if filter.min_response_chars.is_some_and(|least| row.record.response_chars < least) {
            row.fate = Fate::ShortResponse;
        }
    }
}
