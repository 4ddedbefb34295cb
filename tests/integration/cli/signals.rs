//! SIGTERM and SIGINT end a run within a second, and no file remains. Exit codes 143 and 130.

use super::earlier_mix;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use test_support::program::{Sandbox, within};
use test_support::rows::summary_row;

/// Rows of one source, each with its own text.
fn input(rows: usize, text: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("step_02/extractive_summary/gen.jsonl", "");
    let file = std::fs::File::create(sandbox.path("step_02/extractive_summary/gen.jsonl"));
    let mut file = std::io::BufWriter::with_capacity(1 << 20, file.expect("cannot write the input"));
    for at in 0..rows {
        let mut row = summary_row(at / 8, at / 2, at % 2);
        row["response"] = format!("{at}: {text}").into();
        writeln!(file, "{row}").expect("cannot write the input");
    }
    file.flush().expect("cannot write the input");
    sandbox
}

/// Input that keeps a debug binary busy: 200 MB of rows.
fn large_input() -> &'static Sandbox {
    static LARGE: OnceLock<Sandbox> = OnceLock::new();
    LARGE.get_or_init(|| {
        input(80_000, &"The keeper writes down the hour, the wind and the ships that pass. ".repeat(30))
    })
}

fn start(sandbox: &Sandbox, input: &str, more: &[&str]) -> Child {
    let arguments =
        ["mix", "--input", input, "--output", "out", "--tokenizer-model", "builtin", "--cut-sizes", "1,2,3,4"];
    sandbox
        .command(&[&arguments, more].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cannot start the binary")
}

/// Sends a signal to a mix once `moment` has come; the mix replaces an earlier one.
fn signalled(input: &Sandbox, more: &[&str], signal: Signal, code: i32, moment: impl Fn(&Sandbox) -> bool) {
    let sandbox = Sandbox::new();
    sandbox.write_tree("out", earlier_mix());
    sandbox.write("slow.jinja", "{% for i in range(100000) %}{% endfor %}{{ messages[0].content }}");
    let input = input.path("step_02").to_string_lossy().into_owned();
    let mut child = start(&sandbox, &input, more);
    assert!(within(Duration::from_secs(120), || moment(&sandbox)
        || child.try_wait().expect("cannot wait for the binary").is_some()));
    assert!(
        child.try_wait().expect("cannot wait for the binary").is_none(),
        "the run ended before the signal: enlarge the input"
    );
    let start = Instant::now();
    kill_process(Pid::from_child(&child), signal).expect("cannot send the signal");
    let ran: test_support::program::Ran = child.wait_with_output().expect("cannot wait for the binary").into();
    let took = start.elapsed();
    assert_eq!(ran.code, code, "{ran}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(ran.stderr.contains("stopped by SIG"), "{ran}");
    assert!(sandbox.tree("out") == *earlier_mix(), "{:?}", sandbox.tree("out").keys());
}

/// Whether staging files have grown: the run is writing.
fn writing(sandbox: &Sandbox) -> bool {
    let known = earlier_mix();
    sandbox.tree("out").iter().any(|(name, bytes)| !known.contains_key(name) && bytes.len() > 1_000_000)
}

/// Whether this time has passed.
fn after(time: Duration) -> impl Fn(&Sandbox) -> bool {
    let start = Instant::now();
    move |_| start.elapsed() > time
}

#[test]
fn sigterm_while_reading_exits_with_143() {
    signalled(large_input(), &[], Signal::TERM, 143, after(Duration::from_millis(500)));
}

#[test]
fn sigint_while_reading_exits_with_130() {
    signalled(large_input(), &[], Signal::INT, 130, after(Duration::from_millis(700)));
}

/// Counting with a slow template takes minutes, and the counting threads do not check for signals.
#[test]
fn sigterm_while_counting_exits_with_143() {
    let short_to_read = input(20_000, "At dusk.");
    let slow = ["--chat-template", "slow.jinja"];
    signalled(&short_to_read, &slow, Signal::TERM, 143, after(Duration::from_secs(5)));
}

#[test]
fn sigterm_while_writing_exits_with_143() {
    signalled(large_input(), &[], Signal::TERM, 143, writing);
}
