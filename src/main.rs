//! The binary: runs the program and returns its exit code.

use knowledge_mixing::main as run;
use std::process::ExitCode;

/// glibc's allocator, which a static binary links in, is slow with many threads and keeps freed memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    shorten_purge_delay();
    // Set by whoever builds from a repository: see CONTRIBUTING.md.
    ExitCode::from(run(std::env::args_os().collect(), option_env!("KNOWLEDGE_MIXING_COMMIT")))
}

/// Makes the allocator return unused memory after 0.1 s instead of 10 s: reading and writing free large buffers all the time,
/// and a pod is charged for its peak.
#[expect(unsafe_code, reason = "the allocator's options are only available through its C interface")]
fn shorten_purge_delay() {
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
