//! `stats`: what files of messages hold.

use super::{Cases, mix};
use insta::assert_snapshot;
use serde_json::{Value, json};
use test_support::rows::{example_sandbox, lines};

fn chat(question: &str, answer: &str) -> Value {
    json!({"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]})
}

/// Chats of another program, with everything that is counted.
fn chats() -> String {
    let mut rows = vec![chat("Why?", "Because."), chat("Why?", "Because."), chat("When?", " "), chat("Who?", "I.")];
    rows[3]["source"] = json!("web");
    rows[0]["metadata"] = json!({"source": "books"});
    rows.push(json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What?"}]}));
    rows.push(json!({"messages": []}));
    rows.push(chat("Long?", &"Very long. ".repeat(900)));
    format!("{}not JSON\n{{\"text\": \"no messages\"}}\n", lines(&rows))
}

#[test]
fn any_file_of_messages_is_counted() {
    let sandbox = example_sandbox();
    sandbox.write("chats.jsonl", chats());
    mix(&sandbox, &[]);
    let mut cases = Cases::default();
    for arguments in [
        &["chats.jsonl", "--max-seq-len", "50", "--loss-tokens"][..],
        &["out/combined_cut_2x.jsonl"],
        &["chats.jsonl", "out/combined_cut_2x.jsonl"],
        &["chats.jsonl", "--format", "json", "--loss-tokens"],
    ] {
        let ran = sandbox.run(&[&["stats"], arguments].concat()).succeeded();
        assert_eq!(ran.stderr, "");
        cases.add(&arguments.join(" "), &ran.stdout);
    }
    assert_snapshot!(cases.0);
}

#[test]
fn rows_of_max_seq_len_tokens_are_dropped_as_in_the_end_of_a_mix() {
    let sandbox = example_sandbox();
    mix(&sandbox, &[]);
    let file = sandbox.read_text("out/combined_cut_2x.jsonl");
    let mut lengths: Vec<u64> = file
        .lines()
        .map(|row| {
            serde_json::from_str::<Value>(row).expect("a row is JSON")["token_length"].as_u64().expect("a number")
        })
        .collect();
    lengths.sort_unstable();
    let length = lengths[lengths.len() / 2];
    let rows = lengths.iter().filter(|tokens| **tokens >= length).count();
    let length = length.to_string();
    let stats = |more: &[&str]| {
        let arguments = [&["stats", "out/combined_cut_2x.jsonl", "--max-seq-len", &length][..], more].concat();
        sandbox.run(&arguments).succeeded().stdout
    };
    let text = stats(&[]);
    let line = text.lines().find(|line| line.starts_with(&format!("at least {length} "))).expect("a line");
    assert!(line.contains(&format!(" {rows} rows (")), "{text}");
    let json: Value = serde_json::from_str(&stats(&["--format", "json"])).expect("the text is JSON");
    assert_eq!(json["at_least"], json!({"limit": length.parse::<u64>().expect("a number"), "rows": rows}));
    let mixed = sandbox.run(&test_support::rows::mix_and(&["--max-seq-len", &length])).succeeded();
    assert!(mixed.stdout.contains(&format!("at least {length}")), "{mixed}");
}

#[test]
fn figures_do_not_depend_on_how_a_file_is_stored() {
    let sandbox = example_sandbox();
    let chats =
        std::fs::read(test_support::repository().join("examples/chats/tools.jsonl")).expect("cannot read chats");
    sandbox.write("chats.jsonl", chats);
    sandbox.write("recipe.yaml", "sources: {chats: {kind: messages, paths: [chats.jsonl]}}");
    let figures = |file: &str, more: &[&str]| {
        let run = [&test_support::rows::MIX[..], &["--recipe", "recipe.yaml"], more].concat();
        sandbox.run(&run).succeeded();
        let ran = sandbox.run(&["stats", file, "--format", "json", "--loss-tokens"]).succeeded();
        let mut figures: Value = serde_json::from_str(&ran.stdout).expect("the text is JSON");
        figures.as_object_mut().expect("an object").remove("files");
        figures
    };
    let expected = figures("out/combined_cut_2x.jsonl", &[]);
    let manifest: Value = serde_json::from_slice(&sandbox.read("out/manifest.json")).expect("the manifest is JSON");
    assert_eq!(expected["tokens"], manifest["cuts"][0]["tokens"]);
    for (file, more) in [
        ("out/combined_cut_2x.jsonl.gz", &["--compression", "gzip"][..]),
        ("out/combined_cut_2x.jsonl.zst", &["--compression", "zstd"]),
        ("out/combined_cut_2x.parquet", &["--formats", "messages-parquet"]),
    ] {
        assert_eq!(figures(file, more), expected, "{file}");
    }
}

#[test]
fn wrong_use_is_explained() {
    let sandbox = example_sandbox();
    mix(&sandbox, &[]);
    sandbox.write("texts/a.txt", "no rows");
    sandbox.write("text.jsonl", "{\"text\": \"no messages\"}\n");
    sandbox.write("empty.jsonl", "");
    sandbox.write("chats.jsonl", chats());
    sandbox.write("damaged.jsonl.gz", [&b"\x1f\x8b\x08\x00"[..], &[0; 40]].concat());
    let mut cases = Cases::default();
    for (code, arguments) in [
        (2, &[][..]),
        (2, &["chats.jsonl", "--max-seq-len", "0"]),
        (2, &["ftp://host/chats.jsonl"]),
        (3, &["text.jsonl"]),
        (3, &["empty.jsonl"]),
        (3, &["damaged.jsonl.gz"]),
        (2, &["out"]),
        (2, &["texts"]),
        (66, &["nowhere.jsonl"]),
        (66, &["chats.jsonl", "--tokenizer-model", "nowhere"]),
    ] {
        let ran = sandbox.run(&[&["stats"], arguments].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{arguments:?}: {ran}");
        cases.add(&arguments.join(" "), &ran.message());
    }
    assert_snapshot!(cases.0);
}
