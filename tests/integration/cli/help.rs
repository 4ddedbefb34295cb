//! Help, version, and the sub-commands that read a finished mix.

use super::Cases;
use insta::assert_snapshot;
use test_support::program::Sandbox;

#[test]
fn help_of_every_sub_command() {
    let sandbox = Sandbox::new();
    let mut cases = Cases::default();
    for command in [
        &[][..],
        &["mix"],
        &["plan"],
        &["verify"],
        &["diff"],
        &["report"],
        &["sample"],
        &["stats"],
        &["init"],
        &["clean"],
        &["recipe"],
        &["recipe", "schema"],
        &["recipe", "check"],
        &["recipe", "example"],
        &["component"],
        &["completions"],
        &["man"],
        &["kfp-step"],
    ] {
        let ran = sandbox.run(&[command, &["--help"]].concat()).succeeded();
        assert_eq!(ran.stderr, "");
        cases.add(&format!("knowledge-mixing {} --help", command.join(" ")), &ran.stdout);
    }
    assert_snapshot!(cases.0);
}

#[test]
fn version_is_that_of_the_crate() {
    let sandbox = Sandbox::new();
    let version = sandbox.run(&["-V"]).succeeded().stdout;
    assert_eq!(version, concat!("knowledge-mixing ", env!("CARGO_PKG_VERSION"), "\n"));
    // And the version of the library that counts tokens.
    let lock = std::fs::read_to_string(test_support::repository().join("Cargo.lock")).expect("cannot read Cargo.lock");
    let (_, after) = lock.split_once("name = \"tokenizers\"\nversion = \"").expect("the library is locked");
    let tokenizers = after.split('"').next().expect("a version");
    let long = sandbox.run(&["--version"]).succeeded().stdout;
    assert!(long.starts_with(version.trim_end()) && long.ends_with(&format!("\ntokenizers {tokenizers}\n")), "{long}");
}

#[test]
fn help_is_also_a_sub_command_and_a_manual_page_and_completions() {
    let sandbox = Sandbox::new();
    let run = |arguments: &[&str]| sandbox.run(arguments).succeeded().stdout;
    assert_eq!(run(&["help", "verify"]), run(&["verify", "--help"]));
    let page = run(&["man"]);
    assert!(page.starts_with(".ie") && page.contains(".SH SYNOPSIS") && page.contains("knowledge\\-mixing"), "{page}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]);
        assert!(script.contains("knowledge-mixing") && script.contains("tokenizer-model"), "{shell}: {script}");
    }
    // In short, one line for each flag.
    let short = run(&["mix", "-h"]);
    let flags = short.lines().filter(|line| line.trim_start().starts_with("--") || line.trim_start().starts_with('-'));
    assert!(flags.clone().count() > 30);
}

#[test]
fn the_reports_of_a_finished_mix_are_printed() {
    let sandbox = test_support::rows::example_sandbox();
    super::mix(&sandbox, &[]);
    for (flags, file) in
        [(&[][..], "summary.md"), (&["--format", "html"], "report.html"), (&["--format", "json"], "metrics.json")]
    {
        let ran = sandbox.run(&[&["report", "out"], flags].concat()).succeeded();
        assert_eq!(ran.stdout, sandbox.read_text(&format!("out/{file}")), "{flags:?}");
    }
    sandbox.write("out/summary.md", "changed");
    let ran = sandbox.run(&["report", "out"]);
    assert_eq!(ran.code, 3, "{ran}");
    assert!(ran.message().contains("out/summary.md: the file is not the one that the manifest names"), "{ran}");
    assert_eq!(sandbox.run(&["report", "nowhere"]).code, 66);
}

#[test]
fn differences_are_an_exit_code_and_json_if_wanted() {
    let sandbox = test_support::rows::example_sandbox();
    super::mix(&sandbox, &[]);
    super::mix(&sandbox, &["--output", "other", "--seed", "7"]);
    let run = |arguments: &[&str]| sandbox.run(&[&["diff"], arguments].concat());
    assert_eq!((run(&["out", "other"]).code, run(&["out", "out", "--exit-code"]).code), (0, 0));
    let ran = run(&["out", "other", "--exit-code", "--format", "json"]);
    assert_eq!(ran.code, 1, "{ran}");
    let list: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).expect("the text is JSON");
    let seed = serde_json::json!({"group": "settings", "what": "seed", "a": "42", "b": "7"});
    assert!(list.contains(&seed), "{}", ran.stdout);
    assert_eq!(run(&["out", "out", "--format", "json"]).stdout, "[]\n");
}

#[test]
fn help_lists_every_exit_code() {
    let sandbox = Sandbox::new();
    for command in [&[][..], &["mix"], &["plan"], &["verify"], &["diff"]] {
        let help = sandbox.run(&[command, &["--help"]].concat()).stdout;
        for code in [0, 1, 2, 3, 4, 66, 69, 70, 74, 75, 130, 143] {
            let named = help.lines().any(|line| line.trim_start().starts_with(&format!("{code}  ")));
            assert!(named, "{command:?} does not name exit code {code}");
        }
    }
}

#[test]
fn a_finished_mix_can_be_verified_and_compared() {
    let sandbox = test_support::rows::example_sandbox();
    super::mix(&sandbox, &[]);
    let mut cases = Cases::default();
    cases.add("verify", &sandbox.run(&["verify", "out"]).succeeded().stdout.replace(char::is_numeric, "#"));
    sandbox
        .run(&[
            "mix",
            "--input",
            "step_02",
            "--output",
            "other",
            "--tokenizer-model",
            "builtin",
            "--cut-sizes",
            "1,2",
            "--seed",
            "7",
        ])
        .succeeded();
    cases.add("diff with itself", &sandbox.run(&["diff", "out", "out"]).succeeded().stdout);
    cases.add("diff", &sandbox.run(&["diff", "out", "other"]).succeeded().stdout);
    let mix = sandbox.read_text("out/combined_cut_2x.jsonl");
    sandbox.write("out/combined_cut_2x.jsonl", mix.replacen("lamp", "lump", 1));
    let ran = sandbox.run(&["verify", "out"]);
    assert_eq!(ran.code, 3, "{ran}");
    cases.add("verify a mix with one letter changed", &ran.message());
    std::fs::remove_file(sandbox.path("out/combined_cut_2x.jsonl")).expect("cannot remove the file");
    let ran = sandbox.run(&["verify", "out"]);
    assert!(ran.code != 0, "{ran}");
    cases.add("verify a mix with one file gone", &ran.message());
    assert_snapshot!(without_digests(&cases.0));
}

/// Replaces digests, which change with every word of a report.
fn without_digests(text: &str) -> String {
    let digest = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_hexdigit()).filter(digest).collect();
    words.iter().fold(text.to_owned(), |text, word| text.replace(word, "[digest]"))
}
