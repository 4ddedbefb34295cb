//! `verify`: checks a mix against its manifest.

use super::print::print;
use super::session::Session;
use crate::cli::VerifyArguments;
use crate::error::Result;
use crate::pipeline::{self, Verified};
use crate::progress::ProgressUnit;
use crate::storage::Location;

pub(super) async fn run(arguments: &VerifyArguments, session: &Session<'_>) -> Result<()> {
    let mix = Location::parse(&arguments.mix)?;
    let bar = |bytes| session.progress.bar("verifying", bytes, ProgressUnit::Bytes);
    let Verified { files, bytes, rows } = pipeline::verify(&session.storage, &mix, &bar).await?;
    print(&format!("{mix}: complete: {files} files, {bytes} bytes and {rows} rows match the manifest\n"))
}
