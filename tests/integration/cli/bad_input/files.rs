//! Files that cannot be read, and sources without rows.

use crate::cli::{Cases, accepted, mix, refused, refused_by_binary};
use insta::assert_snapshot;
use serde_json::json;
use std::io::Write;
use test_support::program::Sandbox;
use test_support::rows::{SOURCES, example_rows, example_sandbox, lines, mix_and, summary_row};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

/// The small example with another file in the first source.
fn with_file(name: &str, bytes: &[u8]) -> Sandbox {
    let sandbox = example_sandbox();
    std::fs::remove_file(sandbox.path("step_02/extractive_summary/gen.jsonl")).expect("cannot remove the file");
    sandbox.write(&format!("step_02/extractive_summary/{name}"), bytes);
    sandbox
}

fn rows() -> Vec<u8> {
    lines(&example_rows("extractive_summary")).into_bytes()
}

#[test]
fn corrupt_compressed_files() {
    let (gz, zst) = (gzip(&rows()), zstd::encode_all(&rows()[..], 3).expect("writing to memory does not fail"));
    let mut flipped = gz.clone();
    let at = flipped.len() - 6;
    flipped[at] ^= 0x55;
    let mut cases = Cases::default();
    for (case, name, bytes) in [
        ("truncated gzip", "gen.jsonl.gz", &gz[..gz.len() / 2]),
        ("gzip truncated in its checksum", "gen.jsonl.gz", &gz[..gz.len() - 4]),
        ("gzip truncated in its header", "gen.jsonl.gz", &gz[..5]),
        ("gzip with a wrong checksum", "gen.jsonl.gz", &flipped),
        ("truncated zstd", "gen.jsonl.zst", &zst[..zst.len() / 2]),
        ("zstd truncated in its header", "gen.jsonl.zst", &zst[..3]),
        ("not gzip", "gen.jsonl.gz", b"neither rows nor gzip"),
        ("not zstd", "gen.ndjson.zst", b"neither rows nor zstd"),
    ] {
        let sandbox = with_file(name, bytes);
        cases.add(case, &refused(&sandbox, 3, &[]));
        // `--bad-rows` applies to rows, not to files.
        refused(&sandbox, 3, &["--bad-rows", "skip"]);
    }
    assert_snapshot!(cases.0);
}

#[test]
fn compressed_files_of_several_frames_are_accepted() {
    let plain = example_sandbox();
    mix(&plain, &[]);
    let text = rows();
    let (a, b) = text.split_at(text.len() / 3);
    let zst = |bytes| zstd::encode_all(bytes, 3).expect("writing to memory does not fail");
    for (name, bytes) in [
        ("gen.jsonl.gz", [gzip(a), gzip(b), gzip(b"")].concat()),
        ("gen.jsonl.zst", [zst(a), zst(b), zst(b"")].concat()),
    ] {
        let sandbox = with_file(name, &bytes);
        mix(&sandbox, &[]);
        assert!(sandbox.read("out/combined_cut_2x.jsonl") == plain.read("out/combined_cut_2x.jsonl"), "{name}");
    }
}

#[test]
fn corrupt_parquet_files() {
    let mut cases = Cases::default();
    for (case, bytes) in [
        ("garbage", b"PAR1 is what this file begins with, and nothing else is right: PAR1".to_vec()),
        ("too short", b"PAR1".to_vec()),
        ("empty", Vec::new()),
    ] {
        cases.add(case, &refused(&with_file("gen.parquet", &bytes), 3, &[]));
    }
    assert_snapshot!(cases.0);
}

#[test]
fn empty_files_and_missing_sources_are_warnings() {
    let mut cases = Cases::default();
    for bytes in ["", "\n\r\n  \n", "\u{feff}"] {
        let sandbox = with_file("gen.jsonl", bytes.as_bytes());
        cases.add(&format!("only {bytes:?}"), &accepted(&sandbox, &[]).message());
    }
    cases.add("an empty array", &accepted(&with_file("gen.json", b"[]"), &[]).message());
    cases.add("an empty .gz", &accepted(&with_file("gen.jsonl.gz", &gzip(b"")), &[]).message());
    let sandbox = with_file("_SUCCESS", b"");
    cases.add("a folder without rows", &accepted(&sandbox, &[]).message());
    std::fs::remove_dir_all(sandbox.path("step_02/extractive_summary")).expect("cannot remove the folder");
    cases.add("a missing folder", &accepted(&sandbox, &[]).message());
    sandbox.write("step_02/step_one/gen.jsonl", rows());
    sandbox.write("step_02/.ipynb_checkpoints/gen.jsonl", "nothing");
    sandbox.write("step_02/notes.txt", "nothing");
    cases.add("a folder that is not a source", &accepted(&sandbox, &[]).message());
    std::fs::remove_dir_all(sandbox.path("step_02/detailed_summary")).expect("cannot remove the folder");
    cases.add("no summary source", &accepted(&sandbox, &["--cut-sizes", "7,2"]).message());
    assert_snapshot!(cases.0);
}

#[test]
fn unusable_rows_are_dropped_and_an_empty_mix_is_an_error() {
    let sandbox = example_sandbox();
    let drop = |source: &str, column: &str, value: serde_json::Value| {
        let mut rows = example_rows(source);
        rows.iter_mut().for_each(|row| row[column] = value.clone());
        sandbox.write(&format!("step_02/{source}/gen.jsonl"), lines(&rows));
    };
    let mut cases = Cases::default();
    drop("key_facts_to_qa", "response", json!(" [END] [ANSWER]\n"));
    cases.add("one source", &accepted(&sandbox, &[]).message());
    std::fs::remove_dir_all(sandbox.path("out")).expect("cannot remove the output");
    drop("document_based_qa", "question", json!(null));
    drop("extractive_summary", "document_outline", json!(null));
    drop("detailed_summary", "document", json!(null));
    cases.add("all", &refused(&sandbox, 3, &[]));
    for source in SOURCES {
        drop(source, "question", json!("What is <question>?"));
    }
    cases.add("all questions are placeholders", &refused(&sandbox, 3, &["--save-gpt-oss-format"]));
    for source in SOURCES {
        sandbox.write(&format!("step_02/{source}/gen.jsonl"), "");
    }
    cases.add("all files empty", &refused(&sandbox, 3, &[]));
    sandbox.write("step_02/key_facts_to_qa/gen.jsonl", "[]\n");
    cases.add("all rows skipped", &refused(&sandbox, 3, &["--bad-rows", "skip"]));
    assert_snapshot!(cases.0);
}

#[test]
fn inputs_without_a_source() {
    let sandbox = Sandbox::new();
    let mut cases = Cases::default();
    cases.add("a missing folder", &refused(&sandbox, 66, &[]));
    sandbox.write("step_02/elsewhere/gen.jsonl", rows());
    cases.add("no source folder", &refused(&sandbox, 66, &[]));
    std::fs::remove_dir_all(sandbox.path("step_02")).expect("cannot remove the folder");
    sandbox.write("step_02", "a file");
    cases.add("a file", &refused(&sandbox, 66, &[]));
    cases.add("two missing folders", &refused(&sandbox, 66, &["--input", "nope", "--input", "nothing"]));
    let ran = sandbox.run(&["mix", "--tokenizer-model", "builtin"]);
    cases.add("the default", &ran.message());
    assert_eq!(ran.code, 66);
    assert_snapshot!(cases.0);
}

#[test]
fn a_condition_that_no_row_meets_is_named_with_the_values_that_occur() {
    let sandbox = Sandbox::new();
    let mut rows = example_rows("key_facts_to_qa");
    rows.iter_mut().for_each(|row| row["dataset_type"] = json!("facts"));
    rows[0]["dataset_type"] = json!("key_facts");
    sandbox.write("step_02/mixed/gen.jsonl", lines(&rows));
    let mut cases = Cases::default();
    for (case, sources) in [
        ("one source", "{key_facts_to_qa: {folder: mixed, where: {column: dataset_type, equals: fact}}}"),
        (
            "two sources",
            "{a: {kind: fact_qa, folder: mixed, where: {column: dataset_type, equals: fact}}, \
              b: {kind: fact_qa, paths: [step_02/mixed], where: {column: type, in: [x, y]}}}",
        ),
    ] {
        sandbox.write("recipe.yaml", format!("sources: {sources}\n"));
        cases.add(case, &refused_by_binary(&sandbox, 3, &["--recipe", "recipe.yaml"], &[]));
    }
    assert_snapshot!(cases.0);
}

#[test]
fn infeasible_cuts_report_the_largest_feasible_one() {
    let sandbox = example_sandbox();
    let mut cases = Cases::default();
    cases.add("none", &refused(&sandbox, 4, &["--cut-sizes", "5,50"]));
    cases.add(
        "one of two, with --infeasible-cuts fail",
        &refused(&sandbox, 4, &["--cut-sizes", "2,50", "--infeasible-cuts", "fail"]),
    );
    cases.add("one of two", &accepted(&sandbox, &["--cut-sizes", "2,50"]).message());
    cases.add(
        "one of two, with --infeasible-cuts keep",
        &accepted(&sandbox, &["--cut-sizes", "2,50", "--infeasible-cuts", "keep"]).message(),
    );
    std::fs::remove_dir_all(sandbox.path("out")).expect("cannot remove the output");
    // An average below two: the largest feasible cut is 1.
    sandbox.write("step_02/detailed_summary/gen.jsonl", lines(&[summary_row(0, 0, 0)]));
    cases.add("an average of one", &refused(&sandbox, 4, &["--cut-sizes", "2"]));
    assert_snapshot!(cases.0);
}

#[test]
fn plan_reports_the_same_errors_and_writes_nothing() {
    let sandbox = example_sandbox();
    let plan = |more: &[&str]| {
        let mut arguments = mix_and(more);
        arguments[0] = "plan";
        sandbox.run(&arguments)
    };
    assert_eq!(plan(&[]).code, 0);
    assert_eq!(plan(&["--cut-sizes", "9"]).code, 4);
    sandbox.write("step_02/key_facts_to_qa/gen.jsonl", "[]\n");
    assert_eq!(plan(&[]).code, 3);
    assert!(!sandbox.path("out").exists());
}

#[test]
fn a_file_that_is_compressed_otherwise_than_its_name_says_is_read_with_a_warning() {
    let plain = example_sandbox();
    mix(&plain, &[]);
    let zst = zstd::encode_all(&rows()[..], 3).expect("writing to memory does not fail");
    for (name, bytes, what) in [
        ("gen.jsonl", &gzip(&rows()), "gzip"),
        ("gen.jsonl", &zst, "Zstandard"),
        ("gen.jsonl.gz", &zst, "Zstandard"),
        ("gen.jsonl.gz", &rows(), "not compressed"),
    ] {
        let sandbox = with_file(name, bytes);
        let ran = accepted(&sandbox, &[]);
        let warning = format!(
            "warning: files are not what their names say, and read anyway: \
             step_02/extractive_summary/{name} ({what})"
        );
        assert_eq!(ran.stderr.lines().filter(|line| *line == warning).count(), 1, "{ran}");
        assert_eq!(sandbox.read("out/combined_cut_2x.jsonl"), plain.read("out/combined_cut_2x.jsonl"));
    }
}

#[test]
fn pipes_and_sockets_are_errors_instead_of_waiting_for_ever() {
    let fifo = |path: &std::path::Path| {
        let _ = std::fs::remove_file(path);
        let made = std::process::Command::new("mkfifo").arg(path).status().expect("cannot run mkfifo");
        assert!(made.success());
    };
    for (place, arguments) in [
        ("step_02/extractive_summary/gen.jsonl", &[][..]),
        ("recipe.yaml", &["--recipe", "recipe.yaml"]),
        ("template.jinja", &["--chat-template", "template.jinja"]),
        ("model/tokenizer.json", &["--tokenizer-model", "model"]),
        ("rows", &["--source-input", "extractive_summary=rows"]),
        ("input", &["--input", "input"]),
        ("value", &["--output=@value"]),
    ] {
        let sandbox = example_sandbox();
        sandbox.write(place, "");
        fifo(&sandbox.path(place));
        let mut child =
            sandbox.command(&mix_and(arguments)).stderr(std::process::Stdio::piped()).spawn().expect("cannot start");
        let ended = test_support::program::within(std::time::Duration::from_secs(20), || {
            child.try_wait().expect("cannot wait").is_some()
        });
        let _ = child.kill();
        let output = child.wait_with_output().expect("cannot wait");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(ended, "{place}: waits for ever");
        assert!(text.contains("it is a pipe, not a regular file"), "{place}: {text}");
        assert!(text.contains(place), "{place}: {text}");
        assert!(matches!(output.status.code(), Some(2 | 74)), "{place}: {text}");
        assert!(!sandbox.path("out/manifest.json").exists());
    }
}

#[test]
fn what_is_beside_the_sources_is_ignored_with_one_warning() {
    let plain = example_sandbox();
    mix(&plain, &[]);
    let sandbox = example_sandbox();
    for folder in ["lost+found", ".Trash-0"] {
        std::fs::create_dir_all(sandbox.path(&format!("step_02/{folder}"))).expect("cannot create a folder");
    }
    let link = |name: &str| std::os::unix::fs::symlink("nothing", sandbox.path(&format!("step_02/{name}")));
    link("dead").and_then(|()| link(".hidden")).expect("cannot link");
    sandbox.write("step_02/lost+found/extractive_summary/gen.jsonl", "not a row");
    let ran = accepted(&sandbox, &[]);
    let warnings: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("skipped")).collect();
    assert_eq!(
        warnings,
        [
            "warning: step_02: what cannot be read beside the sources is skipped: dead",
            "warning: folders that belong to no source are skipped: step_02/lost+found",
        ]
    );
    assert_eq!(sandbox.read("out/combined_cut_2x.jsonl"), plain.read("out/combined_cut_2x.jsonl"));
    // Inside a source, it might be rows.
    std::fs::remove_dir_all(sandbox.path("out")).expect("cannot remove the output");
    std::os::unix::fs::symlink("nothing", sandbox.path("step_02/extractive_summary/more")).expect("cannot link");
    let message = refused(&sandbox, 74, &[]);
    assert!(
        message.contains("step_02/extractive_summary/more: cannot read the file: it links to nothing"),
        "{message}"
    );
}
