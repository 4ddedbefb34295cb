//! `completions`: prints what a shell completes.

use super::print::print_bytes;
use crate::cli::{self, CompletionsArguments};
use crate::error::Result;

pub(super) fn run(arguments: &CompletionsArguments) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut cli::command(), "knowledge-mixing", &mut script);
    print_bytes(&script)
}
