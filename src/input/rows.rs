//! The rows of one file become samples.

use super::ledger::{RejectedRow, SourceLedger};
use super::parse::RowParser;
use super::visitor::RowVisitor;
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::BadRows;
use crate::sample::{Body, ParsedRow, RowError};
use crate::text::Interner;
use std::sync::Arc;

/// What parsing the rows of one file requires.
pub(super) struct FileParser {
    /// The name of the source.
    pub(super) source: String,
    /// The key of the file below the source's folder.
    pub(super) key: String,
    /// The path or URL of the file.
    pub(super) place: String,
    pub(super) bad_rows: BadRows,
    pub(super) rows: Arc<RowParser>,
    pub(super) texts: Arc<Interner>,
}

/// Where a sample is from, in four bytes: its line, and in the lowest bit whether reasoning of it is left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin(u32);

impl Origin {
    /// Lines beyond two billion are not distinguished.
    fn new(line: u64, lacks_reasoning: bool) -> Self {
        let line = u32::try_from(line).unwrap_or(u32::MAX).min(u32::MAX >> 1);
        Self(line << 1 | u32::from(lacks_reasoning))
    }

    pub(super) fn line(self) -> u32 {
        self.0 >> 1
    }

    pub(super) fn lacks_reasoning(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Parsed rows.
#[derive(Debug, Default)]
pub(super) struct ParsedRows {
    /// The samples, in input order.
    pub(super) kept: Vec<Body>,
    /// Where they are from.
    pub(super) origins: Vec<Origin>,
    pub(super) ledger: SourceLedger,
    /// The rows that could not be read, in input order.
    pub(super) rejected: Vec<RejectedRow>,
}

impl RowVisitor for FileParser {
    type Rows = ParsedRows;

    fn place(&self) -> &str {
        &self.place
    }

    fn columns(&self) -> Vec<&str> {
        self.rows.columns().collect()
    }

    fn advice(&self) -> &'static str {
        "generate the file again, or remove it from the source's folder"
    }

    /// Parses a row.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] with file and line of a row that cannot be read, unless such rows are skipped.
    fn visit(&self, line: u64, row: &[u8], parsed: &mut ParsedRows) -> Result<()> {
        let row = self.rows.parse(row, &self.texts);
        if let Ok(ParsedRow::Elsewhere(value)) = &row {
            parsed.ledger.leave_rows(value.as_deref(), 1);
            return Ok(());
        }
        parsed.ledger.read += 1;
        match row {
            Ok(row @ (ParsedRow::Kept(_) | ParsedRow::KeptWithoutReasoning(_))) => {
                let lacks_reasoning = matches!(row, ParsedRow::KeptWithoutReasoning(_));
                parsed.ledger.kept += 1;
                parsed.ledger.reasoning_left_out += u64::from(lacks_reasoning);
                parsed.origins.push(Origin::new(line, lacks_reasoning));
                parsed.kept.extend(row.sample());
            }
            Ok(ParsedRow::Elsewhere(_)) => {}
            Ok(ParsedRow::Dropped(reason)) => parsed.ledger.drop_rows(reason.as_str(), 1),
            Err(RowError::Bad(row)) if self.bad_rows == BadRows::Skip => {
                parsed.ledger.drop_rows(row.reason.as_str(), 1);
                parsed.rejected.push(RejectedRow {
                    source: self.source.clone(),
                    file: self.key.clone(),
                    line,
                    reason: row.reason,
                    message: row.message,
                });
            }
            Err(RowError::Bad(row)) => {
                return Err(Error::new(ErrorKind::Data, row.message)
                    .at(format_args!("{}:{line}", self.place))
                    .hint("fix the row, or pass --bad-rows skip to skip such rows"));
            }
            Err(RowError::Fatal(error)) => return Err(error.at(&self.place)),
        }
        Ok(())
    }

    fn append(&self, rows: &mut ParsedRows, next: ParsedRows) {
        rows.kept.extend(next.kept);
        rows.origins.extend(next.origins);
        rows.ledger.merge(&next.ledger);
        rows.rejected.extend(next.rejected);
    }
}
