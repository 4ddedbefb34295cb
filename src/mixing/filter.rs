//! Rows that are dropped for what they are.

use super::options::Filter;
use super::row::{Fate, Row};
use crate::recipe::Source;

/// Marks rows that are too long, too short or flagged in [`Row::fate`]. Needs the records' token lengths if there is a
/// [`Filter::max_tokens`], and their response lengths if there is a [`Filter::min_response_chars`]. Documents have no response, and
/// trainers divide them into blocks, whatever their length.
pub(crate) fn filter(rows: &mut [Row], sources: &[Source], filter: &Filter) {
    for row in rows.iter_mut().filter(|row| row.is_kept()) {
        let is_document = sources[row.record.source as usize].kind.is_document();
        if !is_document && filter.max_tokens.is_some_and(|most| row.record.tokens > most) {
            row.fate = Fate::TooLong;
        } else if !is_document && filter.min_response_chars.is_some_and(|least| row.record.response_chars < least) {
            row.fate = Fate::ShortResponse;
        } else if let Some(flag) = row.flags.and(filter.drop_flagged).iter().next() {
            row.fate = Fate::Flagged(flag);
        }
    }
}
