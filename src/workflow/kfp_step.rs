//! `kfp-step`: `mix` as a step of a Kubeflow pipeline.
//!
//! The mix is written straight into the folder of the output artifact `mixes`, or to `output_uri` where that is given: then
//! nothing has to be carried by the engine, the artifacts `mixes` and `dataset` stay empty, and their metadata say where the
//! files are (`pvc_path`, `pvc_dir` or `artifact_path`, as the public training component reads them).

use super::executor::ExecutorInput;
use super::inputs;
use super::outputs::{self, DATASET, METRICS, MIXES, Place, REPORT, SUMMARY};
use super::parameters::OutputParameters;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::Manifest;
use crate::settings::SettingValues;
use serde_json::{Map, Value};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// A finished mix, as far as a workflow engine wants to know of it.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    /// Its manifest.
    pub(crate) manifest: Manifest,
    /// The flat metrics of `metrics.json`.
    pub(crate) metrics: Map<String, Value>,
    /// The text of `report.html`.
    pub(crate) report_html: String,
    /// The text of `summary.md`.
    pub(crate) summary_md: String,
    /// The cut whose mix is handed on ([`crate::mixing::select_cut`]).
    pub(crate) selected_cut: u32,
}

/// What an executor input says of how to run: needed before anything runs.
///
/// # Errors
/// A usage error where it cannot be understood.
pub(crate) fn run_arguments(executor_input: &str) -> Result<SettingValues> {
    Ok(SettingValues::of_parameters(ExecutorInput::parse(executor_input)?.settings()?))
}

/// A step that is ready to run. Where it is dropped before [`Step::publish`] came to its end (an error, a signal), none of
/// its outputs is left; but a mix that was published to `output_uri` stays: it is whole.
#[derive(Debug)]
pub(crate) struct Step {
    input: ExecutorInput,
    settings: SettingValues,
    place: Place,
    /// Outputs that were there before the step: not ours to remove.
    older: Vec<PathBuf>,
    /// Whether the engine may have the outputs.
    published: AtomicBool,
}

impl Step {
    /// Reads the executor input.
    ///
    /// # Errors
    /// A usage error where it cannot be understood or asks for what cannot be.
    pub(crate) fn prepare(executor_input: &str) -> Result<Self> {
        let input = ExecutorInput::parse(executor_input)?;
        let mut values = input.settings()?;
        inputs::add_artifacts(&input, &mut values)?;
        let place = match values.get("output").and_then(|values| values.first()) {
            Some(output_uri) => Place::of(output_uri),
            None => {
                let mixes = input.output_artifact(MIXES).ok_or_else(|| {
                    Error::new(ErrorKind::Usage, "names no output artifact mixes, and no output_uri is given")
                        .at("--executor-input")
                        .hint("declare the output mixes {type: Dataset}, as component.yaml does")
                })?;
                values.insert("output".to_string(), vec![mixes.path().display().to_string()]);
                Place::Artifact
            }
        };
        let settings = SettingValues::of_parameters(values);
        let mut step = Self { input, settings, place, older: Vec::new(), published: AtomicBool::new(false) };
        step.older = step.paths().into_iter().filter(|path| path.exists()).collect();
        Ok(step)
    }

    /// Everything that the step may leave.
    fn paths(&self) -> Vec<PathBuf> {
        let artifacts = self.input.output_artifacts().map(|(_, artifact)| artifact.path());
        let parameters = self.input.output_parameters().map(|(_, path)| path.to_path_buf());
        artifacts.chain(parameters).chain([self.input.output_file().to_path_buf()]).collect()
    }

    /// The settings of the mix to make, `output` among them.
    pub(crate) fn settings(&self) -> &SettingValues {
        &self.settings
    }

    /// Lays out what the engine reads, once the mix is made.
    ///
    /// # Errors
    /// An output that cannot be written.
    pub(crate) fn publish(&self, finished: &Finished) -> Result<()> {
        let output = outputs::executor_output(&self.input, finished, &self.place)?;
        for (name, artifact) in self.input.output_artifacts() {
            let path = artifact.path();
            match name {
                DATASET if self.place == Place::Artifact => self.publish_dataset(finished, &path)?,
                METRICS => {
                    let text = serde_json::to_string_pretty(&finished.metrics).map_err(|error| {
                        Error::new(ErrorKind::Bug, "the metrics are no JSON").at(path.display()).caused_by(error)
                    })?;
                    write_whole(&path, format!("{text}\n").as_bytes())?;
                }
                REPORT => write_whole(&path, finished.report_html.as_bytes())?,
                SUMMARY => write_whole(&path, finished.summary_md.as_bytes())?,
                _ => {}
            }
        }
        let values = OutputParameters::of(&finished.manifest, finished.selected_cut)?.values();
        for (name, path) in self.input.output_parameters() {
            // A parameter that is not ours is left to whoever declared it; the engine names it if it is missing.
            if let Some(value) = values.get(name) {
                write_whole(path, value.to_string().as_bytes())?;
            }
        }
        // Last of all: with this file the engine takes the step's outputs for complete.
        write_whole(self.input.output_file(), output.to_string().as_bytes())?;
        self.published.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// One file of plain JSON lines, which is what the public training component takes.
    fn publish_dataset(&self, finished: &Finished, target: &Path) -> Result<()> {
        let file = outputs::selected_file(finished)?;
        // In the artifact's own folder, where `output` is a path and was set by `prepare`.
        let source = Path::new(self.settings.first("output").unwrap_or_default()).join(&file.name);
        if !outputs::is_compressed(&file.name) {
            make_parent(target)?;
            let _ = std::fs::remove_file(target);
            // A second name costs nothing; another file system or one without links takes a copy.
            if std::fs::hard_link(&source, target).is_ok() {
                return Ok(());
            }
        }
        let open = |path: &Path| {
            std::fs::File::open(path)
                .map_err(|error| Error::new(ErrorKind::Io, "cannot read").at(path.display()).caused_by(error))
        };
        let reader: Box<dyn Read> = match source.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(open(&source)?)),
            Some("zst") => Box::new(zstd::Decoder::new(open(&source)?).map_err(|error| {
                Error::new(ErrorKind::Io, "cannot decompress").at(source.display()).caused_by(error)
            })?),
            _ => Box::new(open(&source)?),
        };
        copy_whole(reader, target)
    }

    /// Removes every output that this step made.
    pub(crate) fn abandon(&self) {
        for path in self.paths().iter().filter(|path| !self.older.contains(path)) {
            // What cannot be removed cannot be helped: the step's own error is what counts.
            let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
            let _ = std::fs::remove_file(staging(path));
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.published.load(Ordering::Relaxed) {
            self.abandon();
        }
    }
}

/// The name under which a file is written before it is whole.
fn staging(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent)
        .map_err(|error| Error::new(ErrorKind::Io, "cannot make the folder").at(parent.display()).caused_by(error))
}

fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    copy_whole(content, path)
}

fn copy_whole(mut from: impl Read, path: &Path) -> Result<()> {
    make_parent(path)?;
    let staging = staging(path);
    let attempt = || {
        let mut file = std::fs::File::create(&staging)?;
        std::io::copy(&mut from, &mut file)?;
        file.flush()?;
        std::fs::rename(&staging, path)
    };
    let mut attempt = attempt;
    attempt().map_err(|error| {
        let _ = std::fs::remove_file(&staging);
        Error::new(ErrorKind::Io, "cannot write").at(path.display()).caused_by(error)
    })
}

#[cfg(test)]
pub(super) mod tests;
