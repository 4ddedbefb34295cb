//! The program itself where things go wrong: bad lines, kills, full disks, two runs at once, signals.

use crate::support::faulty_proxy::{self, FaultyProxy};
use crate::support::outside::{self, Ran, Variables, copy_folder, draw, each, examples, files, run, succeed, whole};
use crate::support::s3_server::{self, S3Server};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The arguments of a small run; two of them differ in every file by their seed.
fn mix<'a>(input: &'a str, output: &'a str, seed: &'a str) -> Vec<&'a str> {
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
        // Short, for whoever waits for a killed run's; not so short that a busy machine cannot renew it.
        "--lease-timeout",
        "3",
        "--max-retries",
        "3",
    ]
}

/// A server with the examples, and the files of two runs over them.
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
            files(&output)
        };
        let (one, two) = (made("1"), made("2"));
        Self { server, _folder: folder, one, two }
    }

    /// Every visible file is one of the two runs', whole.
    fn nothing_is_half(&self, folder: &Path, what: &str) {
        for (name, content) in files(folder).iter().filter(|(name, _)| !name.starts_with('.')) {
            let known = [&self.one, &self.two].iter().any(|run| run.get(name) == Some(content));
            assert!(known, "{what}: {name} has {} bytes and is no run's", content.len());
        }
    }
}

#[test]
fn two_hundred_runs_over_bad_lines() {
    let setting = Setting::new();
    let [good, told_none, told_earlier, told_whole] = [(); 4].map(|()| AtomicUsize::new(0));
    let faults = AtomicUsize::new(0);
    each(200, 6, |seed| {
        let rate = [0.03, 0.12, 0.3, 0.5][seed as usize % 4];
        let proxy = FaultyProxy::start(setting.server.address(), seed, rate, faulty_proxy::ALL);
        let key = format!("out/{seed}");
        let output = setting.server.bucket("bucket").join(&key);
        if seed % 8 < 4 {
            // An earlier mix is there.
            std::fs::create_dir_all(&output).unwrap();
            setting.one.iter().for_each(|(name, content)| std::fs::write(output.join(name), content).unwrap());
        }
        let url = format!("s3://bucket/{key}");
        let ran = run(&mix("s3://bucket/in", &url, "2"), &s3_server::environment(&proxy.endpoint()));
        let what = format!("seed {seed}: {:?} {}", ran.code, ran.err);
        setting.nothing_is_half(&output, &what);
        let now = files(&output);
        if ran.code == Some(0) {
            good.fetch_add(1, Relaxed);
            let visible: BTreeMap<_, _> = now.iter().filter(|(name, _)| !name.starts_with('.')).collect();
            assert!(visible == setting.two.iter().collect(), "{what}: other bytes");
            let verified = run(&["verify", &url], &setting.server.environment());
            assert_eq!(verified.code, Some(0), "{what}: {}", verified.err);
        } else {
            assert!(matches!(ran.code, Some(69 | 75)), "{what}");
            match (whole(&output), now.get("manifest.json")) {
                (false, _) => told_none.fetch_add(1, Relaxed),
                (true, manifest) if manifest == setting.one.get("manifest.json") => told_earlier.fetch_add(1, Relaxed),
                // The mix was whole when the line broke for good: nobody can tell the run so any more.
                (true, _) => told_whole.fetch_add(1, Relaxed),
            };
        }
        faults.fetch_add(proxy.faults(), Relaxed);
    });
    let [good, told_none, told_earlier, told_whole] =
        [good, told_none, told_earlier, told_whole].map(|n| n.into_inner());
    let faults = faults.into_inner();
    eprintln!(
        "200 runs over bad lines: {good} right, {told_none} an error and no manifest, {told_earlier} an error and the \
         earlier mix, {told_whole} an error after the mix was whole; {faults} faults"
    );
    assert!(good >= 80 && told_none + told_earlier >= 10 && faults > 1000, "no test of anything");
}

/// Kills runs at random moments, each followed by one that must succeed.
fn killed(setting: &Setting, input: &str, output: &str, folder: &Path, variables: &Variables) {
    let time = || {
        let began = Instant::now();
        succeed(&mix(input, output, "1"), variables);
        began.elapsed()
    };
    let usual = time().min(time()).min(time());
    let (mut killed, mut in_commit) = (0, 0);
    for number in 0..100u64 {
        let seed = if number % 2 == 0 { "2" } else { "1" };
        let mut child = outside::start(&mix(input, output, seed), variables);
        let part = 1.1 * draw(number, 1);
        std::thread::sleep(usual.mul_f64(part));
        let _ = child.kill();
        let ended = child.wait_with_output().map(Ran::from).unwrap();
        killed += usize::from(ended.signal == Some(9));
        let what = format!("kill {number} of {output}");
        setting.nothing_is_half(folder, &what);
        in_commit += usize::from(!whole(folder));
        let began = Instant::now();
        let next = succeed(&mix(input, output, seed), variables);
        assert!(began.elapsed() < Duration::from_secs(10), "{what}: {:?} {}", began.elapsed(), next.err);
        let expected = if seed == "1" { &setting.one } else { &setting.two };
        assert!(files(folder) == *expected, "{what}: {:?}", files(folder).keys());
    }
    eprintln!("100 runs into {output}: {killed} killed at work, {in_commit} of them in the middle of the commit");
    assert!(killed >= 40, "only {killed} killed: no test of anything");
}

#[test]
fn a_hundred_local_runs_are_killed() {
    let setting = Setting::new();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    killed(&setting, examples().to_str().unwrap(), output.to_str().unwrap(), &output, &Vec::new());
}

#[test]
fn a_hundred_runs_into_a_bucket_are_killed() {
    let setting = Setting::new();
    let folder = setting.server.bucket("bucket").join("out");
    killed(&setting, "s3://bucket/in", "s3://bucket/out", &folder, &setting.server.environment());
    // Only of an upload that was begun in the very moment of the kill does no marker tell.
    let left = outside::open_uploads(&setting.server);
    eprintln!("{} uploads are left that no marker tells of", left.len());
    assert!(left.len() <= 15, "{left:?}");
}

#[test]
fn a_disk_that_fills_up_leaves_the_earlier_mix() {
    let folder = tempfile::tempdir().unwrap();
    let mount =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(folder.path()).output();
    if !mount.is_ok_and(|ran| ran.status.success()) {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "a small tmpfs cannot be mounted here");
        eprintln!("SKIPPED: a small tmpfs cannot be mounted here, so the full disk is not tested");
        return;
    }
    let output = folder.path().join("out");
    let (input, out) = (examples(), output.to_str().unwrap().to_string());
    let small = ["mix", "--input", input.to_str().unwrap(), "--output", &out, "--tokenizer-model", "builtin"];
    let first = run(&[&small[..], &["--cut-sizes", "2"]].concat(), &Vec::new());
    let before = files(&output);
    let full = run(&[&small[..], &["--cut-sizes", "2,5,8", "--seed", "7"]].concat(), &Vec::new());
    let after = files(&output);
    let unmounted = std::process::Command::new("umount").arg(folder.path()).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert_eq!(full.code, Some(74), "{}", full.err);
    assert!(full.err.contains("the disk is full"), "{}", full.err);
    assert!(before.contains_key("manifest.json") && before == after, "{:?} {:?}", before.keys(), after.keys());
}

#[test]
fn of_two_runs_at_once_one_wins() {
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
                assert!(files(place) == *expected, "{output}: {codes:?} {:?}", files(place).keys());
            }
            assert!(whole(place));
            succeed(&["verify", output], &here);
        }
        eprintln!("{output}: {collisions} of 8 pairs of runs met");
    }
}

#[test]
fn a_signal_ends_a_run_within_a_second_and_leaves_nothing_open() {
    let server = S3Server::start(&["bucket"]);
    outside::large_input(&server.bucket("bucket").join("in"));
    let output = server.bucket("bucket").join("out");
    let arguments = mix("s3://bucket/in", "s3://bucket/out", "1");
    let usual = Instant::now();
    succeed(&arguments, &server.environment());
    let usual = usual.elapsed();
    let before = files(&output);
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
        let left: Vec<String> = files(&output).into_keys().filter(|name| name.starts_with('.')).collect();
        assert!(left.is_empty(), "{number}: {left:?}");
        let there = whole(&output);
        let published = there && files(&output) != before;
        assert_eq!(ended.err.contains("the mix was whole already"), published, "{number}: {}", ended.err);
        assert_eq!(
            ended.err.contains("there is no manifest.json, there is no mix"),
            !published,
            "{number}: {}",
            ended.err
        );
        if published {
            // The signal came after the last request that mattered.
            succeed(&arguments, &server.environment());
        }
        if !there {
            // Stopped in the middle of the commit: no manifest, and the next run makes it good.
            succeed(&arguments, &server.environment());
        }
        assert!(files(&output) == before, "{number}: {:?}", files(&output).keys());
    }
    eprintln!("{stopped} of 24 stopped at work, {with_uploads} of them with open uploads");
    assert!(stopped >= 12 && with_uploads >= 3, "{stopped}, {with_uploads}: no test of anything");
}
