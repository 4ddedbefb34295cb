//! The program under faults: faulty connections, kills, full disks, concurrent runs, signals.

use crate::support::faulty_proxy::{self, FaultyProxy};
use crate::support::outside::{
    self, Ran, Variables, copy_folder, draw, each, examples, mix_files, run, succeed, whole,
};
use crate::support::s3_server::{self, S3Server};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The arguments of a small run. Runs with different seeds differ in every file.
fn mix<'a>(input: &'a str, output: &'a str, seed: &'a str) -> Vec<&'a str> {
    // Long enough to be renewed on a busy machine.
    mix_with_lease(input, output, seed, "3")
}

fn mix_with_lease<'a>(input: &'a str, output: &'a str, seed: &'a str, lease_timeout: &'a str) -> Vec<&'a str> {
    vec![
        "mix",
        "--input",
        input,
        "--output",
        output,
        "--seed",
        seed,
        "--cut-sizes",
        "2,5,8",
        "--tokenizer-model",
        "builtin",
        "--lease-timeout",
        lease_timeout,
        "--max-retries",
        "3",
    ]
}

/// A server with the examples, and the files of two runs on them.
struct Setting {
    server: S3Server,
    _folder: tempfile::TempDir,
    one: BTreeMap<String, Vec<u8>>,
    two: BTreeMap<String, Vec<u8>>,
}

impl Setting {
    fn new() -> Self {
        let server = S3Server::start(&["bucket"]);
        copy_folder(&examples(), &server.bucket("bucket").join("in"));
        let folder = tempfile::tempdir().unwrap();
        let made = |seed: &str| {
            let output = folder.path().join(seed);
            succeed(&mix(examples().to_str().unwrap(), output.to_str().unwrap(), seed), &Vec::new());
            mix_files(&output)
        };
        let (one, two) = (made("1"), made("2"));
        Self { server, _folder: folder, one, two }
    }

    /// Checks that every visible file is a complete file of one of the two runs.
    fn assert_complete_files(&self, folder: &Path, what: &str) {
        for (name, content) in mix_files(folder).iter().filter(|(name, _)| !name.starts_with('.')) {
            let is_replacing =
                name == "manifest.json" && String::from_utf8_lossy(content).contains("\"state\": \"replacing\"");
            let known = is_replacing || [&self.one, &self.two].iter().any(|run| run.get(name) == Some(content));
            assert!(known, "{what}: {name} of {} bytes belongs to neither run", content.len());
        }
    }
}

#[test]
fn two_hundred_runs_on_faulty_connections() {
    let setting = Setting::new();
    let [succeeded, without_mix, earlier_mix, complete_mix] = [(); 4].map(|()| AtomicUsize::new(0));
    let faults = AtomicUsize::new(0);
    each(200, 6, |seed| {
        let rate = [0.03, 0.12, 0.3, 0.5][seed as usize % 4];
        let proxy = FaultyProxy::start(setting.server.address(), seed, rate, faulty_proxy::ALL);
        let key = format!("out/{seed}");
        let output = setting.server.bucket("bucket").join(&key);
        if seed % 8 < 4 {
            // The output holds an earlier mix.
            std::fs::create_dir_all(&output).unwrap();
            setting.one.iter().for_each(|(name, content)| std::fs::write(output.join(name), content).unwrap());
        }
        let url = format!("s3://bucket/{key}");
        let ran = run(&mix("s3://bucket/in", &url, "2"), &s3_server::environment(&proxy.endpoint()));
        let what = format!("seed {seed}: {:?} {}", ran.code, ran.err);
        setting.assert_complete_files(&output, &what);
        let now = mix_files(&output);
        if ran.code == Some(0) {
            succeeded.fetch_add(1, Relaxed);
            let visible: BTreeMap<_, _> = now.iter().filter(|(name, _)| !name.starts_with('.')).collect();
            assert!(visible == setting.two.iter().collect(), "{what}: other bytes");
            let verified = run(&["verify", &url], &setting.server.environment());
            assert_eq!(verified.code, Some(0), "{what}: {}", verified.err);
        } else {
            assert!(matches!(ran.code, Some(69 | 75)), "{what}");
            match (whole(&output), now.get("manifest.json")) {
                (false, _) => without_mix.fetch_add(1, Relaxed),
                (true, manifest) if manifest == setting.one.get("manifest.json") => earlier_mix.fetch_add(1, Relaxed),
                // The connection broke permanently after the mix was complete, so the run cannot know.
                (true, _) => complete_mix.fetch_add(1, Relaxed),
            };
        }
        faults.fetch_add(proxy.faults(), Relaxed);
    });
    let [succeeded, without_mix, earlier_mix, complete_mix] =
        [succeeded, without_mix, earlier_mix, complete_mix].map(|n| n.into_inner());
    let faults = faults.into_inner();
    eprintln!(
        "200 runs on faulty connections: {succeeded} succeeded; failed without a mix {without_mix}, with the earlier mix \
         {earlier_mix}, after the mix was complete {complete_mix}; {faults} faults"
    );
    assert!(succeeded >= 80 && without_mix + earlier_mix >= 10 && faults > 1000, "too few runs of each kind");
}

/// Kills this many runs at random moments, and checks that the run after each succeeds.
fn kill_runs(setting: &Setting, runs: u64, input: &str, output: &str, folder: &Path, variables: &Variables) {
    // No two runs are at work at the same time here.
    let mix = |seed| mix_with_lease(input, output, seed, "1");
    let time = || {
        let began = Instant::now();
        succeed(&mix("1"), variables);
        began.elapsed()
    };
    let usual = time().min(time()).min(time());
    let (mut killed, mut in_commit) = (0u64, 0u64);
    for number in 0..runs {
        let seed = if number % 2 == 0 { "2" } else { "1" };
        let mut child = outside::start(&mix(seed), variables);
        let part = 1.1 * draw(number, 1);
        std::thread::sleep(usual.mul_f64(part));
        let _ = child.kill();
        let ended = child.wait_with_output().map(Ran::from).unwrap();
        killed += u64::from(ended.signal == Some(9));
        let what = format!("kill {number} of {output}");
        setting.assert_complete_files(folder, &what);
        in_commit += u64::from(!whole(folder));
        let began = Instant::now();
        let next = succeed(&mix(seed), variables);
        assert!(began.elapsed() < Duration::from_secs(10), "{what}: {:?} {}", began.elapsed(), next.err);
        let expected = if seed == "1" { &setting.one } else { &setting.two };
        assert!(mix_files(folder) == *expected, "{what}: {:?}", mix_files(folder).keys());
    }
    eprintln!("{runs} runs into {output}: {killed} killed, {in_commit} of them during the commit");
    assert!(killed >= runs * 2 / 5, "too few: {killed} killed");
}

#[test]
fn a_run_after_a_killed_local_run_succeeds() {
    let setting = Setting::new();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    kill_runs(&setting, 100, examples().to_str().unwrap(), output.to_str().unwrap(), &output, &Vec::new());
}

#[test]
fn a_run_after_a_killed_run_in_a_bucket_succeeds() {
    let setting = Setting::new();
    let folder = setting.server.bucket("bucket").join("out");
    kill_runs(&setting, 40, "s3://bucket/in", "s3://bucket/out", &folder, &setting.server.environment());
    // Only an upload that was begun at the moment of the kill is in no lease.
    let remaining = outside::open_uploads(&setting.server);
    eprintln!("{} open uploads are in no lease", remaining.len());
    assert!(remaining.len() <= 15, "{remaining:?}");
}

#[test]
fn a_full_disk_leaves_the_earlier_mix() {
    let folder = tempfile::tempdir().unwrap();
    let mount =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(folder.path()).output();
    if !mount.is_ok_and(|ran| ran.status.success()) {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "cannot mount a small tmpfs");
        eprintln!("SKIPPED: cannot mount a small tmpfs, so the full disk is not tested");
        return;
    }
    let output = folder.path().join("out");
    let (input, out) = (examples(), output.to_str().unwrap().to_string());
    let small = ["mix", "--input", input.to_str().unwrap(), "--output", &out, "--tokenizer-model", "builtin"];
    let first = run(&[&small[..], &["--cut-sizes", "2"]].concat(), &Vec::new());
    let before = mix_files(&output);
    let full = run(&[&small[..], &["--cut-sizes", "2,5,8", "--seed", "7"]].concat(), &Vec::new());
    let after = mix_files(&output);
    let unmounted = std::process::Command::new("umount").arg(folder.path()).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert_eq!(full.code, Some(74), "{}", full.err);
    assert!(full.err.contains("the disk is full"), "{}", full.err);
    assert!(before.contains_key("manifest.json") && before == after, "{:?} {:?}", before.keys(), after.keys());
}

#[test]
fn one_of_two_concurrent_runs_wins() {
    let setting = Setting::new();
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("out");
    let here = setting.server.environment();
    let in_bucket = setting.server.bucket("bucket").join("out");
    for (input, output, place) in [
        (examples().to_str().unwrap(), local.to_str().unwrap(), &local),
        ("s3://bucket/in", "s3://bucket/out", &in_bucket),
    ] {
        let mut collisions = 0;
        for round in 0..8u64 {
            let first = outside::start(&mix(input, output, "1"), &here);
            std::thread::sleep(Duration::from_millis((60.0 * draw(round, 7)) as u64));
            let second = outside::start(&mix(input, output, "2"), &here);
            let ended = [first, second].map(|child| Ran::from(child.wait_with_output().unwrap()));
            let codes = [ended[0].code.unwrap(), ended[1].code.unwrap()];
            let expected = match codes {
                [0, 75] => &setting.one,
                [75, 0] | [0, 0] => &setting.two,
                _ => panic!("{output}: {codes:?}\n{}\n{}", ended[0].err, ended[1].err),
            };
            collisions += usize::from(codes != [0, 0]);
            if codes != [0, 0] {
                assert!(mix_files(place) == *expected, "{output}: {codes:?} {:?}", mix_files(place).keys());
            }
            assert!(whole(place));
            succeed(&["verify", output], &here);
        }
        eprintln!("{output}: {collisions} of 8 pairs of runs collided");
    }
}

#[test]
fn a_signal_ends_a_run_within_a_second_and_leaves_no_open_uploads() {
    let server = S3Server::start(&["bucket"]);
    outside::large_input(&server.bucket("bucket").join("in"));
    let output = server.bucket("bucket").join("out");
    let arguments = mix("s3://bucket/in", "s3://bucket/out", "1");
    let usual = Instant::now();
    succeed(&arguments, &server.environment());
    let usual = usual.elapsed();
    let before = mix_files(&output);
    let (mut stopped, mut with_uploads) = (0, 0);
    for number in 0..24u64 {
        let (name, code) = if number % 2 == 0 { ("TERM", 143) } else { ("INT", 130) };
        let child = outside::start(&mix("s3://bucket/in", "s3://bucket/out", "2"), &server.environment());
        std::thread::sleep(Duration::from_millis(50).max(usual.mul_f64(0.05 + 0.8 * draw(number, 3))));
        with_uploads += usize::from(!outside::open_uploads(&server).is_empty());
        outside::signal(&child, name);
        let began = Instant::now();
        let ended = Ran::from(child.wait_with_output().unwrap());
        if ended.code == Some(0) {
            succeed(&arguments, &server.environment());
            continue;
        }
        stopped += 1;
        assert_eq!(ended.code, Some(code), "{}", ended.err);
        assert!(began.elapsed() < Duration::from_millis(1500), "{:?} after the signal", began.elapsed());
        assert!(outside::open_uploads(&server).is_empty(), "{number}: {:?}", outside::open_uploads(&server));
        let hidden: Vec<String> = mix_files(&output).into_keys().filter(|name| name.starts_with('.')).collect();
        assert!(hidden.is_empty(), "{number}: {hidden:?}");
        let is_complete = whole(&output);
        let published = is_complete && mix_files(&output) != before;
        assert_eq!(ended.err.contains("the mix was already complete"), published, "{number}: {}", ended.err);
        assert_eq!(ended.err.contains("the mix was being replaced"), !is_complete, "{number}: {}", ended.err);
        if published {
            // The signal came after the manifest was complete.
            succeed(&arguments, &server.environment());
        }
        if !is_complete {
            // Stopped during the commit: there is no complete manifest until the next run succeeds.
            succeed(&arguments, &server.environment());
        }
        assert!(mix_files(&output) == before, "{number}: {:?}", mix_files(&output).keys());
    }
    eprintln!("{stopped} of 24 stopped, {with_uploads} of them with open uploads");
    assert!(stopped >= 12 && with_uploads >= 3, "too few: {stopped} stopped, {with_uploads} with uploads");
}

/// A process that is suspended at any moment (SIGSTOP, as a frozen node does it) and continues after another run has published.
#[test]
fn a_suspended_process_that_continues_does_no_harm() {
    suspend_processes(8);
}

#[test]
#[ignore = "takes minutes"]
fn a_hundred_suspended_processes_do_no_harm() {
    suspend_processes(100);
}

fn suspend_processes(runs: u64) {
    let server = S3Server::start(&["bucket"]);
    outside::large_input(&server.bucket("bucket").join("in"));
    let output = server.bucket("bucket").join("out");
    let variables = server.environment();
    let mix = |seed| mix_with_lease("s3://bucket/in", "s3://bucket/out", seed, "1");
    let usual = Instant::now();
    succeed(&mix("1"), &variables);
    let usual = usual.elapsed();
    succeed(&mix("2"), &variables);
    let expected = mix_files(&output);
    let (mut overtaken, mut ended_before) = (0u64, 0u64);
    for number in 0..runs {
        let child = outside::start(&mix("1"), &variables);
        std::thread::sleep(usual.mul_f64(1.1 * draw(number, 11)));
        outside::signal(&child, "STOP");
        // A renewal that was on its way shows a live run for once.
        let ended = || run(&mix("2"), &variables).code;
        assert!((0..3).any(|_| ended() == Some(0)), "{number}");
        assert!(mix_files(&output) == expected, "{number}");
        outside::signal(&child, "CONT");
        let ended = Ran::from(child.wait_with_output().unwrap());
        match ended.code {
            // Or its connections have been closed meanwhile, more of them than it repeats a request.
            Some(69 | 75) => overtaken += 1,
            // It had published before it was suspended, or it had not begun to publish: then it is the later one.
            Some(0) => ended_before += 1,
            _ => panic!("{number}: {:?} {}", ended.code, ended.err),
        }
        assert!(whole(&output), "{number}: {}", ended.err);
        if ended.code != Some(0) {
            assert!(mix_files(&output) == expected, "{number}: {}", ended.err);
        }
        assert!(outside::open_uploads(&server).is_empty(), "{number}");
    }
    eprintln!("{runs} suspended runs: {overtaken} overtaken, {ended_before} not at work on the output");
    assert!(overtaken >= runs / 2, "too few: {overtaken}");
}

/// The executor input of a step whose outputs are below a folder, as Kubeflow's local runner makes it.
fn executor_input(root: &Path, seed: &str) -> String {
    let artifacts = ["mixes", "dataset", "metrics", "report", "summary"]
        .map(|name| (name.to_string(), serde_json::json!({"artifacts": [{"name": name, "uri": root.join(name)}]})));
    let files = ["feasible_cuts", "selected_cut"]
        .map(|name| (name.to_string(), serde_json::json!({"outputFile": root.join("parameters").join(name)})));
    serde_json::json!({
        "inputs": {"parameterValues": {
            "input_uri": examples(), "tokenizer_model": "builtin", "cut_sizes": "2,5,8", "seed": seed.parse::<u64>().unwrap(),
        }},
        "outputs": {
            "artifacts": serde_json::Map::from_iter(artifacts),
            "parameters": serde_json::Map::from_iter(files),
            "outputFile": root.join("executor_output.json"),
        }
    })
    .to_string()
}

/// Checks the outputs of a step that ended with 0.
fn assert_whole_step(root: &Path, expected: &BTreeMap<String, Vec<u8>>, what: &str) {
    assert!(mix_files(&root.join("mixes")) == *expected, "{what}: {:?}", mix_files(&root.join("mixes")).keys());
    assert!(std::fs::read(root.join("dataset")).unwrap() == expected["combined_cut_8x.jsonl"], "{what}: dataset");
    assert!(std::fs::read(root.join("report")).unwrap() == expected["report.html"], "{what}: report");
    let mut names: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(
        names,
        ["dataset", "executor_output.json", "metrics", "mixes", "parameters", "report", "summary"],
        "{what}"
    );
}

#[test]
fn of_two_steps_started_together_the_loser_touches_nothing() {
    let setting = Setting::new();
    let (mut collisions, none) = (0, Vec::new());
    for pair in 0..50u64 {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let inputs = ["1", "2"].map(|seed| executor_input(root, seed));
        let start = |input: &str| outside::start(&["kfp-step", "--executor-input", input], &none);
        let first = start(&inputs[0]);
        std::thread::sleep(Duration::from_millis((30.0 * draw(pair, 21)) as u64));
        let second = start(&inputs[1]);
        let ended = [first, second].map(|child| Ran::from(child.wait_with_output().unwrap()));
        let codes = [ended[0].code, ended[1].code];
        let winner = match codes {
            [Some(0), Some(75)] => &setting.one,
            [Some(75), Some(0)] | [Some(0), Some(0)] => &setting.two,
            _ => panic!("pair {pair}: {codes:?}\n{}\n{}", ended[0].err, ended[1].err),
        };
        collisions += usize::from(codes != [Some(0), Some(0)]);
        if codes != [Some(0), Some(0)] {
            assert_whole_step(root, winner, &format!("pair {pair}: {codes:?}"));
        }
    }
    eprintln!("50 pairs of steps: {collisions} collided");
    assert!(collisions >= 20, "too few: {collisions}");
}

/// After a signal there is either a whole mix, or nothing but the folders that the engine has made.
#[test]
fn a_step_stopped_by_a_signal_leaves_no_half_outputs() {
    let setting = Setting::new();
    let (folder, none) = (tempfile::tempdir().unwrap(), Vec::new());
    let usual = Instant::now();
    succeed(&["kfp-step", "--executor-input", &executor_input(&folder.path().join("first"), "1")], &none);
    let usual = usual.elapsed();
    let (mut stopped, mut with_mix) = (0, 0);
    for number in 0..100u64 {
        let root = folder.path().join(number.to_string());
        std::fs::create_dir_all(root.join("parameters")).unwrap();
        let child = outside::start(&["kfp-step", "--executor-input", &executor_input(&root, "1")], &none);
        std::thread::sleep(usual.mul_f64(1.1 * draw(number, 31)));
        outside::signal(&child, "TERM");
        let ended = Ran::from(child.wait_with_output().unwrap());
        let what = format!("step {number}: {:?} {}", ended.code, ended.err);
        if ended.code == Some(0) {
            assert_whole_step(&root, &setting.one, &what);
            continue;
        }
        assert!(ended.code == Some(143) || ended.signal == Some(15), "{what}");
        stopped += 1;
        let has_mix = whole(&root.join("mixes"));
        with_mix += usize::from(has_mix);
        if root.join("executor_output.json").exists() {
            // It had just written its last output.
            assert_whole_step(&root, &setting.one, &what);
            continue;
        }
        match has_mix {
            true => assert!(mix_files(&root.join("mixes")) == setting.one, "{what}"),
            false => assert!(!root.join("mixes").exists(), "{what}: {:?}", mix_files(&root.join("mixes")).keys()),
        }
        let left: Vec<_> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 1 + usize::from(has_mix), "{what}: {left:?}");
        assert_eq!(std::fs::read_dir(root.join("parameters")).unwrap().count(), 0, "{what}");
    }
    eprintln!("100 steps: {stopped} stopped, {with_mix} of them after the mix was complete");
    assert!(stopped >= 40, "too few: {stopped}");
}

/// Also after the mix is complete, while the step writes what the engine reads.
#[test]
fn a_step_hears_a_signal_while_it_writes_its_outputs() {
    let (folder, none) = (tempfile::tempdir().unwrap(), Vec::new());
    outside::large_input(&folder.path().join("in"));
    let mut stopped = 0;
    for number in 0..10u64 {
        let root = folder.path().join(number.to_string());
        std::fs::create_dir_all(&root).unwrap();
        let mut input: serde_json::Value = serde_json::from_str(&executor_input(&root, "1")).unwrap();
        let values = &mut input["inputs"]["parameterValues"];
        values["input_uri"] = folder.path().join("in").to_str().unwrap().into();
        // The artifact `dataset` is plain: it is decompressed, which takes a moment.
        values["compression"] = "gzip".into();
        values["cut_sizes"] = "8".into();
        let mut child = outside::start(&["kfp-step", "--executor-input", &input.to_string()], &none);
        let is_partial = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".partial"))
        };
        while child.try_wait().unwrap().is_none() && !std::fs::read_dir(&root).unwrap().any(is_partial) {
            std::thread::sleep(Duration::from_micros(200));
        }
        outside::signal(&child, "TERM");
        let ended = Ran::from(child.wait_with_output().unwrap());
        let what = format!("step {number}: {:?} {}", ended.code, ended.err);
        assert!(whole(&root.join("mixes")), "{what}");
        if ended.code == Some(143) {
            stopped += 1;
            assert!(ended.err.contains("the mix was already complete"), "{what}");
            let left: Vec<_> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["mixes"], "{what}");
        }
    }
    eprintln!("10 steps: {stopped} stopped while they wrote their outputs");
    assert!(stopped >= 5, "too few: {stopped}");
}
