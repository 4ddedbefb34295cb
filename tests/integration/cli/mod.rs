//! What a person or an engine sees: messages, exit codes, files.

mod bad_input;
mod colours;
mod deep;
mod exit_codes;
mod fuzz;
mod help;
mod init;
mod limits;
mod logs;
mod messages;
mod modes;
mod precedence;
mod replace;
mod sample;
mod secrets;
mod signals;
mod stats;
mod streams;
mod tokenizers;
mod watchdog;

use crate::in_process;
use knowledge_mixing::testing::Manifest;
use std::sync::OnceLock;
use test_support::program::{Ran, Sandbox, Tree};
use test_support::rows::{example_sandbox, mix_and};

/// A finished mix of the small example.
fn earlier_mix() -> &'static Tree {
    static EARLIER: OnceLock<Tree> = OnceLock::new();
    EARLIER.get_or_init(|| {
        let sandbox = example_sandbox();
        mix(&sandbox, &[]);
        sandbox.tree("out")
    })
}

/// Mixes `step_02` in this process, which must succeed.
#[track_caller]
fn mix(sandbox: &Sandbox, more: &[&str]) -> Manifest {
    in_process::mix(sandbox, &mix_and(more)[1..]).expect("the mix succeeds")
}

/// Mixes `step_02` with the binary, which must succeed.
#[track_caller]
fn accepted(sandbox: &Sandbox, more: &[&str]) -> Ran {
    sandbox.run(&mix_and(more)).succeeded()
}

/// Mixes `step_02` in this process, which must fail with this exit code and leave the output as it was. Returns the
/// message.
#[track_caller]
fn refused(sandbox: &Sandbox, code: u8, more: &[&str]) -> String {
    let arguments = mix_and(more);
    leaves_the_output_untouched(sandbox, || {
        let error = in_process::mix(sandbox, &arguments[1..]).expect_err("the mix fails");
        assert_eq!(error.kind().exit_code(), code, "{error}");
        in_process::message(sandbox, &error)
    })
}

/// As [`refused`], with the binary and these variables: for what depends on the environment.
#[track_caller]
fn refused_by_binary(sandbox: &Sandbox, code: i32, more: &[&str], variables: &[(&str, &str)]) -> String {
    let arguments = mix_and(more);
    leaves_the_output_untouched(sandbox, || {
        let ran = sandbox.run_with(&arguments, variables);
        assert_eq!(ran.code, code, "{ran}");
        assert_eq!(ran.stdout, "", "errors go to standard error");
        ran.message()
    })
}

/// Runs a mix that fails twice: into an empty output, where no file may remain, and into one with an earlier mix, which
/// must stay as it is. Both times the message is the same.
#[track_caller]
fn leaves_the_output_untouched(sandbox: &Sandbox, run: impl Fn() -> String) -> String {
    let first = run();
    assert_eq!(sandbox.tree("out").keys().collect::<Vec<_>>(), [] as [&String; 0], "no file remains");
    sandbox.write_tree("out", earlier_mix());
    assert_eq!(run(), first, "the message does not depend on an earlier mix");
    assert!(sandbox.tree("out") == *earlier_mix(), "the earlier mix is intact");
    std::fs::remove_dir_all(sandbox.path("out")).expect("cannot remove the output");
    first
}

/// Named cases in one snapshot.
#[derive(Default)]
struct Cases(String);

impl Cases {
    fn add(&mut self, name: &str, text: &str) {
        self.0.push_str(&format!("## {name}\n{}\n\n", text.trim_end()));
    }
}

/// The end of a run with a fixed time.
fn without_seconds(text: &str) -> String {
    let line = text.lines().find(|line| line.starts_with("mixed ")).expect("a line about the rows");
    let (before, after) = line.split_once(" in ").expect("a line with the time");
    text.replace(line, &format!("{before} in 0.1 s{}", &after[after.find(',').expect("a comma")..]))
}
