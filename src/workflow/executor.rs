//! Kubeflow's executor input: the JSON that replaces `{{$}}` on the command line of a step.
//!
//! Two dialects are read with the same types. The backend omits unset inputs and identifies artifacts by URL; the SDK's
//! local runner writes `null`, turns whole numbers in lists into `5.0`, and identifies artifacts by local path.

use super::output_paths::{self, Output, normalized};
use super::upstream::our_name;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{shown_value, without_quotes};
use crate::settings;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder that Kubeflow mounts the workspace of a pipeline at.
const WORKSPACE: &str = "/kfp-workspace/.artifacts";

/// Prefix of the inputs that the SDK adds for its own text substitution. They are not settings.
const CHANNEL: &str = "pipelinechannel--";

const TOO_LONG: &str = "Linux limits an argument to 128 KiB, about 250 artifacts: have the generation steps write below one folder or URL, \
                        and pass it as input_uri";

const HINT: &str = "pass what {{$}} expands to: args: [--executor-input, {executorInput: null}] in component.yaml";

/// A valid executor input.
#[derive(Debug, Clone)]
pub(super) struct ExecutorInput {
    /// Raw, because `serde_json` may read a large number written as `5.0` with a wrong last digit.
    parameters: BTreeMap<String, Box<RawValue>>,
    input_artifacts: BTreeMap<String, Vec<Artifact>>,
    output_parameters: BTreeMap<String, PathBuf>,
    output_artifacts: BTreeMap<String, Artifact>,
    output_file: PathBuf,
}

/// The executor input as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wire {
    inputs: Option<WireInputs>,
    outputs: Option<WireOutputs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireInputs {
    parameter_values: Option<BTreeMap<String, Box<RawValue>>>,
    artifacts: Option<BTreeMap<String, Option<ArtifactList>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireOutputs {
    parameters: Option<BTreeMap<String, OutputParameter>>,
    artifacts: Option<BTreeMap<String, ArtifactList>>,
    output_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutputParameter {
    output_file: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ArtifactList {
    artifacts: Vec<Artifact>,
}

/// An artifact, as Kubeflow passes it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Artifact {
    name: String,
    /// A URL on the backend, a path in the local runner.
    pub(super) uri: String,
    metadata: Option<Map<String, Value>>,
    custom_path: Option<String>,
}

impl Artifact {
    /// The name of the artifact, or that of its output if the engine gives it none.
    pub(super) fn name_or<'a>(&'a self, output: &'a str) -> &'a str {
        if self.name.is_empty() { output } else { &self.name }
    }

    /// The path at which the container reads or writes the artifact: without `.` and repeated slashes, but not checked.
    pub(super) fn path(&self) -> PathBuf {
        self.path_and_root().0
    }

    /// The path, and the folder of the engine's that it has to be in, if there is one.
    fn path_and_root(&self) -> (PathBuf, Option<&'static Path>) {
        let custom = self.custom_path.as_deref().filter(|path| !path.is_empty());
        let (path, root) = custom.map_or_else(|| mount_path(&self.uri), |path| (path.to_string(), None));
        if self.is_in_workspace() {
            return (normalized(&Path::new(WORKSPACE).join(path.trim_start_matches('/'))), Some(Path::new(WORKSPACE)));
        }
        (normalized(Path::new(&path)), root.map(Path::new))
    }

    /// Whether the artifact is on the shared volume of the pipeline instead of in an object store.
    pub(super) fn is_in_workspace(&self) -> bool {
        let flag = self.metadata.as_ref().and_then(|metadata| metadata.get("_kfp_workspace"));
        flag == Some(&Value::Bool(true))
    }
}

/// The path at which Kubeflow mounts a URI, and the folder that it mounts all URIs of that scheme at.
fn mount_path(uri: &str) -> (String, Option<&'static str>) {
    for (scheme, mount) in [("gs://", "/gcs"), ("s3://", "/s3"), ("minio://", "/minio")] {
        if let Some(rest) = uri.strip_prefix(scheme) {
            return (format!("{mount}/{rest}"), Some(mount));
        }
    }
    match uri.strip_prefix("oci://") {
        Some(rest) => (format!("/oci/{}/models", rest.replace('/', "_")), Some("/oci")),
        None => (uri.strip_prefix("file://").unwrap_or(uri).to_string(), None),
    }
}

impl ExecutorInput {
    /// Parses the executor input.
    ///
    /// # Errors
    /// A usage error if it is not a JSON object of that shape, if it has no file for the executor output, or if the path of an
    /// output is not one of its own: see [`output_paths::check`].
    pub(super) fn parse(text: &str) -> Result<Self> {
        let invalid = |message: String| Error::new(ErrorKind::Usage, message).at("--executor-input").hint(HINT);
        let wire: Wire = serde_json::from_str(text).map_err(|error| match error.is_eof() && text.starts_with('{') {
            true => {
                invalid(format!("the executor input ends in the middle, after {} bytes", text.len())).hint(TOO_LONG)
            }
            false => {
                invalid("not a valid executor input of Kubeflow".into()).caused_by(without_quotes(&error.to_string()))
            }
        })?;
        let inputs = wire.inputs.unwrap_or_default();
        let outputs = wire.outputs.unwrap_or_default();
        let output_file = outputs.output_file.ok_or_else(|| invalid("outputs.outputFile not found".into()))?;
        if !output_file.is_absolute() {
            let value =
                shown_value(&output_file.to_string_lossy()).map_or_else(String::new, |path| format!(" `{path}`"));
            return Err(invalid(format!("invalid outputs.outputFile{value}: expected an absolute path")));
        }
        let input_artifacts = inputs.artifacts.unwrap_or_default().into_iter();
        let output_artifacts = outputs.artifacts.unwrap_or_default().into_iter();
        let output_parameters = outputs.parameters.unwrap_or_default().into_iter();
        let input = Self {
            parameters: inputs.parameter_values.unwrap_or_default(),
            input_artifacts: input_artifacts
                .filter_map(|(name, list)| Some((our_name(&name).to_owned(), list?.artifacts)))
                .collect(),
            output_parameters: output_parameters
                .map(|(name, parameter)| (name, normalized(&parameter.output_file)))
                .collect(),
            // Kubeflow reads only the first artifact of a list.
            output_artifacts: output_artifacts
                .filter_map(|(name, list)| Some((name, list.artifacts.into_iter().next()?)))
                .collect(),
            output_file: normalized(&output_file),
        };
        input.check_outputs()?;
        Ok(input)
    }

    fn check_outputs(&self) -> Result<()> {
        let artifacts: Vec<_> =
            self.output_artifacts().map(|(name, artifact)| (name, artifact.path_and_root())).collect();
        let file = Output { name: "outputs.outputFile".to_owned(), path: self.output_file(), root: None };
        let parameters = self.output_parameters().map(|(name, path)| {
            let name = format!("output parameter {name}");
            Output { name, path, root: None }
        });
        let artifacts = artifacts.iter().map(|(name, (path, root))| {
            let name = format!("output artifact {name}");
            Output { name, path, root: *root }
        });
        // Artifacts last: an error names the later one of two outputs.
        output_paths::check(&[file].into_iter().chain(parameters).chain(artifacts).collect::<Vec<_>>())
    }

    /// The values of the settings among the parameters, by setting name, in the form that the command line accepts.
    ///
    /// `null` and an empty text count as unset, because a pipeline passes on its own unset parameters in these forms.
    ///
    /// # Errors
    /// A usage error that names a parameter that is not a setting.
    pub(super) fn settings(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let mut settings = BTreeMap::new();
        for (name, raw) in &self.parameters {
            let value = exact_value(raw);
            let texts: Vec<_> = if name == "input_uri" { texts(&value) } else { text(&value).into_iter().collect() };
            if texts.is_empty() || name.starts_with(CHANNEL) {
                continue;
            }
            let ours = our_name(name);
            let info = settings::all().find(|info| info.kfp.is_some_and(|(parameter, _)| parameter == ours));
            let Some(info) = info else {
                let known: Vec<_> = settings::all().filter_map(|info| info.kfp).map(|(name, _)| name).collect();
                return Err(Error::new(ErrorKind::Usage, "unknown setting")
                    .at(format!("input parameter {name}"))
                    .hint(format!("use one of these: {}", known.join(", "))));
            };
            settings.insert(info.name.to_string(), texts);
        }
        Ok(settings)
    }

    /// The artifacts of an input. Empty if the input is not wired.
    pub(super) fn input_artifacts(&self, name: &str) -> &[Artifact] {
        self.input_artifacts.get(name).map_or(&[], Vec::as_slice)
    }

    /// An output artifact by our name for its output.
    pub(super) fn output_artifact(&self, name: &str) -> Option<&Artifact> {
        self.output_artifacts().find(|(output, _)| our_name(output) == name).map(|(_, artifact)| artifact)
    }

    /// Every output artifact, by the name that the component gives its output.
    pub(super) fn output_artifacts(&self) -> impl Iterator<Item = (&str, &Artifact)> {
        self.output_artifacts.iter().map(|(name, artifact)| (name.as_str(), artifact))
    }

    /// The file of every output parameter, by the name of the parameter.
    pub(super) fn output_parameters(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.output_parameters.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// The absolute path of the executor output.
    pub(super) fn output_file(&self) -> &Path {
        &self.output_file
    }
}

/// The parsed value, with whole numbers exact.
fn exact_value(raw: &RawValue) -> Value {
    match raw.get().parse::<f64>() {
        Ok(number) => serde_json::from_str::<i64>(raw.get()).map_or_else(|_| Value::from(number), Value::from),
        // `RawValue` has checked the text already, so this cannot fail.
        Err(_) => serde_json::from_str(raw.get()).unwrap_or_default(),
    }
}

/// The value of a parameter in the form that the command line accepts; `None` if it is unset.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(with_integers(other).to_string()),
    }
}

/// The values of a parameter that can be one text, a list of texts, or such a list as JSON in a text.
fn texts(value: &Value) -> Vec<String> {
    if let Value::Array(values) = value {
        return values.iter().filter_map(text).collect();
    }
    let Some(value) = text(value) else { return Vec::new() };
    match serde_json::from_str::<Vec<String>>(&value) {
        Ok(values) if value.starts_with('[') => values.into_iter().filter(|value| !value.is_empty()).collect(),
        _ => vec![value],
    }
}

/// The value with every whole number as an integer: Kubeflow carries all numbers as doubles.
fn with_integers(value: &Value) -> Value {
    /// Above this, a double cannot represent every integer.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= MAX_EXACT => {
                Value::from(float as i64)
            }
            _ => value.clone(),
        },
        Value::Array(values) => values.iter().map(with_integers).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), with_integers(value))).collect::<Map<_, _>>().into()
        }
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
    fn uris_map_to_the_paths_at_which_kubeflow_mounts_them() {
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

    /// An executor input with these output artifacts, an output parameter and the executor output.
    fn with_outputs(artifacts: &[(&str, Value)]) -> Result<ExecutorInput> {
        let list = |(name, artifact): &(&str, Value)| ((*name).to_owned(), json!({"artifacts": [artifact]}));
        let artifacts: Map<_, _> = artifacts.iter().map(list).collect();
        let parameters = json!({"total_samples": {"outputFile": "/tmp/kfp/outputs/total_samples"}});
        let file = "/s3/mlpipeline/v2/artifacts/p/run/step/task/output_metadata.json";
        let outputs = json!({"artifacts": artifacts, "parameters": parameters, "outputFile": file});
        ExecutorInput::parse(&json!({ "outputs": outputs }).to_string())
    }

    /// What the driver of Kubeflow 2.17, its workspace and the local runner pass to a step.
    #[test]
    fn the_paths_that_engines_choose_are_accepted() {
        let s3 = "s3://mlpipeline/v2/artifacts/p/run/step/task";
        let all = ["mixes", "dataset", "metrics", "report", "summary", "executor-logs-0", "executor-logs-1"];
        let backend: Vec<_> = all.iter().map(|name| (*name, json!({"uri": format!("{s3}/{name}")}))).collect();
        let workspace: Vec<_> = all
            .iter()
            .map(|name| (*name, json!({"uri": format!("{s3}/{name}"), "metadata": {"_kfp_workspace": true}})))
            .collect();
        let local: Vec<_> =
            all.iter().map(|name| (*name, json!({"uri": format!("/tmp/root/knowledge-mixing/{name}")}))).collect();
        for outputs in [backend, workspace, local] {
            assert_eq!(with_outputs(&outputs).unwrap().output_artifacts().count(), all.len());
        }
        // A name that another name begins with is not a folder around it.
        with_outputs(&[("a", json!({"uri": "gs://b/x"})), ("b", json!({"uri": "gs://b/x-0"}))]).unwrap();
        with_outputs(&[("a", json!({"uri": "s3://b/k", "customPath": "/mnt/a..b/.hidden"}))]).unwrap();
    }

    #[test]
    fn paths_of_outputs_are_normalized() {
        for uri in ["s3://b/./run//mixes/", "s3://b/run/mixes", "s3:///b/run/mixes/."] {
            let input = with_outputs(&[("mixes", json!({"uri": uri}))]).unwrap();
            let mixes = input.output_artifact("mixes").unwrap();
            assert_eq!((mixes.path().to_str(), mixes.uri.as_str()), (Some("/s3/b/run/mixes"), uri));
        }
        let outputs = json!({"outputFile": "/a//b/./o", "parameters": {"x": {"outputFile": "/p/./x/"}}});
        let input = ExecutorInput::parse(&json!({ "outputs": outputs }).to_string()).unwrap();
        assert_eq!(input.output_file().to_str(), Some("/a/b/o"));
        assert_eq!(input.output_parameters().next().unwrap().1.to_str(), Some("/p/x"));
    }

    #[test]
    fn an_output_cannot_leave_the_folder_that_the_engine_has_given_it() {
        let mut cases = String::new();
        for artifact in [
            json!({"uri": "s3://b/run/../../../etc"}),
            json!({"uri": "s3://b/run/mixes/.."}),
            json!({"uri": "gs://.."}),
            json!({"uri": "oci://.."}),
            json!({"uri": "s3://"}),
            json!({"uri": "minio://./"}),
            json!({"uri": ""}),
            json!({"uri": "relative/mixes"}),
            json!({"uri": "az://container/mixes"}),
            json!({"uri": "/"}),
            json!({"uri": "file:///"}),
            json!({"uri": "/tmp/root/../mixes"}),
            json!({"uri": "s3://b/run/mixes", "customPath": "/"}),
            json!({"uri": "s3://b/run/mixes", "customPath": "../mixes"}),
            json!({"uri": "s3://b/run/mixes", "customPath": "/tmp/x/.."}),
            json!({"uri": "s3://b/../../..", "metadata": {"_kfp_workspace": true}}),
            json!({"uri": "/", "metadata": {"_kfp_workspace": true}}),
        ] {
            let error = with_outputs(&[("mixes", artifact)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
            cases.push_str(&format!("{}\n", error.line()));
        }
        for file in ["relative", "/", "/tmp/../o"] {
            let parameters = json!({"total": {"outputFile": file}});
            for outputs in [json!({"outputFile": file}), json!({"outputFile": "/o", "parameters": parameters})] {
                let error = ExecutorInput::parse(&json!({ "outputs": outputs }).to_string()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
                cases.push_str(&format!("{}\n", error.line()));
            }
        }
        insta::assert_snapshot!(cases);
    }

    #[test]
    fn every_output_has_a_path_of_its_own() {
        let mut cases = String::new();
        let task = "s3://mlpipeline/v2/artifacts/p/run/step/task";
        let at = |uri: &str| json!({ "uri": uri });
        for artifacts in [
            vec![("dataset", at("s3://b/run/mixes/dataset")), ("mixes", at("s3://b/run/mixes"))],
            vec![("dataset", at("s3://b/run")), ("mixes", at("s3://b/run/mixes"))],
            vec![("dataset", at("s3://b/run/mixes")), ("mixes", at("s3://b//run/./mixes/"))],
            vec![("dataset", at("/s3/b/run/mixes/d")), ("mixes", at("s3://b/run/mixes"))],
            vec![("dataset", json!({"uri": "s3://b/d", "customPath": "/s3/b/m"})), ("mixes", at("s3://b/m"))],
            vec![("mixes", at("/tmp/kfp/outputs"))],
            vec![("mixes", at("/tmp/kfp/outputs/total_samples"))],
            vec![("mixes", at(task))],
            vec![("mixes", at(&format!("{task}/output_metadata.json")))],
        ] {
            let error = with_outputs(&artifacts).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
            cases.push_str(&format!("{}\n", error.line()));
        }
        insta::assert_snapshot!(cases);
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
    fn an_unknown_parameter_is_rejected_unless_it_is_unset() {
        assert!(input(json!({"cutsizes": null})).settings().unwrap().is_empty());
        let error = input(json!({"cutsizes": "5"})).settings().unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("input parameter cutsizes: unknown setting\n"), "{message}");
        assert!(message.contains(" cut_sizes, "), "{message}");
    }

    #[test]
    fn an_invalid_executor_input_is_rejected() {
        for (text, message) in [
            ("{{$}}", "not a valid executor input of Kubeflow"),
            ("7", "not a valid executor input of Kubeflow"),
            (r#"{"inputs": {"artifacts": {"data"#, "ends in the middle, after 31 bytes"),
            ("{}", "outputs.outputFile not found"),
            (
                r#"{"outputs": {"outputFile": "relative"}}"#,
                "invalid outputs.outputFile `relative`: expected an absolute path",
            ),
        ] {
            let error = ExecutorInput::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().contains(message), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in r#"[{}\[\]":,a-z0-9. nul]{0,60}"#) {
            let _ = ExecutorInput::parse(&text);
        }

        #[test]
        fn every_seed_survives_the_conversion_to_a_double(seed in 0_u64..=9_007_199_254_740_991) {
            let settings = input(json!({"seed": seed as f64})).settings().unwrap();
            prop_assert_eq!(&settings["seed"], &vec![seed.to_string()]);
        }
    }
}
