//! The program: passes the arguments on and exits with the code of the outcome.

use knowledge_mixing::main as run;
use std::process::ExitCode;

/// glibc's allocator, which a static binary contains, is slow with many threads and returns little memory to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    return_memory_early();
    ExitCode::from(run(std::env::args_os()))
}

/// Makes the allocator return unused memory to the system after a tenth of a second instead of ten seconds: large buffers
/// are released all the time, and a pod is billed for its peak.
#[expect(unsafe_code, reason = "the allocator's options are only available through its C interface")]
fn return_memory_early() {
    /// `mi_option_purge_delay` of mimalloc.h, in milliseconds (times ten for arenas). The bindings do not define it.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    const DEFAULT: std::ffi::c_long = 1000;
    // SAFETY: both functions accept any number and ignore an unknown option. The default is checked first, in case another
    // version of the library numbers its options differently.
    unsafe {
        if libmimalloc_sys::mi_option_get(PURGE_DELAY) == DEFAULT {
            libmimalloc_sys::mi_option_set(PURGE_DELAY, 10);
        }
    }
}
