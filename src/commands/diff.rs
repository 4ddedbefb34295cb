//! `diff`: compares two mixes.

use super::print::print;
use super::session::Session;
use crate::cli::DiffArguments;
use crate::error::Result;
use crate::pipeline;
use crate::storage::Location;

pub(super) async fn run(arguments: &DiffArguments, session: &Session<'_>) -> Result<()> {
    let (a, b) = (Location::parse(&arguments.a)?, Location::parse(&arguments.b)?);
    let differences = pipeline::diff(&session.storage, &a, &b).await?;
    if differences.is_empty() {
        return print("no differences\n");
    }
    print(&differences.to_string())
}
