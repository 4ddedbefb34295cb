//! Input that would take all memory, that multiplies, or that is something else than rows.

use crate::cli::{Cases, accepted, mix, refused, refused_by_binary};
use insta::assert_snapshot;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use test_support::program::Sandbox;
use test_support::rows::{example_rows, example_sandbox, ledger, lines, manifest, mix_and};

const FOLDER: &str = "step_02/extractive_summary";

/// The largest memory of a run that refuses its input, in bytes: a run of the small example takes about 60 MB.
const PEAK: u64 = 600 << 20;

/// The small example without the file of the first source, and with these instead.
fn with_files(files: &[(&str, &[u8])]) -> Sandbox {
    let sandbox = example_sandbox();
    std::fs::remove_file(sandbox.path(&format!("{FOLDER}/gen.jsonl"))).expect("cannot remove the file");
    files.iter().for_each(|(name, bytes)| sandbox.write(&format!("{FOLDER}/{name}"), bytes));
    sandbox
}

#[test]
fn a_row_that_is_larger_than_the_limit_is_refused() {
    let sandbox = example_sandbox();
    let message = refused(&sandbox, 3, &["--max-row-bytes", "100"]);
    refused(&sandbox, 3, &["--max-row-bytes", "100", "--bad-rows", "skip"]);
    assert_snapshot!(message);
    mix(&sandbox, &["--max-row-bytes", "10000"]);
}

#[test]
fn small_files_that_expand_to_gigabytes_are_refused_with_little_memory() {
    let row = format!("{}\n", example_rows("extractive_summary")[0]);
    let (mut rows, mut line) = (Vec::new(), Vec::new());
    for (out, text) in [(&mut rows, row.repeat(1000)), (&mut line, "{\"a\": \"".to_owned() + &"x".repeat(1 << 20))] {
        let mut encoder = zstd::stream::write::Encoder::new(&mut *out, 3).expect("cannot start an encoder");
        (0..2000).try_for_each(|_| std::io::Write::write_all(&mut encoder, text.as_bytes())).expect("cannot encode");
        encoder.finish().expect("cannot encode");
    }
    for bytes in [rows, line] {
        let sandbox = with_files(&[("gen.jsonl.zst", &bytes)]);
        let (ran, peak) = sandbox.run_measured(&mix_and(&[]));
        assert_eq!(ran.code, 3, "{ran}");
        assert!(ran.stderr.contains("gen.jsonl.zst"), "{ran}");
        assert!(peak < PEAK, "{peak} bytes for a file of {} bytes", bytes.len());
    }
}

#[test]
fn folders_that_link_to_each_other_are_read_once() {
    let rows = example_rows("extractive_summary");
    let sandbox = with_files(&[]);
    for (number, row) in rows.iter().take(9).enumerate() {
        sandbox.write(&format!("{FOLDER}/{number}/gen.jsonl"), lines(std::slice::from_ref(row)));
        for other in (0..9).filter(|other| *other != number) {
            let link = sandbox.path(&format!("{FOLDER}/{number}/to-{other}"));
            symlink(format!("../{other}"), link).expect("cannot make a link");
        }
    }
    let ran = accepted(&sandbox, &[]);
    let (read, ..) = ledger(&manifest(&sandbox.tree("out")), "extractive_summary");
    assert_eq!(read, 9);
    let warnings: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("is read once")).collect();
    assert_eq!(warnings.len(), 1, "{ran}");
    assert!(warnings[0].contains("and 67 more"), "{ran}");
}

#[test]
fn files_that_are_not_read_are_reported_once() {
    let rows = lines(&example_rows("extractive_summary"));
    let sandbox = with_files(&[("gen.jsonl", rows.as_bytes()), ("gen.csv", b"a,b\n"), ("old.jsonl.bz2", b"BZh9")]);
    for number in 0..1000 {
        sandbox.write(&format!("{FOLDER}/foreign-{number:04}.txt"), b"");
    }
    let ran = accepted(&sandbox, &[]);
    let warnings: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("not read")).collect();
    assert_eq!(warnings.len(), 1, "{ran}");
    assert!(warnings[0].contains("1002 files are not read: foreign-0000.txt") && warnings[0].len() < 500, "{ran}");
    assert!(sandbox.read_text("out/summary.md").contains("1002 files are not read"));
}

#[test]
fn sources_without_a_file_of_rows() {
    let mut cases = Cases::default();
    let given = format!("extractive_summary={FOLDER}");
    let source = |sandbox: &Sandbox| refused_by_binary(sandbox, 66, &["--source-input", &given], &[]);
    cases.add("CSV", &source(&with_files(&[("gen.csv", b"question,response\n")])));
    let arrow: [(&str, &[u8]); 3] = [
        ("data-00000-of-00001.arrow", b"\xff\xff\xff\xff"),
        ("dataset_info.json", b"{}"),
        ("state.json", b"{\n  \"_data_files\": []\n}"),
    ];
    cases.add("a folder of save_to_disk", &source(&with_files(&arrow)));
    let sandbox = Sandbox::new();
    sandbox.write(&format!("{FOLDER}/gen.jsonl.xz"), b"\xfd7zXZ\0");
    cases.add("only xz", &refused(&sandbox, 66, &[]));
    assert_snapshot!(cases.0);
}

#[test]
fn messages_from_rows_are_bounded() {
    let mut row = serde_json::Map::new();
    row.insert("k".repeat(10 << 20), json!(1));
    (0..20_000).for_each(|number| drop(row.insert(format!("key {number}"), json!(number))));
    let sandbox = with_files(&[("gen.jsonl", Value::from(row).to_string().as_bytes())]);
    let message = refused(&sandbox, 3, &[]);
    assert!(message.len() < 2000 && message.contains("and 19981 more"), "{}", &message[..message.len().min(3000)]);
}

/// A recipe whose only source holds chats.
const CHATS: &str = "sources:\n  chats: {kind: messages}\n";

fn with_chats(chats: &[Value]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("step_02/chats/gen.jsonl", lines(chats));
    sandbox
}

fn chat(roles: &[&str]) -> Value {
    let messages: Vec<Value> =
        roles.iter().map(|role| json!({"role": role, "content": format!("{role} says it")})).collect();
    json!({ "messages": messages })
}

#[test]
fn a_chat_with_thousands_of_different_keys_is_a_bad_row() {
    let mut messages = vec![json!({"role": "user", "content": "a"})];
    for number in 0..200 {
        let mut message = json!({"role": "assistant", "content": "b"});
        (0..100).for_each(|key| message[format!("odd_{number}_{key}")] = json!(1));
        messages.push(message);
    }
    let sandbox = with_chats(&[json!({"messages": messages}), chat(&["user", "assistant"])]);
    assert_snapshot!(refused_by_binary(&sandbox, 3, &["--recipe", CHATS], &[]));
    accepted(&sandbox, &["--recipe", CHATS, "--bad-rows", "skip"]);
}

#[test]
fn rows_that_the_template_refuses_are_skipped_with_bad_rows() {
    let template = "{% for m in messages %}{% if m.role == 'narrator' %}{{ raise_exception('no narrator') }}{% endif %}\
                    {{ m.content }}{% endfor %}";
    let ok = || chat(&["user", "assistant"]);
    let bad = chat(&["narrator", "assistant"]);
    let rows = [ok(), bad.clone(), json!({"messages": 1}), bad.clone(), chat(&["user", "user"])];
    let sandbox = with_chats(&rows);
    sandbox.write("template.jinja", template);
    let template_path = sandbox.path("template.jinja").display().to_string();
    let flags = ["--recipe", CHATS, "--chat-template", &template_path];
    let skipping = [&flags[..], &["--bad-rows", "skip"]].concat();
    refused_by_binary(&sandbox, 3, &flags, &[]);
    let mut made = Vec::new();
    for threads in ["1", "4"] {
        let ran = accepted(&sandbox, &[&skipping[..], &["--threads", threads]].concat());
        assert!(ran.stderr.contains("skipped 2 rows that the chat template refuses"), "{ran}");
        let (read, kept, dropped) = ledger(&manifest(&sandbox.tree("out")), "chats");
        assert_eq!((read, kept, dropped["template_refused"], dropped["wrong_type"]), (5, 2, 2, 1));
        made.push((sandbox.read_text("out/rejected.jsonl"), sandbox.read_text("out/combined_cut_2x.jsonl")));
    }
    assert_eq!(made[0], made[1]);
    assert_snapshot!(sandbox.anonymous(&made[0].0));
    // As if the rows had never been there.
    let without = with_chats(&[ok(), chat(&["user", "user"])]);
    accepted(&without, &flags);
    assert_eq!(without.read_text("out/combined_cut_2x.jsonl"), made[0].1);
    // `--fail-on` sees them as dropped rows.
    let limited = [&skipping[..], &["--fail-on", "rows.dropped=2"]].concat();
    assert!(refused_by_binary(&with_chats(&rows), 3, &limited, &[]).contains("rows.dropped is 3"));
    // If nothing is left, the template is to blame.
    let broken = with_chats(&[bad.clone(), bad]);
    let message = refused_by_binary(&broken, 3, &skipping, &[]);
    assert_snapshot!("every_row", sandbox.anonymous(&message));
}
