//! Rows that cannot be parsed.

use crate::cli::{Cases, accepted, mix, refused, without_seconds};
use insta::assert_snapshot;
use serde_json::{Value, json};
use test_support::program::Sandbox;
use test_support::rows::{MIX, example_rows, example_sandbox, ledger, lines, manifest, mix_and};

const FILE: &str = "step_02/extractive_summary/gen.jsonl";

/// The small example with another third line in the first source.
fn with_third_line(line: &[u8]) -> Sandbox {
    let sandbox = example_sandbox();
    let rows = example_rows("extractive_summary");
    let mut bytes = lines(&rows[..2]).into_bytes();
    bytes.extend_from_slice(line);
    bytes.push(b'\n');
    bytes.extend_from_slice(lines(&rows[3..]).as_bytes());
    sandbox.write(FILE, bytes);
    sandbox
}

/// The third row as text, with a column changed or removed.
fn third_row(column: &str, value: Option<Value>) -> String {
    let mut row = example_rows("extractive_summary").remove(2);
    let columns = row.as_object_mut().expect("a row is an object");
    match value {
        Some(value) => columns.insert(column.to_owned(), value),
        None => columns.shift_remove(column),
    };
    row.to_string()
}

/// Mixes the small example with each of these third lines, with both values of `--bad-rows`.
fn with_both_rules(lines: &[(&str, Vec<u8>)]) -> String {
    let mut cases = Cases::default();
    for (name, line) in lines {
        let sandbox = with_third_line(line);
        let failed = refused(&sandbox, 3, &[]);
        mix(&sandbox, &["--bad-rows", "skip"]);
        let rejected = sandbox.read_text("out/rejected.jsonl");
        let made = manifest(&sandbox.tree("out"));
        let (read, kept, dropped) = ledger(&made, "extractive_summary");
        assert_eq!((read, kept), (12, 11), "{name}");
        assert_eq!(dropped.values().sum::<u64>(), 1, "{name}");
        assert_eq!(rejected.lines().count(), 1, "{name}");
        let row: Value = serde_json::from_str(&rejected).expect("the text is JSON");
        assert_eq!((&row["file"], &row["line"]), (&json!("gen.jsonl"), &json!(3)), "{name}");
        assert_eq!(Some(&1), dropped.get(row["reason"].as_str().expect("a reason is a string")), "{name}");
        cases.add(name, &format!("{failed}rejected.jsonl: {rejected}"));
    }
    cases.0
}

#[test]
fn lines_that_are_not_json() {
    assert_snapshot!(with_both_rules(&[
        ("truncated", br#"{"question": "What does it say?", "respo"#.to_vec()),
        ("plain text", b"What does it say?".to_vec()),
        ("two objects", br#"{"question": "a"} {"question": "b"}"#.to_vec()),
        ("a trailing comma", br#"{"question": "a",}"#.to_vec()),
        (
            "NaN in a column that is used",
            third_row("question", Some(json!("a b"))).replace("\"a b\"", "NaN").into_bytes()
        ),
        ("a raw control character", third_row("question", Some(json!("a b"))).replace("a b", "a\u{1}b").into_bytes()),
        (
            "malformed in an unused column",
            third_row("faithfulness_judgment", Some(json!("YES"))).replace("\"YES\"", "\"YES").into_bytes()
        ),
        ("nested too deeply", [b"[".repeat(100_000), b"]".repeat(100_000)].concat()),
    ]));
}

#[test]
fn lines_that_are_not_objects() {
    assert_snapshot!(with_both_rules(&[
        ("a list", b"[1, 2]".to_vec()),
        ("a string", b"\"question\"".to_vec()),
        ("a number", b"7".to_vec()),
        ("null", b"null".to_vec()),
    ]));
}

#[test]
fn columns_of_the_wrong_type() {
    let columns = [
        ("question", json!(7)),
        ("response", json!(["It is lit."])),
        ("document_outline", json!({"part": 1})),
        ("document", json!(true)),
        ("raw_document", json!(1.5)),
    ];
    let lines: Vec<_> =
        columns.into_iter().map(|(name, value)| (name, third_row(name, Some(value)).into_bytes())).collect();
    assert_snapshot!(with_both_rules(&lines));
}

#[test]
fn lines_that_are_not_utf8() {
    let bad = |column: &str| -> Vec<u8> {
        let text = third_row(column, Some(json!("a?b")));
        text.bytes().map(|byte| if byte == b'?' { 0xff } else { byte }).collect()
    };
    // The question contains a `?`, too.
    assert_snapshot!(with_both_rules(&[
        ("in the response", {
            let mut row = example_rows("extractive_summary").remove(2);
            row["question"] = json!("a");
            row["response"] = json!("a?b");
            row.to_string().bytes().map(|byte| if byte == b'?' { 0xff } else { byte }).collect()
        }),
        ("in the question", bad("question")),
        (
            "truncated in a character",
            third_row("question", Some(json!("a")))
                .replace("\"a\"", "\"ä\"")
                .into_bytes()
                .into_iter()
                .filter(|byte| *byte != 0xa4)
                .collect()
        ),
    ]));
}

#[test]
fn escapes_that_are_not_characters() {
    let escaped = |escape: &str| third_row("response", Some(json!("HERE"))).replace("HERE", escape).into_bytes();
    assert_snapshot!(with_both_rules(&[
        ("a high surrogate alone", escaped(r"a \ud83d b")),
        ("a low surrogate alone", escaped(r"\ude00")),
        ("in the wrong order", escaped(r"\ude00\ud83d")),
        ("an unknown escape", escaped(r"\x41")),
        ("too few digits", escaped(r"\u00")),
    ]));
    // An unused column only has to be JSON.
    let sandbox =
        with_third_line(third_row("faithfulness_judgment", Some(json!("HERE"))).replace("HERE", r"\ud83d").as_bytes());
    mix(&sandbox, &[]);
}

#[test]
fn missing_columns() {
    let columns = ["question", "response", "document_outline", "document", "raw_document"];
    let mut lines: Vec<_> = columns.into_iter().map(|name| (name, third_row(name, None).into_bytes())).collect();
    lines.push(("all", b"{}".to_vec()));
    lines
        .push(("in another case", third_row("question", None).replacen('{', "{\"Question\": \"a\", ", 1).into_bytes()));
    assert_snapshot!(with_both_rules(&lines));
}

#[test]
fn columns_required_by_other_sources() {
    let mut cases = Cases::default();
    for (source, column) in
        [("key_facts_to_qa", "document"), ("document_based_qa", "document"), ("document_based_qa", "question")]
    {
        let sandbox = example_sandbox();
        let mut rows = example_rows(source);
        rows[1].as_object_mut().expect("a row is an object").shift_remove(column);
        sandbox.write(&format!("step_02/{source}/gen.jsonl"), lines(&rows));
        cases.add(&format!("{source} without {column}"), &refused(&sandbox, 3, &[]));
    }
    assert_snapshot!(cases.0);
}

#[test]
fn bad_rows_in_other_formats() {
    let mut cases = Cases::default();
    let sandbox = example_sandbox();
    std::fs::remove_file(sandbox.path(FILE)).expect("cannot access the file");
    let mut rows = example_rows("extractive_summary");
    rows[2] = json!({"question": 7});
    let array = serde_json::to_string_pretty(&rows).expect("the text is JSON");
    sandbox.write("step_02/extractive_summary/gen.json", &array);
    cases.add("a bad element", &refused(&sandbox, 3, &[]));
    mix(&sandbox, &["--bad-rows", "skip"]);
    cases.add("rejected.jsonl", &sandbox.read_text("out/rejected.jsonl"));
    std::fs::remove_dir_all(sandbox.path("out")).expect("cannot remove the output");
    sandbox.write("step_02/extractive_summary/gen.json", &array[..array.len() / 2]);
    cases.add("a truncated array", &refused(&sandbox, 3, &[]));
    sandbox.write("step_02/extractive_summary/gen.json", format!("{array} and more"));
    cases.add("data after the array", &refused(&sandbox, 3, &[]));
    assert_snapshot!(cases.0);
}

#[test]
fn bad_rows_are_counted_by_reason() {
    let sandbox = example_sandbox();
    let mut bytes = lines(&example_rows("extractive_summary")).into_bytes();
    bytes.extend_from_slice(b"{\n[]\n[]\n\n\xff\n{}\n");
    bytes.extend_from_slice(third_row("question", Some(json!(7))).as_bytes());
    sandbox.write(FILE, bytes);
    sandbox.write("step_02/detailed_summary/more/last.jsonl", "nothing\n");
    let ran = accepted(&sandbox, &["--bad-rows", "skip", "--verbose"]);
    let end = without_seconds(&ran.stdout);
    assert_snapshot!(format!("{}\n{end}\n{}", ran.stderr, sandbox.read_text("out/rejected.jsonl")));
    let made = manifest(&sandbox.tree("out"));
    let (read, kept, dropped) = ledger(&made, "extractive_summary");
    assert_eq!((read, kept), (18, 12));
    assert_eq!(dropped.values().sum::<u64>(), 6);
    assert_eq!(sandbox.run(&["verify", "out"]).code, 0);
}

#[test]
fn unusual_lines_are_accepted() {
    let clean = example_sandbox();
    mix(&clean, &[]);
    let sandbox = example_sandbox();
    let rows = example_rows("extractive_summary");
    let mut text = String::from("\u{feff}");
    for (at, row) in rows.iter().enumerate() {
        let columns = row.as_object().expect("a row is an object");
        let mut parts: Vec<String> = columns.iter().map(|(name, value)| format!("{}: {value}", json!(name))).collect();
        // Keys in any order, each twice: the last value counts.
        parts.rotate_left(at % columns.len());
        let twice = columns.keys().map(|name| format!("{}: {}", json!(name), json!(at)));
        let line: Vec<String> = twice.chain(parts).collect();
        text.push_str(&format!(" {{{}}} \t", line.join(" , ")));
        // CRLF, several kinds of blank lines, and no newline at the end.
        text.push_str(["\r\n", "\n", "\n\n \t\r\n\r\n"][at % 3]);
    }
    text.truncate(text.trim_end().len());
    sandbox.write(FILE, text);
    mix(&sandbox, &[]);
    let (unusual, plain) = (sandbox.tree("out"), clean.tree("out"));
    assert_eq!(
        String::from_utf8_lossy(&unusual["combined_cut_2x.jsonl"]),
        String::from_utf8_lossy(&plain["combined_cut_2x.jsonl"])
    );
    assert_eq!(ledger(&manifest(&unusual), "extractive_summary"), (12, 12, Default::default()));
}

#[test]
fn escaped_keys_and_nul_characters_are_accepted() {
    let sandbox = example_sandbox();
    let line = third_row("response", Some(json!("before\0after"))).replace("\"question\"", r#""q\u0075estion""#);
    assert!(line.contains(r"\u0000"));
    let mut rows = lines(&example_rows("extractive_summary"));
    rows.push_str(&line.replace("summary 1 of part 0", "the whole of part 0"));
    sandbox.write(FILE, rows);
    mix(&sandbox, &["--cut-sizes", "3", "--qa-per-doc", "9"]);
    let mix = sandbox.read_text("out/combined_cut_3x.jsonl");
    let found = mix.lines().filter(|line| line.contains(r"before\u0000after")).count();
    assert_eq!(found, 1);
    let row: Value =
        serde_json::from_str(mix.lines().find(|line| line.contains(r"\u0000")).expect("the mix holds the row"))
            .expect("the text is JSON");
    assert_eq!(row["messages"][1]["content"], "before\0after");
}

#[test]
fn unused_columns_may_be_nested_deeply() {
    let sandbox = example_sandbox();
    let mut file = lines(&example_rows("extractive_summary"));
    let (open, close) = ("[".repeat(200_000), "]".repeat(200_000));
    file.push_str(&third_row("response_dict", Some(json!("HERE"))).replace("\"HERE\"", &format!("{open}1{close}")));
    sandbox.write(FILE, &file);
    mix(&sandbox, &[]);
    assert_eq!(ledger(&manifest(&sandbox.tree("out")), "extractive_summary").1, 13);
    // `--reasoning` may point into the nested value: the run finds no reasoning or fails, but does not crash.
    let ran = sandbox.run(&mix_and(&["--reasoning", "response_dict.0.0.reasoning_content"]));
    assert!([0, 3].contains(&ran.code), "{ran}");
}

#[test]
fn a_line_of_100_megabytes_is_accepted() {
    let sandbox = example_sandbox();
    let text = "The lamp was lit at dusk. ".repeat(100_000_000 / 26);
    let mut row = example_rows("extractive_summary").remove(2);
    row["response_dict"] = json!([{ "content": text }]);
    let mut file = lines(&example_rows("extractive_summary"));
    file.push_str(&lines(&[row]));
    drop(text);
    assert!(file.len() > 100_000_000);
    sandbox.write(FILE, &file);
    let (ran, peak) = sandbox.run_measured(&MIX);
    let ran = ran.succeeded();
    assert!(ran.stdout.starts_with("mixed 33 rows of 4 sources"), "{ran}");
    eprintln!("peak memory {} MiB", peak >> 20);
    // The line, its copy while the buffer grows, and the fixed cost of the program.
    assert!(peak < 450 << 20, "{} MiB", peak >> 20);
}
