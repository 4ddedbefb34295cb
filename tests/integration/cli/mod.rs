//! What a person or an engine sees of the real binary: messages, exit codes, files.

mod bad_input;
mod fuzz;
mod help;
mod logs;
mod precedence;
mod replace;
mod signals;

use std::sync::OnceLock;
use test_support::program::{Ran, Sandbox, Tree};
use test_support::rows::{MIX, example_sandbox, mix_and};

/// A finished mix of the small example, made once.
fn earlier_mix() -> &'static Tree {
    static EARLIER: OnceLock<Tree> = OnceLock::new();
    EARLIER.get_or_init(|| {
        let sandbox = example_sandbox();
        sandbox.run(&MIX).succeeded();
        sandbox.tree("out")
    })
}

/// A mix that has to fail: into an output with nothing in it, where nothing may be left, and into one with an earlier
/// mix, which has to stay as it is. Gives its message.
fn refused(sandbox: &Sandbox, code: i32, more: &[&str]) -> String {
    refused_with(sandbox, code, more, &[])
}

fn refused_with(sandbox: &Sandbox, code: i32, more: &[&str], environment: &[(&str, &str)]) -> String {
    let arguments = mix_and(more);
    let first = sandbox.run_with(&arguments, environment);
    assert_eq!(first.code, code, "{first}");
    assert_eq!(sandbox.tree("out").keys().collect::<Vec<_>>(), [] as [&String; 0], "nothing is left behind");
    sandbox.write_tree("out", earlier_mix());
    let second = sandbox.run_with(&arguments, environment);
    assert_eq!(second, first, "the same message with an earlier mix in the output");
    assert!(sandbox.tree("out") == *earlier_mix(), "the earlier mix is intact");
    std::fs::remove_dir_all(sandbox.path("out")).expect("the output");
    assert_eq!(first.stdout, "", "nothing but messages");
    first.message()
}

/// A mix of what stands in `step_02` that has to succeed.
fn accepted(sandbox: &Sandbox, more: &[&str]) -> Ran {
    sandbox.run(&mix_and(more)).succeeded()
}

/// Cases under their names, for one snapshot.
#[derive(Default)]
struct Cases(String);

impl Cases {
    fn add(&mut self, name: &str, text: &str) {
        self.0.push_str(&format!("## {name}\n{}\n\n", text.trim_end()));
    }
}
