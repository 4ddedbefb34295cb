//! Tokenizers that are damaged or hostile: every one is a mix or an error of exit code 3, in little time and memory.

use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use test_support::program::Sandbox;
use test_support::repository;
use test_support::rows::{MIX, example_sandbox};

const FIXTURES: [&str; 4] = ["chatml", "gptoss", "llama3", "spm"];

/// The address space of a run: memory that threads reserve is far more than they use.
const MEMORY: &str = "--as=4294967296";

/// Time in which each run has to end.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// The files of a fixture.
fn write_fixture(sandbox: &Sandbox, name: &str) {
    for entry in
        std::fs::read_dir(repository().join(format!("tests/fixtures/tokenizers/{name}"))).expect("the fixture exists")
    {
        let path = entry.expect("the folder is readable").path();
        let file = path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8");
        sandbox.write(&format!("tokenizer/{file}"), std::fs::read(&path).expect("the file is readable"));
    }
}

/// Mixes with the tokenizer in a limited process. Returns its exit code and what it wrote to standard error.
fn mix(sandbox: &Sandbox) -> (i32, String) {
    let began = Instant::now();
    let output = Command::new("prlimit")
        .args([MEMORY])
        .arg(test_support::binary())
        .args(&MIX[..5])
        .args(["--tokenizer-model", "./tokenizer", "--cut-sizes", "2"])
        .args(["--formats", "messages,tokens", "--overwrite"])
        .current_dir(sandbox.path(""))
        .stdin(Stdio::null())
        .output()
        .expect("cannot start the binary");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(began.elapsed() < TIME_LIMIT, "{:?}: {stderr}", began.elapsed());
    (output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or_default()), stderr)
}

/// Checks that a tokenizer is either used or refused by an error of the data.
fn is_used_or_refused(sandbox: &Sandbox, what: &str) -> bool {
    let (code, stderr) = mix(sandbox);
    // A template that is gone is exit code 66.
    assert!([0, 3, 66].contains(&code), "{what}: exit code {code}: {stderr}");
    assert!(code == 0 || stderr.contains("error: "), "{what}: {stderr}");
    assert!(!stderr.contains("panicked at"), "{what}: {stderr}");
    code == 0
}

/// All places of a value, of long lists and objects only a few.
fn places(value: &Value, pointer: &str, found: &mut Vec<String>) {
    found.push(pointer.to_owned());
    let some = |index: usize, count: usize| index < 3 || index + 1 == count;
    match value {
        Value::Object(object) => {
            for (index, (key, value)) in object.iter().enumerate() {
                if object.len() < 20 || some(index, object.len()) {
                    places(value, &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), found);
                }
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate().filter(|(index, _)| some(*index, items.len())) {
                places(value, &format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// What a value is replaced with. `{"delete": …}` and `{"repeat": …}` are no values.
fn extremes() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(3_000_000_000_u64),
        json!(u64::MAX),
        json!(1.5),
        json!(-1e308),
        json!(""),
        json!("x"),
        json!("▁"),
        json!("a".repeat(20_000)),
        json!("(x+x+)+y"),
        json!("("),
        json!("(?:a{1000}){1000}"),
        json!("(".repeat(5000)),
        json!([]),
        json!({}),
        json!([[]]),
        json!([null]),
        json!(["a", "b"]),
        json!({"a": 1}),
        json!({"type": "NFC"}),
        json!({"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": ""}, "content": "aaaaaaaa"}]}),
        (0..60).fold(json!({"type": "NFC"}), |step, _| json!({"type": "Sequence", "normalizers": [step]})),
    ]
}

/// Replaces, deletes or repeats the value at a place.
fn mutate(value: &mut Value, pointer: &str, number: usize) -> String {
    let extremes = extremes();
    let choice = number % (extremes.len() + 3);
    let Some((parent, key)) = pointer.rsplit_once('/') else { return String::new() };
    if let Some(extreme) = extremes.get(choice) {
        if let Some(place) = value.pointer_mut(pointer) {
            *place = extreme.clone();
        }
        return format!("{pointer} = {}", extreme.to_string().chars().take(60).collect::<String>());
    }
    let item = value.pointer(pointer).cloned().unwrap_or_default();
    let key = key.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent) {
        Some(Value::Object(object)) => drop(object.shift_remove(&key)),
        Some(Value::Array(items)) if choice == extremes.len() => drop(items.pop()),
        Some(Value::Array(items)) => items.extend(std::iter::repeat_n(item, 200)),
        _ => {}
    }
    format!("{pointer} deleted or repeated")
}

/// Tries mutants of all fixtures: every `step`-th place gets the next value, from the `first` on. Returns how many were tried and used.
fn try_mutants(step: usize, first: usize) -> (usize, usize) {
    let (mut tried, mut used, mut number) = (0, 0, first);
    for fixture in FIXTURES {
        let sandbox = example_sandbox();
        write_fixture(&sandbox, fixture);
        for file in ["tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"] {
            let original = sandbox.read(file);
            let value: Value = serde_json::from_slice(&original).expect("the fixture is JSON");
            let mut all = Vec::new();
            places(&value, "", &mut all);
            for place in all.iter().skip(1).step_by(step) {
                number += 1;
                let mut mutant = value.clone();
                let what = mutate(&mut mutant, place, number * 5);
                sandbox.write(file, mutant.to_string());
                used += usize::from(is_used_or_refused(&sandbox, &format!("{fixture} {file}: {what}")));
                tried += 1;
            }
            sandbox.write(file, &original);
        }
    }
    (tried, used)
}

#[test]
fn mutated_tokenizers_are_used_or_refused() {
    let (tried, used) = try_mutants(3, 0);
    assert!(tried >= 150 && used > 20 && used < tried, "{tried} tried, {used} used");
}

#[test]
#[ignore = "long: every place of every fixture, with several values"]
fn all_mutated_tokenizers_are_used_or_refused() {
    for first in 0..4 {
        let (tried, used) = try_mutants(1, first * 7);
        println!("{tried} tried, {used} used");
    }
}

/// Refused with this text.
#[track_caller]
fn refused(fixture: &str, change: impl FnOnce(&mut Value), expected: &str) {
    let sandbox = example_sandbox();
    write_fixture(&sandbox, fixture);
    let mut tokenizer = serde_json::from_slice(&sandbox.read("tokenizer/tokenizer.json")).expect("the fixture is JSON");
    change(&mut tokenizer);
    sandbox.write("tokenizer/tokenizer.json", tokenizer.to_string());
    let (code, stderr) = mix(&sandbox);
    assert_eq!(code, 3, "{expected}: {stderr}");
    assert!(stderr.contains(expected) && stderr.contains("tokenizer/tokenizer.json"), "{expected}: {stderr}");
    assert!(!stderr.contains("panicked at"), "{stderr}");
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let id = |tokenizer: &mut Value| tokenizer["added_tokens"][0]["id"] = 3_000_000_000_u64.into();
    refused("llama3", id, "`added_tokens`: 3000000000 as the largest id: expected at most 16777215");
    let double = json!({"type": "Replace", "pattern": {"String": "e"}, "content": "ee"});
    let steps = json!({"type": "Sequence", "normalizers": vec![double; 60]});
    refused("llama3", |tokenizer| tokenizer["normalizer"] = steps, "times as many bytes after all replacements");
    let prepend = json!({"type": "Prepend", "prepend": "x".repeat(1 << 20)});
    refused("llama3", |tokenizer| tokenizer["normalizer"] = prepend, "`normalizer.prepend`: 1048576 bytes");
    let pieces = vec![json!({"Sequence": {"id": "A", "type_id": 0}}); 5000];
    let template = json!({"type": "TemplateProcessing", "single": pieces, "pair": [], "special_tokens": {}});
    refused("llama3", |tokenizer| tokenizer["post_processor"] = template, "`post_processor`: ");
    let zero = json!({"type": "FixedLength", "length": 0});
    refused("llama3", |tokenizer| tokenizer["pre_tokenizer"] = zero, "`pre_tokenizer.length`: invalid value `0`");
    let charsmap = json!({"type": "Precompiled", "precompiled_charsmap": "/////w=="});
    refused("llama3", |tokenizer| tokenizer["normalizer"] = charsmap, "not a valid map of characters");
    refused("llama3", |tokenizer| tokenizer["model"]["continuing_subword_prefix"] = "##".into(), "`model.merges[0]`");
    refused("llama3", |tokenizer| tokenizer["model"]["dropout"] = 0.1.into(), "dropout");
}

#[test]
fn what_the_library_cannot_encode_is_an_error_with_the_tokenizers_name() {
    let slow = json!({"type": "Split", "pattern": {"Regex": "(?:\\w+\\s?)+(?<=\u{1})"}, "behavior": "Isolated", "invert": false});
    refused("llama3", |tokenizer| tokenizer["pre_tokenizer"] = slow, "the library panicked: ");
    // The trie ends before the first character.
    let charsmap = json!({"type": "Precompiled", "precompiled_charsmap": "BAAAAAAAAAA="});
    refused("llama3", |tokenizer| tokenizer["normalizer"] = charsmap, "the library panicked: ");
    let words = json!({"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "<unk>"});
    refused("llama3", |tokenizer| tokenizer["model"] = words, "cannot encode text");
    let pieces =
        json!({"type": "Unigram", "unk_id": null, "vocab": [["a", -1.0], ["b", 1e308]], "byte_fallback": true});
    refused("llama3", |tokenizer| tokenizer["model"] = pieces, "cannot encode text");
}

/// What concerns batches is not used, however large it is.
#[test]
fn padding_and_truncation_of_a_file_do_not_matter() {
    let sandbox = example_sandbox();
    write_fixture(&sandbox, "llama3");
    let mut tokenizer: Value =
        serde_json::from_slice(&sandbox.read("tokenizer/tokenizer.json")).expect("the fixture is JSON");
    tokenizer["padding"] = json!({"strategy": {"Fixed": 4_000_000_000_u64}, "direction": "Right", "pad_to_multiple_of": 4_000_000_000_u64,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "x"});
    tokenizer["truncation"] =
        json!({"max_length": 1, "stride": 4_000_000_000_u64, "strategy": "LongestFirst", "direction": "Right"});
    sandbox.write("tokenizer/tokenizer.json", tokenizer.to_string());
    assert_eq!(mix(&sandbox).0, 0);
}

/// 100,000 special tokens with names of their own took minutes: each was compared with all others.
#[test]
fn many_named_tokens_take_seconds() {
    let sandbox = example_sandbox();
    write_fixture(&sandbox, "llama3");
    let mut config: Value =
        serde_json::from_slice(&sandbox.read("tokenizer/tokenizer_config.json")).expect("the fixture is JSON");
    for number in 0..100_000 {
        config[format!("x{number}_token")] = format!("<x{number}>").into();
    }
    sandbox.write("tokenizer/tokenizer_config.json", config.to_string());
    assert!(is_used_or_refused(&sandbox, "many named tokens"));
}
