//! The binary: parse, run, exit code; nothing else.

use knowledge_mixing::commands;
use std::process::ExitCode;

/// glibc's allocator, which a static binary brings along, is slow under threads and keeps what it once had.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(commands::main(std::env::args_os()))
}
