//! Reads the reports of a finished mix.

use super::finish::{METRICS, REPORT, SUMMARY};
use super::verify::read_manifest;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Location, Storage};

/// A report of a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReportFile {
    /// The summary in Markdown.
    Summary,
    /// The page.
    Page,
    /// The figures.
    Metrics,
}

/// Size limit of a report.
const MAX_BYTES: u64 = 256 << 20;

/// The text of a report of a finished mix.
///
/// # Errors
/// [`ErrorKind::NotFound`] if there is no mix, [`ErrorKind::Data`] if the file is not the one that the manifest names, errors of
/// storage.
pub(crate) async fn read_report(storage: &Storage, mix: &Location, report: ReportFile) -> Result<String> {
    let name = match report {
        ReportFile::Summary => SUMMARY,
        ReportFile::Page => REPORT,
        ReportFile::Metrics => METRICS,
    };
    let manifest = read_manifest(storage, mix).await?;
    let place = mix.join(name);
    let differs = || {
        Error::new(ErrorKind::Data, "the file is not the one that the manifest names")
            .at(&place)
            .hint("run `knowledge-mixing verify` to see what differs")
    };
    let file = manifest.outputs.iter().find(|file| file.name == name).ok_or_else(differs)?;
    let bytes = storage.read(&place, MAX_BYTES).await?.ok_or_else(differs)?;
    if blake3::hash(&bytes).to_hex().as_str() != file.digest {
        return Err(differs());
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| differs())
}
