//! Every system call of a run that publishes into a folder fails, one after the other. Then the run says the truth, and the folder
//! holds a complete mix or none.

use crate::support::outside::{self, Ran, command, examples, files, succeed};
use crate::support::shim::{self, EIO, ENOSPC, Fault, KINDS, Mode, Shim};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Time in which a run has to end, which takes a tenth of a second without a fault on an idle machine.
const TIME_LIMIT: Duration = Duration::from_secs(20);

type Files = BTreeMap<String, Vec<u8>>;

/// The arguments of a mix. Another seed gives other files, more cuts give more of them.
fn mix<'a>(input: &'a str, output: &'a str, cuts: &'a str, seed: &'a str) -> Vec<&'a str> {
    let arguments = ["mix", "--input", input, "--output", output, "--cut-sizes", cuts, "--seed", seed];
    [&arguments[..], &["--tokenizer-model", "builtin", "--threads", "1"]].concat()
}

/// The mix that the folder holds before a run with a fault, and the one that the run is to write.
struct Setting {
    shim: &'static Shim,
    input: String,
    earlier: Files,
    expected: Files,
}

impl Setting {
    fn new() -> Option<Self> {
        let (shim, input) = (Shim::find()?, examples().to_str().unwrap().to_owned());
        let made = |cuts: &str, seed: &str| {
            let folder = tempfile::tempdir().unwrap();
            succeed(&mix(&input, folder.path().to_str().unwrap(), cuts, seed), &Vec::new());
            files(folder.path())
        };
        // The earlier mix has a file that the new one has not.
        let (earlier, mut expected) = (made("2,3", "1"), made("2", "2"));
        without_run_id(&mut expected);
        Some(Self { shim, input, earlier, expected })
    }

    /// A run with a fault; `None` if it made fewer calls of the kind. Else what was wrong, each as one sentence.
    fn run(&self, fault: Fault) -> Option<(Outcome, Vec<String>)> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (output, log) = (root.join("all/out"), root.join("log"));
        std::fs::create_dir_all(&output).unwrap();
        self.earlier.iter().for_each(|(name, content)| std::fs::write(output.join(name), content).unwrap());
        let arguments = mix(&self.input, output.to_str().unwrap(), "2", "2");
        let mut command = command(&arguments, &Vec::new());
        self.shim.preload(&mut command, &root.join("all"), &log, Some(fault));
        let ran = within_limit(&mut command, &root);
        if !shim::calls(&log).iter().any(|call| call.has_failed) {
            return None;
        }
        let mut wrong = Vec::new();
        let outcome = match ran {
            Some(ran) => {
                let err = ran.err.replace(&*root.join("all").to_string_lossy(), "[folder]");
                self.judge(&files(&output), &Ran { err, ..ran }, &mut wrong)
            }
            None => {
                wrong.push(format!("the run does not end within {TIME_LIMIT:?}"));
                Outcome::Hangs
            }
        };
        let next = outside::run(&arguments, &Vec::new());
        if next.code != Some(0) {
            wrong.push(format!("the next run fails: {}", next.err.trim_end()));
        }
        let mut found = files(&output);
        without_run_id(&mut found);
        for (name, content) in &self.expected {
            if found.get(name) != Some(content) {
                wrong.push(format!("after the next run, {name} is missing or differs"));
            }
        }
        for name in found.keys().filter(|name| !self.expected.contains_key(*name)) {
            wrong.push(format!("after the next run, {} is left", without_run(name)));
        }
        Some((outcome, wrong))
    }

    /// Judges what a run with a fault says and leaves.
    fn judge(&self, found: &Files, ran: &Ran, wrong: &mut Vec<String>) -> Outcome {
        let message = ran.err.trim_end();
        if matches!(ran.code, None | Some(70 | 101)) || ran.err.contains("panicked") {
            wrong.push(format!("panic or signal: {:?}: {message}", ran.code));
        }
        let state = state(found);
        if let State::Torn(what) = &state {
            wrong.push(format!("the manifest says complete, but {what} (exit {:?}: {message})", ran.code));
        }
        let is_earlier = state == State::Complete && found.get("manifest.json") == self.earlier.get("manifest.json");
        // A warning that the fault has caused is in the report, so not every file is as expected.
        let is_row_file = |name: &str| name.starts_with("combined_cut_");
        let rows = self.expected.iter().filter(|(name, _)| is_row_file(name));
        let has_rows = rows.into_iter().all(|(name, content)| found.get(name) == Some(content));
        let is_new = state == State::Complete && !is_earlier && has_rows;
        let says_complete = ["the mix is complete", "already complete"].iter().any(|words| ran.err.contains(words));
        if says_complete && !is_new {
            wrong.push(format!("the message says that the mix is complete, and it is not: {message}"));
        }
        let is_published = |(name, content): (&String, &Vec<u8>)| {
            !name.starts_with('.') && name != "manifest.json" && self.earlier.get(name) != Some(content)
        };
        if ran.err.contains("nothing was published") && (is_new || found.iter().any(is_published)) {
            wrong.push(format!("the message says that nothing was published, but files are: {message}"));
        }
        match (ran.code, &state) {
            (Some(0), _) if is_new => Outcome::Succeeds,
            (Some(0), _) => {
                wrong.push(format!("exit 0 without the mix: {state:?}: {message}"));
                Outcome::Succeeds
            }
            (_, State::Absent | State::Torn(_)) => Outcome::WithoutMix,
            _ if is_earlier => Outcome::EarlierMix,
            _ => {
                if !says_complete {
                    wrong.push(format!("the mix is complete, and the message does not say so: {message}"));
                }
                Outcome::CompleteMix
            }
        }
    }
}

/// Removes what differs between two runs that make the same mix.
fn without_run_id(files: &mut Files) {
    files.get_mut("manifest.json").into_iter().for_each(crate::support::program::without_run);
}

/// How a run with a fault has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Succeeds,
    EarlierMix,
    WithoutMix,
    CompleteMix,
    Hangs,
}

/// What the manifest in a folder says, and whether it is so.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// There is no manifest, or one of a mix that is being replaced.
    Absent,
    Complete,
    /// It says that the mix is complete, and it is not.
    Torn(String),
}

fn state(found: &Files) -> State {
    let Some(manifest) = found.get("manifest.json") else { return State::Absent };
    let Ok(manifest) = serde_json::from_slice::<Value>(manifest) else {
        return State::Torn("it is not valid JSON".to_owned());
    };
    match manifest.get("state").map(|state| state.as_str()) {
        None | Some(Some("complete")) => {}
        Some(_) => return State::Absent,
    }
    for output in manifest["outputs"].as_array().unwrap() {
        let name = output["name"].as_str().unwrap();
        let Some(content) = found.get(name) else { return State::Torn(format!("{name} is missing")) };
        if output["bytes"] != content.len() || output["digest"] != blake3::hash(content).to_hex().as_str() {
            return State::Torn(format!("{name} has {} bytes or another digest", content.len()));
        }
    }
    State::Complete
}

/// Runs a command; `None` if it does not end in time.
fn within_limit(command: &mut std::process::Command, folder: &Path) -> Option<Ran> {
    // Files instead of pipes: nobody has to read them while the program runs.
    let [out, err] = ["stdout", "stderr"].map(|name| folder.join(name));
    command
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&out).unwrap())
        .stderr(std::fs::File::create(&err).unwrap());
    let (mut child, began) = (command.spawn().unwrap(), Instant::now());
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if began.elapsed() > TIME_LIMIT => {
                child.kill().unwrap();
                child.wait().unwrap();
                return None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let [stdout, stderr] = [out, err].map(|path| std::fs::read(path).unwrap());
    Some(std::process::Output { status, stdout, stderr }.into())
}

/// A name without the number of the run, which is random.
fn without_run(name: &str) -> String {
    match name.strip_prefix(".knowledge-mixing-") {
        Some(rest) => format!(".knowledge-mixing-RUN{}", rest.trim_start_matches(|c: char| c.is_ascii_hexdigit())),
        None => name.to_owned(),
    }
}

/// Runs every fault of these kinds, errors and modes.
fn assert_every_fault(faults: &[(&'static str, i32, Mode)]) {
    let Some(setting) = Setting::new() else { return };
    let (wrong, counts) = (Mutex::new(BTreeMap::<String, BTreeSet<String>>::new()), Mutex::new(BTreeMap::new()));
    outside::each(faults.len() as u64, 4, |at| {
        let (kind, errno, mode) = faults[at as usize];
        for number in 1.. {
            let fault = Fault { kind, number, errno, mode };
            let Some((outcome, found)) = setting.run(fault) else { break };
            *counts.lock().unwrap().entry((kind, outcome)).or_insert(0) += 1;
            for what in found {
                let case = format!("{kind} {number}, error {errno}, {mode:?}").to_lowercase();
                wrong.lock().unwrap().entry(what).or_default().insert(case);
            }
        }
    });
    let (wrong, counts) = (wrong.into_inner().unwrap(), counts.into_inner().unwrap());
    let runs: usize = counts.values().sum();
    eprintln!("{runs} runs, each with a fault, by kind and outcome: {counts:?}");
    let list = |(what, cases): (&String, &BTreeSet<String>)| {
        format!("{what}\n    {}", cases.iter().cloned().collect::<Vec<_>>().join("\n    "))
    };
    let list: Vec<String> = wrong.iter().map(list).collect();
    let problems: usize = wrong.values().map(BTreeSet::len).sum();
    assert!(list.is_empty(), "{problems} problems in {runs} runs with a fault:\n{}", list.join("\n"));
    assert!(runs >= 10, "too few: {runs}");
}

/// Every kind with these modes.
fn all_kinds(errno: i32, modes: &[Mode]) -> Vec<(&'static str, i32, Mode)> {
    KINDS.iter().flat_map(|kind| modes.iter().map(move |mode| (*kind, errno, *mode))).collect()
}

#[test]
fn the_shim_sees_the_calls_of_a_run() {
    let Some(setting) = Setting::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let (output, log) = (root.join("all/out"), root.join("log"));
    let mut command = command(&mix(&setting.input, output.to_str().unwrap(), "2", "2"), &Vec::new());
    setting.shim.preload(&mut command, &root.join("all"), &log, None);
    assert_eq!(within_limit(&mut command, &root).unwrap().code, Some(0));
    let calls = shim::calls(&log);
    let count = |kind: &str| calls.iter().filter(|call| call.kind == kind).count();
    let counts: Vec<(&str, usize)> = KINDS.iter().map(|kind| (*kind, count(kind))).collect();
    eprintln!("calls of a run: {counts:?}");
    // If the standard library makes a call in another way, the shim has to learn it.
    for kind in ["open", "write", "sync", "close", "rename", "unlink", "mkdir", "lock"] {
        assert!(count(kind) > 0, "{kind}: {counts:?}");
    }
    assert!(calls.iter().all(|call| !call.has_failed));
}

#[test]
fn a_system_call_that_fails_once_leaves_a_complete_mix_or_none() {
    assert_every_fault(&all_kinds(EIO, &[Mode::Once]));
}

#[test]
fn system_calls_that_fail_from_then_on_leave_a_complete_mix_or_none() {
    assert_every_fault(&all_kinds(EIO, &[Mode::Always]));
}

#[test]
fn a_disk_that_is_full_from_then_on_leaves_a_complete_mix_or_none() {
    let modes = |kind| [(kind, ENOSPC, Mode::Once), (kind, ENOSPC, Mode::Always)];
    let faults = ["open", "write", "sync", "close", "rename", "mkdir", "link"].map(modes);
    assert_every_fault(&faults.concat());
}

#[test]
fn a_file_whose_bytes_are_lost_at_close_is_not_published() {
    assert_every_fault(&[("close", EIO, Mode::Lost), ("close", ENOSPC, Mode::Lost)]);
}

/// As on NFS: the file has been renamed, and the error is of a repeated request.
#[test]
fn a_rename_whose_response_is_lost_is_none_that_has_failed() {
    let Some(setting) = Setting::new() else { return };
    let mut runs = 0;
    for number in 1.. {
        let fault = Fault { kind: "rename", number, errno: shim::ENOENT, mode: Mode::Done };
        let Some((outcome, wrong)) = setting.run(fault) else { break };
        assert!(outcome == Outcome::Succeeds && wrong.is_empty(), "rename {number}: {outcome:?} {wrong:?}");
        runs += 1;
    }
    assert!(runs >= 8, "too few: {runs}");
}

/// A run with a fault into an empty folder, and the calls that it has made.
fn run_with(setting: &Setting, fault: Option<Fault>) -> (Ran, Files, Vec<shim::Call>) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let (output, log) = (root.join("all/out"), root.join("log"));
    std::fs::create_dir_all(&output).unwrap();
    let mut command = command(&mix(&setting.input, output.to_str().unwrap(), "2", "2"), &Vec::new());
    setting.shim.preload(&mut command, &root.join("all"), &log, fault);
    let ran = within_limit(&mut command, &root).unwrap();
    let mut found = files(&output);
    if found.contains_key("manifest.json") {
        without_run_id(&mut found);
    }
    (ran, found, shim::calls(&log))
}

/// Mounted buckets answer like this.
#[test]
fn a_folder_that_cannot_be_flushed_or_locked_is_no_error() {
    let Some(setting) = Setting::new() else { return };
    let (_, _, calls) = run_with(&setting, None);
    let syncs: Vec<_> = calls.iter().filter(|call| call.kind == "sync").collect();
    let of_folder = syncs.iter().position(|call| call.name == "out").unwrap() + 1;
    assert!(syncs[of_folder - 1..].iter().all(|call| call.name == "out"), "{syncs:?}");
    for errno in [libc::EBADF, libc::EINVAL, libc::ENOSYS, libc::EOPNOTSUPP] {
        let fault = Fault { kind: "sync", number: of_folder, errno, mode: Mode::Always };
        let (ran, found, _) = run_with(&setting, Some(fault));
        assert_eq!(ran.code, Some(0), "{errno}: {}", ran.err);
        assert!(found == setting.expected, "{errno}");
        let fault = Fault { kind: "lock", number: 1, errno, mode: Mode::Always };
        let (ran, _, _) = run_with(&setting, Some(fault));
        assert_eq!(ran.code, Some(0), "{errno}: {}", ran.err);
        assert!(ran.err.contains("does not support locks"), "{errno}: {}", ran.err);
    }
}

/// A mounted bucket that cannot rename is found out before anything is read, and the message says what to use instead.
#[test]
fn a_folder_without_renames_is_an_error_that_recommends_the_url() {
    let Some(setting) = Setting::new() else { return };
    for errno in [libc::ENOSYS, libc::EPERM, libc::EOPNOTSUPP] {
        let fault = Fault { kind: "rename", number: 1, errno, mode: Mode::Always };
        let (ran, found, calls) = run_with(&setting, Some(fault));
        assert_eq!(ran.code, Some(74), "{errno}: {}", ran.err);
        assert!(ran.err.contains("cannot rename files in the folder"), "{errno}: {}", ran.err);
        assert!(ran.err.contains("pass the bucket's URL (s3://BUCKET/PREFIX)"), "{errno}: {}", ran.err);
        assert!(found.is_empty(), "{errno}: {:?}", found.keys());
        assert!(calls.iter().all(|call| !call.name.contains("combined_cut")), "{errno}: {calls:?}");
    }
}
