//! Parses the rows of a source into its kind of sample.

use super::body::Body;
use super::columns::Columns;
use super::options::ParseOptions;
use super::outcome::{ParsedRow, RowError};
use super::{chat, document, pair};
use crate::recipe::{Kind, Source};
use crate::text::Interner;

/// The columns that rows of a source may need.
pub(crate) fn columns(source: &Source, options: &ParseOptions) -> Vec<String> {
    match source.kind {
        Kind::Document => document::columns(source),
        Kind::Messages => chat::COLUMNS.map(str::to_owned).to_vec(),
        Kind::SummaryQa | Kind::FactQa | Kind::DocumentQa => {
            pair::COLUMNS.map(str::to_owned).into_iter().chain(options.reasoning.columns()).collect()
        }
    }
}

/// Parses a row of a source, given the [`columns`] of its kind.
///
/// # Errors
/// [`RowError::Bad`] for a row that is not readable.
pub(crate) fn parse(
    columns: &Columns<'_>,
    source: &Source,
    options: &ParseOptions,
    texts: &Interner,
) -> Result<ParsedRow<Body>, RowError> {
    match source.kind {
        Kind::Document => Ok(document::parse(columns, source, texts)?.map(Body::Document)),
        Kind::Messages => Ok(chat::parse(columns, source, &*options.template, texts)?.map(Body::Chat)),
        Kind::SummaryQa | Kind::FactQa | Kind::DocumentQa => {
            let parsed = pair::parse(columns, source, options, texts)?;
            Ok(parsed.map(Body::Pair))
        }
    }
}
