//! What std offers no process: an allocator that keeps a limit, a handler of full stacks, and an exit at once. With
//! `storage/descriptor.rs` the only module with unsafe code.
//!
//! A thread that breaks a limit cannot be stopped from outside, and neither an allocation nor a full stack can be turned into an
//! error where it happens. So the thread is suspended for good and the [`Breach`] is recorded; the watchdog reads it, and the main thread
//! cleans up and ends the program.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

/// mimalloc, within the limit of [`limit_allocations`].
///
/// glibc's allocator, which a static binary links in, is slow with many threads and keeps freed memory.
pub struct Allocator;

/// A broken limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breach {
    /// A thread asked for this many bytes at once.
    Allocation(usize),
    /// A thread's stack is full.
    Stack,
}

/// The number of a thread that [`watch`] has not been called on.
pub(crate) const UNWATCHED: usize = 0;

/// The largest allocation that needs no closer look, in bytes. 0 after a breach.
static UNCHECKED: AtomicUsize = AtomicUsize::new(usize::MAX);
/// The largest allocation that is admitted, in bytes.
static LARGEST: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The first breach: what it is, its bytes, and the thread's number.
static KIND: AtomicU8 = AtomicU8::new(NONE);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static THREAD: AtomicUsize = AtomicUsize::new(UNWATCHED);

const NONE: u8 = 0;
const IN_PROGRESS: u8 = 1;
const ALLOCATION: u8 = 2;
const STACK: u8 = 3;

thread_local! {
    // Neither is lazy nor has a destructor, so the allocator and the signal handler can read them at any time.
    static NUMBER: Cell<usize> = const { Cell::new(UNWATCHED) };
    static STACK_BOUNDS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// From now on, a thread that asks for more than `bytes` at once is suspended.
pub(crate) fn limit_allocations(bytes: usize) {
    LARGEST.store(bytes, Ordering::Relaxed);
    UNCHECKED.store(bytes, Ordering::Relaxed);
}

/// Suspends every thread that is watched at its next allocation: nothing that grows goes on while the program cleans up.
pub(crate) fn suspend_watched_threads() {
    UNCHECKED.store(0, Ordering::Relaxed);
}

/// Gives the calling thread a number, by which a breach names it; [`UNWATCHED`] ends that. Returns the number so far.
pub(crate) fn watch(number: usize) -> usize {
    if number != UNWATCHED && STACK_BOUNDS.get().1 == 0 {
        let bounds = stack_bounds().unwrap_or(0..1);
        STACK_BOUNDS.set((bounds.start, bounds.end));
    }
    NUMBER.replace(number)
}

/// The first breach, if there was one, with the number of the thread.
pub(crate) fn breach() -> Option<(Breach, usize)> {
    let breach = match KIND.load(Ordering::Acquire) {
        ALLOCATION => Breach::Allocation(BYTES.load(Ordering::Relaxed)),
        STACK => Breach::Stack,
        _ => return None,
    };
    Some((breach, THREAD.load(Ordering::Relaxed)))
}

/// Records a breach and suspends the thread. Neither allocates nor locks.
fn stop(kind: u8, bytes: usize) -> ! {
    if KIND.compare_exchange(NONE, IN_PROGRESS, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        BYTES.store(bytes, Ordering::Relaxed);
        THREAD.store(NUMBER.get(), Ordering::Relaxed);
        KIND.store(kind, Ordering::Release);
    }
    suspend()
}

fn suspend() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Suspends the thread if the allocation is too large, or if the thread is watched and there was a breach.
#[cold]
fn check(bytes: usize) {
    if bytes > LARGEST.load(Ordering::Relaxed) {
        stop(ALLOCATION, bytes);
    }
    if NUMBER.get() != UNWATCHED {
        suspend();
    }
}

#[inline]
fn admit(bytes: usize) {
    if bytes > UNCHECKED.load(Ordering::Relaxed) {
        check(bytes);
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe to implement")]
// SAFETY: everything is passed on to mimalloc; `admit` either returns or suspends the thread.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        admit(layout.size());
        // SAFETY: as the caller promises.
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        admit(layout.size());
        // SAFETY: as the caller promises.
        unsafe { mimalloc::MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        admit(size);
        // SAFETY: as the caller promises.
        unsafe { mimalloc::MiMalloc.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { mimalloc::MiMalloc.dealloc(pointer, layout) }
    }
}

impl Allocator {
    /// Makes it return unused memory after 0.1 s instead of 10 s: reading and writing free large buffers all the time, and a pod is
    /// charged for its peak.
    #[expect(unsafe_code, reason = "the allocator's options are only available through its C interface")]
    pub fn shorten_purge_delay() {
        /// `mi_option_purge_delay` of mimalloc.h, in milliseconds (multiplied by 10 for arenas); the bindings do not declare it.
        const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
        const DEFAULT: std::ffi::c_long = 1000;
        // SAFETY: both functions accept any number and ignore those that are not options. The check of the default protects
        // other versions of the library, which may number their options differently.
        unsafe {
            if libmimalloc_sys::mi_option_get(PURGE_DELAY) == DEFAULT {
                libmimalloc_sys::mi_option_set(PURGE_DELAY, 10);
            }
        }
    }
}

/// Ends the process without running anything else: what is suspended cannot hold it up.
#[expect(unsafe_code, reason = "std runs exit handlers, which may wait for a suspended thread")]
pub(crate) fn exit_now(code: u8) -> ! {
    // SAFETY: `_exit` may be called at any time.
    unsafe { libc::_exit(code.into()) }
}

/// The addresses of the calling thread's stack, with the guard below it.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "std does not say where a thread's stack is")]
fn stack_bounds() -> Option<Range<usize>> {
    /// More than any guard: what faults there can be nothing else.
    const GUARD: usize = 1 << 20;
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut start, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: `pthread_getattr_np` initializes the attributes if it returns 0, and only then they are read and destroyed.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
    }
    Some((start as usize).saturating_sub(GUARD)..start as usize + size)
}

#[cfg(not(target_os = "linux"))]
fn stack_bounds() -> Option<Range<usize>> {
    None
}

/// Suspends a watched thread whose stack is full. Any other fault ends the program as before.
///
/// std gives every thread that it starts a stack for signal handlers.
#[expect(unsafe_code, reason = "std has no signal handlers")]
pub(crate) fn handle_full_stacks() {
    static EARLIER: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

    extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the system passes a valid `info` to a handler with SA_SIGINFO.
        let address = unsafe { (*info).si_addr() } as usize;
        let (start, end) = STACK_BOUNDS.get();
        if NUMBER.get() != UNWATCHED && (start..end).contains(&address) {
            stop(STACK, 0);
        }
        // With std's handler back, the instruction faults again when this one returns.
        let earlier = EARLIER[usize::from(signal == libc::SIGBUS)].load(Ordering::Relaxed);
        // SAFETY: `action` is zeroed, a valid value, and `earlier` is what the system gave for this signal.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = earlier;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }

    for (signal, earlier) in [libc::SIGSEGV, libc::SIGBUS].into_iter().zip(&EARLIER) {
        // SAFETY: the handler has the signature that SA_SIGINFO asks for, and calls only what is allowed in a handler: it reads
        // thread-local cells that need no initialization, and atomics, and sleeps.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            if libc::sigaction(signal, std::ptr::null(), &raw mut before) == 0
                && before.sa_sigaction != action.sa_sigaction
            {
                earlier.store(before.sa_sigaction, Ordering::Relaxed);
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            }
        }
    }
}
