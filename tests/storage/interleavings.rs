//! Several runs into one output of an object store, request by request: whatever sleeps, is killed or arrives late, no
//! manifest that tells a lie is ever visible, not even for a moment.

use crate::backend::noise;
use crate::support::world::{Asked, Line, World, at_once};
use futures::FutureExt;
use futures::future::BoxFuture;
use knowledge_mixing::testing::{ErrorKind, Result};
use knowledge_mixing::testing::{Location, Storage, StorageOptions, Store};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};

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

/// One run: two files that every run writes, and one of its own. All runs' files have the same sizes.
async fn run(storage: &Storage, seed: u64) -> Result<()> {
    let publication = storage.publish(&Location::parse("memory://bucket/output").unwrap()).await?;
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

/// A place where a request waits until the test lets it go on.
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

/// Whose mix it is, by its own file in the manifest.
async fn winner(world: &World) -> Option<u64> {
    let everything = world.everything().await;
    let (_, manifest) = everything.iter().find(|(name, _)| name == "manifest.json")?;
    let text = String::from_utf8(manifest.to_vec()).unwrap();
    let own = text.lines().find_map(|line| line.strip_prefix("own-")).unwrap();
    Some(own.split(' ').next().unwrap().parse().unwrap())
}

fn told_no_lie(world: &World) {
    assert!(world.lies().is_empty(), "{}\n\n{}", world.lies().join("\n"), world.log());
}

fn lost(outcome: &Result<()>) {
    assert_eq!(outcome.as_ref().unwrap_err().kind(), ErrorKind::TryAgain, "{outcome:?}");
}

/// A claim that is renewed belongs to a living run, however long its commit takes. (Stores name a version by its content:
/// a renewal with the same bytes looked like no renewal, and living runs were taken over in the middle of their commit.)
#[tokio::test]
async fn a_living_run_is_not_taken_over() {
    LocalSet::new().run_until(a_living_run_is_not_taken_over_here()).await
}

async fn a_living_run_is_not_taken_over_here() {
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
    lost(&second.await.unwrap());
    assert_eq!(winner(&world).await, Some(1));
    told_no_lie(&world);
}

/// A run that falls asleep right before one of its requests, its claim's renewals with it, and wakes up when another has
/// taken over: in the middle of that one's commit, and after it.
#[tokio::test]
async fn a_run_that_wakes_up_late_cannot_do_harm() {
    LocalSet::new().run_until(a_run_that_wakes_up_late_cannot_do_harm_here()).await
}

async fn a_run_that_wakes_up_late_cannot_do_harm_here() {
    let requests = [
        (Asked::Delete, "manifest.json"),
        (Asked::Complete, "5x"),
        (Asked::Complete, "10x"),
        (Asked::Complete, "own-1"),
        (Asked::Complete, "manifest.json"),
        (Asked::Put, "manifest.json"),
        (Asked::Delete, ".knowledge-mixing.claim"),
    ];
    for (asked, name) in requests {
        // Where the second run stands when the first wakes up; `None`: at its end.
        for until in [Some("5x"), Some("10x"), Some("manifest.json"), None] {
            for earlier in [false, true] {
                let world = Arc::new(World::default());
                if earlier {
                    run(&storage(world.line(9, LONG, |_, _| at_once())), 9).await.unwrap();
                }
                let asleep = Gate::default();
                let (gate, sleeping) = (asleep.clone(), Arc::new(AtomicUsize::new(0)));
                let first = storage(world.line(1, LONG, move |what, which| {
                    let renewal = what == Asked::Put && which == ".knowledge-mixing.claim";
                    if what == asked && which == name {
                        sleeping.store(1, Ordering::SeqCst);
                        return gate.hold();
                    }
                    // The whole run sleeps: its renewals, too.
                    if renewal && sleeping.load(Ordering::SeqCst) == 1 {
                        std::future::pending().boxed()
                    } else {
                        at_once()
                    }
                }));
                let mut first = spawn_local(async move { run(&first, 1).await });
                let fell_asleep = tokio::select! {
                    _ = asleep.reached.notified() => true,
                    _ = &mut first => false,
                };
                if !fell_asleep {
                    continue;
                }
                let middle = Gate::default();
                let gate = middle.clone();
                let second = storage(world.line(2, LONG, move |what, which| match (what, until) {
                    (Asked::Complete | Asked::Put, Some(until)) if which == until => gate.hold(),
                    _ => at_once(),
                }));
                let mut second = spawn_local(async move { run(&second, 2).await });
                let mut ended = None;
                tokio::select! {
                    _ = middle.reached.notified() => {}
                    outcome = &mut second => ended = Some(outcome.unwrap()),
                }
                asleep.open.notify_one();
                // As long as the second stands still, so does its last request; the first may end meanwhile.
                let woken = tokio::time::timeout(LEASE / 2, &mut first).await;
                middle.open.notify_one();
                let outcome = match ended {
                    Some(outcome) => outcome,
                    None => second.await.unwrap(),
                };
                let woken = match woken {
                    Ok(woken) => woken.unwrap(),
                    Err(_) => first.await.unwrap(),
                };
                let case = format!("{asked:?} {name}, {until:?}, {earlier}: {woken:?} {outcome:?}\n{}", world.log());
                assert!(world.lies().is_empty(), "{case}\n{:?}", world.lies());
                for outcome in [&woken, &outcome] {
                    assert!(outcome.as_ref().err().is_none_or(|e| e.kind() == ErrorKind::TryAgain), "{case}");
                }
                // A late removal of the manifest may cost the second its mix, never its truth.
                if asked != Asked::Delete {
                    let expected = if outcome.is_ok() { Some(2) } else { Some(1) };
                    assert_eq!(winner(&world).await, expected, "{case}");
                }
                run(&storage(world.line(3, LONG, |_, _| at_once())), 3).await.unwrap();
                assert_eq!(winner(&world).await, Some(3), "{case}");
            }
        }
    }
}

/// A store that has accepted a completion, says that the upload is gone, and shows the object only later, when its run
/// is long dead.
#[tokio::test]
async fn a_completion_that_lands_late_is_waited_for() {
    LocalSet::new().run_until(a_completion_that_lands_late_is_waited_for_here()).await
}

async fn a_completion_that_lands_late_is_waited_for_here() {
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
        told_no_lie(&world);
        // Where the manifest itself has landed late, the first has won after all.
        if name == "manifest.json" {
            lost(&second);
            assert_eq!(winner(&world).await, Some(1));
        } else {
            second.unwrap();
            assert_eq!(winner(&world).await, Some(2), "{}", world.log());
        }
        assert_eq!(world.everything().await.iter().filter(|(name, _)| name.starts_with("hidden")).count(), 0);
    }
}

/// An answer to the renewal of the claim is lost: the claim is not.
#[tokio::test]
async fn a_renewal_whose_answer_is_lost_is_settled_by_a_look() {
    LocalSet::new().run_until(a_renewal_whose_answer_is_lost_is_settled_by_a_look_here()).await
}

async fn a_renewal_whose_answer_is_lost_is_settled_by_a_look_here() {
    let world = Arc::new(World::default());
    let gate = Gate::default();
    let (held, renewals) = (gate.clone(), AtomicUsize::new(0));
    let line = world.line(1, LONG, move |asked, name| match (asked, name) {
        (Asked::Complete, "5x") => held.hold(),
        _ => at_once(),
    });
    // Every second answer.
    let slow = storage(line.losing(move |asked, name| {
        (asked, name) == (Asked::Put, ".knowledge-mixing.claim") && renewals.fetch_add(1, Ordering::SeqCst) % 2 == 1
    }));
    let first = spawn_local(async move { run(&slow, 1).await });
    gate.reached.notified().await;
    tokio::time::sleep(LEASE * 3).await;
    gate.open.notify_one();
    let outcome = first.await.unwrap();
    outcome.unwrap_or_else(|error| panic!("{error}\n{}", world.log()));
    told_no_lie(&world);
}

fn draw(seed: u64, at: u64) -> f64 {
    let mut hasher = DefaultHasher::new();
    (seed, at).hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
}

/// Two to four runs that begin, sleep and are killed at random moments, over lines that delay and lose at random.
async fn chaos(seed: u64) -> (usize, usize, usize) {
    let world = Arc::new(World::default());
    let mut running = Vec::new();
    for number in 0..2 + seed % 3 {
        let of_run = seed * 10 + number;
        let requests = AtomicU64::new(0);
        // Every second run falls asleep at one of its requests, for twice the lease, with its renewals and all.
        let asleep_at = (draw(of_run, 1) < 0.5).then(|| (40.0 * draw(of_run, 2)) as u64);
        let awake_at = std::sync::Mutex::new(None);
        let line = world.line(number, LEASE * 4, move |_, _| {
            let at = requests.fetch_add(1, Ordering::Relaxed);
            let mut awake_at = awake_at.lock().unwrap();
            if asleep_at == Some(at) {
                *awake_at = Some(Instant::now() + LEASE * 2);
            }
            let sleep = awake_at.and_then(|until| until.checked_duration_since(Instant::now()));
            let wait = match draw(of_run, 10 + at) {
                _ if let Some(sleep) = sleep => sleep,
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
    // Whatever was left: the next run, on a good line, succeeds.
    let next = storage(world.line(99, LONG, |_, _| at_once()));
    let mut outcome = run(&next, 99).await;
    for _ in 0..5 {
        // A late request of the dead may still come in between; then it says "try again".
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
async fn chaos_tells_no_lie() {
    LocalSet::new().run_until(chaos_tells_no_lie_here()).await
}

async fn chaos_tells_no_lie_here() {
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
    assert!(won > 50 && lost > 20 && killed > 20, "{won} won, {lost} lost, {killed} killed: no test of anything");
}
