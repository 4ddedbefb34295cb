//! The executor output: what Kubeflow is told of a finished step. Pure: from values to one JSON text.

use super::executor::{Artifact, ExecutorInput};
use super::kfp_step::Finished;
use super::parameters::OutputParameters;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{OutputFile, OutputKind};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The output that is the folder with all files.
pub(crate) const MIXES: &str = "mixes";
/// The output that is one file of plain JSON lines.
pub(crate) const DATASET: &str = "dataset";
/// The output whose metadata are the metrics.
pub(crate) const METRICS: &str = "metrics";
/// The output that is the report as one page.
pub(crate) const REPORT: &str = "report";
/// The output that is the summary in Markdown.
pub(crate) const SUMMARY: &str = "summary";

/// Where the mix stands, as seen from the steps that come next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the artifact's own folder: the engine carries it away.
    Artifact,
    /// On a volume, at this path: nothing is carried.
    Volume(PathBuf),
    /// In a bucket, at this URL: nothing is carried.
    Bucket(String),
}

impl Place {
    /// Tells a folder from a bucket by the words of `output_uri`.
    pub(crate) fn of(output_uri: &str) -> Self {
        let output_uri = output_uri.trim_end_matches('/');
        if let Some(path) = output_uri.strip_prefix("file://") {
            return Self::Volume(PathBuf::from(path));
        }
        if let Some(key) = output_uri.strip_prefix("minio://") {
            // Trainers know s3:// only; minio:// is Kubeflow's own word for S3 at an endpoint.
            return Self::Bucket(format!("s3://{key}"));
        }
        if output_uri.contains("://") {
            return Self::Bucket(output_uri.to_string());
        }
        Self::Volume(std::path::absolute(output_uri).unwrap_or_else(|_| PathBuf::from(output_uri)))
    }
}

/// The file of the mix that is handed on.
///
/// # Errors
/// The manifest names none: a bug of the caller.
pub(crate) fn selected_file(finished: &Finished) -> Result<&OutputFile> {
    let is_it = |file: &&OutputFile| file.kind == OutputKind::Mix && file.cut == Some(finished.selected_cut);
    finished.manifest.outputs.iter().find(is_it).ok_or_else(|| {
        Error::new(ErrorKind::Bug, format!("the manifest names no file of the selected cut {}", finished.selected_cut))
    })
}

/// The executor output: every output parameter and every output artifact that the executor input asks for.
///
/// # Errors
/// The manifest does not hold the selected cut: a bug of the caller.
pub(crate) fn executor_output(input: &ExecutorInput, finished: &Finished, place: &Place) -> Result<Value> {
    let parameters = OutputParameters::of(&finished.manifest, finished.selected_cut)?;
    let mut artifacts = Map::new();
    for (name, artifact) in input.output_artifacts() {
        let metadata = match name {
            MIXES => mixes_metadata(finished, &parameters, place),
            DATASET => dataset_metadata(finished, &parameters, place, artifact)?,
            // The interface shows only numbers here, and a null would fail the task.
            METRICS => finished.metrics.iter().filter(|(_, value)| value.is_number()).map(pair).collect(),
            _ => Map::new(),
        };
        let mut entry = json!({"name": artifact_name(name, artifact), "uri": artifact.uri});
        if !metadata.is_empty() {
            entry["metadata"] = Value::Object(metadata);
        }
        artifacts.insert(name.to_string(), json!({"artifacts": [entry]}));
    }
    let asked: Vec<_> = input.output_parameters().map(|(name, _)| name).collect();
    let values = parameters.values();
    let values: Map<_, _> = values.iter().filter(|(name, _)| asked.contains(&name.as_str())).map(pair).collect();
    Ok(json!({"parameterValues": values, "artifacts": artifacts}))
}

fn pair((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

fn artifact_name<'a>(output: &'a str, artifact: &'a Artifact) -> &'a str {
    if artifact.name.is_empty() { output } else { &artifact.name }
}

/// What every data artifact says of its origin.
fn origin(finished: &Finished) -> Map<String, Value> {
    let manifest = &finished.manifest;
    Map::from_iter([
        ("program".to_string(), json!(format!("{} {}", manifest.program.name, manifest.program.version))),
        ("seed".to_string(), json!(manifest.settings.seed)),
        ("columns".to_string(), json!(manifest.settings.columns)),
        ("tokenizer".to_string(), json!(manifest.tokenizer.name)),
        ("tokenizer_digest".to_string(), json!(manifest.tokenizer.digest)),
        ("chat_template_digest".to_string(), json!(manifest.tokenizer.chat_template_digest)),
    ])
}

fn mixes_metadata(finished: &Finished, parameters: &OutputParameters, place: &Place) -> Map<String, Value> {
    let mut metadata = origin(finished);
    let written: Vec<_> = finished.manifest.cuts.iter().filter(|cut| cut.written).collect();
    metadata.insert("cuts".into(), json!(written.iter().map(|cut| cut.cut).collect::<Vec<_>>()));
    metadata.insert("feasible_cuts".into(), json!(parameters.feasible_cuts));
    metadata.insert("selected_cut".into(), json!(parameters.selected_cut));
    for cut in written {
        metadata.insert(format!("cut_{}.samples", cut.cut), json!(cut.samples));
        metadata.insert(format!("cut_{}.tokens", cut.cut), json!(cut.tokens));
    }
    for file in &finished.manifest.outputs {
        metadata.insert(format!("digest.{}", file.name), json!(file.digest));
    }
    match place {
        Place::Artifact => {}
        Place::Volume(path) => insert(&mut metadata, "pvc_dir", path.display()),
        Place::Bucket(url) => insert(&mut metadata, "artifact_path", url),
    }
    metadata
}

fn dataset_metadata(
    finished: &Finished,
    parameters: &OutputParameters,
    place: &Place,
    artifact: &Artifact,
) -> Result<Map<String, Value>> {
    let file = selected_file(finished)?;
    let mut metadata = origin(finished);
    metadata.insert("cut".into(), json!(parameters.selected_cut));
    metadata.insert("samples".into(), json!(parameters.total_samples));
    metadata.insert("tokens".into(), json!(parameters.total_tokens));
    metadata.insert("file".into(), json!(file.name));
    // Of the file in the mix: where that is compressed, the artifact holds its plain text.
    metadata.insert("digest".into(), json!(file.digest));
    match place {
        Place::Artifact if artifact.in_workspace() => insert(&mut metadata, "pvc_path", artifact.path().display()),
        // The engine puts the artifact there under just this URL when the step has ended.
        Place::Artifact if artifact.uri.starts_with("s3://") => insert(&mut metadata, "artifact_path", &artifact.uri),
        Place::Artifact => {}
        Place::Volume(folder) => {
            insert(&mut metadata, "pvc_path", folder.join(&file.name).display());
            insert(&mut metadata, "pvc_dir", folder.display());
        }
        Place::Bucket(url) => insert(&mut metadata, "artifact_path", format!("{url}/{}", file.name)),
    }
    Ok(metadata)
}

fn insert(metadata: &mut Map<String, Value>, key: &str, value: impl std::fmt::Display) {
    metadata.insert(key.to_string(), Value::String(value.to_string()));
}

/// Whether a file name says that its content is compressed.
pub(crate) fn is_compressed(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "gz" || extension == "zst")
}
