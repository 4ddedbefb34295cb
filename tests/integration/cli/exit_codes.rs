//! Each exit code of the binary: its message on standard error, and no file left in the output. The in-process tests
//! cover the many errors behind each code. `signals` covers 130 and 143; no input is known that provokes 70.

use super::Cases;
use insta::assert_snapshot;
use test_support::program::{Ran, Sandbox};
use test_support::rows::{MIX, example_sandbox, mix_and};

#[test]
fn success_exits_with_0_and_publishes_a_manifest() {
    let sandbox = example_sandbox();
    let ran = sandbox.run(&MIX).succeeded();
    assert!(!ran.stderr.contains("error:"), "{ran}");
    assert!(sandbox.path("out/manifest.json").exists());
}

#[test]
fn every_failure_exits_with_its_code_and_publishes_nothing() {
    let sandbox = example_sandbox();
    sandbox.write("file", "not a folder");
    sandbox.write("bad/key_facts_to_qa/gen.jsonl", "not JSON\n");
    let mut cases = Cases::default();
    for (code, more) in [
        (2, &["--seed", "x"][..]),
        (3, &["--input", "bad"]),
        (4, &["--cut-sizes", "50"]),
        (66, &["--input", "nowhere"]),
        (74, &["--output", "file/out"]),
    ] {
        let ran = sandbox.run(&mix_and(more));
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{ran}");
        assert!(sandbox.tree("out").is_empty(), "{ran}");
        cases.add(&more.join(" "), &ran.message());
    }
    assert_eq!(sandbox.read("file"), b"not a folder");
    assert_snapshot!(cases.0);
}

#[test]
fn an_unreachable_service_exits_with_69() {
    let sandbox = example_sandbox();
    // Nothing listens on port 1.
    let variables = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("KNOWLEDGE_MIXING_MAX_RETRIES", "0"),
    ];
    let ran = sandbox.run_with(&mix_and(&["--input", "s3://bucket/step_02"]), &variables);
    assert_eq!((ran.code, ran.stdout.as_str()), (69, ""), "{ran}");
    assert!(ran.stderr.contains("error: s3://bucket/step_02"), "{ran}");
    assert!(sandbox.tree("out").is_empty());
}

#[test]
fn an_output_that_another_run_publishes_to_exits_with_75() {
    let sandbox = example_sandbox();
    sandbox.write("out/.knowledge-mixing.lock", "");
    let lock = std::fs::File::open(sandbox.path("out/.knowledge-mixing.lock")).expect("cannot open the lock");
    lock.lock().expect("cannot lock the output");
    let ran = sandbox.run(&MIX);
    assert_eq!((ran.code, ran.stdout.as_str()), (75, ""), "{ran}");
    assert_eq!(sandbox.tree("out").keys().collect::<Vec<_>>(), [".knowledge-mixing.lock"]);
    assert_snapshot!(ran.message());
}

/// Runs the binary with a limit of open files.
fn with_open_files(sandbox: &Sandbox, limit: u32, arguments: &[&str]) -> Ran {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n \"$1\" && shift && exec \"$@\"", "sh", &limit.to_string()]);
    command.arg(test_support::binary()).args(arguments).current_dir(sandbox.path("")).env_clear();
    command.output().expect("cannot start a shell").into()
}

#[test]
fn many_input_files_are_read_with_few_open_files() {
    let sandbox = example_sandbox();
    let rows = sandbox.read("step_02/extractive_summary/gen.jsonl");
    for number in 0..100 {
        sandbox.write(&format!("step_02/extractive_summary/{number}.jsonl"), &rows);
    }
    let ran = with_open_files(&sandbox, 24, &mix_and(&["--cut-sizes", "2"]));
    assert_eq!(ran.code, 0, "{ran}");
}

#[test]
fn too_few_open_files_exit_with_74_and_name_the_limit() {
    let sandbox = example_sandbox();
    for limit in 10..16 {
        let ran = with_open_files(&sandbox, limit, &mix_and(&[]));
        if ran.code == 0 {
            continue;
        }
        assert_eq!(ran.code, 74, "{limit}: {ran}");
        assert!(ran.stderr.contains("raise the limit of open files: `ulimit -n 1024`"), "{ran}");
        assert!(!sandbox.path("out/manifest.json").exists());
    }
}
