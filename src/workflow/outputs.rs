//! The executor output: what Kubeflow learns about a completed step. A pure function from values to one JSON document.

use super::executor::{Artifact, ExecutorInput};
use super::figures::FIGURES;
use super::mix_result::MixResult;
use super::output_paths::normalized;
use super::parameters::OutputParameters;
use super::upstream::{RETURNED, our_name};
use crate::error::Result;
use crate::storage::Location;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// The output artifact that is the folder with all files.
pub(super) const MIXES: &str = "mixes";
/// The output artifact that is one file of plain JSON lines.
pub(super) const DATASET: &str = "dataset";
/// The output artifact whose metadata are the metrics.
pub(super) const METRICS: &str = "metrics";
/// The output artifact that is the report as one page.
pub(super) const REPORT: &str = "report";
/// The output artifact that is the summary in Markdown.
pub(super) const SUMMARY: &str = "summary";

/// Maximum number of metrics in Kubeflow's interface, which lists them all.
const MAX_COMPARED: usize = 20;

/// Where the next steps find the mix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MixLocation {
    /// In the folder of the artifact `mixes`, which the engine uploads.
    Artifact,
    /// At this path on a volume. The engine copies nothing.
    Volume(PathBuf),
    /// At this URL in a bucket. The engine copies nothing.
    Bucket(String),
}

impl MixLocation {
    /// Where a location is: a path is on a volume, a URL is in a bucket.
    pub(super) fn of(output: &Location) -> Self {
        match output.local_path() {
            Some(path) => Self::Volume(normalized(&std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()))),
            None => Self::Bucket(output.to_string().trim_end_matches('/').to_owned()),
        }
    }

    /// Where a file of the mix is; `None` if the mix is in an artifact.
    fn file(&self, name: &str) -> Option<String> {
        match self {
            Self::Artifact => None,
            Self::Volume(folder) => Some(folder.join(name).display().to_string()),
            Self::Bucket(url) => Some(format!("{url}/{name}")),
        }
    }
}

/// A URL as trainers read it: they know `s3://`; `minio://` is Kubeflow's own scheme for S3 at its endpoint.
fn for_trainers(url: &str) -> String {
    url.strip_prefix("minio://").map_or_else(|| url.to_owned(), |key| format!("s3://{key}"))
}

/// The executor output: every output parameter and every output artifact that the executor input declares.
///
/// # Errors
/// The selected cut is not in the manifest: a bug of the caller.
pub(super) fn executor_output(input: &ExecutorInput, result: &MixResult, location: &MixLocation) -> Result<Value> {
    let parameters = OutputParameters::of(&result.manifest, result.selected_cut)?;
    let mut artifacts = Map::new();
    for (name, artifact) in input.output_artifacts() {
        let metadata = match our_name(name) {
            MIXES => mixes_metadata(result, &parameters, location),
            DATASET => dataset_metadata(result, &parameters, location, artifact)?,
            METRICS => compared_metrics(result),
            _ => Map::new(),
        };
        let mut entry = json!({"name": artifact.name_or(name), "uri": artifact.uri});
        if !metadata.is_empty() {
            entry["metadata"] = Value::Object(metadata);
        }
        artifacts.insert(name.to_string(), json!({"artifacts": [entry]}));
    }
    let declared: Vec<_> = input.output_parameters().map(|(name, _)| name).collect();
    let values = parameter_values(input, result, location)?;
    let values: Map<_, _> = values.iter().filter(|(name, _)| declared.contains(&name.as_str())).map(owned).collect();
    Ok(json!({"parameterValues": values, "artifacts": artifacts}))
}

/// Name and value of each output parameter that a component can declare.
///
/// # Errors
/// The selected cut is not in the manifest: a bug of the caller.
pub(super) fn parameter_values(
    input: &ExecutorInput,
    result: &MixResult,
    location: &MixLocation,
) -> Result<Map<String, Value>> {
    let file = &result.selected_file()?.name;
    let parameters = OutputParameters::of(&result.manifest, result.selected_cut)?;
    let mut values = match dataset_uri(input, file, location) {
        Some(uri) => parameters.with_dataset_uri(uri).values(),
        None => parameters.values(),
    };
    let in_artifact = || input.output_artifact(MIXES).map(|mixes| mixes.path().join(file).display().to_string());
    let path = location.file(file).or_else(in_artifact);
    if let Some(path) = path {
        values.insert(RETURNED.to_owned(), path.into());
    }
    Ok(values)
}

/// Where the selected mix is, for a step that reads it itself (`dsl.importer`): the artifact, or the file in the bucket or on the
/// volume; `None` if there is no artifact for it.
fn dataset_uri(input: &ExecutorInput, file: &str, location: &MixLocation) -> Option<String> {
    let in_mixes = || {
        let mixes = input.output_artifact(MIXES)?;
        Some(format!("{}/{file}", mixes.uri.trim_end_matches('/')))
    };
    let in_dataset = || Some(input.output_artifact(DATASET)?.uri.clone());
    location.file(file).or_else(in_dataset).or_else(in_mixes)
}

/// The figures that one compares between runs, at most [`MAX_COMPARED`]: those of the run, of the selected cut and of its sources, with
/// names that do not depend on the cut. Kubeflow's interface shows the metadata of a metrics artifact, not its content, and only numbers;
/// a null would fail the task.
fn compared_metrics(result: &MixResult) -> Map<String, Value> {
    let (cut, metrics) = (result.selected_cut, &result.metrics);
    let mut compared = Map::from_iter([("selected_cut".to_owned(), json!(cut))]);
    let mut add = |name: String, value: Option<&Value>| {
        if let Some(value) = value.filter(|value| value.is_number() && compared.len() < MAX_COMPARED) {
            compared.insert(name, value.clone());
        }
    };
    for figure in FIGURES.into_iter().filter(|figure| figure.is_compared) {
        add(figure.name.to_owned(), figure.of(metrics, cut));
    }
    for source in result.manifest.cut(cut).iter().flat_map(|record| &record.sources) {
        let name = format!("{}.samples", source.name);
        add(name.clone(), metrics.get(&format!("cut_{cut}.{name}")));
    }
    compared
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// Metadata that every data artifact has: what its content was made with.
fn origin(result: &MixResult) -> Map<String, Value> {
    let manifest = &result.manifest;
    Map::from_iter([
        ("program".to_string(), json!(format!("{} {}", manifest.program.name, manifest.program.version))),
        ("seed".to_string(), json!(manifest.settings.seed)),
        ("columns".to_string(), json!(manifest.settings.columns)),
        ("tokenizer".to_string(), json!(manifest.tokenizer.name)),
        ("tokenizer_digest".to_string(), json!(manifest.tokenizer.digest)),
        ("chat_template_digest".to_string(), json!(manifest.tokenizer.chat_template_digest)),
    ])
}

fn mixes_metadata(result: &MixResult, parameters: &OutputParameters, location: &MixLocation) -> Map<String, Value> {
    let mut metadata = origin(result);
    let written: Vec<_> = result.manifest.cuts.iter().filter(|cut| cut.written).collect();
    metadata.insert("cuts".into(), json!(written.iter().map(|cut| cut.cut).collect::<Vec<_>>()));
    metadata.insert("feasible_cuts".into(), json!(parameters.feasible_cuts));
    metadata.insert("selected_cut".into(), json!(parameters.selected_cut));
    for cut in written {
        metadata.insert(format!("cut_{}.samples", cut.cut), json!(cut.samples));
        metadata.insert(format!("cut_{}.tokens", cut.cut), json!(cut.tokens));
    }
    for file in &result.manifest.outputs {
        metadata.insert(format!("digest.{}", file.name), json!(file.digest));
    }
    match location {
        MixLocation::Artifact => {}
        MixLocation::Volume(path) => insert(&mut metadata, "pvc_dir", path.display()),
        MixLocation::Bucket(url) => insert(&mut metadata, "artifact_path", for_trainers(url)),
    }
    metadata
}

fn dataset_metadata(
    result: &MixResult,
    parameters: &OutputParameters,
    location: &MixLocation,
    artifact: &Artifact,
) -> Result<Map<String, Value>> {
    let file = result.selected_file()?;
    let mut metadata = origin(result);
    metadata.insert("cut".into(), json!(parameters.selected_cut));
    metadata.insert("format".into(), json!(file.format));
    metadata.insert("samples".into(), json!(file.rows));
    metadata.insert("tokens".into(), json!(file.tokens));
    if let Some(loss_tokens) = file.loss_tokens {
        metadata.insert("loss_tokens".into(), json!(loss_tokens));
    }
    metadata.insert("file".into(), json!(file.name));
    // Of the file in the mix. If that file is compressed, the artifact holds its decompressed content.
    metadata.insert("digest".into(), json!(file.digest));
    match location {
        MixLocation::Artifact if artifact.is_in_workspace() => {
            insert(&mut metadata, "pvc_path", artifact.path().display())
        }
        // The engine uploads the artifact to exactly this URL after the step has ended.
        MixLocation::Artifact if artifact.uri.starts_with("s3://") => {
            insert(&mut metadata, "artifact_path", &artifact.uri)
        }
        MixLocation::Artifact => {}
        MixLocation::Volume(folder) => {
            insert(&mut metadata, "pvc_path", folder.join(&file.name).display());
            insert(&mut metadata, "pvc_dir", folder.display());
        }
        MixLocation::Bucket(url) => {
            insert(&mut metadata, "artifact_path", for_trainers(&format!("{url}/{}", file.name)))
        }
    }
    Ok(metadata)
}

fn insert(metadata: &mut Map<String, Value>, key: &str, value: impl std::fmt::Display) {
    metadata.insert(key.to_string(), Value::String(value.to_string()));
}
