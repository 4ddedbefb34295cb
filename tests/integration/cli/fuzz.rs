//! Arbitrary file contents give an error or a mix, never a panic.

use crate::in_process;
use knowledge_mixing::testing::{ErrorKind, Manifest, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::io::Write;
use test_support::program::Sandbox;
use test_support::rows::{MIX, SOURCES, example, example_rows, lines};

/// The errors that an input may cause. A panic of a worker thread is reported as a bug.
const ALLOWED: [ErrorKind; 2] = [ErrorKind::Data, ErrorKind::NoFeasibleCut];

fn never_panics(name: &str, file: &str, bytes: &[u8], more: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.write_tree("step_02", &example());
    sandbox.write(&format!("step_02/{file}"), bytes);
    let mixed = in_process::mix(&sandbox, &[&MIX[1..], more].concat());
    assert_eq!(mixed.is_ok(), sandbox.path("out/manifest.json").exists(), "{name}");
    if fails_with(mixed, &ALLOWED, || format!("{name} {file}: {}", beginning(bytes))) {
        assert!(sandbox.tree("out").is_empty(), "{name}");
    }
}

/// Whether a mix failed; asserts that it failed with one of these errors.
fn fails_with(mixed: Result<Manifest>, allowed: &[ErrorKind], what: impl Fn() -> String) -> bool {
    let Err(error) = mixed else { return false };
    assert!(allowed.contains(&error.kind()), "{}\n{error}", what());
    true
}

/// The beginning of a file, for messages.
fn beginning(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(2000)])
}

const NAMES: [&str; 9] = [
    "a.jsonl",
    "a.ndjson",
    "a.json",
    "a.parquet",
    "a.jsonl.gz",
    "a.json.zst",
    "a.parquet.gz",
    "a.jsonl.zst",
    "a.ndjson.gz",
];

fn compressed(name: &str, bytes: &[u8]) -> Vec<u8> {
    if name.ends_with(".gz") {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("writing to memory does not fail");
        encoder.finish().expect("writing to memory does not fail")
    } else if name.ends_with(".zst") {
        zstd::encode_all(bytes, 1).expect("writing to memory does not fail")
    } else {
        bytes.to_vec()
    }
}

/// Arguments with either value of `--bad-rows`.
fn rule(draw: u64) -> &'static [&'static str] {
    if draw.is_multiple_of(2) { &[] } else { &["--bad-rows", "skip"] }
}

#[test]
fn random_bytes_never_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for case in 0..36usize {
        let name = NAMES[case % NAMES.len()];
        let mut bytes = vec![0; (random.next_u64() % 3000) as usize];
        random.fill_bytes(&mut bytes);
        // Half of the cases are random bytes in a valid container.
        let bytes = if case % 4 < 2 { compressed(name, &bytes) } else { bytes };
        let source = SOURCES[(random.next_u64() % 4) as usize];
        never_panics(&format!("case {case}"), &format!("{source}/{name}"), &bytes, rule(random.next_u64()));
    }
}

/// JSON of any shape that often uses the names of columns.
fn random_json(random: &mut ChaCha8Rng, depth: u32) -> String {
    const NAMES: [&str; 9] = [
        "question",
        "response",
        "document_outline",
        "document",
        "raw_document",
        "summary",
        "base_document",
        "messages",
        "reasoning",
    ];
    const STRINGS: [&str; 10] =
        ["", "a", "...", "[END]", "\\u0000", "\\ud83d\\ude00", "\\ud83d", "\\\"", "<question>", "\u{2028}\u{e9}"];
    match random.next_u64() % if depth == 0 { 5 } else { 8 } {
        0 => ["null", "true", "-0.0", "1e999", "123456789012345678901234567890", "01", "nul"]
            [(random.next_u64() % 7) as usize]
            .to_owned(),
        1..=4 => format!("\"{}\"", STRINGS[(random.next_u64() % 10) as usize]),
        5 => format!(
            "[{}]",
            (0..random.next_u64() % 4).map(|_| random_json(random, depth - 1)).collect::<Vec<_>>().join(",")
        ),
        _ => {
            let members = (0..random.next_u64() % 9).map(|_| {
                let name = NAMES[(random.next_u64() % 9) as usize];
                format!("\"{name}\":{}", random_json(random, depth - 1))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    }
}

#[test]
fn random_json_lines_never_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    for case in 0..60usize {
        let name = ["a.jsonl", "a.json", "a.ndjson.gz", "a.json.zst"][case % 4];
        let rows: Vec<String> = (0..random.next_u64() % 40).map(|_| random_json(&mut random, 3)).collect();
        let text = match case % 3 {
            0 => format!("[{}]", rows.join(",")),
            1 => rows.join("\n"),
            _ => rows.join("\r\n\r\n") + "\n",
        };
        let source = SOURCES[(random.next_u64() % 4) as usize];
        // Rows that cannot be parsed must not hide the others.
        let more: &[&str] =
            if case % 5 == 0 { &[] } else { &["--bad-rows", "skip", "--reasoning", "messages.0.reasoning"] };
        never_panics(
            &format!("case {case}"),
            &format!("{source}/{name}"),
            compressed(name, text.as_bytes()).as_slice(),
            more,
        );
    }
}

#[test]
fn truncated_and_corrupted_files_never_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let parquet = test_support::rows::parquet(&example_rows("extractive_summary"));
    let text = lines(&example_rows("extractive_summary")).into_bytes();
    for case in 0..60usize {
        let name = NAMES[case % NAMES.len()];
        let complete = compressed(name, if name.contains("parquet") { &parquet } else { &text });
        let mut bytes = complete.clone();
        if case % 2 == 0 {
            bytes.truncate((random.next_u64() % complete.len() as u64) as usize);
        } else {
            for _ in 0..=random.next_u64() % 4 {
                let at = (random.next_u64() % complete.len() as u64) as usize;
                bytes[at] = random.next_u64() as u8;
            }
        }
        never_panics(&format!("case {case}"), &format!("extractive_summary/{name}"), &bytes, rule(random.next_u64()));
    }
}

#[test]
fn corrupted_tokenizers_never_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let asset = test_support::builtin_tokenizer;
    let files = ["tokenizer_config.json", "chat_template.jinja", "tokenizer.json"];
    for case in 0..24usize {
        let sandbox = Sandbox::new();
        sandbox.write_tree("step_02", &example());
        for name in files {
            sandbox.write(&format!("tokenizer/{name}"), asset(name));
        }
        let broken = files[case % 3];
        let mut bytes = asset(broken);
        // At the beginning, where more of the bytes are structure.
        let within = bytes.len().min(2000) as u64;
        for _ in 0..=random.next_u64() % 3 {
            let at = (random.next_u64() % within) as usize;
            bytes[at] = b"{}[]\"%,:x0 \xff"[(random.next_u64() % 12) as usize];
        }
        sandbox.write(&format!("tokenizer/{broken}"), &bytes);
        let arguments = ["--input", "step_02", "--output", "out", "--tokenizer-model", "tokenizer", "--cut-sizes", "2"];
        let allowed = [ErrorKind::Data, ErrorKind::NotFound];
        fails_with(in_process::mix(&sandbox, &arguments), &allowed, || format!("{broken}: {}", beginning(&bytes)));
    }
}
