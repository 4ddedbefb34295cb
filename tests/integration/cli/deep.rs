//! `verify --deep`: every figure that follows from the rows of a mix is computed again, and a changed one is named.

use serde_json::Value;
use std::collections::BTreeMap;
use test_support::program::{Ran, Sandbox};
use test_support::rows::{example, example_sandbox, mix_and};

const ALL_FORMATS: &str = "messages,tokens,messages-parquet,tokens-parquet";

/// How a mix will be trained, so that the manifest says what a trainer does with it.
const TRAINED: [&str; 8] =
    ["--max-seq-len", "4096", "--max-tokens-per-gpu", "120", "--effective-batch-size", "4", "--gpus", "2"];

/// A recipe with copies and held-out documents.
const RECIPE: &str = "sources: {extractive_summary: {repeat: 2}}\nsplit: {validation: 0.5}\n";

/// A sandbox with a mix in `out`.
fn mixed(more: &[&str]) -> Sandbox {
    let sandbox = example_sandbox();
    sandbox.write("recipe.yaml", RECIPE);
    sandbox.run(&mix_and(more)).succeeded();
    sandbox
}

fn deeply(sandbox: &Sandbox, more: &[&str]) -> Ran {
    sandbox.run(&[&["verify", "out", "--deep"], more].concat())
}

fn manifest(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.read_text("out/manifest.json")).expect("the manifest is JSON")
}

fn write_manifest(sandbox: &Sandbox, manifest: &Value) {
    sandbox.write("out/manifest.json", serde_json::to_vec(manifest).expect("a value is JSON"));
}

/// Changes a file, and its size and digest in the manifest.
fn change_file(sandbox: &Sandbox, name: &str, change: impl FnOnce(String) -> String) {
    let bytes = change(sandbox.read_text(&format!("out/{name}"))).into_bytes();
    let mut manifest = manifest(sandbox);
    let outputs = manifest["outputs"].as_array_mut().expect("a list of files");
    let file = outputs.iter_mut().find(|file| file["name"] == name).expect("a file of the mix");
    file["bytes"] = bytes.len().into();
    file["digest"] = blake3::hash(&bytes).to_hex().to_string().into();
    write_manifest(sandbox, &manifest);
    sandbox.write(&format!("out/{name}"), bytes);
}

#[test]
fn a_mix_of_every_kind_and_format_is_as_its_manifest_says() {
    let cases: [&[&str]; 7] = [
        &[],
        &["--columns", "training", "--compression", "gzip", "--cut-sizes", "1,2"],
        &[&["--formats", ALL_FORMATS, "--compression", "zstd", "--attention-mask", "--cut-sizes", "1,3"], &TRAINED[..]]
            .concat(),
        &["--documents=true", "--formats", ALL_FORMATS, "--block-size", "64"],
        &["--documents=only", "--columns", "training", "--formats", "messages,tokens"],
        &["--recipe", "recipe.yaml", "--formats", "messages,tokens"],
        &["--formats", "tokens", "--shuffle"],
    ];
    for more in cases {
        let sandbox = mixed(more);
        let ran = deeply(&sandbox, &[]);
        assert_eq!(ran.code, 0, "{more:?}: {ran}");
        assert!(ran.stdout.ends_with("tokens were counted again with builtin\n"), "{more:?}: {ran}");
    }
}

#[test]
fn tokens_are_counted_again_only_with_the_tokenizer_of_the_mix() {
    let sandbox = mixed(&[]);
    for (name, bytes) in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
        .map(|name| (name, test_support::builtin_tokenizer(name)))
    {
        sandbox.write(&format!("same/{name}"), &bytes);
        sandbox.write(&format!("other/{name}"), [&bytes[..], b" "].concat());
    }
    assert_eq!(deeply(&sandbox, &["--tokenizer-model", "./same"]).code, 0);
    let ran = deeply(&sandbox, &["--tokenizer-model", "./other"]);
    assert_eq!(ran.code, 2, "{ran}");
    assert!(ran.message().contains("the tokenizer.json is not that of the mix"), "{ran}");
    let sandbox = mixed(&[]);
    let mut named = manifest(&sandbox);
    named["tokenizer"]["name"] = "acme/lighthouse-1b".into();
    write_manifest(&sandbox, &named);
    let ran = deeply(&sandbox, &[]);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stdout.contains("the tokenizer acme/lighthouse-1b is not at hand; pass --tokenizer-model"), "{ran}");
}

/// What cannot be computed from the rows of a mix, and why: the end of a figure's path.
const NOT_RECOMPUTED: [(&str, &str); 16] = [
    ("format", "the version of the manifest's own format"),
    ("settings.qa_per_doc", "a setting: which rows there were to choose from is not in the mix"),
    ("settings.seed", "a setting: which rows there were to choose from is not in the mix"),
    ("settings.max_seq_len", "a setting: the samples that it leaves out are counted"),
    ("settings.max_tokens_per_gpu", "a setting: it is found if it changes what a trainer does"),
    ("settings.effective_batch_size", "a setting: it is found if it changes what a trainer does"),
    ("settings.gpus", "a setting: it is found if it changes what a trainer does"),
    ("settings.epochs", "a setting: it is found if it changes what a trainer does"),
    ("settings.block_size", "a setting: it is found if it changes what a trainer does"),
    ("settings.recipe", "a setting: the recipe"),
    ("inputs.folder", "the input files are not read"),
    ("inputs.bytes", "the input files are not read"),
    ("inputs.rows", "with a recipe, sources can share the rows of a file"),
    ("requested.target", "what a recipe requests depends on rows that are not in the mix"),
    ("requested.available", "what a recipe requests depends on rows that are not in the mix"),
    ("sources.reasoning_left_out", "the rows do not say what was left out of them"),
];

/// A figure of a manifest: its pointer, and its path without numbers.
fn figures(value: &Value, pointer: &str, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Number(_) => found.push((pointer.to_owned(), path.trim_start_matches('.').to_owned())),
        Value::Object(object) => {
            for (key, value) in object {
                figures(
                    value,
                    &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
                    &format!("{path}.{key}"),
                    found,
                );
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                figures(value, &format!("{pointer}/{index}"), path, found);
            }
        }
        _ => {}
    }
}

/// Changes figures of a mix's manifest one at a time, at most `each` of each path. Returns how many changes were found.
fn change_figures(more: &[&str], each: usize) -> usize {
    let sandbox = mixed(more);
    let original = manifest(&sandbox);
    let mut all = Vec::new();
    figures(&original, "", "", &mut all);
    let mut of_path: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found = 0;
    for (pointer, path) in &all {
        let times = of_path.entry(path).or_default();
        *times += 1;
        if *times > each || NOT_RECOMPUTED.iter().any(|(end, _)| path.ends_with(end) || path.starts_with(end)) {
            continue;
        }
        let number = original.pointer(pointer).and_then(Value::as_u64).expect("a figure is a whole number");
        for changed in [number + 1, number / 2].into_iter().filter(|changed| *changed != number) {
            let mut manifest = original.clone();
            *manifest.pointer_mut(pointer).expect("the figure is there") = changed.into();
            write_manifest(&sandbox, &manifest);
            let ran = deeply(&sandbox, &["-q"]);
            assert_eq!(ran.code, 3, "{more:?}: {pointer}: {number} became {changed}, and {ran}");
            found += 1;
        }
    }
    found
}

#[test]
fn every_changed_figure_of_a_manifest_is_found() {
    let mut found = change_figures(&[&["--formats", "messages,tokens", "--documents=true"], &TRAINED[..]].concat(), 2);
    found += change_figures(&["--recipe", "recipe.yaml", "--columns", "training"], 1);
    assert!(found > 100, "{found}");
}

#[test]
#[ignore = "long: every figure of mixes of all formats"]
fn every_changed_figure_of_a_mix_of_all_formats_is_found() {
    let all =
        [&["--formats", ALL_FORMATS, "--documents=true", "--cut-sizes", "1,2", "--epochs", "3"], &TRAINED[..]].concat();
    let mut found = change_figures(&all, usize::MAX);
    found += change_figures(&["--recipe", "recipe.yaml", "--formats", ALL_FORMATS], usize::MAX);
    found += change_figures(&["--formats", "tokens"], usize::MAX);
    println!("{found} changes found");
}

#[test]
fn a_changed_row_is_named_with_its_file_and_figure() {
    for (file, from, to, expected) in [
        ("combined_cut_2x.jsonl", "\"token_length\":", "\"token_length\":1", "row 1: token_length: expected 1"),
        (
            "combined_cut_2x.jsonl",
            "\"messages\":[",
            "\"messages\":7,\"x\":[",
            "row 1: `messages` is not a list of messages",
        ),
        ("combined_cut_2x.jsonl", "extractive_summary\\\"}", "elsewhere\\\"}", "row 1: unknown source `elsewhere`"),
        ("combined_cut_2x.tokens.jsonl", "\"len\":", "\"len\":1", "row 1: len: expected 1"),
        ("combined_cut_2x.tokens.jsonl", "\"labels\":[", "\"labels\":[-100,", "row 1: the number of labels: expected "),
        ("combined_cut_2x.tokens.jsonl", "\"labels\":[", "\"labels\":[7,", "row 1: "),
        (
            "combined_cut_2x.tokens.jsonl",
            "counted_tokens\":",
            "counted_tokens\":1",
            "row 1: num_loss_counted_tokens: expected 1",
        ),
        ("combined_cut_2x.cpt.jsonl", "\"token_length\":", "\"token_length\":1", "row 1: token_length: expected 1"),
        ("metrics.json", "\"rows.kept\": ", "\"rows.kept\": 1", "metrics.json: rows.kept: expected 1"),
    ] {
        let sandbox = mixed(&["--formats", "messages,tokens", "--documents=true"]);
        change_file(&sandbox, file, |text| text.replacen(from, to, 1));
        sandbox.run(&["verify", "out"]).succeeded();
        let ran = deeply(&sandbox, &[]);
        assert_eq!(ran.code, 3, "{file} {to}: {ran}");
        assert!(ran.stdout.lines().any(|line| line.starts_with(file) && line.contains(expected)), "{file} {to}: {ran}");
        assert!(ran.message().contains("(see standard output)"), "{ran}");
    }
}

/// A manifest of somebody else must not make any sub-command read or delete files outside of the output.
#[test]
fn manifests_that_are_not_of_a_whole_mix_are_refused_by_all_that_read_them() {
    let sandbox = mixed(&[]);
    let original = manifest(&sandbox);
    let mut changes: Vec<(String, Value)> =
        ["../step_02/extractive_summary/gen.jsonl", "/etc/passwd", "a//b", "a\u{1b}[2J", "..%2Fx"]
            .map(|name| {
                let mut manifest = original.clone();
                manifest["outputs"][0]["name"] = name.into();
                (name.to_owned(), manifest)
            })
            .into();
    let mut empty = original.clone();
    empty["outputs"] = Value::Array(Vec::new());
    changes.push(("no outputs".to_owned(), empty));
    let mut doubled = original.clone();
    doubled["outputs"][1]["name"] = doubled["outputs"][0]["name"].clone();
    changes.push(("a name twice".to_owned(), doubled));
    changes.push(("nested".to_owned(), Value::Null));
    for (what, manifest) in changes {
        write_manifest(&sandbox, &manifest);
        if what == "nested" {
            sandbox.write("out/manifest.json", format!("{{\"format\": {}", "[".repeat(100_000)));
        }
        for command in [
            &["verify", "out"][..],
            &["verify", "out", "--deep"],
            &["diff", "out", "out"],
            &["report", "out"],
            &["sample", "out"],
        ] {
            let ran = sandbox.run(command);
            assert_eq!(ran.code, 3, "{what}: {command:?}: {ran}");
            assert!(ran.message().contains("out/manifest.json: not a valid manifest"), "{what}: {command:?}: {ran}");
        }
    }
    assert_eq!(sandbox.tree("step_02"), example(), "nothing outside of the output has changed");
}
