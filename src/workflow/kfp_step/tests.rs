//! Whole steps in temporary folders, with a stand-in for the mix.

use super::*;
use crate::recipe::Format;
use crate::workflow::fixtures::{manifest, settings};
use object_store::ObjectStoreExt;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

fn mix_result() -> MixResult {
    MixResult {
        manifest: manifest(),
        metrics: Map::from_iter([
            ("samples".to_string(), json!(80)),
            ("share".to_string(), json!(0.5)),
            ("note".to_string(), json!(null)),
        ]),
        report_html: "<p>".into(),
        summary_md: "# s".into(),
        selected_cut: 5,
        selected_format: Format::Messages,
    }
}

/// The executor input of the local runner, with all outputs below one folder.
fn executor_input(root: &Path, parameters: Value) -> String {
    let artifacts = ["mixes", "dataset", "metrics", "report", "summary"].map(|name| {
        (name.to_string(), json!({"artifacts": [{"name": name, "uri": root.join(name), "type": {"schemaTitle": "x"}}]}))
    });
    let files = ["feasible_cuts", "selected_cut", "total_samples", "total_tokens", "dataset_uri"]
        .map(|name| (name.to_string(), json!({"outputFile": root.join("parameters").join(name)})));
    json!({
        "inputs": {"parameterValues": parameters},
        "outputs": {
            "artifacts": Map::from_iter(artifacts),
            "parameters": Map::from_iter(files),
            "outputFile": root.join("created/on/the/way/executor_output.json"),
        }
    })
    .to_string()
}

/// The executor input of a step that is declared with the names of the public component, and the folder that it reads.
fn upstream_executor_input(root: &Path) -> String {
    let summaries = root.join("merged/extractive_summary");
    std::fs::create_dir_all(&summaries).unwrap();
    std::fs::write(summaries.join("gen.jsonl"), "{}").unwrap();
    let artifact = |name: &str, uri: PathBuf| json!({"artifacts": [{"name": name, "uri": uri}]});
    json!({
        "inputs": {
            "artifacts": {"datasets_path": artifact("merged_output", root.join("merged"))},
            "parameterValues": {
                "tokenizer_model_name": "builtin", "cut_size": "2,5", "qa_per_doc": 3.0, "save_gpt_oss_format": false,
            },
        },
        "outputs": {
            "artifacts": {
                "output_path": artifact("output_path", root.join("mixes")),
                "dataset_file": artifact("dataset_file", root.join("file")),
            },
            "parameters": {"Output": {"outputFile": root.join("Output")}},
            "outputFile": root.join("executor_output.json"),
        }
    })
    .to_string()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

fn storage() -> Storage {
    Storage::with_environment(Default::default(), Default::default())
}

fn prepare(executor_input: &str) -> Result<KfpStep> {
    block_on(KfpStep::prepare(executor_input, &storage()))
}

/// The warnings of a step before it runs.
fn check(executor_input: &str, values: &[(&str, &str)]) -> Result<Vec<String>> {
    let warnings = Warnings::silent();
    prepare(executor_input)?.check(&settings(values), &warnings);
    Ok(warnings.all())
}

/// Writes files into the output folder, as a mix does.
fn write_files(settings: &SettingValues, names: &[(&str, &[u8])]) {
    let folder = Path::new(settings.first("output").unwrap());
    std::fs::create_dir_all(folder).unwrap();
    for (name, content) in names {
        std::fs::write(folder.join(name), content).unwrap();
    }
}

fn run(executor_input: &str, mix: impl FnOnce(SettingValues) -> Result<MixResult>) -> Result<()> {
    run_with(storage(), executor_input, mix)
}

fn run_with(
    storage: Storage,
    executor_input: &str,
    mix: impl FnOnce(SettingValues) -> Result<MixResult>,
) -> Result<()> {
    let step = prepare(executor_input)?;
    let result = mix(step.settings().clone())?;
    block_on(async {
        let publish = tokio::task::spawn_blocking(move || step.publish(&result, &storage, &|| false));
        publish.await.unwrap()
    })
}

/// A result whose selected file has this name and content.
fn mix_result_with(name: &str, content: &[u8]) -> MixResult {
    let mut result = mix_result();
    let file = &mut result.manifest.outputs[1];
    file.name = name.to_owned();
    file.bytes = content.len() as u64;
    file.digest = blake3::hash(content).to_hex().to_string();
    result
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_step_writes_everything_that_the_engine_reads() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    run(&executor_input(root, json!({"cut_sizes": "2,5,9"})), |settings| {
        assert_eq!(settings.first("cut_sizes"), Some("2,5,9"));
        write_files(
            &settings,
            &[("combined_cut_2x.jsonl", b"{2}"), ("combined_cut_5x.jsonl", b"{5}"), ("manifest.json", b"{}")],
        );
        Ok(mix_result())
    })
    .unwrap();
    assert_eq!(read(root.join("dataset")), "{5}");
    assert_eq!(read(root.join("mixes/combined_cut_2x.jsonl")), "{2}");
    assert_eq!(read(root.join("report")), "<p>");
    assert_eq!(read(root.join("summary")), "# s");
    assert_eq!(read(root.join("parameters/feasible_cuts")), "[2,5]");
    assert_eq!(read(root.join("parameters/total_tokens")), "8000");
    assert_eq!(serde_json::from_str::<Value>(&read(root.join("metrics"))).unwrap()["samples"], 80);

    let output: Value = serde_json::from_str(&read(root.join("created/on/the/way/executor_output.json"))).unwrap();
    let text = serde_json::to_string_pretty(&output).unwrap().replace(&root.display().to_string(), "ROOT");
    insta::assert_snapshot!(text);
    let left: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 7, "a staged file is left: {left:?}");
}

/// Declared with the names of the public pipeline's component, the step does the same.
#[test]
fn the_names_of_the_public_component_are_understood() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    run(&upstream_executor_input(root), |settings| {
        assert_eq!(settings.first("tokenizer_model"), Some("builtin"));
        assert_eq!(settings.first("cut_sizes"), Some("2,5"));
        assert_eq!(settings.first("input"), root.join("merged").to_str());
        write_files(&settings, &[("combined_cut_2x.jsonl", b"{2}"), ("combined_cut_5x.jsonl", b"{5}")]);
        Ok(mix_result())
    })
    .unwrap();
    assert_eq!(read(root.join("file")), "{5}");
    let returned = root.join("mixes/combined_cut_5x.jsonl").display().to_string();
    assert_eq!(read(root.join("Output")), returned);
    let output: Value = serde_json::from_str(&read(root.join("executor_output.json"))).unwrap();
    assert_eq!(output["parameterValues"]["Output"], returned.as_str());
    assert_eq!(output["artifacts"]["dataset_file"]["artifacts"][0]["metadata"]["cut"], 5);
}

#[test]
fn a_compressed_mix_is_passed_on_as_plain_lines() {
    let formats = [(Format::Messages, ".jsonl"), (Format::Tokens, ".tokens.jsonl")];
    for (extension, bytes) in [
        ("gz", {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(b"{\"a\":1}\n").unwrap();
            encoder.finish().unwrap()
        }),
        ("zst", zstd::encode_all(&b"{\"a\":1}\n"[..], 1).unwrap()),
    ] {
        for (format, ending) in formats {
            let root = tempfile::tempdir().unwrap();
            let name = format!("combined_cut_5x{ending}.{extension}");
            run(&executor_input(root.path(), json!({})), |settings| {
                write_files(&settings, &[(&name, &bytes)]);
                let mut result = mix_result_with(&name, &bytes);
                result.selected_format = format;
                result.manifest.outputs[1].format = Some(format.name().to_owned());
                Ok(result)
            })
            .unwrap();
            assert_eq!(read(root.path().join("dataset")), "{\"a\":1}\n", "{name}");
        }
    }
}

#[test]
fn a_compressed_mix_that_the_engine_copies_is_no_warning() {
    let root = tempfile::tempdir().unwrap();
    for format in ["messages", "tokens"] {
        let values = [("compression", "gzip"), ("select_cut", "5"), ("formats", format)];
        assert!(check(&executor_input(root.path(), json!({})), &values).unwrap().is_empty(), "dataset is plain");
    }
}

/// The step declares no artifact `dataset`, so that the next step reads what `output_uri` names.
#[test]
fn a_compressed_mix_on_a_volume_or_in_a_bucket_is_a_warning_without_dataset() {
    let root = tempfile::tempdir().unwrap();
    for output_uri in ["/volume/mixes", "file:///volume/mixes", "s3://bucket/mixes", "minio://bucket/mixes"] {
        let whole = executor_input(root.path(), json!({"output_uri": output_uri}));
        // The artifact is plain, but the parameter names the file itself.
        let raised = check(&whole, &[("compression", "gzip")]).unwrap();
        assert!(
            raised.len() == 1 && raised[0].starts_with("dataset_uri: the next step gets a .jsonl.gz file"),
            "{raised:?}"
        );
        let mut input: Value = serde_json::from_str(&whole).unwrap();
        input["outputs"]["artifacts"].as_object_mut().unwrap().remove("dataset");
        let input = input.to_string();
        assert_eq!(
            check(&input, &[("compression", "gzip"), ("select_cut", "5")]).unwrap(),
            [
                "output_uri: the next step gets a .jsonl.gz file, but training_hub reads only plain .jsonl files: pass --compression none"
            ],
            "{output_uri}"
        );
        let tokens = [("compression", "zstd"), ("formats", "messages,tokens"), ("select_format", "tokens")];
        let raised = check(&input, &tokens).unwrap();
        assert!(raised.len() == 1 && raised[0].contains(" gets a .tokens.jsonl.zst file,"), "{raised:?}");
        assert!(check(&input, &[]).unwrap().is_empty());
    }
}

#[test]
fn a_parquet_file_is_a_warning_wherever_it_is_passed_on() {
    let root = tempfile::tempdir().unwrap();
    for (parameters, place) in [(json!({}), "dataset"), (json!({"output_uri": "s3://bucket/mixes"}), "dataset")] {
        let raised = check(&executor_input(root.path(), parameters), &[("formats", "tokens-parquet")]).unwrap();
        assert!(
            raised.len() == 1 && raised[0].starts_with(&format!("{place}: the next step gets a .tokens.parquet file"))
        );
        assert!(raised[0].ends_with("pass --select-format messages or tokens"), "{raised:?}");
    }
}

#[test]
fn a_compressed_mix_is_a_warning_if_the_next_step_gets_only_the_folder() {
    let artifacts = json!({"mixes": {"artifacts": [{"uri": "s3://b/run/mixes"}]}});
    let executor_input = json!({"outputs": {"outputFile": "/o", "artifacts": artifacts}}).to_string();
    let raised = check(&executor_input, &[("compression", "zstd")]).unwrap();
    assert!(raised.len() == 1 && raised[0].starts_with("mixes: the next step gets a .jsonl.zst file"), "{raised:?}");
}

/// `dataset_file` is plain, but `Output` is the path of a file in the mix.
#[test]
fn a_compressed_mix_is_a_warning_with_the_names_of_the_public_component() {
    let root = tempfile::tempdir().unwrap();
    let executor_input = upstream_executor_input(root.path());
    let raised = check(&executor_input, &[("compression", "gzip")]).unwrap();
    assert!(raised.len() == 1 && raised[0].starts_with("Output: the next step gets a .jsonl.gz file"), "{raised:?}");
    assert!(check(&executor_input, &[]).unwrap().is_empty());
}

/// The next step reads `dataset` wherever the mix is: the engine refuses an artifact that refers to another place.
#[test]
fn a_mix_on_a_volume_or_in_a_bucket_is_referenced_and_dataset_is_written() {
    let volume = tempfile::tempdir().unwrap();
    let on_volume = volume.path().join("mixes");
    let file = "combined_cut_5x.jsonl";
    for (output_uri, key, value) in [
        (on_volume.display().to_string(), "pvc_path", on_volume.join(file).display().to_string()),
        (format!("file://{}/", on_volume.display()), "pvc_dir", on_volume.display().to_string()),
        (format!("file://localhost{}", on_volume.display()), "pvc_path", on_volume.join(file).display().to_string()),
        ("s3://bucket/mixes/".into(), "artifact_path", format!("s3://bucket/mixes/{file}")),
        ("minio://bucket/mixes".into(), "artifact_path", format!("s3://bucket/mixes/{file}")),
    ] {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(object_store::memory::InMemory::new());
        let objects = Arc::clone(&store);
        let result = mix_result_with(file, b"{5}");
        let input = executor_input(root.path(), json!({"output_uri": output_uri}));
        run_with(Storage::with_store(Default::default(), store), &input, |settings| {
            assert_eq!(settings.first("output"), Some(output_uri.as_str()));
            match output_uri.starts_with(['/', 'f']) {
                true => {
                    std::fs::create_dir_all(&on_volume).unwrap();
                    std::fs::write(on_volume.join(file), "{5}").unwrap();
                }
                false => block_on(objects.put(&format!("mixes/{file}").into(), "{5}".into())).map(drop).unwrap(),
            }
            Ok(result)
        })
        .unwrap();
        let output: Value =
            serde_json::from_str(&read(root.path().join("created/on/the/way/executor_output.json"))).unwrap();
        assert_eq!(output["artifacts"]["dataset"]["artifacts"][0]["metadata"][key], json!(value));
        assert_eq!(read(root.path().join("dataset")), "{5}");
        assert!(!root.path().join("mixes").exists());
        assert_eq!(read(root.path().join("report")), "<p>");
        let path = match output_uri.split_once("://") {
            Some((scheme @ ("s3" | "minio"), _)) => format!("{scheme}://bucket/mixes/{file}"),
            _ => on_volume.join(file).display().to_string(),
        };
        assert_eq!(read(root.path().join("parameters/dataset_uri")), path);
        assert_eq!(output["parameterValues"]["dataset_uri"], path);
    }
}

/// Another run has published after the lease was given back: what it has published is not what this step's outputs describe.
#[test]
fn a_mix_that_is_replaced_before_it_is_read_back_is_an_error() {
    for content in ["{6}", "{55}"] {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(object_store::memory::InMemory::new());
        block_on(store.put(&"mixes/combined_cut_5x.jsonl".into(), content.into())).unwrap();
        let input = executor_input(root.path(), json!({"output_uri": "s3://bucket/mixes"}));
        let result = mix_result_with("combined_cut_5x.jsonl", b"{5}");
        let error = run_with(Storage::with_store(Default::default(), store), &input, |_| Ok(result)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TryAgain, "{error}");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }
}

/// Kubeflow's interface lists all metrics of a run.
#[test]
fn few_metrics_are_compared_and_their_names_do_not_depend_on_the_cut() {
    let (manifest, statistics) = crate::report::synthetic::small();
    let metrics = crate::report::metrics::metrics(&manifest, &statistics);
    assert!(metrics.len() > 20, "{}", metrics.len());
    let selected_cut = manifest.cuts.iter().filter(|cut| cut.written).map(|cut| cut.cut).max().unwrap();
    let root = tempfile::tempdir().unwrap();
    let input = ExecutorInput::parse(&executor_input(root.path(), json!({}))).unwrap();
    let result = MixResult { manifest, metrics, selected_cut, ..mix_result() };
    let output = outputs::executor_output(&input, &result, &MixLocation::Artifact).unwrap();
    let shown = output["artifacts"]["metrics"]["artifacts"][0]["metadata"].as_object().unwrap();
    assert!(shown.len() <= 20 && shown.values().all(Value::is_number));
    insta::assert_snapshot!(serde_json::to_string_pretty(shown).unwrap());
}

#[test]
fn an_artifact_that_the_engine_uploads_to_s3_has_its_url() {
    let text = json!({"outputs": {"outputFile": "/o", "artifacts": {
        "mixes": {"artifacts": [{"uri": "s3://b/run/mixes"}]},
        "dataset": {"artifacts": [{"name": "d", "uri": "s3://b/run/dataset"}]}}}});
    let input = ExecutorInput::parse(&text.to_string()).unwrap();
    let output = outputs::executor_output(&input, &mix_result(), &MixLocation::Artifact).unwrap();
    assert_eq!(output["artifacts"]["dataset"]["artifacts"][0]["uri"], "s3://b/run/dataset");
    assert_eq!(output["artifacts"]["dataset"]["artifacts"][0]["name"], "d");
    assert_eq!(output["artifacts"]["dataset"]["artifacts"][0]["metadata"]["artifact_path"], "s3://b/run/dataset");
    assert_eq!(output["artifacts"]["mixes"]["artifacts"][0]["name"], "mixes");
    assert_eq!(output["parameterValues"], json!({}), "none was declared");
}

#[test]
fn a_step_whose_mix_fails_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let error =
        run(&executor_input(root.path(), json!({})), |_| Err(Error::new(ErrorKind::Data, "a bad row"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

/// A folder is in the way of the artifact `summary`, the last one that is written.
#[test]
fn a_step_whose_outputs_fail_removes_what_it_has_created_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for path in ["mixes/older", "parameters/other", "metrics", "summary/in/the/way"] {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), "x").unwrap();
    }
    let mut input: Value = serde_json::from_str(&executor_input(root, json!({}))).unwrap();
    input["outputs"]["artifacts"]["report"]["artifacts"][0]["uri"] = json!(root.join("new/folder/of/report"));
    let error = run(&input.to_string(), |settings| {
        write_files(&settings, &[("combined_cut_5x.jsonl", b"{5}")]);
        Ok(mix_result())
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("the mix itself is complete"), "{error}");
    let mut left: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["metrics", "mixes", "parameters", "summary"]);
    assert_eq!(read(root.join("mixes/older")), "x");
    assert_eq!(read(root.join("mixes/combined_cut_5x.jsonl")), "{5}");
    assert_eq!(std::fs::read_dir(root.join("parameters")).unwrap().count(), 1);
}

#[test]
fn created_files_are_removed_one_by_one() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    std::fs::create_dir(root.join("before")).unwrap();
    std::fs::write(root.join("before/file"), "x").unwrap();
    let mut created = CreatedFiles::new(&|| false);
    created.write(&root.join("before/file"), &b"replaced"[..]).unwrap();
    created.write(&root.join("before/new"), &b"new"[..]).unwrap();
    created.write(&root.join("a/b/c"), &b"new"[..]).unwrap();
    assert!(created.link(&root.join("a/b/c"), &root.join("a/b2/d")).unwrap());
    std::fs::write(root.join("a/of somebody else"), "x").unwrap();
    drop(created);
    assert_eq!(read(root.join("before/file")), "replaced");
    let names = |folder: &str| -> Vec<_> {
        std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!((names("before"), names("a")), (vec!["file".into()], vec!["of somebody else".into()]));
}

/// Linking to a path that is the same file already leaves no staging name.
#[test]
fn a_file_is_linked_again() {
    let root = tempfile::tempdir().unwrap();
    let (source, target) = (root.path().join("source"), root.path().join("target"));
    std::fs::write(&source, "x").unwrap();
    for _ in 0..2 {
        let mut created = CreatedFiles::new(&|| false);
        assert!(created.link(&source, &target).unwrap());
        created.keep().unwrap();
        assert_eq!(read(target.clone()), "x");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2);
    }
}

#[test]
fn an_output_is_required() {
    let error = run(r#"{"outputs": {"outputFile": "/o"}}"#, |_| Ok(mix_result())).unwrap_err();
    insta::assert_snapshot!(error, @r"
    --executor-input: no output artifact `mixes` and no output_uri
      hint: declare the output mixes {type: Dataset}, as component.yaml does, or set output_uri
    ");
}

#[test]
fn a_mix_on_a_volume_is_apart_from_the_outputs_of_the_step() {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path).display().to_string();
    for output_uri in [at(""), at("dataset"), at("mixes/inside"), at("x/../report"), at("parameters/selected_cut")] {
        let error = prepare(&executor_input(root.path(), json!({"output_uri": output_uri}))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        assert!(error.line().contains("overlaps with output "), "{error}");
    }
    prepare(&executor_input(root.path(), json!({"output_uri": at("volume")}))).unwrap();
}
