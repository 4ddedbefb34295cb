//! `mix` in this process: the arguments of the binary, without a process per run.

use knowledge_mixing::testing::{self, Error, Manifest, Result};
use std::path::Path;
use test_support::program::Sandbox;

/// The flags whose values are locations.
const LOCATIONS: [&str; 3] = ["--input", "--output", "--chat-template"];

/// Runs `mix` with these arguments, which follow the name of the sub-command. As for a process in the sandbox, relative
/// locations refer to its folder.
///
/// # Errors
/// Those of `mix`.
pub fn mix(sandbox: &Sandbox, arguments: &[&str]) -> Result<Manifest> {
    let mut absolute: Vec<String> = Vec::new();
    for argument in arguments {
        let path = sandbox.path(argument);
        let is_location = match absolute.last().map(String::as_str) {
            // Its value can also be the name of a repository.
            Some("--tokenizer-model") => path.exists(),
            Some(flag) => LOCATIONS.contains(&flag),
            None => false,
        };
        absolute.push(if is_location { text(&path) } else { (*argument).to_owned() });
    }
    testing::mix(&absolute)
}

/// What the binary prints if it fails with this error in the sandbox, below its exit code.
pub fn message(sandbox: &Sandbox, error: &Error) -> String {
    let folder = format!("{}/", text(&sandbox.path("")).trim_end_matches('/'));
    format!("exit {}\nerror: {}\n", error.kind().exit_code(), error.to_string().replace(&folder, ""))
}

/// A path as an argument.
pub fn text(path: &Path) -> String {
    path.to_str().expect("temporary folders have UTF-8 names").to_owned()
}
