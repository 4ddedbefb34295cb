//! `kfp-step`: `mix` as a step of a Kubeflow pipeline.
//!
//! The mix is written straight into the folder of the output artifact `mixes`, or to `output_uri` if that is set. In the
//! second case the artifact `mixes` stays empty, and its metadata say where the files are (`pvc_path`, `pvc_dir` or `artifact_path`,
//! which the public training component reads). The artifact `dataset` is the selected mix in either case: the engine refuses artifacts
//! that are elsewhere, and the next step reads what it is given.

use super::executor::ExecutorInput;
use super::files::CreatedFiles;
use super::inputs;
use super::mix_result::MixResult;
use super::outputs::{self, DATASET, METRICS, MIXES, MixLocation, REPORT, SUMMARY};
use super::parameters::DATASET_URI;
use super::trainer;
use super::upstream::{RETURNED, our_name};
use crate::codec::{Codec, DecodingReader};
use crate::error::{Error, ErrorKind, Result};
use crate::settings::{SettingValues, Settings};
use crate::storage::{Location, Storage};
use crate::warnings::Warnings;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// The general options of a run (retries, log format) in an executor input: they are needed before anything runs.
///
/// # Errors
/// A usage error if the executor input is not valid.
pub(crate) fn run_arguments(executor_input: &str) -> Result<SettingValues> {
    Ok(SettingValues::of_parameters(ExecutorInput::parse(executor_input)?.settings()?))
}

/// A step that is ready to run. It writes nothing before the mix is published, so a step that loses against another one, or that a
/// signal stops, touches nothing of the others.
#[derive(Debug)]
pub(crate) struct KfpStep {
    input: ExecutorInput,
    settings: SettingValues,
    mix_location: MixLocation,
    warnings: Vec<String>,
}

impl KfpStep {
    /// Parses the executor input and resolves the input artifacts.
    ///
    /// # Errors
    /// A usage error if the executor input is not valid; a data error or "not found" if an artifact cannot be used.
    pub(crate) async fn prepare(executor_input: &str, storage: &Storage) -> Result<Self> {
        let input = ExecutorInput::parse(executor_input)?;
        let mut values = input.settings()?;
        let warnings = inputs::add_artifacts(&input, &mut values, storage).await?;
        let mix_location = match values.get("output").and_then(|values| values.first()) {
            Some(output_uri) => MixLocation::of(&Location::parse(output_uri).map_err(|error| error.at("output_uri"))?),
            None => {
                let mixes = input.output_artifact(MIXES).ok_or_else(|| {
                    Error::new(ErrorKind::Usage, "no output artifact `mixes` and no output_uri")
                        .at("--executor-input")
                        .hint("declare the output mixes {type: Dataset}, as component.yaml does, or set output_uri")
                })?;
                values.insert("output".to_string(), vec![mixes.path().display().to_string()]);
                MixLocation::Artifact
            }
        };
        if let MixLocation::Volume(path) = &mix_location {
            check_output_uri(path, &input)?;
        }
        Ok(Self { input, settings: SettingValues::of_parameters(values), mix_location, warnings })
    }

    /// The settings of the mix, including `output`.
    pub(crate) fn settings(&self) -> &SettingValues {
        &self.settings
    }

    /// Warns, before anything is mixed, of artifacts that are equal, and if the next step gets a file that training_hub refuses. The
    /// artifact `dataset` is decompressed; nothing else that refers to a mix is.
    pub(crate) fn check(&self, settings: &Settings, warnings: &Warnings) {
        self.warnings.iter().for_each(|warning| warnings.warn(warning));
        let (place, is_decompressed) = match self.mix_location {
            _ if self.input.output_parameters().any(|(name, _)| name == RETURNED) => (RETURNED, false),
            _ if self.input.output_artifact(DATASET).is_some() => (DATASET, true),
            MixLocation::Volume(_) | MixLocation::Bucket(_) => ("output_uri", false),
            MixLocation::Artifact => (MIXES, false),
        };
        trainer::warn_of_refused_file(place, is_decompressed, settings, warnings);
        let is_elsewhere = self.mix_location != MixLocation::Artifact;
        let has_uri = self.input.output_parameters().any(|(name, _)| name == DATASET_URI);
        // A Parquet file is one in either place: that has been said.
        if is_decompressed && is_elsewhere && has_uri && !settings.selected_format.is_parquet() {
            trainer::warn_of_refused_file(DATASET_URI, false, settings, warnings);
        }
    }

    /// Writes what the engine reads, after the mix is complete, and while no other run can replace it. If that fails, or
    /// `is_stopping` returns true, what was written here is removed; the mix stays, as it is complete.
    ///
    /// # Errors
    /// An output cannot be written.
    pub(crate) fn publish(self, result: &MixResult, storage: &Storage, is_stopping: &dyn Fn() -> bool) -> Result<()> {
        let mut created = CreatedFiles::new(is_stopping);
        self.write_outputs(result, storage, &mut created).map_err(|error| match error.advice() {
            Some(_) => error,
            None => error.hint("the mix itself is complete; the engine gets nothing of this step: run it again"),
        })?;
        created.keep()
    }

    fn write_outputs(&self, result: &MixResult, storage: &Storage, created: &mut CreatedFiles) -> Result<()> {
        let output = outputs::executor_output(&self.input, result, &self.mix_location)?;
        for (name, artifact) in self.input.output_artifacts() {
            let path = artifact.path();
            match our_name(name) {
                DATASET => self.write_dataset(result, storage, &path, created)?,
                METRICS => {
                    let text = serde_json::to_string_pretty(&result.metrics).map_err(|error| {
                        Error::new(ErrorKind::Bug, "cannot encode the metrics").at(path.display()).caused_by(error)
                    })?;
                    created.write(&path, format!("{text}\n").as_bytes())?;
                }
                REPORT => created.write(&path, result.report_html.as_bytes())?,
                SUMMARY => created.write(&path, result.summary_md.as_bytes())?,
                _ => {}
            }
        }
        let values = outputs::parameter_values(&self.input, result, &self.mix_location)?;
        for (name, path) in self.input.output_parameters() {
            // An unknown parameter is left alone: the engine reports it if it is missing.
            match values.get(name) {
                // Engines use a text as it is.
                Some(Value::String(text)) => created.write(path, text.as_bytes())?,
                Some(value) => created.write(path, value.to_string().as_bytes())?,
                None => {}
            }
        }
        // Last, because this file tells the engine that the step's outputs are complete.
        created.write(self.input.output_file(), output.to_string().as_bytes())
    }

    /// Writes the mix of the selected cut as one file of plain JSON lines, the form that the public training component
    /// reads.
    fn write_dataset(
        &self,
        result: &MixResult,
        storage: &Storage,
        target: &Path,
        created: &mut CreatedFiles,
    ) -> Result<()> {
        let file = result.selected_file()?;
        // `prepare` has set it.
        let source = Location::parse(self.settings.first("output").unwrap_or_default())?.join(&file.name);
        let (_, codec) = Codec::split_name(&file.name);
        // A hard link costs nothing. Across file systems, or if links are not supported, the file is copied.
        if let (Codec::None, Some(path)) = (codec, source.local_path())
            && created.link(path, target)?
        {
            return Ok(());
        }
        let replaced = || {
            Error::new(ErrorKind::TryAgain, "another run replaced the mix before the step had read it back")
                .at(&source)
                .hint("run the step again when no other run publishes to this output")
        };
        let mut reader = HashingReader::new(storage.open_blocking(&source, file.bytes)?.ok_or_else(replaced)?);
        match copy_decoded(codec, &mut reader, &source, |decoded| created.write(target, decoded)) {
            Ok(()) if reader.digest() == file.digest => Ok(()),
            Ok(()) => Err(replaced()),
            Err(error) if error.kind() == ErrorKind::Io && reader.reader.is_replaced() => Err(replaced()),
            Err(error) => Err(error),
        }
    }
}

/// Passes the decoded content of a stored file to `write`, and reads the file to its end.
fn copy_decoded(
    codec: Codec,
    mut reader: &mut impl Read,
    source: &Location,
    write: impl FnOnce(&mut dyn Read) -> Result<()>,
) -> Result<()> {
    let mut decoded = DecodingReader::new(codec, &mut reader)
        .map_err(|error| Error::new(ErrorKind::Io, "cannot decompress").at(source).caused_by(error))?;
    write(&mut decoded)?;
    // A decoder may leave the end of the file unread.
    match std::io::copy(reader, &mut std::io::sink()).map_err(|error| error.downcast::<Error>()) {
        Ok(_) => Ok(()),
        Err(Ok(error)) => Err(error),
        Err(Err(error)) => Err(Error::new(ErrorKind::Io, "cannot read").at(source).caused_by(error)),
    }
}

/// A reader that hashes what it reads.
struct HashingReader<R> {
    reader: R,
    hasher: blake3::Hasher,
}

impl<R: Read> HashingReader<R> {
    fn new(reader: R) -> Self {
        Self { reader, hasher: blake3::Hasher::new() }
    }

    /// The BLAKE3 digest of everything that was read, as a manifest has it.
    fn digest(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// Checks that the mix on a volume is apart from the outputs that the engine has given the step.
fn check_output_uri(path: &Path, input: &ExecutorInput) -> Result<()> {
    let mix = Location::local(path);
    let artifacts =
        input.output_artifacts().map(|(name, artifact)| (format!("output artifact {name}"), artifact.path()));
    let parameters =
        input.output_parameters().map(|(name, path)| (format!("output parameter {name}"), path.to_path_buf()));
    for (name, path) in artifacts.chain(parameters) {
        let output = Location::local(path);
        if mix.contains(&output) || output.contains(&mix) {
            return Err(Error::new(ErrorKind::Usage, format!("overlaps with {name} ({output})"))
                .at(format!("output_uri {mix}"))
                .hint("set output_uri to another folder, or leave it out"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
