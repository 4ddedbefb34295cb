//! Several runs that publish to one output of an object store, request by request. Runs are suspended or killed and
//! requests arrive late, but a false manifest is never visible, not even for a moment.

use crate::backend::{PUBLISH_OPTIONS, noise};
use crate::support::world::{Asked, Line, World, at_once};
use futures::FutureExt;
use futures::future::BoxFuture;
use knowledge_mixing::testing::{ErrorKind, Location, Result, Storage, StorageOptions, Store};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

const LEASE: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

fn storage(line: Line) -> Storage {
    let options = StorageOptions {
        max_retries: 4,
        retry_pause: Duration::from_millis(2),
        retry_timeout: Duration::from_secs(60),
        lease_timeout: LEASE,
        ..StorageOptions::default()
    };
    Storage::with_store(options, Arc::new(line) as Arc<dyn Store>)
}

/// One run: two files that every run writes, and one that no other run writes. The files of all runs have the same size.
async fn run(storage: &Storage, seed: u64) -> Result<()> {
    let publication = storage.publish(&Location::parse("memory://bucket/output").unwrap(), PUBLISH_OPTIONS).await?;
    let mut manifest = String::new();
    for (name, content) in [
        ("5x".to_string(), noise(seed * 3, 64)),
        ("10x".to_string(), noise(seed * 3 + 1, 64)),
        (format!("own-{seed}"), noise(seed * 3 + 2, 64)),
    ] {
        let mut sink = publication.create(&name).await?;
        sink.write(vec![content]).await?;
        let staged = sink.finish().await?;
        manifest.push_str(&format!("{} {} {}\n", staged.name, staged.bytes, staged.digest));
    }
    publication.commit(manifest.into(), &[]).await
}

/// A point at which a request waits until the test opens it.
#[derive(Clone, Default)]
struct Gate {
    reached: Arc<Notify>,
    open: Arc<Notify>,
}

impl Gate {
    fn hold(&self) -> BoxFuture<'static, ()> {
        let gate = self.clone();
        async move {
            gate.reached.notify_one();
            gate.open.notified().await;
        }
        .boxed()
    }
}

/// The run whose mix is published, by its own file in the manifest.
async fn winner(world: &World) -> Option<u64> {
    let everything = world.everything().await;
    let (_, manifest) = everything.iter().find(|(name, _)| name == "manifest.json")?;
    let text = String::from_utf8(manifest.to_vec()).unwrap();
    let own = text.lines().find_map(|line| line.strip_prefix("own-")).unwrap();
    Some(own.split(' ').next().unwrap().parse().unwrap())
}

fn assert_no_false_manifest(world: &World) {
    assert!(world.lies().is_empty(), "{}\n\n{}", world.lies().join("\n"), world.log());
}

fn assert_lost(outcome: &Result<()>) {
    assert_eq!(outcome.as_ref().unwrap_err().kind(), ErrorKind::TryAgain, "{outcome:?}");
}

/// A renewed lease belongs to a live run, however long its commit takes. Stores derive the version from the content: a
/// renewal with the same bytes once looked like none, and live runs were taken over during their commit.
#[tokio::test]
async fn a_live_run_is_not_taken_over() {
    LocalSet::new().run_until(a_live_run_is_not_taken_over_here()).await
}

async fn a_live_run_is_not_taken_over_here() {
    let world = Arc::new(World::default());
    let gate = Gate::default();
    let held = gate.clone();
    let slow = storage(world.line(1, LONG, move |asked, name| match (asked, name) {
        (Asked::Complete, "5x") => held.hold(),
        _ => at_once(),
    }));
    let first = spawn_local(async move { run(&slow, 1).await });
    gate.reached.notified().await;
    let quick = storage(world.line(2, LONG, |_, _| at_once()));
    let second = spawn_local(async move { run(&quick, 2).await });
    tokio::time::sleep(LEASE * 4).await;
    assert!(!second.is_finished(), "{}", world.log());
    gate.open.notify_one();
    first.await.unwrap().unwrap();
    assert_lost(&second.await.unwrap());
    assert_eq!(winner(&world).await, Some(1));
    assert_no_false_manifest(&world);
}

/// A run that is suspended right before one of its requests, the renewals of its lease included, and that resumes when
/// another run has taken over: during that run's commit, and after it.
#[tokio::test]
async fn a_run_that_resumes_late_does_no_harm() {
    LocalSet::new().run_until(a_run_that_resumes_late_does_no_harm_here()).await
}

async fn a_run_that_resumes_late_does_no_harm_here() {
    let requests = [
        (Asked::Delete, "manifest.json"),
        (Asked::Complete, "5x"),
        (Asked::Complete, "10x"),
        (Asked::Complete, "own-1"),
        (Asked::Complete, "manifest.json"),
        (Asked::Put, "manifest.json"),
        (Asked::Delete, ".knowledge-mixing.lease"),
    ];
    for suspended_at in requests {
        for second_waits_at in [Some("5x"), Some("10x"), Some("manifest.json"), None] {
            for has_earlier_mix in [false, true] {
                resume_late(suspended_at, second_waits_at, has_earlier_mix).await;
            }
        }
    }
}

/// Suspends a run before a request, and resumes it when a second run waits for a completion (`None`: after its end).
async fn resume_late(
    suspended_at: (Asked, &'static str),
    second_waits_at: Option<&'static str>,
    has_earlier_mix: bool,
) {
    let world = Arc::new(World::default());
    if has_earlier_mix {
        run(&storage(world.line(9, LONG, |_, _| at_once())), 9).await.unwrap();
    }
    let suspended = Gate::default();
    let mut first = spawn_suspended(&world, suspended_at, suspended.clone());
    tokio::select! {
        _ = suspended.reached.notified() => {}
        // The run never sends this request.
        _ = &mut first => return,
    }
    let waiting = Gate::default();
    let gate = waiting.clone();
    let second = storage(world.line(2, LONG, move |asked, name| match (asked, second_waits_at) {
        (Asked::Complete | Asked::Put, Some(waits_at)) if name == waits_at => gate.hold(),
        _ => at_once(),
    }));
    let mut second = spawn_local(async move { run(&second, 2).await });
    let mut ended = None;
    tokio::select! {
        _ = waiting.reached.notified() => {}
        outcome = &mut second => ended = Some(outcome.unwrap()),
    }
    suspended.open.notify_one();
    // The first may end while the second waits.
    let resumed = tokio::time::timeout(LEASE / 2, &mut first).await;
    waiting.open.notify_one();
    let outcome = match ended {
        Some(outcome) => outcome,
        None => second.await.unwrap(),
    };
    let resumed = match resumed {
        Ok(resumed) => resumed.unwrap(),
        Err(_) => first.await.unwrap(),
    };
    let case =
        format!("{suspended_at:?}, {second_waits_at:?}, {has_earlier_mix}: {resumed:?} {outcome:?}\n{}", world.log());
    assert!(world.lies().is_empty(), "{case}\n{:?}", world.lies());
    for outcome in [&resumed, &outcome] {
        assert!(outcome.as_ref().err().is_none_or(|e| e.kind() == ErrorKind::TryAgain), "{case}");
    }
    // A late removal of the manifest may hide the second mix, but never makes it false.
    if suspended_at.0 != Asked::Delete {
        let expected = if outcome.is_ok() { Some(2) } else { Some(1) };
        assert_eq!(winner(&world).await, expected, "{case}");
    }
    run(&storage(world.line(3, LONG, |_, _| at_once())), 3).await.unwrap();
    assert_eq!(winner(&world).await, Some(3), "{case}");
}

/// Starts run 1, which is suspended before a request until the gate opens, the renewals of its lease included.
fn spawn_suspended(world: &Arc<World>, suspended_at: (Asked, &'static str), gate: Gate) -> JoinHandle<Result<()>> {
    let is_suspended = AtomicBool::new(false);
    let storage = storage(world.line(1, LONG, move |asked, name| {
        let is_renewal = (asked, name) == (Asked::Put, ".knowledge-mixing.lease");
        if (asked, name) == suspended_at {
            is_suspended.store(true, Ordering::SeqCst);
            gate.hold()
        } else if is_renewal && is_suspended.load(Ordering::SeqCst) {
            std::future::pending().boxed()
        } else {
            at_once()
        }
    }));
    spawn_local(async move { run(&storage, 1).await })
}

/// A store that accepts a completion, reports that the upload is gone, and shows the object only after its run is dead.
#[tokio::test]
async fn a_completion_that_becomes_visible_late_is_awaited() {
    LocalSet::new().run_until(a_completion_that_becomes_visible_late_is_awaited_here()).await
}

async fn a_completion_that_becomes_visible_late_is_awaited_here() {
    for name in ["5x", "10x", "manifest.json"] {
        let world = Arc::new(World::default());
        let accepted = Gate::default();
        let gate = accepted.clone();
        let first = storage(
            world.line(1, LONG, |_, _| at_once()).landing_late(
                move |which| {
                    if which == name { gate.hold() } else { at_once() }
                },
            ),
        );
        let killed = spawn_local(async move { run(&first, 1).await });
        accepted.reached.notified().await;
        killed.abort();
        let gate = accepted.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LEASE + LEASE / 2).await;
            gate.open.notify_one();
        });
        let second = run(&storage(world.line(2, LONG, |_, _| at_once())), 2).await;
        assert_no_false_manifest(&world);
        // If the manifest itself becomes visible late, the first run has won after all.
        if name == "manifest.json" {
            assert_lost(&second);
            assert_eq!(winner(&world).await, Some(1));
        } else {
            second.unwrap();
            assert_eq!(winner(&world).await, Some(2), "{}", world.log());
        }
        assert_eq!(world.everything().await.iter().filter(|(name, _)| name.starts_with("hidden")).count(), 0);
    }
}

/// If the response to a renewal is lost, the lease is not.
#[tokio::test]
async fn a_lost_response_to_a_renewal_is_resolved_by_reading_the_lease() {
    LocalSet::new().run_until(a_lost_response_to_a_renewal_is_resolved_by_reading_the_lease_here()).await
}

async fn a_lost_response_to_a_renewal_is_resolved_by_reading_the_lease_here() {
    let world = Arc::new(World::default());
    let gate = Gate::default();
    let (held, renewals) = (gate.clone(), AtomicUsize::new(0));
    let line = world.line(1, LONG, move |asked, name| match (asked, name) {
        (Asked::Complete, "5x") => held.hold(),
        _ => at_once(),
    });
    // Loses every second response.
    let slow = storage(line.losing(move |asked, name| {
        (asked, name) == (Asked::Put, ".knowledge-mixing.lease") && renewals.fetch_add(1, Ordering::SeqCst) % 2 == 1
    }));
    let first = spawn_local(async move { run(&slow, 1).await });
    gate.reached.notified().await;
    tokio::time::sleep(LEASE * 3).await;
    gate.open.notify_one();
    let outcome = first.await.unwrap();
    outcome.unwrap_or_else(|error| panic!("{error}\n{}", world.log()));
    assert_no_false_manifest(&world);
}

fn draw(seed: u64, at: u64) -> f64 {
    let mut hasher = DefaultHasher::new();
    (seed, at).hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
}

/// Two to four runs that begin, are suspended and are killed at random moments, on connections that delay and lose
/// requests at random.
async fn chaos(seed: u64) -> (usize, usize, usize) {
    let world = Arc::new(World::default());
    let mut running = Vec::new();
    for number in 0..2 + seed % 3 {
        let of_run = seed * 10 + number;
        let requests = AtomicU64::new(0);
        // Every second run is suspended at one of its requests for twice the lease timeout, its renewals included.
        let suspended_at = (draw(of_run, 1) < 0.5).then(|| (40.0 * draw(of_run, 2)) as u64);
        let resumed_at = std::sync::Mutex::new(None);
        let line = world.line(number, LEASE * 4, move |_, _| {
            let at = requests.fetch_add(1, Ordering::Relaxed);
            let mut resumed_at = resumed_at.lock().unwrap();
            if suspended_at == Some(at) {
                *resumed_at = Some(Instant::now() + LEASE * 2);
            }
            let pause = resumed_at.and_then(|until| until.checked_duration_since(Instant::now()));
            let wait = match draw(of_run, 10 + at) {
                _ if let Some(pause) = pause => pause,
                chance if chance < 0.04 => LEASE.mul_f64(6.0 * draw(of_run, 100_000 + at)),
                chance if chance < 0.4 => LEASE.mul_f64(0.05 * draw(of_run, 100_000 + at)),
                _ => return at_once(),
            };
            tokio::time::sleep(wait).boxed()
        });
        let storage = storage(line);
        let task = spawn_local(async move {
            tokio::time::sleep(LEASE.mul_f64(0.3 * draw(of_run, 3))).await;
            run(&storage, number).await
        });
        if draw(of_run, 4) < 0.3 {
            let killed = task.abort_handle();
            tokio::spawn(async move {
                tokio::time::sleep(LEASE.mul_f64(1.5 * draw(of_run, 5))).await;
                killed.abort();
            });
        }
        running.push(task);
    }
    let (mut won, mut lost, mut killed) = (0, 0, 0);
    for task in running {
        match task.await {
            Ok(Ok(())) => won += 1,
            Ok(Err(error)) => {
                let kind = error.kind();
                assert!(matches!(kind, ErrorKind::TryAgain | ErrorKind::Unreachable), "seed {seed}: {error}");
                lost += 1;
            }
            Err(_) => killed += 1,
        }
    }
    assert!(world.lies().is_empty(), "seed {seed}: {:?}\n{}", world.lies(), world.log());
    // The next run, on a good connection, succeeds.
    let next = storage(world.line(99, LONG, |_, _| at_once()));
    let mut outcome = run(&next, 99).await;
    for _ in 0..5 {
        // A late request of a dead run may still interfere; then the run ends with "try again".
        if let Err(error) = &outcome {
            assert_eq!(error.kind(), ErrorKind::TryAgain, "seed {seed}: {error}\n{}", world.log());
            outcome = run(&next, 99).await;
        }
    }
    outcome.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", world.log()));
    assert!(world.lies().is_empty(), "seed {seed}: {:?}\n{}", world.lies(), world.log());
    (won, lost, killed)
}

#[tokio::test]
async fn chaos_never_shows_a_false_manifest() {
    LocalSet::new().run_until(chaos_never_shows_a_false_manifest_here()).await
}

async fn chaos_never_shows_a_false_manifest_here() {
    let began = Instant::now();
    let mut all = futures::stream::FuturesUnordered::new();
    for seed in 0..200 {
        all.push(spawn_local(chaos(seed)));
    }
    let (mut won, mut lost, mut killed) = (0, 0, 0);
    while let Some(outcome) = futures::StreamExt::next(&mut all).await {
        let (more_won, more_lost, more_killed) = outcome.unwrap();
        (won, lost, killed) = (won + more_won, lost + more_lost, killed + more_killed);
    }
    eprintln!("{won} won, {lost} lost, {killed} killed in {:?}", began.elapsed());
    assert!(won > 50 && lost > 20 && killed > 20, "too few: {won} won, {lost} lost, {killed} killed");
}
