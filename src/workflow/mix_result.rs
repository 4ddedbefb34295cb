//! The result of a mix, as workflow engines see it.

use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{Manifest, OutputFile, OutputKind};
use crate::recipe::Format;
use serde_json::{Map, Value};

/// A complete mix and its reports.
#[derive(Debug, Clone)]
pub(crate) struct MixResult {
    /// The manifest of the mix.
    pub(crate) manifest: Manifest,
    /// The flat metrics of `metrics.json`.
    pub(crate) metrics: Map<String, Value>,
    /// The content of `report.html`.
    pub(crate) report_html: String,
    /// The content of `summary.md`.
    pub(crate) summary_md: String,
    /// The cut whose mix is passed on to the next step ([`crate::mixing::select_cut`]).
    pub(crate) selected_cut: u32,
    /// The format of the file that is passed on.
    pub(crate) selected_format: Format,
}

impl MixResult {
    /// The mix file of the selected cut in the selected format.
    ///
    /// # Errors
    /// The manifest does not list it: a bug of the caller.
    pub(super) fn selected_file(&self) -> Result<&OutputFile> {
        selected_file(&self.manifest, self.selected_cut, self.selected_format)
    }
}

/// The mix file of a cut in a format.
///
/// # Errors
/// The manifest does not list it: a bug of the caller.
pub(crate) fn selected_file(manifest: &Manifest, cut: u32, format: Format) -> Result<&OutputFile> {
    let is_selected = |file: &&OutputFile| {
        file.kind == OutputKind::Mix
            && file.mix == manifest.main_mix()
            && file.cut == Some(cut)
            && file.format.as_deref() == Some(format.name())
    };
    manifest
        .outputs
        .iter()
        .find(is_selected)
        .ok_or_else(|| Error::new(ErrorKind::Bug, format!("the manifest lists no file of the selected cut {cut}")))
}
