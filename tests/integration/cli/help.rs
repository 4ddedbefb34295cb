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
        &["recipe"],
        &["recipe", "schema"],
        &["recipe", "check"],
        &["recipe", "example"],
        &["component"],
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
    let version = sandbox.run(&["--version"]).succeeded().stdout;
    assert_eq!(version, concat!("knowledge-mixing ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn help_lists_every_exit_code() {
    let sandbox = Sandbox::new();
    for command in [&[][..], &["mix"], &["plan"], &["verify"], &["diff"]] {
        let help = sandbox.run(&[command, &["--help"]].concat()).stdout;
        for code in [0, 2, 3, 4, 66, 69, 70, 74, 75, 130, 143] {
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
