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
