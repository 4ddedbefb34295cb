//! Standard input, output and error that are full, closed, or read by nobody. What is printed for people never decides: a mix
//! succeeds without it. What is the result of a sub-command has to arrive.

use std::fs::File;
use std::process::{Command, Stdio};
use test_support::program::{Ran, Sandbox};
use test_support::rows::{MIX, example_sandbox};

/// A standard stream, as a run gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Usual,
    /// Every write fails: there is no space.
    Full,
    /// The descriptor is closed. The runtime of Rust opens `/dev/null` instead, so that no other file gets its number.
    Closed,
    /// Nobody reads the pipe any more.
    Unread,
    /// Open for reading only.
    ReadOnly,
}

const STREAMS: [Stream; 5] = [Stream::Usual, Stream::Full, Stream::Closed, Stream::Unread, Stream::ReadOnly];

impl Stream {
    /// What a child process gets; the shell closes what has to be closed.
    fn stdio(self) -> Stdio {
        match self {
            Self::Usual | Self::Closed => Stdio::piped(),
            Self::Full => File::create("/dev/full").expect("cannot open /dev/full").into(),
            Self::ReadOnly => File::open("/dev/null").expect("cannot open /dev/null").into(),
            Self::Unread => std::io::pipe().expect("cannot create a pipe").1.into(),
        }
    }

    /// Whether a reader gets to know that it lacks what was written.
    fn loses(self) -> bool {
        matches!(self, Self::Full | Self::ReadOnly)
    }
}

/// Runs the binary with these streams.
fn run(sandbox: &Sandbox, arguments: &[&str], is_stdin_closed: bool, stdout: Stream, stderr: Stream) -> Ran {
    let close = |is_closed: bool, redirection: &'static str| if is_closed { redirection } else { "" };
    let redirections = [
        close(is_stdin_closed, "<&-"),
        close(stdout == Stream::Closed, ">&-"),
        close(stderr == Stream::Closed, "2>&-"),
    ];
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("exec \"$0\" \"$@\" {}", redirections.join(" "))]);
    command.arg(test_support::binary()).args(arguments).current_dir(sandbox.path("")).env_clear();
    command.stdin(Stdio::null()).stdout(stdout.stdio()).stderr(stderr.stdio());
    command.output().expect("cannot start the shell").into()
}

/// Calls `check` for every combination of standard streams.
fn each(mut check: impl FnMut(&str, bool, Stream, Stream)) {
    for is_stdin_closed in [false, true] {
        for stdout in STREAMS {
            for stderr in STREAMS {
                let what = format!("stdin closed: {is_stdin_closed}, stdout {stdout:?}, stderr {stderr:?}");
                check(&what, is_stdin_closed, stdout, stderr);
            }
        }
    }
}

#[test]
fn a_mix_is_published_whatever_becomes_of_its_output() {
    let sandbox = example_sandbox();
    sandbox.run(&MIX).succeeded();
    let expected = sandbox.tree("out");
    each(|what, is_stdin_closed, stdout, stderr| {
        std::fs::remove_dir_all(sandbox.path("out")).expect("cannot remove the output");
        let ran = run(&sandbox, &MIX, is_stdin_closed, stdout, stderr);
        assert_eq!(ran.code, 0, "{what}: {ran}");
        assert!(sandbox.tree("out") == expected, "{what}: {ran}");
        if (stdout, stderr) == (Stream::Full, Stream::Usual) {
            let warning = "warning: cannot write to standard output: No space left on device (os error 28)";
            assert!(ran.stderr.contains(warning), "{ran}");
        }
    });
}

#[test]
fn a_kubeflow_step_succeeds_whatever_becomes_of_its_output() {
    let sandbox = example_sandbox();
    let input = serde_json::json!({
        "inputs": {"parameterValues": {"input_uri": "step_02", "cut_sizes": "2", "tokenizer_model": "builtin"}},
        "outputs": {
            "artifacts": {"mixes": {"artifacts": [{"name": "mixes", "uri": sandbox.path("outputs/mixes")}]}},
            "outputFile": sandbox.path("outputs/executor_output.json"),
        },
    });
    let input = input.to_string();
    each(|what, is_stdin_closed, stdout, stderr| {
        let ran = run(&sandbox, &["kfp-step", "--executor-input", &input], is_stdin_closed, stdout, stderr);
        assert_eq!(ran.code, 0, "{what}: {ran}");
        let outputs = sandbox.tree("outputs");
        assert!(outputs.contains_key("mixes/manifest.json") && outputs.contains_key("executor_output.json"), "{what}");
        std::fs::remove_dir_all(sandbox.path("outputs")).expect("cannot remove the outputs");
    });
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let sandbox = example_sandbox();
    sandbox.run(&MIX).succeeded();
    let plan = [&["plan"], &MIX[1..]].concat();
    let checked = |arguments: &[&str], is_stdin_closed, stdout: Stream, stderr: Stream| {
        let ran = run(&sandbox, arguments, is_stdin_closed, stdout, stderr);
        let what =
            format!("{arguments:?}, stdin closed: {is_stdin_closed}, stdout {stdout:?}, stderr {stderr:?}: {ran}");
        assert_eq!(ran.code, if stdout.loses() { 74 } else { 0 }, "{what}");
        if stdout.loses() && stderr == Stream::Usual {
            assert!(ran.stderr.contains("error: cannot write to standard output: "), "{what}");
        }
    };
    each(|_, is_stdin_closed, stdout, stderr| checked(&plan, is_stdin_closed, stdout, stderr));
    sandbox.write("recipe.yaml", "seed: 1\n");
    for arguments in [
        &["plan", "--format", "json", "--input", "step_02", "--tokenizer-model", "builtin", "--cut-sizes", "2"][..],
        &["verify", "out"],
        &["diff", "out", "out"],
        &["sample", "out"],
        &["stats", "out/combined_cut_2x.jsonl"],
        &["init", "--input", "step_02", "-"],
        &["component"],
        &["component", "--upstream"],
        &["component", "--for", "argo"],
        &["recipe", "schema"],
        &["recipe", "example"],
        &["recipe", "check", "recipe.yaml"],
        &["--help"],
        &["-h"],
        &["mix", "--help"],
        &["--version"],
    ] {
        for stdout in STREAMS {
            for stderr in [Stream::Usual, Stream::Full] {
                checked(arguments, false, stdout, stderr);
            }
        }
    }
}

#[test]
fn an_error_keeps_its_exit_code_if_it_cannot_be_reported() {
    let sandbox = example_sandbox();
    for (arguments, code) in [
        (&["mix", "--input", "nowhere", "--output", "out", "--tokenizer-model", "builtin"][..], 66),
        (&["mix", "--input", "step_02", "--output", "out", "--seed", "x"], 2),
        (&["mix", "--no-such-flag"], 2),
        (&["recipe"], 2),
        (&[], 2),
        (&["@missing"], 2),
        (&["kfp-step", "--executor-input", "{}"], 2),
    ] {
        for stderr in STREAMS {
            let ran = run(&sandbox, arguments, false, Stream::Usual, stderr);
            assert_eq!(ran.code, code, "{arguments:?}, {stderr:?}: {ran}");
        }
    }
    sandbox.write(".env", "no equals sign");
    for stderr in STREAMS {
        let ran = run(&sandbox, &["recipe", "schema"], false, Stream::Usual, stderr);
        assert_eq!(ran.code, 2, "{stderr:?}: {ran}");
    }
}
