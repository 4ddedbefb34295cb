//! The program against a naive model of the data contract, on random inputs: same rows, same order, same counts.

mod inputs;
mod model;

use crate::in_process;
use inputs::{Case, StoredFile, arguments, cases, write_inputs};
use knowledge_mixing::testing::Manifest;
use model::{Expected, Model, ModelSettings, REASONING_TEMPLATE, Refusal};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::Value;
use std::io::Read;
use std::path::PathBuf;
use test_support::program::Sandbox;
use test_support::rows::SOURCES;

/// The text of a file, decompressed as its name says.
fn plain(name: &str, bytes: Vec<u8>) -> String {
    let mut text = Vec::new();
    if name.ends_with(".gz") {
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).expect("the file is gzip");
    } else if name.ends_with(".zst") {
        text = zstd::decode_all(&bytes[..]).expect("the file is Zstandard");
    } else {
        text = bytes;
    }
    String::from_utf8(text).expect("the text is UTF-8")
}

/// The keys of a value in order, at every depth, which the comparison of values ignores.
fn keys(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            members.iter().flat_map(|(key, value)| [vec![key.clone()], keys(value)].concat()).collect()
        }
        Value::Array(items) => items.iter().flat_map(keys).collect(),
        _ => Vec::new(),
    }
}

/// The metadata of a row, which is JSON in a string.
fn metadata(row: &Value) -> Value {
    row["metadata"].as_str().map(|text| serde_json::from_str(text).expect("metadata is JSON")).unwrap_or_default()
}

fn compare(case: &Case) -> Result<(), TestCaseError> {
    let sandbox = Sandbox::new();
    let stored = write_inputs(case, &sandbox);
    let inputs = ["in0", "in1"].map(|folder| sandbox.path(folder));
    compare_run(&case.settings, &stored, &inputs, &sandbox, case.threads)
}

fn compare_run(
    settings: &ModelSettings,
    stored: &[StoredFile],
    inputs: &[PathBuf],
    sandbox: &Sandbox,
    threads: usize,
) -> Result<(), TestCaseError> {
    let arguments = arguments(settings, inputs, threads);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    sandbox.write("template.jinja", REASONING_TEMPLATE);
    let made = in_process::mix(sandbox, &arguments);
    let expected = match (Model::new(settings, stored).run(), made) {
        (Ok(expected), Ok(_)) => expected,
        (Err(refusal), Err(error)) => {
            let code = match refusal {
                Refusal::NotFound => 66,
                Refusal::Data => 3,
                Refusal::NoFeasibleCut => 4,
            };
            prop_assert_eq!(i32::from(error.kind().exit_code()), code, "{}", error);
            prop_assert!(sandbox.tree("out").is_empty());
            return Ok(());
        }
        (Ok(_), Err(error)) => {
            return Err(TestCaseError::fail(format!("the model succeeds, the program fails: {error}")));
        }
        (Err(refusal), Ok(_)) => {
            return Err(TestCaseError::fail(format!("the model fails ({refusal:?}), the program succeeds")));
        }
    };
    compare_files(&expected, sandbox, settings.suffix())?;
    let manifest: Manifest = serde_json::from_slice(&sandbox.read("out/manifest.json")).expect("the manifest is JSON");
    compare_manifest(&expected, &manifest)
}

fn compare_files(expected: &Expected, sandbox: &Sandbox, suffix: &str) -> Result<(), TestCaseError> {
    let tree = sandbox.tree("out");
    let names: Vec<&String> = tree.keys().filter(|name| name.starts_with("combined")).collect();
    let chats = expected.mixes.iter().map(|(cut, rows)| (format!("combined_cut_{cut}x.jsonl{suffix}"), rows));
    let documents =
        expected.documents.iter().map(|(cut, rows)| (format!("combined_cut_{cut}x.cpt.jsonl{suffix}"), rows));
    let mut files: Vec<(String, &Vec<Value>)> = chats.chain(documents).collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    prop_assert_eq!(names, files.iter().map(|(name, _)| name).collect::<Vec<_>>());
    for (name, rows) in files {
        let text = plain(&name, tree[&name].clone());
        prop_assert!(text.ends_with('\n'));
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect();
        for (at, (line, row)) in lines.iter().zip(rows).enumerate() {
            prop_assert_eq!(line, row, "{} row {}", &name, at);
            prop_assert_eq!(keys(line), keys(row), "{} row {}", &name, at);
            prop_assert_eq!(keys(&metadata(line)), keys(&metadata(row)), "{} row {}", &name, at);
        }
        prop_assert_eq!(lines.len(), rows.len(), "{}", name);
    }
    prop_assert_eq!(
        tree.get("rejected.jsonl").map_or(0, |text| text.split(|b| *b == b'\n').count() - 1),
        expected.rejected
    );
    Ok(())
}

fn compare_manifest(expected: &Expected, manifest: &Manifest) -> Result<(), TestCaseError> {
    let inputs: Vec<_> =
        manifest.inputs.iter().map(|file| (file.source.clone(), file.folder, file.key.clone(), file.rows)).collect();
    prop_assert_eq!(&inputs, &expected.inputs);
    let mut sources = manifest.sources.clone();
    // The manifest may list a source that has no rows.
    sources.retain(|source| source.read > 0 && source.made_of.is_empty());
    let only_documents = expected.mixes.is_empty() && !expected.documents.is_empty();
    prop_assert_eq!(sources.len(), expected.sources.len());
    for (made, expected) in sources.iter().zip(&expected.sources) {
        prop_assert_eq!(&made.name, &expected.name);
        prop_assert_eq!((made.read, made.kept), (expected.read, expected.kept), "{}", made.name);
        prop_assert_eq!(&made.dropped, &expected.dropped, "{}", made.name);
        prop_assert_eq!(made.reasoning_left_out, expected.reasoning_left_out, "{}", made.name);
        let found = if only_documents { (0, 0) } else { (expected.documents, expected.summaries) };
        prop_assert_eq!((made.documents, made.summaries), found, "{}", made.name);
    }
    prop_assert_eq!(manifest.cuts.len(), expected.cuts.len());
    for (made, expected) in manifest.cuts.iter().zip(&expected.cuts) {
        prop_assert_eq!((made.cut, made.feasible, made.written), (expected.cut, expected.feasible, expected.written));
        prop_assert_eq!((made.samples, made.tokens), (expected.samples, expected.tokens), "cut {}", made.cut);
        let shares: Vec<_> =
            made.sources.iter().filter(|s| s.samples > 0).map(|s| (s.name.clone(), s.samples, s.tokens)).collect();
        prop_assert_eq!(&shares, &expected.shares, "cut {}", made.cut);
    }
    let cuts = if only_documents { &manifest.cuts } else { &manifest.document_cuts };
    for (cut, shares) in &expected.document_shares {
        let record = cuts.iter().find(|record| record.cut == *cut).expect("the cut is in the manifest");
        let made: Vec<_> =
            record.sources.iter().filter(|s| s.samples > 0).map(|s| (s.name.clone(), s.samples, s.tokens)).collect();
        prop_assert_eq!(&made, shares, "documents of cut {}", cut);
        prop_assert_eq!(record.samples, shares.iter().map(|share| share.1).sum::<u64>());
    }
    let of_main = |name: &str| only_documents || !name.contains(".cpt.");
    let main = manifest.outputs.iter().filter(|file| of_main(&file.name));
    let outputs: Vec<_> = main.filter_map(|file| Some((file.cut?, file.rows?, file.tokens?))).collect();
    let expected_outputs: Vec<_> =
        expected.cuts.iter().filter(|cut| cut.written).map(|cut| (cut.cut, cut.samples, cut.tokens)).collect();
    prop_assert_eq!(outputs, expected_outputs);
    Ok(())
}

/// Number of random cases; `KM_MODEL_CASES=5000` searches longer than a regular test run.
fn number_of_cases() -> u32 {
    std::env::var("KM_MODEL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: number_of_cases(), max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_inputs_give_the_mix_of_the_model(case in cases()) {
        compare(&case)?;
    }
}

/// The artifacts of four versions of the generator, each alone and all in one run.
#[test]
fn artifacts_of_every_generation_give_the_mix_of_the_model() {
    let fixtures = test_support::repository().join("tests/fixtures/step_02");
    let generations = ["0.6", "0.7", "0.9", "renamed"];
    let mut together = Vec::new();
    for (number, generation) in generations.iter().enumerate() {
        for source in SOURCES {
            let bytes = std::fs::read(fixtures.join(generation).join(source).join("gen.jsonl.gz"))
                .expect("cannot read a fixture");
            let rows = plain("gen.jsonl.gz", bytes);
            let rows = rows.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect();
            together.push(StoredFile { source, input: number, key: "gen.jsonl.gz".to_owned(), rows });
        }
    }
    let settings = |cut_sizes: &[u32], reasoning: &'static str| ModelSettings {
        cut_sizes: cut_sizes.to_vec(),
        qa_per_doc: 2,
        save_gpt_oss_format: false,
        seed: 42,
        reasoning,
        thinking: "auto",
        prints_reasoning: true,
        unmask: true,
        training_columns: false,
        compression: "none",
        infeasible_cuts: "drop",
        skip_bad_rows: false,
        shuffle: false,
        documents: "true",
        raw_documents: true,
    };
    for reasoning in ["auto", "response_dict.0.reasoning_content", "raw_key_fact_qa.0.reasoning_content"] {
        for (number, generation) in generations.iter().enumerate() {
            let alone: Vec<StoredFile> = together
                .iter()
                .filter(|file| file.input == number)
                .map(|file| StoredFile { input: 0, ..file.clone() })
                .collect();
            let sandbox = Sandbox::new();
            let inputs = [fixtures.join(generation)];
            compare_run(&settings(&[1, 2, 3, 50], reasoning), &alone, &inputs, &sandbox, 2)
                .unwrap_or_else(|error| panic!("{generation}: {error}"));
            assert!(sandbox.path("out/combined_cut_2x.jsonl").exists(), "{generation}");
        }
        let sandbox = Sandbox::new();
        let inputs = generations.map(|generation| fixtures.join(generation));
        compare_run(&settings(&[1, 2, 5, 50], reasoning), &together, &inputs, &sandbox, 2)
            .unwrap_or_else(|error| panic!("all: {error}"));
        assert!(sandbox.path("out/combined_cut_2x.jsonl").exists());
    }
}
