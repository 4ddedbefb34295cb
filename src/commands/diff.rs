//! `diff`: compares two mixes.

use super::print::print;
use super::session::Session;
use crate::cli::{DiffArguments, TextFormat};
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{self, Change, Diff, Difference};
use crate::storage::Location;

pub(super) async fn run(arguments: &DiffArguments, session: &Session<'_>) -> Result<()> {
    let (a, b) = (Location::parse(&arguments.a)?, Location::parse(&arguments.b)?);
    let differences = pipeline::diff(&session.storage, &a, &b).await?;
    print(&match arguments.format {
        TextFormat::Json => json(&differences)?,
        TextFormat::Text if differences.is_empty() => "no differences\n".to_owned(),
        TextFormat::Text => differences.to_string(),
    })?;
    if arguments.exit_code && !differences.is_empty() {
        return Err(Error::new(ErrorKind::Different, "the mixes differ"));
    }
    Ok(())
}

/// The differences for programs: a list of objects; a value that only one mix has is `null` in the other.
fn json(differences: &Diff) -> Result<String> {
    let list: Vec<_> = differences
        .0
        .iter()
        .map(|Difference { group, what, change }| {
            let (a, b) = match change {
                Change::Values(a, b) => (a.clone(), b.clone()),
                Change::OnlyFirst => (Some(true.into()), None),
                Change::OnlySecond => (None, Some(true.into())),
            };
            serde_json::json!({"group": group, "what": what, "a": a, "b": b})
        })
        .collect();
    serde_json::to_string_pretty(&list)
        .map(|text| text + "\n")
        .map_err(|error| Error::new(ErrorKind::Bug, "cannot write the differences as JSON").caused_by(error))
}
