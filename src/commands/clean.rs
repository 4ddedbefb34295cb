//! `clean`: deletes what earlier mixes have left over.

use super::print::print;
use super::session::Session;
use crate::cli::CleanArguments;
use crate::error::Result;
use crate::pipeline;
use crate::storage::Location;

pub(super) async fn run(arguments: &CleanArguments, session: &Session<'_>) -> Result<()> {
    let mix = Location::parse(&arguments.mix)?;
    let names = pipeline::clean(&session.storage, &mix).await?;
    match names.is_empty() {
        true => print(&format!("{mix}: nothing is left over from earlier mixes\n")),
        false => print(&format!("{mix}: deleted {}\n", names.join(", "))),
    }
}
