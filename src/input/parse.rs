//! One row of an input file becomes a sample.

use super::row_filter::{Belongs, RowFilter, malformed};
use crate::recipe::Source;
use crate::sample::{self, BadRow, Body, Columns, ParseOptions, ParsedRow, RejectReason, RowError};
use crate::text::Interner;
use serde::de::IgnoredAny;

/// Parses the rows of one source.
#[derive(Debug)]
pub(crate) struct RowParser {
    source: Source,
    options: ParseOptions,
    columns: Vec<String>,
    filter: Option<RowFilter>,
}

impl RowParser {
    /// A parser for the rows of a source.
    pub(crate) fn new(source: &Source, options: ParseOptions) -> Self {
        let columns = sample::columns(source, &options);
        Self { source: source.clone(), options, columns, filter: None }
    }

    /// The same parser, for a file of which this filter says which rows are the source's.
    pub(super) fn with_filter(self, filter: Option<RowFilter>) -> Self {
        Self { filter, ..self }
    }

    /// The columns that the parser reads.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        let of_filter = self.filter.iter().flat_map(RowFilter::columns);
        self.columns.iter().map(String::as_str).chain(of_filter)
    }

    /// Parses one row: a line, or an element of an array.
    ///
    /// # Errors
    /// [`RowError::Bad`] for a row that is not readable.
    pub(crate) fn parse(&self, row: &[u8], texts: &Interner) -> Result<ParsedRow<Body>, RowError> {
        let parsed = self.parse_row(row, texts);
        match (&self.filter, parsed) {
            (Some(filter), Err(RowError::Bad(_))) if !filter.reports_bad_rows() && !self.is_own(row) => {
                Ok(ParsedRow::Elsewhere(None))
            }
            (_, parsed) => parsed,
        }
    }

    /// Whether a row is certainly one of the source, readable or not.
    fn is_own(&self, row: &[u8]) -> bool {
        let filter = self.filter.as_ref().zip(std::str::from_utf8(row).ok());
        filter.is_some_and(|(filter, row)| matches!(filter.decide(row), Ok(Belongs::Here)))
    }

    fn parse_row(&self, row: &[u8], texts: &Interner) -> Result<ParsedRow<Body>, RowError> {
        let row = simdutf8::compat::from_utf8(row).map_err(|error| {
            let message = format!("invalid UTF-8 at byte {} of the row", error.valid_up_to() + 1);
            RowError::bad(RejectReason::InvalidUtf8, message)
        })?;
        // Without the line end, which the parser would name instead of the place where the row breaks off.
        let row = row.trim_end_matches(['\n', '\r']);
        match self.parse_text(row, texts) {
            // Python's `json` writes and reads literals that are not JSON.
            Err(RowError::Bad(BadRow { reason: RejectReason::MalformedJson, .. }))
                if let Some(row) = sample::numbers::without_non_finite(row) =>
            {
                self.parse_text(&row, texts)
            }
            parsed => parsed,
        }
    }

    fn parse_text(&self, row: &str, texts: &Interner) -> Result<ParsedRow<Body>, RowError> {
        if !row.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
            return Err(match serde_json::from_str::<IgnoredAny>(row) {
                Ok(_) => RowError::bad(RejectReason::NotAnObject, "the row is not a JSON object"),
                Err(error) => malformed(&error),
            });
        }
        if let Some(filter) = &self.filter
            && let Belongs::Elsewhere(value) = filter.decide(row)?
        {
            return Ok(ParsedRow::Elsewhere(value));
        }
        let columns = Columns::read(row, &self.columns).map_err(|error| malformed(&error))?;
        sample::parse(&columns, &self.source, &self.options, texts)
    }
}

#[cfg(test)]
mod tests;
