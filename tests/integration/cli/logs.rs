//! Standard output and standard error of successful runs.

use super::{Cases, without_seconds};
use insta::assert_snapshot;
use serde_json::Value;
use test_support::rows::{example_sandbox, mix_and};

#[test]
fn a_run_ends_with_what_matters() {
    let sandbox = example_sandbox();
    let ran = sandbox.run(&mix_and(&["--cut-sizes", "2,3,9"])).succeeded();
    let mut cases = Cases::default();
    cases.add("standard error", &ran.stderr);
    cases.add("standard output", &without_seconds(&ran.stdout));
    let verbose = sandbox.run(&mix_and(&["--cut-sizes", "2,3,9", "-v"])).succeeded();
    cases.add("standard output with --verbose", &without_seconds(&verbose.stdout));
    assert_snapshot!(cases.0);
}

#[test]
fn a_dry_run_is_a_plan() {
    let sandbox = example_sandbox();
    let planned = ["plan", "-i", "step_02", "--tokenizer-model", "builtin", "--cut-sizes", "2,9", "-o", "out"];
    let dry = [&["mix", "--dry-run"], &planned[1..]].concat();
    let (planned, dry) = (sandbox.run(&planned).succeeded(), sandbox.run(&dry).succeeded());
    assert_eq!((planned.stdout, planned.stderr), (dry.stdout, dry.stderr));
    assert!(!sandbox.path("out").exists());
}

#[test]
fn plan_prints_a_table_or_json_and_writes_nothing() {
    let sandbox = example_sandbox();
    let plan = ["plan", "--input", "step_02", "--tokenizer-model", "builtin", "--cut-sizes", "2,9", "--output", "out"];
    let ran = sandbox.run(&plan).succeeded();
    let mut cases = Cases::default();
    cases.add("standard error", &ran.stderr);
    cases.add("standard output", &ran.stdout);
    assert_snapshot!(cases.0);
    let json = sandbox.run(&[&plan[..], &["--format", "json"]].concat()).succeeded().stdout;
    let plan: Value = serde_json::from_str(&json).expect("the text is JSON");
    assert!(!sandbox.path("out").exists());
    // The mix is what the plan says.
    sandbox.run(&mix_and(&["--cut-sizes", "2,9"])).succeeded();
    let made = test_support::rows::manifest(&sandbox.tree("out"));
    for part in ["settings", "tokenizer", "inputs", "sources", "cuts"] {
        assert_eq!(plan["manifest"][part], made[part], "{part}");
    }
    let metrics: Value = serde_json::from_slice(&sandbox.read("out/metrics.json")).expect("the text is JSON");
    assert_eq!(plan["metrics"], metrics);
    assert_eq!(plan["selected_cut"], 2);
}

#[test]
fn quiet_keeps_warnings_and_errors() {
    let sandbox = example_sandbox();
    let ran = sandbox.run(&mix_and(&["--quiet"])).succeeded();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let ran = sandbox.run(&mix_and(&["--quiet", "--cut-sizes", "2,9"])).succeeded();
    assert_eq!(ran.stdout, "");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran}");
    assert!(ran.stderr.starts_with("warning: cut 9 is not feasible"), "{ran}");
    let ran = sandbox.run_with(&mix_and(&["--cut-sizes", "9"]), &[("KNOWLEDGE_MIXING_QUIET", "TRUE")]);
    assert!(ran.stderr.contains("error:"), "{ran}");
}

#[test]
fn json_logs_are_one_object_per_line() {
    let sandbox = example_sandbox();
    sandbox.write("out/foreign.txt", "of another program");
    let mut levels = std::collections::BTreeSet::new();
    let mut events = std::collections::BTreeMap::<String, Value>::new();
    for (more, code) in [
        (&["--cut-sizes", "2,9"][..], 0),
        (&["--cut-sizes", "9"], 4),
        (&["--seed", "x"], 2),
        (&["--no-such-flag"], 2),
        (&["--input", "no\"where\n"], 66),
    ] {
        let ran = sandbox.run(&mix_and(&[&["--log-format", "json"], more].concat()));
        assert_eq!(ran.code, code, "{ran}");
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{ran}");
        for line in ran.stderr.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let level = line["level"].as_str().expect("a line has a level");
            let message = line["message"].as_str().expect("a line has a message");
            assert!(!message.is_empty() && !message.starts_with("error"), "{line}");
            let timestamp = line["timestamp"].as_str().expect("a line has a time");
            assert!(timestamp.len() == 24 && timestamp.ends_with('Z'), "{timestamp}");
            let is_last_error = |line: &Value| line["exit_code"] == code && line["level"] == "error";
            assert!(level != "error" || is_last_error(&line), "{line}");
            events.insert(line["event"].as_str().expect("a line has an event").to_owned(), line.clone());
            levels.insert(level.to_owned());
        }
    }
    assert_eq!(levels.into_iter().collect::<Vec<_>>(), ["error", "info", "warning"]);
    // Each event of the documentation, with its fields.
    let documented = std::fs::read_to_string(test_support::repository().join("docs/logs.md")).expect("docs/logs.md");
    for (event, line) in &events {
        let row =
            documented.lines().find(|row| row.starts_with(&format!("| `{event}` |"))).expect("a documented event");
        let fields = line.as_object().expect("an object").keys();
        let common = ["timestamp", "level", "event", "message"];
        for field in fields.filter(|field| !common.contains(&field.as_str())) {
            assert!(row.contains(&format!("`{field}`")), "{event}: {field} is not in docs/logs.md");
        }
    }
    assert_eq!(events["end"]["cuts"], serde_json::json!([2]));
    assert_eq!(events["cut"]["file"], "out/combined_cut_2x.jsonl");
}

#[test]
fn json_logs_carry_the_trace_of_the_caller() {
    let sandbox = example_sandbox();
    let trace = ("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let ran = sandbox.run_with(&mix_and(&["--log-format", "json"]), &[trace]);
    let line: Value = serde_json::from_str(ran.stderr.lines().next().expect("a line")).expect("JSON");
    assert_eq!(
        (&line["trace_id"], &line["parent_id"]),
        (&"0af7651916cd43dd8448eb211c80319c".into(), &"b7ad6b7169203331".into())
    );
}

#[test]
fn a_recipe_comes_from_standard_input() {
    let sandbox = example_sandbox();
    let run = |recipe: &str| {
        use std::io::Write;
        let mut command = sandbox.command(&mix_and(&["--recipe", "-"]));
        command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("cannot start the binary");
        child.stdin.take().expect("a pipe").write_all(recipe.as_bytes()).expect("cannot write");
        test_support::program::Ran::from(child.wait_with_output().expect("cannot wait"))
    };
    assert_eq!(run("seed: 7\n").code, 0);
    assert_eq!(test_support::rows::manifest(&sandbox.tree("out"))["settings"]["seed"], 7);
    let invalid = run("seeds: 7\n");
    assert_eq!(invalid.code, 2, "{invalid}");
    assert!(invalid.stderr.contains("standard input:1"), "{invalid}");
}
