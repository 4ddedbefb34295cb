//! Everything about rows that is the same for every cut: filters, duplicates, ranks, groups, validation.

use super::dedup::drop_duplicates;
use super::filter::filter;
use super::hold_out::{group, hold_out};
use super::options::Options;
use super::rank::rank;
use super::row::Row;
use crate::index::Index;
use crate::recipe::{Amount, RepeatUnit, Source};

/// Filters, ranks and holds out; returns the table of rows and warnings.
pub(crate) fn place(index: Index, sources: &[Source], options: &Options) -> (Vec<Row>, Vec<String>) {
    let Index { records, flags, hashes } = index;
    let mut rows: Vec<Row> = records.into_iter().map(Row::new).collect();
    rows.iter_mut().zip(flags).for_each(|(row, flags)| row.flags = flags);
    filter(&mut rows, sources, &options.filter);
    rank(&mut rows, sources, &hashes);
    if options.filter.duplicates && drop_duplicates(&mut rows, &hashes) > 0 {
        // A summary may have lost all its rows: those behind it move up.
        rank(&mut rows, sources, &hashes);
    }
    let mut warnings = Vec::new();
    if let Some(part) = options.validation {
        warnings = hold_out(&mut rows, sources, part, options.seed, &hashes);
    } else if sources.iter().any(|source| matches!(source.amount(), Amount::Repeat { unit: RepeatUnit::Document, .. }))
    {
        group(&mut rows);
    }
    (rows, warnings)
}
