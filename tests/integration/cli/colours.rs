//! Colours of errors, warnings, help and the end of a run: each stream decides for itself, and variables overrule it.

use std::process::{Command, Output, Stdio};
use test_support::rows::{MIX, example_sandbox};

/// What is printed, and the beginning of it in colour.
const LINES: [(&[&str], &str, &str); 5] = [
    (&["verify", "nowhere"], "error: ", "\x1b[1;31merror:\x1b[0m "),
    (&["recipe", "check", "{seed: 7}"], "warning: ", "\x1b[1;33mwarning:\x1b[0m "),
    (&["mix", "--help"], "Usage: ", "Usage:\x1b["),
    (&["mix", "--nope"], "error: ", "\x1b[31merror:\x1b["),
    (&MIX, "mixed ", "\x1b[1mmixed "),
];

/// Runs the program with these variables, and one that causes a warning; with `is_terminal`, on a terminal.
fn printed(folder: &std::path::Path, arguments: &[&str], variables: &[(&str, &str)], is_terminal: bool) -> String {
    let binary = test_support::binary();
    let mut command = match is_terminal {
        true => {
            let quoted = std::iter::once(binary.to_str().unwrap()).chain(arguments.iter().copied());
            let line = quoted.map(|text| format!("'{text}'")).collect::<Vec<_>>().join(" ");
            let mut script = Command::new("script");
            script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
            script
        }
        false => {
            let mut program = Command::new(binary);
            program.args(arguments);
            program
        }
    };
    command.env_clear().envs([("TERM", "xterm"), ("KNOWLEDGE_MIXING_NOTHING", "1"), ("PATH", "/usr/bin:/bin")]);
    command.envs(variables.iter().copied()).current_dir(folder).stdin(Stdio::null());
    let Output { stdout, stderr, .. } = command.output().expect("cannot start the program");
    String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()
}

fn check(variables: &[(&str, &str)], is_terminal: bool, has_colours: bool) {
    let sandbox = example_sandbox();
    for (arguments, plain, coloured) in LINES {
        let text = printed(&sandbox.path(""), arguments, variables, is_terminal);
        let what = format!("{variables:?}, terminal {is_terminal}: {text:?}");
        match has_colours {
            true => assert!(text.contains(coloured), "{what}"),
            // A terminal gets progress bars in any case.
            false => assert!(text.contains(plain) && !text.contains(coloured), "{what}"),
        }
        assert!(is_terminal || has_colours || !text.contains('\x1b'), "{what}");
    }
}

#[test]
fn a_pipe_has_colours_only_if_they_are_forced() {
    for (variables, has_colours) in [
        (&[][..], false),
        (&[("CLICOLOR", "1")], false),
        (&[("CLICOLOR_FORCE", "0")], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")], true),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")], true),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
    ] {
        check(variables, false, has_colours);
    }
}

/// On a terminal of `script`, of util-linux.
#[test]
fn a_terminal_has_colours_unless_they_are_refused() {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("NOT RUN: colours on a terminal: script not found");
        return;
    }
    for (variables, has_colours) in [
        (&[][..], true),
        (&[("CLICOLOR", "1")], true),
        (&[("CLICOLOR", "0")], false),
        (&[("CLICOLOR", "0"), ("CLICOLOR_FORCE", "1")], true),
        (&[("NO_COLOR", "1")], false),
        (&[("TERM", "dumb")], false),
    ] {
        check(variables, true, has_colours);
    }
}

#[test]
fn json_logs_have_no_colours() {
    let sandbox = example_sandbox();
    let arguments = ["verify", "nowhere", "--log-format", "json"];
    let text = printed(&sandbox.path(""), &arguments, &[("CLICOLOR_FORCE", "1")], false);
    assert!(text.contains("\"level\":\"error\"") && !text.contains("\\u001b") && !text.contains('\x1b'), "{text:?}");
}
