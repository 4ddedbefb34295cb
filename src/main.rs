//! The binary: parse, run, exit code; nothing else.

use knowledge_mixing::main as run;
use std::process::ExitCode;

/// glibc's allocator, which a static binary brings along, is slow under threads and keeps what it once had.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    give_memory_back_soon();
    ExitCode::from(run(std::env::args_os()))
}

/// Has the allocator give unused memory back after a tenth of a second instead of ten: reading and writing let go of large
/// buffers all the time, and a pod pays for its peak.
fn give_memory_back_soon() {
    /// `mi_option_purge_delay` of mimalloc.h in milliseconds (arenas take ten times as long); the bindings leave it out.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    const DEFAULT: std::ffi::c_long = 1000;
    // SAFETY: both calls take any number; a number that is no option is ignored. The default is asked for so that another
    // version of the library, which may number its options in another way, is left alone.
    unsafe {
        if libmimalloc_sys::mi_option_get(PURGE_DELAY) == DEFAULT {
            libmimalloc_sys::mi_option_set(PURGE_DELAY, 10);
        }
    }
}
