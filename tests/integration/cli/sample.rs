//! `sample`: conversations of a finished mix.

use super::{Cases, mix};
use insta::assert_snapshot;
use serde_json::json;
use test_support::program::Sandbox;
use test_support::rows::{example_sandbox, fact_row, lines, mix_and};

/// What `sample` prints after its first line, which names the file.
#[track_caller]
fn samples(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let ran = sandbox.run(&[&["sample", "out"], arguments].concat()).succeeded();
    assert_eq!(ran.stderr, "");
    ran.stdout.split_once('\n').expect("several lines").1.to_owned()
}

#[test]
fn conversations_are_printed_with_what_is_trained() {
    let sandbox = example_sandbox();
    mix(&sandbox, &["--cut-sizes", "1,2"]);
    let mut cases = Cases::default();
    for arguments in [
        &["-n", "2"][..],
        &["-n", "1", "--source", "key_facts_to_qa", "--cut", "1"],
        &["-n", "1", "--source", "document_based_qa", "--seed", "7"],
    ] {
        let ran = sandbox.run(&[&["sample", "out"], arguments].concat()).succeeded();
        cases.add(&arguments.join(" "), &ran.stdout);
    }
    assert_snapshot!(cases.0);
}

#[test]
fn the_same_seed_prints_the_same_samples_of_files_of_every_format() {
    let sandbox = example_sandbox();
    sandbox.write("chats.jsonl", std::fs::read(test_support::repository().join("examples/chats/tools.jsonl")).unwrap());
    sandbox.write("recipe.yaml", "sources: {chats: {kind: messages, paths: [chats.jsonl]}}");
    let mixed = |more: &[&str]| {
        let _ = std::fs::remove_dir_all(sandbox.path("out"));
        sandbox.run(&[&test_support::rows::MIX[..], &["--recipe", "recipe.yaml"], more].concat()).succeeded();
    };
    mixed(&[]);
    let expected = samples(&sandbox, &["-n", "40"]);
    assert!(expected.contains("tool_calls") || expected.contains("\ntool\n"), "{expected}");
    assert_eq!(samples(&sandbox, &["-n", "40"]), expected);
    for more in [&["--compression", "gzip"][..], &["--compression", "zstd"], &["--formats", "tokens,messages-parquet"]]
    {
        mixed(more);
        // A Parquet file has its rows in the same order, so the same are chosen.
        assert_eq!(samples(&sandbox, &["-n", "40"]), expected, "{more:?}");
    }
    let few = samples(&sandbox, &["-n", "3"]);
    let rows = |text: &str| -> Vec<String> {
        let rows = text.lines().filter(|line| line.starts_with("sample "));
        rows.map(|line| line.split_once(": ").expect("a description").1.to_owned()).collect()
    };
    assert!(rows(&few).iter().all(|row| rows(&expected).contains(row)), "more samples contain fewer");
    assert_ne!(rows(&samples(&sandbox, &["-n", "3", "--seed", "1"])), rows(&few));
}

#[test]
fn without_its_tokenizer_a_mix_is_printed_by_role() {
    let sandbox = example_sandbox();
    for file in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"] {
        let fixture = test_support::repository().join("tests/fixtures/tokenizers/llama3").join(file);
        sandbox.write(&format!("models/llama3/{file}"), std::fs::read(fixture).unwrap());
    }
    let arguments = mix_and(&["--tokenizer-model", "models/llama3", "--unmask=false"]);
    // The template writes the date of the mix.
    sandbox.run_with(&arguments, &[("SOURCE_DATE_EPOCH", "0")]).succeeded();
    let mut cases = Cases::default();
    for arguments in [&[][..], &["--tokenizer-model", "models/llama3"], &["--tokenizer-model", "builtin"]] {
        let arguments = [&["sample", "out", "-n", "1"], arguments].concat();
        cases.add(&arguments.join(" "), &sandbox.run(&arguments).succeeded().stdout);
    }
    assert_snapshot!(cases.0);
}

#[test]
fn colours_follow_the_environment_and_texts_cannot_bring_their_own() {
    let sandbox = Sandbox::new();
    let mut row = fact_row(0, 0);
    row["question"] = json!("what is \u{1b}[31mred\u{1b}[0m\u{7} \u{202e}?");
    sandbox.write("step_02/key_facts_to_qa/gen.jsonl", lines(&[row]));
    mix(&sandbox, &[]);
    let run = |variables: &[(&str, &str)]| sandbox.run_with(&["sample", "out"], variables).succeeded().stdout;
    let plain = run(&[]);
    assert!(plain.contains("what is ␛[31mred␛[0m␇ \u{fffd}?"), "{plain}");
    assert!(!plain.contains('\u{1b}') && plain.lines().any(|line| line.starts_with("| In ")), "{plain}");
    assert_eq!(run(&[("NO_COLOR", "1")]), plain);
    let colored = run(&[("CLICOLOR_FORCE", "1")]);
    assert_snapshot!(colored.replace('\u{1b}', "ESC"));
}

#[test]
fn flagged_samples_are_those_that_look_broken() {
    let sandbox = Sandbox::new();
    let mut rows: Vec<_> = (0..40).map(|pair| fact_row(0, pair)).collect();
    rows[17]["question"] = json!("what is <question>?");
    sandbox.write("step_02/key_facts_to_qa/gen.jsonl", lines(&rows));
    mix(&sandbox, &[]);
    let ran = sandbox.run(&["sample", "out", "--flagged"]).succeeded();
    assert!(ran.stdout.contains(": 1 sample with a flag, rendered"), "{ran}");
    assert!(ran.stdout.contains("row 18, ") && ran.stdout.contains(", flagged: placeholder\n"), "{ran}");
    let ran = sandbox.run(&["stats", "out/combined_cut_2x.jsonl"]).succeeded();
    assert!(ran.stdout.contains("flag placeholder  1 row (2.5%)"), "{ran}");
}

#[test]
fn documents_are_printed_of_a_document_mix_and_of_sources_of_documents() {
    let sandbox = example_sandbox();
    mix(&sandbox, &["--documents"]);
    mix(&sandbox, &["--documents=only", "--output", "documents"]);
    mix(&sandbox, &["--documents=only", "--output", "parquet", "--formats", "messages-parquet"]);
    mix(&sandbox, &["--documents=only", "--output", "tokens", "--formats", "tokens"]);
    let mut cases = Cases::default();
    for arguments in [
        &["documents", "-n", "2"][..],
        &["out", "-n", "1", "--source", "key_facts_cpt"],
        &["out", "-n", "1", "--source", "key_facts_to_qa"],
        &["documents", "--flagged"],
    ] {
        let ran = sandbox.run(&[&["sample"], arguments].concat()).succeeded();
        assert_eq!(ran.stderr, "");
        cases.add(&arguments.join(" "), &ran.stdout);
    }
    cases.add("tokens", &sandbox.run(&["sample", "tokens"]).message());
    assert_snapshot!(cases.0);
    let printed = |mix: &str| sandbox.run(&["sample", mix]).succeeded().stdout.replace(".parquet:", ".jsonl:");
    assert_eq!(printed("parquet").replacen("parquet", "documents", 1), printed("documents"));
}

#[test]
fn wrong_use_is_explained() {
    let sandbox = example_sandbox();
    mix(&sandbox, &["--columns", "training"]);
    mix(&sandbox, &["--output", "tokens", "--formats", "tokens"]);
    mix(&sandbox, &["--output", "changed"]);
    let text = sandbox.read_text("changed/combined_cut_2x.jsonl");
    sandbox.write("changed/combined_cut_2x.jsonl", text.replacen("lamp", "lump", 1));
    let mut cases = Cases::default();
    for (code, arguments) in [
        (2, &["out", "--cut", "99"][..]),
        (2, &["out", "--source", "key_facts"]),
        (2, &["out", "--source", "key_facts_to_qa"]),
        (2, &["out", "-n", "0"]),
        (2, &["out", "--tokenizer-model", ""]),
        (3, &["changed"]),
        (66, &["tokens"]),
        (66, &["nowhere"]),
        (66, &["out", "--tokenizer-model", "nowhere"]),
        (66, &["out", "--chat-template", "nowhere.jinja"]),
    ] {
        let ran = sandbox.run(&[&["sample"], arguments].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{arguments:?}: {ran}");
        cases.add(&arguments.join(" "), &ran.message());
    }
    assert_snapshot!(cases.0);
}
