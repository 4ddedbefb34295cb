//! Steps run on throw-away folders, with a stand-in for the mixing.

use super::*;
use crate::manifest::{CutRecord, OutputFile, OutputKind, Program, SettingsRecord, TokenizerRecord};
use serde_json::json;

/// A manifest of the cuts 2 and 5, with 9 asked for and not feasible.
pub(crate) fn manifest() -> Manifest {
    let cut = |cut, feasible, samples| CutRecord {
        cut,
        feasible,
        written: feasible,
        samples,
        tokens: samples * 100,
        validation_samples: None,
        validation_tokens: None,
        sources: Vec::new(),
    };
    let file = |cut: u32| OutputFile {
        name: format!("combined_cut_{cut}x.jsonl"),
        kind: OutputKind::Mix,
        cut: Some(cut),
        rows: Some(1),
        tokens: Some(100),
        bytes: 3,
        digest: format!("d{cut}"),
    };
    Manifest {
        format: 1,
        program: Program { name: "knowledge-mixing".into(), version: "0.0.0".into() },
        settings: SettingsRecord {
            cut_sizes: vec![2, 5, 9],
            qa_per_doc: 3,
            save_gpt_oss_format: false,
            seed: 42,
            reasoning: "auto".into(),
            columns: "full".into(),
            compression: "none".into(),
            infeasible_cuts: "drop".into(),
            bad_rows: "fail".into(),
            order: "natural".into(),
            recipe: None,
        },
        tokenizer: TokenizerRecord {
            name: "builtin".into(),
            digest: "t0".into(),
            chat_template_digest: "c0".into(),
            chat_template_date: None,
        },
        inputs: Vec::new(),
        sources: Vec::new(),
        cuts: vec![cut(2, true, 32), cut(5, true, 80), cut(9, false, 0)],
        outputs: vec![file(2), file(5)],
    }
}

fn finished() -> Finished {
    Finished {
        manifest: manifest(),
        metrics: Map::from_iter([
            ("samples".to_string(), json!(80)),
            ("share".to_string(), json!(0.5)),
            ("note".to_string(), json!(null)),
        ]),
        report_html: "<p>".into(),
        summary_md: "# s".into(),
        selected_cut: 5,
    }
}

/// What the local runner passes, below a folder.
fn executor_input(root: &Path, parameters: Value) -> String {
    let artifacts = ["mixes", "dataset", "metrics", "report", "summary"].map(|name| {
        (name.to_string(), json!({"artifacts": [{"name": name, "uri": root.join(name), "type": {"schemaTitle": "x"}}]}))
    });
    let files = ["feasible_cuts", "selected_cut", "total_samples", "total_tokens"]
        .map(|name| (name.to_string(), json!({"outputFile": root.join("parameters").join(name)})));
    json!({
        "inputs": {"parameterValues": parameters},
        "outputs": {
            "artifacts": Map::from_iter(artifacts),
            "parameters": Map::from_iter(files),
            "outputFile": root.join("made/on/the/way/executor_output.json"),
        }
    })
    .to_string()
}

/// Makes the files that the manifest names, as the mixing run would.
fn stand_in(settings: &SettingValues, names: &[(&str, &[u8])]) {
    let folder = Path::new(settings.first("output").unwrap());
    std::fs::create_dir_all(folder).unwrap();
    for (name, content) in names {
        std::fs::write(folder.join(name), content).unwrap();
    }
}

fn run(executor_input: &str, mix: impl FnOnce(SettingValues) -> Result<Finished>) -> Result<()> {
    let step = Step::prepare(executor_input)?;
    mix(step.settings().clone()).and_then(|finished| step.publish(&finished))
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_step_lays_out_everything_that_the_engine_reads() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    run(&executor_input(root, json!({"cut_sizes": "2,5,9"})), |settings| {
        assert_eq!(settings.first("cut_sizes"), Some("2,5,9"));
        stand_in(
            &settings,
            &[("combined_cut_2x.jsonl", b"{2}"), ("combined_cut_5x.jsonl", b"{5}"), ("manifest.json", b"{}")],
        );
        Ok(finished())
    })
    .unwrap();
    assert_eq!(read(root.join("dataset")), "{5}");
    assert_eq!(read(root.join("mixes/combined_cut_2x.jsonl")), "{2}");
    assert_eq!(read(root.join("report")), "<p>");
    assert_eq!(read(root.join("summary")), "# s");
    assert_eq!(read(root.join("parameters/feasible_cuts")), "[2,5]");
    assert_eq!(read(root.join("parameters/total_tokens")), "8000");
    assert_eq!(serde_json::from_str::<Value>(&read(root.join("metrics"))).unwrap()["samples"], 80);

    let output: Value = serde_json::from_str(&read(root.join("made/on/the/way/executor_output.json"))).unwrap();
    let text = serde_json::to_string_pretty(&output).unwrap().replace(&root.display().to_string(), "ROOT");
    insta::assert_snapshot!(text);
    let left: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 7, "no staging name is left: {left:?}");
}

#[test]
fn a_compressed_mix_is_handed_on_as_plain_lines() {
    for (extension, bytes) in [
        ("gz", {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(b"{\"a\":1}\n").unwrap();
            encoder.finish().unwrap()
        }),
        ("zst", zstd::encode_all(&b"{\"a\":1}\n"[..], 1).unwrap()),
    ] {
        let root = tempfile::tempdir().unwrap();
        let name = format!("combined_cut_5x.jsonl.{extension}");
        run(&executor_input(root.path(), json!({})), |settings| {
            stand_in(&settings, &[(&name, &bytes)]);
            let mut finished = finished();
            finished.manifest.outputs[1].name = name.clone();
            Ok(finished)
        })
        .unwrap();
        assert_eq!(read(root.path().join("dataset")), "{\"a\":1}\n", "{extension}");
    }
}

#[test]
fn a_mix_on_a_volume_or_in_a_bucket_is_named_and_not_carried() {
    let volume = tempfile::tempdir().unwrap();
    let on_volume = volume.path().join("mixes");
    for (output_uri, key, value) in [
        (on_volume.display().to_string(), "pvc_path", on_volume.join("combined_cut_5x.jsonl").display().to_string()),
        (format!("file://{}/", on_volume.display()), "pvc_dir", on_volume.display().to_string()),
        ("s3://bucket/mixes/".into(), "artifact_path", "s3://bucket/mixes/combined_cut_5x.jsonl".into()),
        ("minio://bucket/mixes".into(), "artifact_path", "s3://bucket/mixes/combined_cut_5x.jsonl".into()),
    ] {
        let root = tempfile::tempdir().unwrap();
        run(&executor_input(root.path(), json!({"output_uri": output_uri})), |settings| {
            assert_eq!(settings.first("output"), Some(output_uri.as_str()));
            Ok(finished())
        })
        .unwrap();
        let output: Value =
            serde_json::from_str(&read(root.path().join("made/on/the/way/executor_output.json"))).unwrap();
        assert_eq!(output["artifacts"]["dataset"]["artifacts"][0]["metadata"][key], json!(value));
        assert!(!root.path().join("dataset").exists() && !root.path().join("mixes").exists());
        assert_eq!(read(root.path().join("report")), "<p>");
    }
}

#[test]
fn an_artifact_that_the_engine_uploads_to_s3_names_its_url() {
    let text = json!({"outputs": {"outputFile": "/o", "artifacts": {
        "mixes": {"artifacts": [{"uri": "s3://b/run/mixes"}]},
        "dataset": {"artifacts": [{"name": "d", "uri": "s3://b/run/dataset"}]}}}});
    let input = ExecutorInput::parse(&text.to_string()).unwrap();
    let output = outputs::executor_output(&input, &finished(), &Place::Artifact).unwrap();
    assert_eq!(output["artifacts"]["dataset"]["artifacts"][0]["uri"], "s3://b/run/dataset");
    assert_eq!(output["artifacts"]["dataset"]["artifacts"][0]["name"], "d");
    assert_eq!(output["artifacts"]["dataset"]["artifacts"][0]["metadata"]["artifact_path"], "s3://b/run/dataset");
    assert_eq!(output["artifacts"]["mixes"]["artifacts"][0]["name"], "mixes");
    assert_eq!(output["parameterValues"], json!({}), "none was asked for");
}

#[test]
fn a_failing_step_leaves_no_output() {
    let root = tempfile::tempdir().unwrap();
    let error = run(&executor_input(root.path(), json!({})), |settings| {
        stand_in(&settings, &[("combined_cut_2x.jsonl.partial", b"{2}")]);
        Err(Error::new(ErrorKind::Data, "a bad row"))
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);

    // The mix is made, but the file to hand on is not there: what was laid out before is taken back.
    let error = run(&executor_input(root.path(), json!({})), |settings| {
        stand_in(&settings, &[("combined_cut_2x.jsonl", b"{2}")]);
        Ok(finished())
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_failing_step_removes_nothing_that_was_there_before() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("mixes")).unwrap();
    std::fs::write(root.path().join("mixes/older"), "x").unwrap();
    run(&executor_input(root.path(), json!({})), |_| Err(Error::new(ErrorKind::Data, "a bad row"))).unwrap_err();
    assert_eq!(read(root.path().join("mixes/older")), "x");
}

#[test]
fn an_output_is_needed() {
    let error = run(r#"{"outputs": {"outputFile": "/o"}}"#, |_| Ok(finished())).unwrap_err();
    insta::assert_snapshot!(error, @r"
    --executor-input: names no output artifact mixes, and no output_uri is given
      hint: declare the output mixes {type: Dataset}, as component.yaml does
    ");
}
