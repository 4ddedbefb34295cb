//! One row of an input file becomes a sample.

use crate::recipe::Source;
use crate::sample::{self, Body, Columns, ParseOptions, ParsedRow, RejectReason, RowError};
use crate::text::Interner;
use serde::de::IgnoredAny;

/// Parses the rows of one source.
#[derive(Debug)]
pub(crate) struct RowParser {
    source: Source,
    options: ParseOptions,
    columns: Vec<String>,
}

impl RowParser {
    /// A parser for the rows of a source.
    pub(crate) fn new(source: &Source, options: ParseOptions) -> Self {
        let columns = sample::columns(source.kind, &options);
        Self { source: source.clone(), options, columns }
    }

    /// The columns that the parser reads.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }

    /// Parses one row: a line, or an element of an array.
    ///
    /// # Errors
    /// [`RowError::Bad`] for a row that is not readable.
    pub(crate) fn parse(&self, row: &[u8], texts: &Interner) -> Result<ParsedRow<Body>, RowError> {
        let row = simdutf8::compat::from_utf8(row).map_err(|error| {
            let message = format!("invalid UTF-8 at byte {} of the row", error.valid_up_to() + 1);
            RowError::bad(RejectReason::InvalidUtf8, message)
        })?;
        // Without the line end, which the parser would name instead of the place where the row breaks off.
        let row = row.trim_end_matches(['\n', '\r']);
        if !row.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
            return Err(match serde_json::from_str::<IgnoredAny>(row) {
                Ok(_) => RowError::bad(RejectReason::NotAnObject, "the row is not a JSON object"),
                Err(error) => malformed(&error),
            });
        }
        let columns = Columns::read(row, &self.columns).map_err(|error| malformed(&error))?;
        sample::parse(&columns, &self.source, &self.options, texts)
    }
}

fn malformed(error: &serde_json::Error) -> RowError {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    RowError::bad(RejectReason::MalformedJson, format!("malformed JSON at column {}: {what}", error.column()))
}

#[cfg(test)]
mod tests;
