//! Units of work that may take for ever: what each thread is doing, and since when.

use crate::hash_map::lock;
use crate::process;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// The watchdog's clock: microseconds in which the process ran. It stands still while the process is suspended.
static CLOCK: AtomicU64 = AtomicU64::new(1);

/// What the operations of these numbers are.
static DESCRIPTIONS: Mutex<BTreeMap<u64, Description>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The threads.
static THREADS: Mutex<Vec<Weak<Thread>>> = Mutex::new(Vec::new());

/// Where rows are from, by their numbers.
type Places = Arc<dyn Fn(u64) -> Option<String> + Send + Sync>;

/// Names the rows that threads work on.
static PLACES: Mutex<Option<Places>> = Mutex::new(None);

thread_local! {
    static THREAD: Arc<Thread> = Thread::register();
}

/// What an operation does, for the message if it breaks a limit.
#[derive(Debug, Clone)]
pub(crate) struct Description {
    /// What is done, as the subject of a sentence: `rendering the chat template`.
    pub(crate) action: &'static str,
    /// The file that it concerns.
    pub(crate) place: String,
    /// What the reader can do about it.
    pub(crate) hint: &'static str,
}

/// A kind of operation, of which any number of threads can do one at a time.
#[derive(Debug)]
pub(crate) struct Operation {
    number: u64,
}

impl Operation {
    /// Registers a kind of operation, until it is dropped.
    pub(crate) fn new(action: &'static str, place: impl Into<String>, hint: &'static str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        lock(&DESCRIPTIONS).insert(number, Description { action, place: place.into(), hint });
        Self { number }
    }

    /// Does one operation of this kind under the watchdog's eyes. Costs a few nanoseconds.
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        let _running = Running::start(self.number);
        work()
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        lock(&DESCRIPTIONS).remove(&self.number);
    }
}

/// While it exists, operations on rows are reported with the rows' places.
pub(crate) struct NamedRows(());

impl NamedRows {
    /// `place` returns where the row of a number is from.
    pub(crate) fn new(place: impl Fn(u64) -> Option<String> + Send + Sync + 'static) -> Self {
        *lock(&PLACES) = Some(Arc::new(place));
        Self(())
    }

    /// From now on, the calling thread works on the row of this number.
    pub(crate) fn begin(row: u64) {
        THREAD.with(|thread| thread.row.store(row, Ordering::Relaxed));
    }
}

impl Drop for NamedRows {
    fn drop(&mut self) {
        *lock(&PLACES) = None;
    }
}

/// What a thread is doing.
#[derive(Debug, Default)]
struct Thread {
    number: usize,
    /// The operation's number; 0 for none.
    operation: AtomicU64,
    /// The time of [`CLOCK`] at which it started.
    started: AtomicU64,
    /// The number of the row that it works on, if rows are named.
    row: AtomicU64,
}

impl Thread {
    fn register() -> Arc<Self> {
        static NUMBERS: AtomicUsize = AtomicUsize::new(process::UNWATCHED + 1);
        let thread = Arc::new(Self { number: NUMBERS.fetch_add(1, Ordering::Relaxed), ..Self::default() });
        let mut threads = lock(&THREADS);
        threads.retain(|thread| thread.strong_count() > 0);
        threads.push(Arc::downgrade(&thread));
        thread
    }
}

/// An operation that the calling thread does. Dropping it returns to what the thread did before.
struct Running {
    operation: u64,
    started: u64,
    number: usize,
}

impl Running {
    fn start(operation: u64) -> Self {
        THREAD.with(|thread| {
            let earlier = Self {
                operation: thread.operation.load(Ordering::Relaxed),
                started: thread.started.load(Ordering::Relaxed),
                number: process::watch(thread.number),
            };
            // The time first: an observer must not take an operation for older than it is.
            thread.started.store(CLOCK.load(Ordering::Relaxed), Ordering::Relaxed);
            thread.operation.store(operation, Ordering::Release);
            earlier
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        process::watch(self.number);
        THREAD.with(|thread| {
            thread.operation.store(self.operation, Ordering::Release);
            if self.operation != 0 {
                thread.started.store(self.started, Ordering::Release);
            }
        });
    }
}

/// An operation that is running.
#[derive(Debug, Clone)]
pub(super) struct Observed {
    pub(super) description: Description,
    pub(super) time: Duration,
    /// Where the row is from that it concerns.
    pub(super) row: Option<String>,
}

/// Advances the clock.
pub(super) fn advance_clock(by: Duration) {
    CLOCK.fetch_add(by.as_micros() as u64, Ordering::Relaxed);
}

/// The operation that the thread of this number does.
pub(super) fn of_thread(number: usize) -> Option<Observed> {
    threads().into_iter().find(|thread| thread.number == number).and_then(|thread| observe(&thread))
}

/// The operation that has been running for the longest time.
pub(super) fn longest() -> Option<Observed> {
    threads().iter().filter_map(|thread| observe(thread)).max_by_key(|observed| observed.time)
}

/// The threads, or none while their list is changed: the watchdog never waits.
fn threads() -> Vec<Arc<Thread>> {
    THREADS.try_lock().map(|threads| threads.iter().filter_map(Weak::upgrade).collect()).unwrap_or_default()
}

fn observe(thread: &Thread) -> Option<Observed> {
    // The operation first: see `Running::start`.
    let operation = thread.operation.load(Ordering::Acquire);
    let started = thread.started.load(Ordering::Acquire);
    let description = DESCRIPTIONS.try_lock().ok()?.get(&operation)?.clone();
    let time = Duration::from_micros(CLOCK.load(Ordering::Relaxed).saturating_sub(started));
    let places = PLACES.try_lock().ok().and_then(|places| places.clone());
    let row = places.and_then(|place| place(thread.row.load(Ordering::Relaxed)));
    Some(Observed { description, time, row })
}
