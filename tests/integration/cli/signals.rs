//! SIGTERM and SIGINT end a run within a second, and no file remains. Exit codes 143 and 130.

use super::earlier_mix;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use test_support::program::{Sandbox, within};
use test_support::rows::summary_row;

/// Input that keeps a debug binary busy: 200 MB of rows, each with its own text.
fn large_input() -> &'static Sandbox {
    static LARGE: OnceLock<Sandbox> = OnceLock::new();
    LARGE.get_or_init(|| {
        let sandbox = Sandbox::new();
        sandbox.write("step_02/extractive_summary/gen.jsonl", "");
        let file = std::fs::File::create(sandbox.path("step_02/extractive_summary/gen.jsonl"))
            .expect("cannot write the input");
        let mut file = std::io::BufWriter::with_capacity(1 << 20, file);
        let padding = "The keeper writes down the hour, the wind and the ships that pass. ".repeat(30);
        for at in 0..80_000 {
            let mut row = summary_row(at / 8, at / 2, at % 2);
            row["response"] = format!("{at}: {padding}").into();
            writeln!(file, "{row}").expect("cannot write the input");
        }
        file.flush().expect("cannot write the input");
        sandbox
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

fn signalled(signal: Signal, code: i32, moment: impl Fn(&Sandbox) -> bool) {
    signalled_with(&[], signal, code, moment);
}

fn signalled_with(more: &[&str], signal: Signal, code: i32, moment: impl Fn(&Sandbox) -> bool) {
    let sandbox = Sandbox::new();
    sandbox.write_tree("out", earlier_mix());
    sandbox.write("slow.jinja", "{% for i in range(100000) %}{% endfor %}{{ messages[0].content }}");
    let input = large_input().path("step_02").to_string_lossy().into_owned();
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
    eprintln!("ended {took:?} after the signal");
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

fn reading_for(time: Duration) -> impl Fn(&Sandbox) -> bool {
    let start = Instant::now();
    move |_| start.elapsed() > time
}

#[test]
fn sigterm_while_reading_exits_with_143() {
    large_input();
    signalled(Signal::TERM, 143, reading_for(Duration::from_millis(500)));
}

#[test]
fn sigint_while_reading_exits_with_130() {
    large_input();
    signalled(Signal::INT, 130, reading_for(Duration::from_millis(700)));
}

/// The template is slow, and the counting threads do not check for signals.
#[test]
fn sigterm_while_counting_exits_with_143() {
    large_input();
    signalled_with(&["--chat-template", "slow.jinja"], Signal::TERM, 143, reading_for(Duration::from_secs(20)));
}

#[test]
fn sigterm_while_writing_exits_with_143() {
    large_input();
    signalled(Signal::TERM, 143, writing);
}
