//! Invalid settings: as a flag, as a variable, and in `.env`.

use crate::cli::{Cases, mix, refused, refused_by_binary};
use insta::assert_snapshot;
use test_support::rows::{MIX, example_sandbox};

/// A value is refused as a flag, as a variable and in `.env`. The message names the flag or variable, and the value.
fn everywhere(cases: &mut Cases, flag: &str, variable: &str, value: &str) {
    let sandbox = example_sandbox();
    let by_flag = refused_by_binary(&sandbox, 2, &[&format!("{flag}={value}")], &[]);
    // The rest of a location may hold a secret.
    let shown = value.split_once("://").map_or(value, |(scheme, _)| scheme);
    assert!(by_flag.contains(flag) && by_flag.contains(shown), "{by_flag}");
    // Without the flag, which would override the variable.
    let arguments: Vec<&str> = MIX[1..].chunks(2).filter(|pair| pair[0] != flag).flatten().copied().collect();
    let arguments = [&MIX[..1], &arguments[..]].concat();
    let by_variable = sandbox.run_with(&arguments, &[(variable, value)]);
    sandbox.write(".env", format!("{variable}=\"{value}\"\n"));
    let by_file = sandbox.run(&arguments);
    assert_eq!(by_variable.code, 2, "{by_variable}");
    assert!(by_variable.stderr.contains(variable) && by_variable.stderr.contains(shown), "{by_variable}");
    assert_eq!(by_file, by_variable);
    assert!(!sandbox.path("out").exists());
    cases.add(&format!("{flag} `{value}`"), &by_flag);
    cases.add(&format!("{variable} `{value}`"), &by_variable.message());
}

#[test]
fn cut_sizes() {
    let mut cases = Cases::default();
    for value in ["0", "-1", "x", "5,,6", "5,0", "5.5", "[5", "[]", "4294967296"] {
        everywhere(&mut cases, "--cut-sizes", "CUT_SIZES", value);
    }
    assert_snapshot!(cases.0);
}

#[test]
fn pairs_per_summary_and_seeds() {
    let mut cases = Cases::default();
    for value in ["0", "-1", "x", "2.5"] {
        everywhere(&mut cases, "--qa-per-doc", "QA_PER_DOC", value);
    }
    for value in ["x", "-1", "1.5", "9007199254740992"] {
        everywhere(&mut cases, "--seed", "SEED", value);
    }
    assert_snapshot!(cases.0);
}

#[test]
fn empty_values_count_as_not_given() {
    let sandbox = example_sandbox();
    let default = mix(&sandbox, &[]).settings;
    assert_eq!(mix(&sandbox, &["--seed", "", "--qa-per-doc", ""]).settings, default);
    std::fs::remove_dir_all(sandbox.path("out")).expect("cannot remove the output");
    // An unset variable in a command line must not select the default folder.
    for flag in ["--input", "--output"] {
        refused_by_binary(&sandbox, 2, &[flag, ""], &[]);
    }
}

#[test]
fn choices_switches_and_locations() {
    let mut cases = Cases::default();
    for (flag, variable) in [
        ("--save-gpt-oss-format", "SAVE_GPT_OSS_FORMAT"),
        ("--shuffle", "KNOWLEDGE_MIXING_SHUFFLE"),
        ("--columns", "KNOWLEDGE_MIXING_COLUMNS"),
        ("--compression", "KNOWLEDGE_MIXING_COMPRESSION"),
        ("--infeasible-cuts", "KNOWLEDGE_MIXING_INFEASIBLE_CUTS"),
        ("--bad-rows", "KNOWLEDGE_MIXING_BAD_ROWS"),
        ("--log-format", "KNOWLEDGE_MIXING_LOG_FORMAT"),
        ("--quiet", "KNOWLEDGE_MIXING_QUIET"),
        ("--threads", "KNOWLEDGE_MIXING_THREADS"),
        ("--select-cut", "KNOWLEDGE_MIXING_SELECT_CUT"),
        ("--max-retries", "KNOWLEDGE_MIXING_MAX_RETRIES"),
    ] {
        everywhere(&mut cases, flag, variable, "perhaps");
    }
    everywhere(&mut cases, "--threads", "KNOWLEDGE_MIXING_THREADS", "0");
    everywhere(&mut cases, "--reasoning", "REASONING", "a..b");
    everywhere(&mut cases, "--tokenizer-model", "TOKENIZER_MODEL", "ftp://host/tokenizer");
    everywhere(&mut cases, "--input", "INPUT_URI", "ftp://host/step_02");
    everywhere(&mut cases, "--output", "OUTPUT_URI", "ftp://host/step_03");
    assert_snapshot!(cases.0);
}

#[test]
fn command_lines() {
    let sandbox = example_sandbox();
    let mut cases = Cases::default();
    for arguments in [
        &[][..],
        &["mixx"],
        &["mix", "--cut-size", "5"],
        &["mix", "step_02"],
        &["mix", "--documents", "only"],
        &["plan", "--shuffle", "false"],
        &["plan", "--shuffle", "step_02"],
        &["mix", "--seed", "1", "--seed", "2"],
        &["mix", "--recipe", "nowhere.yaml"],
        &["mix", "--source-input", "key_facts_to_qa"],
        &["mix", "--cut-sizes=@nowhere.txt"],
        &["verify"],
        &["verify", "nowhere"],
        &["diff", "nowhere", "there"],
        &["plan", "--format", "xml"],
        &["component", "--for", "argo", "--upstream"],
    ] {
        let ran = sandbox.run(arguments);
        assert!([2, 66].contains(&ran.code), "{ran}");
        cases.add(&arguments.join(" "), &ran.message());
    }
    assert_snapshot!(cases.0);
}

#[test]
fn a_selected_cut_must_be_written() {
    let sandbox = example_sandbox();
    assert_snapshot!(refused(&sandbox, 4, &["--select-cut", "3"]));
}

#[test]
fn an_invalid_env_file_is_named_but_not_shown() {
    let sandbox = example_sandbox();
    sandbox.write(".env", "SEED=7\nAWS_SECRET_ACCESS_KEY='swordfish\n");
    let message = refused_by_binary(&sandbox, 2, &[], &[]);
    assert!(!message.contains("swordfish"));
    assert_snapshot!(message);
    std::fs::remove_file(sandbox.path(".env")).expect("cannot remove the file");
    // Neither is an invalid location shown, which may hold a secret.
    let message = refused_by_binary(&sandbox, 2, &["--output", "s3://key:swordfish@/"], &[]);
    assert!(!message.contains("swordfish"), "{message}");
}
