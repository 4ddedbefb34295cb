//! Which rows of a file belong to a source, if several sources share the file or a source takes only some of its rows.

use crate::recipe::{Conditions, Source};
use crate::sample::{Columns, RejectReason, RowError, numbers};
use serde_json::Value;

/// The number of characters of a value that are shown.
const SHOWN: usize = 60;

/// Decides about the rows of one file for one source.
#[derive(Debug)]
pub(super) struct RowFilter {
    columns: Vec<String>,
    own: Conditions,
    /// The conditions of the other sources that read the file, if this source reports which rows nobody takes.
    others: Option<Vec<Conditions>>,
}

/// What becomes of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    /// It is the source's.
    Here,
    /// It is not; with the value that decides if no source takes it and this one reports that.
    Elsewhere(Option<String>),
}

impl RowFilter {
    /// The filter of one of the sources `readers` (places in `sources`) that read a file; `None` if it takes all rows.
    ///
    /// Of these, the first reports the rows that none of them takes.
    pub(super) fn new(source: usize, readers: &[usize], sources: &[Source]) -> Option<Self> {
        let own = sources[source].conditions.clone()?;
        let others = readers.iter().filter(|other| **other != source);
        let others: Option<Vec<Conditions>> = others.map(|other| sources[*other].conditions.clone()).collect();
        let is_first = readers.first() == Some(&source);
        let others = others.filter(|_| is_first);
        let mut columns: Vec<String> = Vec::new();
        for condition in std::iter::once(&own).chain(others.iter().flatten()).flat_map(Conditions::iter) {
            if !columns.contains(&condition.column) {
                columns.push(condition.column.clone());
            }
        }
        Some(Self { columns, own, others })
    }

    /// The columns that decide.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }

    /// Whether a row that is not readable is reported here, instead of by another source that reads the file.
    pub(super) fn reports_bad_rows(&self) -> bool {
        self.others.is_some()
    }

    /// Decides about a row.
    ///
    /// # Errors
    /// If the row, or the value of a column, is not valid JSON.
    pub(super) fn decide(&self, row: &str) -> Result<Belongs, RowError> {
        let columns = Columns::read(row, &self.columns).map_err(|error| malformed(&error))?;
        let value = |column: &str| {
            let at = self.columns.iter().position(|name| name == column);
            let json = at.and_then(|at| columns.get(at)).map_or("null", |value| value.get());
            if numbers::is_non_finite(json) {
                return Ok(Value::Null);
            }
            serde_json::from_str::<Value>(json).map_err(|_| {
                RowError::bad(RejectReason::InvalidEscape, format!("column `{column}` has an invalid escape"))
            })
        };
        let Some((unmet, own)) = self.own.unmet(value)? else { return Ok(Belongs::Here) };
        for conditions in self.others.iter().flatten() {
            if conditions.unmet(value)?.is_none() {
                return Ok(Belongs::Elsewhere(None));
            }
        }
        Ok(Belongs::Elsewhere(self.others.as_ref().map(|_| shown(&unmet.column, &own))))
    }
}

/// The error for a row that is not valid JSON.
pub(super) fn malformed(error: &serde_json::Error) -> RowError {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    RowError::bad(RejectReason::MalformedJson, format!("malformed JSON at column {}: {what}", error.column()))
}

/// A value and its column, as reports name them.
fn shown(column: &str, value: &Value) -> String {
    let text = match value {
        Value::Null => return format!("{column} missing"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{column}={}…", &text[..end]),
        None => format!("{column}={text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    fn decisions(recipe: &str, row: &str) -> Vec<String> {
        let sources = Recipe::parse(recipe, "r").unwrap().all_sources();
        let readers: Vec<usize> = (0..sources.len()).filter(|at| sources[*at].name.len() == 1).collect();
        let of_source = |at: &usize| match RowFilter::new(*at, &readers, &sources) {
            None => "all".to_owned(),
            Some(filter) => match filter.decide(row) {
                Ok(Belongs::Here) => "here".to_owned(),
                Ok(Belongs::Elsewhere(value)) => value.unwrap_or_default(),
                Err(error) => format!("{error:?}"),
            },
        };
        readers.iter().map(of_source).collect()
    }

    #[test]
    fn the_first_source_names_what_nobody_takes() {
        let recipe = "sources:
  a: {kind: fact_qa, where: {column: t, equals: x}}
  b: {kind: messages, where: {column: t, in: [y, z]}}
  c: {kind: document, where: {column: score, at_least: 2}}";
        assert_eq!(decisions(recipe, r#"{"t": "x"}"#), ["here", "", ""]);
        assert_eq!(decisions(recipe, r#"{"t": "z", "score": "2.0"}"#), ["", "here", "here"]);
        assert_eq!(decisions(recipe, r#"{"t": "w", "score": 1}"#), ["t=w", "", ""]);
        assert_eq!(decisions(recipe, r#"{"score": 1}"#), ["t missing", "", ""]);
        let both = "sources: {a: {kind: fact_qa, where: [{column: t, equals: x}, {column: score, at_least: 2}]}}";
        assert_eq!(decisions(both, r#"{"t": "x", "score": 2}"#), ["here"]);
        assert_eq!(decisions(both, r#"{"t": "x", "score": 1}"#), ["score=1"]);
        let open = format!("{recipe}\n  d: {{kind: document}}");
        assert_eq!(decisions(&open, r#"{"t": "w"}"#), ["", "", "", "all"]);
    }
}
