//! Standard output and standard error of successful runs.

use super::Cases;
use insta::assert_snapshot;
use serde_json::Value;
use test_support::rows::{example_sandbox, mix_and};

#[test]
fn a_run_ends_with_a_table() {
    let sandbox = example_sandbox();
    let ran = sandbox.run(&mix_and(&["--cut-sizes", "2,3,9"])).succeeded();
    let mut cases = Cases::default();
    cases.add("standard error", &ran.stderr);
    cases.add("standard output", &ran.stdout);
    assert_snapshot!(cases.0);
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
    for (more, code) in [
        (&["--cut-sizes", "2,9"][..], 0),
        (&["--cut-sizes", "9"], 4),
        (&["--seed", "x"], 2),
        (&["--input", "no\"where\n"], 66),
    ] {
        let ran = sandbox.run(&mix_and(&[&["--log-format", "json"], more].concat()));
        assert_eq!(ran.code, code, "{ran}");
        assert!(!ran.stderr.is_empty());
        for line in ran.stderr.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let level = line["level"].as_str().expect("a line has a level");
            assert!(line["message"].as_str().is_some_and(|message| !message.is_empty()), "{line}");
            levels.insert(level.to_owned());
        }
    }
    assert_eq!(levels.into_iter().collect::<Vec<_>>(), ["error", "info", "warning"]);
}
