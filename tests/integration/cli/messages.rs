//! What comes from outside reaches a terminal or a log only as text: no control characters, no secrets, no megabytes.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use test_support::program::{Ran, Sandbox};
use test_support::rows::{example_sandbox, lines, mix_and, summary_row};

/// Pieces of hostile names: what a terminal obeys, what forges a line, what hides text.
const PIECES: [&str; 16] = [
    "a",
    "\u{1b}[2J",
    "\u{1b}]0;x\u{7}",
    "\nerror: forged",
    "\r",
    "\u{9b}31m",
    "\u{7f}",
    "\u{202e}",
    "\u{2066}",
    "\u{2028}",
    "\u{2029}",
    "\u{85}",
    "\t",
    "é",
    "\u{1}",
    "`",
];

/// Texts of three of the pieces.
fn hostile(random: &mut ChaCha8Rng) -> String {
    (0..3).map(|_| PIECES[(random.next_u64() % PIECES.len() as u64) as usize]).collect()
}

/// Whether a terminal would obey or hide a character; the program's own newlines are none.
fn is_obeyed(c: char) -> bool {
    c != '\n' && c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[track_caller]
fn is_plain(ran: &Ran, case: &str) {
    for (name, text) in [("standard output", &ran.stdout), ("standard error", &ran.stderr)] {
        assert!(!text.contains(is_obeyed), "{case}: {name}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("error: forged")), "{case}: {name}: {text:?}");
    }
}

/// Runs the program with text logs and with JSON logs, and checks what it writes.
fn check(sandbox: &Sandbox, arguments: &[&str], case: &str) {
    for format in ["text", "json"] {
        is_plain(&sandbox.run_with(arguments, &[("KNOWLEDGE_MIXING_LOG_FORMAT", format)]), case);
    }
}

#[test]
fn control_characters_of_names_and_keys_are_escaped() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    for number in 0..12 {
        let text = hostile(&mut random);
        let case = format!("case {number} {text:?}");
        let sandbox = example_sandbox();
        let row = json!({"question": "q", (text.clone()): text, "document": {(text.clone()): 1}});
        // Any bytes but `/` and NUL are a name.
        let mut name = text.clone().into_bytes();
        name.extend([0xff, b'.']);
        name.extend(b"jsonl");
        let folder = sandbox.path("step_02/extractive_summary");
        std::fs::write(folder.join(OsString::from_vec(name)), lines(std::slice::from_ref(&row))).unwrap();
        check(&sandbox, &mix_and(&[]), &case);
        let sandbox = example_sandbox();
        sandbox.write(&format!("step_02/{text}/{text}.jsonl"), lines(&[row, summary_row(0, 0, 0)]));
        check(&sandbox, &mix_and(&[]), &case);
        check(&sandbox, &mix_and(&["--bad-rows", "skip", "--verbose"]), &case);
        check(&sandbox, &["init", "-", "--input", "step_02"], &case);
        check(&sandbox, &["stats", &format!("step_02/{text}/{text}.jsonl")], &case);
        check(&sandbox, &["plan", "--input", &text, "--cut-sizes", &text, "--seed", &text], &case);
        check(&sandbox, &[&text], &case);
        check(&sandbox, &["mix", &text, &format!("--{text}")], &case);
        check(&sandbox, &["recipe", "check", &format!("{{{text}: {text}}}")], &case);
        check(&sandbox, &["recipe", "check", &json!({(text.clone()): text, "seed": text}).to_string()], &case);
        sandbox.write(".env", format!("SEED=\"{text}\"\n"));
        check(&sandbox, &mix_and(&[]), &case);
    }
}

#[test]
fn control_characters_of_templates_and_manifests_are_escaped() {
    let mut random = ChaCha8Rng::seed_from_u64(12);
    let sandbox = example_sandbox();
    sandbox.run(&mix_and(&[])).succeeded();
    let manifest: Value = serde_json::from_slice(&sandbox.read("out/manifest.json")).unwrap();
    for number in 0..12 {
        let text = hostile(&mut random);
        let case = format!("case {number} {text:?}");
        sandbox.write("t.jinja", format!("{{{{ raise_exception(\"{text}\") }}}}"));
        check(&sandbox, &mix_and(&["--chat-template", "t.jinja", "--output", "out2"]), &case);
        sandbox.write("t.jinja", format!("{{{{ {text} }}}}"));
        check(&sandbox, &mix_and(&["--chat-template", "t.jinja", "--output", "out2"]), &case);
        let mut other = manifest.clone();
        replace(&mut other, &mut random, &text);
        sandbox.write("other/manifest.json", other.to_string());
        sandbox.write("other/report.html", &text);
        sandbox.write("other/summary.md", &text);
        for command in [&["diff", "out", "other"][..], &["diff", "out", "other", "--format", "json"]] {
            check(&sandbox, command, &case);
        }
        for command in ["verify", "sample", "report", "clean"] {
            check(&sandbox, &[command, "other"], &case);
        }
    }
}

/// Replaces about a third of the texts in a manifest, keys included.
fn replace(value: &mut Value, random: &mut ChaCha8Rng, text: &str) {
    match value {
        Value::String(old) if random.next_u64().is_multiple_of(3) => *old = text.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, random, text)),
        Value::Object(map) => {
            map.values_mut().for_each(|value| replace(value, random, text));
            map.insert(text.to_owned(), text.into());
        }
        _ => {}
    }
}

#[test]
fn a_message_of_megabytes_is_cut() {
    let sandbox = example_sandbox();
    sandbox.write("t.jinja", "{{ raise_exception('x\n' * 5000000) }}");
    let ran = sandbox.run(&mix_and(&["--chat-template", "t.jinja"]));
    assert!(ran.code == 3 && ran.stderr.len() < 10_000, "{} bytes", ran.stderr.len());
    let row = json!({"k".repeat(10_000_000): 1});
    sandbox.write("step_02/extractive_summary/gen.jsonl", lines(&[row]));
    let ran = sandbox.run(&mix_and(&[]));
    assert!(ran.code == 3 && ran.stderr.len() < 10_000, "{} bytes", ran.stderr.len());
}
