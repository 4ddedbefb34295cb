//! The binary: runs the program and returns its exit code.

use knowledge_mixing::{Allocator, main as run};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    Allocator::shorten_purge_delay();
    // Set by whoever builds from a repository: see CONTRIBUTING.md.
    ExitCode::from(run(std::env::args_os().collect(), option_env!("KNOWLEDGE_MIXING_COMMIT")))
}
