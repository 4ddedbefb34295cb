//! Any number of output files, with few descriptors and few threads: a complete mix or a clear error, never a hang or a panic.

use super::in_process;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use test_support::program::{Ran, Sandbox};
use test_support::rows::{lines, summary_row};

/// The number of summaries of the one document, and so of the cuts that can be written.
const SUMMARIES: usize = 140;

/// Time in which each run has to end.
const TIME_LIMIT: Duration = Duration::from_secs(60);

const FORMATS: &str = "messages,tokens,messages-parquet,tokens-parquet";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let rows: Vec<_> = (0..SUMMARIES).map(|summary| summary_row(0, summary, 0)).collect();
    sandbox.write("step_02/extractive_summary/gen.jsonl", lines(&rows));
    sandbox
}

/// The arguments of a mix with these cuts, in four formats each.
fn mix(output: &str, cuts: impl IntoIterator<Item = usize>) -> Vec<String> {
    let cuts: Vec<String> = cuts.into_iter().map(|cut| cut.to_string()).collect();
    let arguments = ["mix", "--input", "step_02", "--output", output, "--columns", "training", "--formats", FORMATS];
    let more = ["--tokenizer-model", "builtin", "--cut-sizes", &cuts.join(",")];
    [&arguments[..], &more].concat().into_iter().map(str::to_owned).collect()
}

/// What was seen of a running program.
#[derive(Default)]
struct Peak {
    threads: usize,
    descriptors: usize,
}

/// Runs the binary with a limit, given as an option of `prlimit`.
fn run(sandbox: &Sandbox, limit: Option<&str>, user: Option<u32>, arguments: &[String]) -> (Ran, Peak) {
    let mut command = match limit {
        None => Command::new(test_support::binary()),
        Some(limit) => {
            let mut command = Command::new("prlimit");
            command.arg(limit).arg(test_support::binary());
            command
        }
    };
    user.map(|user| command.uid(user));
    command
        .args(arguments)
        .current_dir(sandbox.path(""))
        .env_clear()
        .envs(std::env::var_os("PATH").map(|p| ("PATH", p)));
    // Files instead of pipes: nobody has to read them while the program runs.
    let file = |name: &str| std::fs::File::create(sandbox.path(name)).expect("cannot create a file");
    command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
    let mut child = command.spawn().expect("cannot start the binary");
    let (began, mut peak) = (Instant::now(), Peak::default());
    let process = format!("/proc/{}", child.id());
    let count = |what: &str| std::fs::read_dir(format!("{process}/{what}")).map_or(0, Iterator::count);
    let status = loop {
        if let Some(status) = child.try_wait().expect("cannot wait for the binary") {
            break status;
        }
        peak.threads = peak.threads.max(count("task"));
        peak.descriptors = peak.descriptors.max(count("fd"));
        if began.elapsed() > TIME_LIMIT {
            let _ = child.kill();
            panic!("{limit:?}: still running after {TIME_LIMIT:?}: {}", sandbox.read_text("stderr"));
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let [stdout, stderr] = ["stdout", "stderr"].map(|name| sandbox.read(name));
    (std::process::Output { status, stdout, stderr }.into(), peak)
}

#[test]
fn any_number_of_files_is_written_in_bounded_descriptors_and_threads() {
    let sandbox = sandbox();
    let (ran, peak) = run(&sandbox, None, None, &mix("many", 1..=SUMMARIES));
    ran.succeeded();
    let many = sandbox.tree("many");
    // More than the 512 threads that tokio starts at most.
    assert_eq!(many.len(), 4 * SUMMARIES + 5, "the files, metrics, summary, report, card and manifest");
    for cut in [1, 17, 64, 65, SUMMARIES] {
        in_process::mix(&sandbox, &mix("one", [cut])[1..].iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let one = sandbox.tree("one");
        let files: Vec<_> = one.iter().filter(|(name, _)| name.starts_with("combined_cut_")).collect();
        assert_eq!(files.len(), 4, "cut {cut}");
        assert!(files.iter().all(|(name, content)| many.get(*name) == Some(*content)), "cut {cut}");
    }
    eprintln!("{} threads, {} descriptors", peak.threads, peak.descriptors);
    // A thread that has ended counts until the system has removed it, which takes its time on a busy machine.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert!(peak.threads <= 100 + 2 * cores, "{} threads", peak.threads);
    assert!(peak.descriptors <= 64 + 30, "{} descriptors", peak.descriptors);
}

#[test]
fn few_descriptors_make_more_passes_or_a_clear_error() {
    let sandbox = sandbox();
    run(&sandbox, None, None, &mix("expected", 1..=8)).0.succeeded();
    let expected = sandbox.tree("expected");
    let mut succeeded = 0;
    // With 3, the dynamic linker cannot open a library.
    for descriptors in (4..=20).chain([32, 64]) {
        let limit = format!("--nofile={descriptors}:{descriptors}");
        let (ran, _) = run(&sandbox, Some(&limit), None, &mix("out", 1..=8));
        assert_complete_or_refused(&ran, &sandbox, &expected, "raise the limit of open files: `ulimit -n", descriptors);
        succeeded += usize::from(ran.code == 0);
        assert!(descriptors < 20 || ran.code == 0, "{descriptors} descriptors: {ran}");
    }
    eprintln!("{succeeded} of 19 runs with few descriptors succeeded");
}

#[test]
fn few_threads_make_more_passes_or_a_clear_error() {
    /// A user that runs nothing else: the limit counts all threads of a user. It does not apply to root.
    const USER: u32 = 54_321;
    let sandbox = sandbox();
    run(&sandbox, None, None, &mix("expected", 1..=8)).0.succeeded();
    let expected = sandbox.tree("expected");
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(sandbox.path(""), everybody).expect("cannot change a mode");
    if !rustix::process::geteuid().is_root()
        || Command::new(test_support::binary()).arg("--version").uid(USER).output().is_err()
    {
        eprintln!("SKIPPED: cannot run the binary as another user (run as root, in a folder that every user may read)");
        return;
    }
    let mut succeeded = 0;
    for threads in (1..=16).chain([20, 24, 32, 64]) {
        let limit = format!("--nproc={threads}:{threads}");
        let mut arguments = mix("out", 1..=8);
        arguments.extend(["--threads".to_owned(), "2".to_owned()]);
        let (ran, _) = run(&sandbox, Some(&limit), Some(USER), &arguments);
        assert_complete_or_refused(&ran, &sandbox, &expected, "`ulimit -u`", threads);
        succeeded += usize::from(ran.code == 0);
    }
    eprintln!("{succeeded} of 20 runs with few threads succeeded");
    assert!(succeeded >= 4, "{succeeded}");
}

/// Asserts that a run has published the expected mix, or was refused with this hint and left nothing. Removes the mix.
#[track_caller]
fn assert_complete_or_refused(
    ran: &Ran,
    sandbox: &Sandbox,
    expected: &test_support::program::Tree,
    hint: &str,
    limit: usize,
) {
    let found = sandbox.tree("out");
    match ran.code {
        0 => assert!(found == *expected, "{limit}: {ran}"),
        74 => {
            assert!(ran.stderr.contains(hint) && !ran.stderr.contains("panicked"), "{limit}: {ran}");
            assert!(found.is_empty(), "{limit}: {:?}", found.keys());
        }
        _ => panic!("{limit}: {ran}"),
    }
    let _ = std::fs::remove_dir_all(sandbox.path("out"));
}
