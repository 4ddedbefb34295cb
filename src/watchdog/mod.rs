//! Limits that hold whatever the input does: on the memory of the process and on the time of a single operation, watched from a thread
//! that does nothing else.
//!
//! Templates, tokenizers and files come from strangers, and what one of them can make a library do cannot be foreseen case by case.
//! So [`Operation`] names what each thread is doing, and a breach of a limit ends the program in good order: the main thread stops the
//! run, cleans up and reports the error, as after a signal. If it cannot, the watchdog ends the process itself.

mod memory;
mod operation;

pub(crate) use operation::{NamedRows, Operation};

use crate::error::{Error, ErrorKind, Result};
use crate::process::{self, Breach};
use operation::Observed;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The process's own memory, in bytes. `None`: nine tenths of what the container or the machine has.
    pub(crate) memory: Option<u64>,
    /// The time of one operation.
    pub(crate) operation: Duration,
}

/// Faster than memory can be filled, in bytes per millisecond: how long the watchdog may sleep.
const FILL_RATE: u64 = 16 << 20;
const SHORTEST_SLEEP: u64 = 2;
const LONGEST_SLEEP: u64 = 50;
/// How late the system may wake up the watchdog before it counts as suspended.
const LONGEST_DELAY: Duration = Duration::from_millis(100);

/// The time that the main thread has to clean up and to end the program after a breach, and then the last resort.
const GRACE: Duration = Duration::from_millis(1500);

/// An operation that has been running for this long is named if the memory is full.
const SUSPICIOUS: Duration = Duration::from_millis(30);

/// The running watchdog. Dropping it ends it.
pub(crate) struct Watchdog {
    breach: oneshot::Receiver<Error>,
    ended: Arc<AtomicBool>,
}

impl Watchdog {
    /// Starts to watch. `last_resort` reports a breach after which the main thread does not end the program.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(limits: Limits, last_resort: impl FnOnce(Error) + Send + 'static) -> Result<Self> {
        let memory = limits.memory.or_else(|| memory::allowed().map(|bytes| bytes / 10 * 9));
        process::handle_full_stacks();
        process::limit_allocations(memory.map_or(usize::MAX, |bytes| bytes.try_into().unwrap_or(usize::MAX)));
        let ended = Arc::new(AtomicBool::new(false));
        let watch = Watch { memory, operation: limits.operation, ended: ended.clone() };
        let (tx, breach) = oneshot::channel();
        let thread = std::thread::Builder::new().name("watchdog".to_owned());
        thread
            .spawn(move || {
                if let Some(error) = watch.run() {
                    end(error, tx, last_resort);
                }
            })
            .map_err(|error| Error::no_thread("start the watchdog", error))?;
        Ok(Self { breach, ended })
    }

    /// Waits for a breach; the error names the limit and what was being done.
    pub(crate) async fn breach(&mut self) -> Error {
        match (&mut self.breach).await {
            Ok(error) => error,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Gives the main thread the error and time to end the program, then ends it.
fn end(error: Error, main_thread: oneshot::Sender<Error>, last_resort: impl FnOnce(Error) + Send + 'static) {
    process::suspend_watched_threads();
    let (code, again) = (error.kind().exit_code(), error.without_cause());
    let _ = main_thread.send(error);
    std::thread::sleep(GRACE);
    let _ = std::thread::Builder::new().spawn(move || last_resort(again));
    std::thread::sleep(GRACE);
    process::exit_now(code);
}

/// What the watchdog's thread does.
struct Watch {
    memory: Option<u64>,
    operation: Duration,
    ended: Arc<AtomicBool>,
}

impl Watch {
    /// Watches until a limit is broken, or until the program ends.
    fn run(&self) -> Option<Error> {
        let mut sleep = SHORTEST_SLEEP;
        while !self.ended.load(Ordering::Relaxed) {
            let (pause, began) = (Duration::from_millis(sleep), Instant::now());
            std::thread::sleep(pause);
            // A process that was suspended did nothing for a long time.
            operation::advance_clock(began.elapsed().min(pause + LONGEST_DELAY));
            if let Some((breach, thread)) = process::breach() {
                return Some(self.broken(breach, operation::of_thread(thread)));
            }
            let used = self.memory.and_then(|limit| Some((limit, memory::used()?)));
            if let Some((limit, used)) = used
                && used > limit
            {
                return Some(full(limit, used, operation::longest()));
            }
            if let Some(slowest) = operation::longest().filter(|slowest| slowest.time > self.operation) {
                return Some(self.slow(&slowest));
            }
            let left = used.map_or(u64::MAX, |(limit, used)| limit - used);
            sleep = (left / FILL_RATE).clamp(SHORTEST_SLEEP, LONGEST_SLEEP);
        }
        None
    }

    fn broken(&self, breach: Breach, operation: Option<Observed>) -> Error {
        match (breach, operation) {
            (Breach::Allocation(bytes), Some(operation)) => {
                let limit = self.memory.map(|limit| format!(" (--memory-limit is {})", size(limit)));
                about(
                    &operation,
                    &format!("asks for {} of memory at once{}", size(bytes as u64), limit.unwrap_or_default()),
                )
            }
            (Breach::Allocation(bytes), None) => {
                let message = format!("the program needs {} of memory at once", size(bytes as u64));
                Error::new(ErrorKind::Data, message).hint(MEMORY_HINT)
            }
            (Breach::Stack, Some(operation)) => about(&operation, "nests too deeply: the stack is full"),
            (Breach::Stack, None) => Error::new(ErrorKind::Data, "the input nests too deeply: the stack is full"),
        }
    }

    fn slow(&self, operation: &Observed) -> Error {
        let limit = self.operation.as_secs();
        about(operation, &format!("takes more than {limit} s (--operation-timeout)"))
    }
}

const MEMORY_HINT: &str = "give the container more memory, or raise --memory-limit: all distinct texts have to fit";

fn full(limit: u64, used: u64, operation: Option<Observed>) -> Error {
    let used = format!("the program uses {} of memory, and its limit is {}", size(used), size(limit));
    match operation.filter(|operation| operation.time > SUSPICIOUS) {
        Some(operation) => {
            let time = operation.time.as_secs_f64();
            let hint =
                format!("{}; or give the container more memory, or raise --memory-limit", operation.description.hint);
            about(&operation, &format!("has been running for {time:.2} s; {used}")).hint(hint)
        }
        None => Error::new(ErrorKind::Data, used).hint(MEMORY_HINT),
    }
}

/// The error about an operation: what it does wrong, where, and what to do.
fn about(operation: &Observed, what: &str) -> Error {
    let description = &operation.description;
    let error = Error::new(ErrorKind::Data, format!("{} {what}", description.action));
    let error = error.at(&description.place).hint(description.hint);
    match &operation.row {
        Some(row) => error.and(&format!("the row is {row}")),
        None => error,
    }
}

fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
