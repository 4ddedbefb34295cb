//! Kubeflow's executor input: what stands in place of `{{$}}` on a step's command line.
//!
//! Two dialects are read with the same types. The backend leaves unset inputs out and names artifacts by URL; the SDK's
//! local runner writes `null`, turns whole numbers inside lists into `5.0`, and names artifacts by local path.

use crate::error::{Error, ErrorKind, Result};
use crate::settings;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where Kubeflow mounts a pipeline's workspace.
const WORKSPACE: &str = "/kfp-workspace/.artifacts";

/// Names of inputs that the SDK adds for its own text substitution, and that are no settings.
const CHANNEL: &str = "pipelinechannel--";

/// The executor input.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ExecutorInput {
    inputs: Option<Inputs>,
    outputs: Option<Outputs>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Inputs {
    /// Raw, because `serde_json` may miss a large number written as `5.0` by the last digit.
    parameter_values: Option<BTreeMap<String, Box<RawValue>>>,
    artifacts: Option<BTreeMap<String, Option<ArtifactList>>>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Outputs {
    parameters: Option<BTreeMap<String, OutputParameter>>,
    artifacts: Option<BTreeMap<String, ArtifactList>>,
    output_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OutputParameter {
    output_file: PathBuf,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct ArtifactList {
    artifacts: Vec<Artifact>,
}

/// An artifact, as Kubeflow hands it in.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Artifact {
    /// Its name; empty where the engine gives none.
    pub(crate) name: String,
    /// Its URI: a URL on the backend, a path in the local runner.
    pub(crate) uri: String,
    metadata: Option<Map<String, Value>>,
    custom_path: Option<String>,
}

impl Artifact {
    /// The path at which the container finds the artifact, or has to write it.
    pub(crate) fn path(&self) -> PathBuf {
        let custom = self.custom_path.as_deref().filter(|path| !path.is_empty());
        let path = match custom {
            Some(path) => path.to_string(),
            None => mounted(&self.uri),
        };
        if self.in_workspace() { Path::new(WORKSPACE).join(path.trim_start_matches('/')) } else { PathBuf::from(path) }
    }

    /// Whether the artifact stands on the pipeline's shared volume and not in a store.
    pub(crate) fn in_workspace(&self) -> bool {
        let mark = self.metadata.as_ref().and_then(|metadata| metadata.get("_kfp_workspace"));
        mark == Some(&Value::Bool(true))
    }
}

/// Where Kubeflow mounts a URI.
fn mounted(uri: &str) -> String {
    for (scheme, mount) in [("gs://", "/gcs/"), ("s3://", "/s3/"), ("minio://", "/minio/")] {
        if let Some(rest) = uri.strip_prefix(scheme) {
            return format!("{mount}{rest}");
        }
    }
    match uri.strip_prefix("oci://") {
        Some(rest) => format!("/oci/{}/models", rest.replace('/', "_")),
        None => uri.strip_prefix("file://").unwrap_or(uri).to_string(),
    }
}

impl ExecutorInput {
    /// Parses the executor input.
    ///
    /// # Errors
    /// A usage error where it is no JSON object of that shape, or where it names no file for the step's outcome.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refuse = |message: &str| Error::new(ErrorKind::Usage, message.to_string()).at("--executor-input");
        let parsed: Self = serde_json::from_str(text).map_err(|error| {
            refuse("is not Kubeflow's executor input")
                .caused_by(error)
                .hint("pass what {{$}} stands for: args: [--executor-input, {executorInput: null}] in component.yaml")
        })?;
        match parsed.outputs.as_ref().and_then(|outputs| outputs.output_file.as_ref()) {
            Some(path) if path.is_absolute() => Ok(parsed),
            Some(path) => Err(refuse("outputs.outputFile is not an absolute path").at(path.display())),
            None => Err(refuse("names no outputs.outputFile, where the step's outcome is to be written")),
        }
    }

    /// The settings among the parameters, by setting name, as the command line would take them. What is `null` or an
    /// empty text counts as unset: a pipeline hands its own unset parameters on in these ways.
    ///
    /// # Errors
    /// A usage error that names a parameter that is no setting.
    pub(crate) fn settings(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let mut settings = BTreeMap::new();
        let parameters = self.inputs.as_ref().and_then(|inputs| inputs.parameter_values.as_ref());
        for (name, raw) in parameters.into_iter().flatten() {
            let value = value_of(raw);
            let texts: Vec<_> = if name == "input_uri" { several(&value) } else { text(&value).into_iter().collect() };
            if texts.is_empty() || name.starts_with(CHANNEL) {
                continue;
            }
            let info = settings::all().find(|info| info.kfp.is_some_and(|(parameter, _)| parameter == name));
            let Some(info) = info else {
                let known: Vec<_> = settings::all().filter_map(|info| info.kfp).map(|(name, _)| name).collect();
                return Err(Error::new(ErrorKind::Usage, "is no setting")
                    .at(format!("input parameter {name}"))
                    .hint(format!("settings are: {}", known.join(", "))));
            };
            settings.insert(info.name.to_string(), texts);
        }
        Ok(settings)
    }

    /// The artifacts of an input, none where it is not wired.
    pub(crate) fn input_artifacts(&self, name: &str) -> &[Artifact] {
        let artifacts = self.inputs.as_ref().and_then(|inputs| inputs.artifacts.as_ref());
        let list = artifacts.and_then(|artifacts| artifacts.get(name)).and_then(Option::as_ref);
        list.map_or(&[], |list| &list.artifacts)
    }

    /// The artifact that an output is to become. Kubeflow reads only the first of a list.
    pub(crate) fn output_artifact(&self, name: &str) -> Option<&Artifact> {
        self.output_artifacts().find_map(|(found, artifact)| (found == name).then_some(artifact))
    }

    /// Every output artifact, by the output's name.
    pub(crate) fn output_artifacts(&self) -> impl Iterator<Item = (&str, &Artifact)> {
        let artifacts = self.outputs.as_ref().and_then(|outputs| outputs.artifacts.as_ref());
        let lists = artifacts.into_iter().flatten();
        lists.filter_map(|(name, list)| list.artifacts.first().map(|artifact| (name.as_str(), artifact)))
    }

    /// The file of every output parameter, by the parameter's name.
    pub(crate) fn output_parameters(&self) -> impl Iterator<Item = (&str, &Path)> {
        let parameters = self.outputs.as_ref().and_then(|outputs| outputs.parameters.as_ref());
        parameters.into_iter().flatten().map(|(name, parameter)| (name.as_str(), parameter.output_file.as_path()))
    }

    /// The file that the step's outcome is to be written to.
    pub(crate) fn output_file(&self) -> &Path {
        let file = self.outputs.as_ref().and_then(|outputs| outputs.output_file.as_deref());
        // `parse` lets no input through without one.
        file.unwrap_or_else(|| Path::new(""))
    }
}

/// The value, a number exactly.
fn value_of(raw: &RawValue) -> Value {
    match raw.get().parse::<f64>() {
        // Infinity and the like are words to Rust, but no JSON.
        Ok(number) => serde_json::from_str::<i64>(raw.get()).map_or_else(|_| Value::from(number), Value::from),
        // Text that was parsed once parses again.
        Err(_) => serde_json::from_str(raw.get()).unwrap_or_default(),
    }
}

/// A parameter's value as the command line would take it; `None` where it is unset.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(whole(other).to_string()),
    }
}

/// A parameter that can be a list of texts, as a list or as its JSON.
fn several(value: &Value) -> Vec<String> {
    if let Value::Array(values) = value {
        return values.iter().filter_map(text).collect();
    }
    let Some(value) = text(value) else { return Vec::new() };
    match serde_json::from_str::<Vec<String>>(&value) {
        Ok(values) if value.starts_with('[') => values.into_iter().filter(|value| !value.is_empty()).collect(),
        _ => vec![value],
    }
}

/// The value with every whole number written without a dot: Kubeflow carries all numbers as doubles.
fn whole(value: &Value) -> Value {
    /// Above this, doubles no longer tell neighbouring integers apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT => Value::from(float as i64),
            _ => value.clone(),
        },
        Value::Array(values) => values.iter().map(whole).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), whole(value))).collect::<Map<_, _>>().into(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn input(parameters: Value) -> ExecutorInput {
        let outputs = json!({"outputFile": "/o"});
        ExecutorInput::parse(&json!({"inputs": {"parameterValues": parameters}, "outputs": outputs}).to_string())
            .unwrap()
    }

    fn artifact(value: Value) -> PathBuf {
        serde_json::from_value::<Artifact>(value).unwrap().path()
    }

    #[test]
    fn uris_become_the_paths_at_which_kubeflow_mounts_them() {
        for (uri, path) in [
            ("s3://bucket/a/b", "/s3/bucket/a/b"),
            ("gs://bucket/a", "/gcs/bucket/a"),
            ("minio://mlpipeline/v2/a", "/minio/mlpipeline/v2/a"),
            ("oci://registry/model:1", "/oci/registry_model:1/models"),
            ("/tmp/root/step/dataset", "/tmp/root/step/dataset"),
            ("file:///data/x", "/data/x"),
        ] {
            assert_eq!(artifact(json!({"uri": uri})), Path::new(path), "{uri}");
        }
        assert_eq!(artifact(json!({"uri": "s3://b/k", "customPath": "/else"})), Path::new("/else"));
        assert_eq!(artifact(json!({"uri": "s3://b/k", "customPath": ""})), Path::new("/s3/b/k"));
        let workspace = json!({"uri": "minio://b/k", "metadata": {"_kfp_workspace": true}});
        assert_eq!(artifact(workspace), Path::new("/kfp-workspace/.artifacts/minio/b/k"));
        assert_eq!(artifact(json!({"uri": "minio://b/k", "metadata": null})), Path::new("/minio/b/k"));
    }

    #[test]
    fn parameters_become_settings_in_both_dialects() {
        let backend =
            input(json!({"cut_sizes": "5,50", "seed": 7, "save_gpt_oss_format": true, "input_uri": "s3://b/x"}));
        let local = input(json!({"cut_sizes": [5.0, 50.0], "seed": 7.0, "qa_per_doc": null, "columns": "",
            "input_uri": "[\"a\", \"b\"]", "pipelinechannel--other": "x"}));
        let settings = |input: &ExecutorInput| format!("{:?}", input.settings().unwrap());
        insta::assert_snapshot!(settings(&backend), @r#"{"cut_sizes": ["5,50"], "input": ["s3://b/x"], "save_gpt_oss_format": ["true"], "seed": ["7"]}"#);
        insta::assert_snapshot!(settings(&local), @r#"{"cut_sizes": ["[5,50]"], "input": ["a", "b"], "seed": ["7"]}"#);
        let recipe = input(json!({"recipe": {"sources": {"x": {"repeat": 2.5, "qa_per_doc": 3.0}}}}));
        insta::assert_snapshot!(settings(&recipe), @r#"{"recipe": ["{\"sources\":{\"x\":{\"repeat\":2.5,\"qa_per_doc\":3}}}"]}"#);
    }

    #[test]
    fn a_parameter_that_is_no_setting_is_refused_unless_it_is_unset() {
        assert!(input(json!({"cutsizes": null})).settings().unwrap().is_empty());
        let error = input(json!({"cutsizes": "5"})).settings().unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("input parameter cutsizes: is no setting\n"), "{message}");
        assert!(message.contains(" cut_sizes, "), "{message}");
    }

    #[test]
    fn what_is_no_executor_input_is_refused() {
        for (text, message) in [
            ("{{$}}", "is not Kubeflow's executor input"),
            ("7", "is not Kubeflow's executor input"),
            ("{}", "names no outputs.outputFile"),
            (r#"{"outputs": {"outputFile": "relative"}}"#, "not an absolute path"),
        ] {
            let error = ExecutorInput::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().contains(message), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in r#"[{}\[\]":,a-z0-9. nul]{0,60}"#) {
            let _ = ExecutorInput::parse(&text);
        }

        #[test]
        fn every_seed_survives_the_way_through_a_double(seed in 0_u64..=9_007_199_254_740_991) {
            let settings = input(json!({"seed": seed as f64})).settings().unwrap();
            prop_assert_eq!(&settings["seed"], &vec![seed.to_string()]);
        }
    }
}
