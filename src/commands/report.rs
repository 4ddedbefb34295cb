//! `report`: prints a report of a finished mix.

use super::print::print;
use super::session::Session;
use crate::cli::{ReportArguments, ReportFormat};
use crate::error::Result;
use crate::pipeline::{self, ReportFile};
use crate::storage::Location;

pub(super) async fn run(arguments: &ReportArguments, session: &Session<'_>) -> Result<()> {
    let mix = Location::parse(&arguments.mix)?;
    let report = match arguments.format {
        ReportFormat::Markdown => ReportFile::Summary,
        ReportFormat::Html => ReportFile::Page,
        ReportFormat::Json => ReportFile::Metrics,
    };
    print(&pipeline::read_report(&session.storage, &mix, report).await?)
}
