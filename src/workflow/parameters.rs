//! The output parameters: the few values that a later step of a workflow branches on, and what people read next to the step.

use super::figures::{FIGURES, Figure};
use super::files::{self, write_atomically};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{Manifest, OutputFile};
use crate::storage::Location;
use serde_json::{Map, Value};
use std::path::Path;

/// The parameter that says where the selected mix is.
pub(super) const DATASET_URI: &str = "dataset_uri";

/// The values that a later step of a workflow branches on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputParameters {
    /// The requested cuts that are feasible, ascending.
    pub(crate) feasible_cuts: Vec<u32>,
    /// The cut whose mix is passed on.
    pub(crate) selected_cut: u32,
    /// Samples in the mix that is passed on, including copies.
    pub(crate) total_samples: u64,
    /// Tokens in the mix that is passed on, including copies.
    pub(crate) total_tokens: u64,
    /// URL or absolute path of the mix that is passed on; `None` if nothing was written.
    dataset_uri: Option<String>,
    /// Those [`FIGURES`] that are parameters, as far as the run has counted them.
    figures: Map<String, Value>,
}

/// Creates the folder of output parameters. Called before a run, so that a folder that cannot be created fails it early.
///
/// # Errors
/// The folder cannot be created.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    files::create_folder(folder)
}

impl OutputParameters {
    /// The parameters of a complete mix, or of a plan.
    ///
    /// # Errors
    /// The selected cut is not in the manifest: a bug of the caller.
    pub(crate) fn of(manifest: &Manifest, selected_cut: u32) -> Result<Self> {
        let cut = manifest.cut(selected_cut).filter(|cut| cut.written).ok_or_else(|| {
            Error::new(ErrorKind::Bug, format!("the selected cut {selected_cut} is not in the manifest"))
        })?;
        Ok(Self {
            feasible_cuts: manifest.cuts.iter().filter(|cut| cut.feasible).map(|cut| cut.cut).collect(),
            selected_cut,
            total_samples: cut.samples,
            total_tokens: cut.tokens,
            dataset_uri: None,
            figures: Map::new(),
        })
    }

    /// Adds where the selected mix is: `file` in the folder `output`.
    #[must_use]
    pub(crate) fn with_dataset(self, output: &Location, file: &OutputFile) -> Self {
        let location = output.join(&file.name);
        let path = location.local_path().and_then(|path| std::path::absolute(path).ok());
        self.with_dataset_uri(path.map_or_else(|| location.to_string(), |path| path.display().to_string()))
    }

    /// Adds where the selected mix is: a URL or an absolute path.
    #[must_use]
    pub(crate) fn with_dataset_uri(self, uri: String) -> Self {
        Self { dataset_uri: Some(uri), ..self }
    }

    /// Adds the figures that people look at first. A figure that the run has not counted is left out.
    #[must_use]
    pub(crate) fn with_figures(self, metrics: &Map<String, Value>) -> Self {
        let cut = self.selected_cut;
        let parameter = |figure: Figure| Some((figure.parameter?.to_owned(), figure.of(metrics, cut)?.clone()));
        Self { figures: FIGURES.into_iter().filter_map(parameter).collect(), ..self }
    }

    /// Name and value of each parameter.
    pub(super) fn values(&self) -> Map<String, Value> {
        let mut values = Map::from_iter([
            ("feasible_cuts".to_string(), Value::from(self.feasible_cuts.clone())),
            ("selected_cut".to_string(), Value::from(self.selected_cut)),
            ("total_samples".to_string(), Value::from(self.total_samples)),
            ("total_tokens".to_string(), Value::from(self.total_tokens)),
        ]);
        values.extend(self.dataset_uri.iter().map(|uri| (DATASET_URI.to_owned(), Value::from(uri.clone()))));
        values.extend(self.figures.clone());
        values
    }

    /// Writes each parameter to a file of its name in `folder`, which is created. The content is the value as JSON, or a text
    /// as it is, without a newline, because engines use the content as it is.
    ///
    /// # Errors
    /// The folder or a file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        create_folder(folder)?;
        for (name, value) in self.values() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            write_atomically(&folder.join(name), text.as_bytes())?;
        }
        Ok(())
    }
}

/// Writes `report.html`, `summary.md` and `metrics.json` beside the parameters: an engine can show them without access to the
/// output, which may be a bucket.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn write_reports(
    folder: &Path,
    report_html: &str,
    summary_md: &str,
    metrics: &Map<String, Value>,
) -> Result<()> {
    let metrics = serde_json::to_string_pretty(metrics)
        .map_err(|error| Error::new(ErrorKind::Bug, "cannot encode the metrics").caused_by(error))?;
    write_atomically(&folder.join("report.html"), report_html.as_bytes())?;
    write_atomically(&folder.join("summary.md"), summary_md.as_bytes())?;
    write_atomically(&folder.join("metrics.json"), format!("{metrics}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::fixtures::manifest;

    #[test]
    fn each_parameter_is_a_file_without_a_newline() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("created/on/the/way");
        let metrics = Map::from_iter([
            ("rows.read".to_owned(), Value::from(90)),
            ("cut_5.token_length.max".to_owned(), Value::from(700)),
            ("cut_2.token_length.max".to_owned(), Value::from(600)),
        ]);
        let manifest = manifest();
        let parameters = OutputParameters::of(&manifest, 5).unwrap();
        parameters.write(&folder).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 4);
        let output = Location::parse("s3://bucket/step_03/").unwrap();
        parameters.with_dataset(&output, &manifest.outputs[1]).with_figures(&metrics).write(&folder).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(read("feasible_cuts"), "[2,5]");
        assert_eq!(read("selected_cut"), "5");
        assert_eq!(read("total_samples"), "80");
        assert_eq!(read("total_tokens"), "8000");
        assert_eq!(read("dataset_uri"), "s3://bucket/step_03/combined_cut_5x.jsonl");
        assert_eq!((read("rows_read"), read("longest_sample")), ("90".to_owned(), "700".to_owned()));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 7);
        assert_eq!(OutputParameters::of(&manifest, 50).unwrap_err().kind(), ErrorKind::Bug);
    }

    #[test]
    fn the_dataset_on_this_machine_is_an_absolute_path() {
        let manifest = manifest();
        let parameters = OutputParameters::of(&manifest, 2).unwrap();
        let uri = |output: &str| {
            let parameters = parameters.clone().with_dataset(&Location::local(output), &manifest.outputs[0]);
            parameters.values()[DATASET_URI].as_str().unwrap().to_owned()
        };
        assert_eq!(uri("/data/step_03/"), "/data/step_03/combined_cut_2x.jsonl");
        let here = std::env::current_dir().unwrap();
        assert_eq!(uri("step_03"), here.join("step_03/combined_cut_2x.jsonl").display().to_string());
    }
}
