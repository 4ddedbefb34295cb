//! Where a step may write: each output has its own path, so that no output replaces another or becomes a part of it, and none
//! is above the folder that the engine has given it.

use crate::error::{Error, ErrorKind, Result};
use std::path::{Component, Path, PathBuf};

/// A path without `.`, repeated slashes and a slash at its end.
pub(super) fn normalized(path: &Path) -> PathBuf {
    path.components().collect()
}

/// One output of a step.
#[derive(Debug)]
pub(super) struct Output<'a> {
    /// What an error names, such as `output artifact mixes`.
    pub(super) name: String,
    /// Its normalized path.
    pub(super) path: &'a Path,
    /// The folder that it has to be in; without one, it can be anywhere.
    pub(super) root: Option<&'static Path>,
}

/// Checks all outputs of a step.
///
/// # Errors
/// A usage error that names the first output whose path is relative, has `..`, is the root of the file system, is not inside its own
/// root, or is equal to, inside of or around the path of another output.
pub(super) fn check(outputs: &[Output]) -> Result<()> {
    for (at, output) in outputs.iter().enumerate() {
        check_path(output)?;
        if let Some(other) = outputs[..at].iter().find(|other| overlap(other.path, output.path)) {
            let relation = match output.path {
                path if path == other.path => "the same path as",
                path if path.starts_with(other.path) => "a path inside",
                _ => "a path around",
            };
            return Err(Error::new(
                ErrorKind::Usage,
                format!("`{}` is {relation} {} (`{}`)", output.path.display(), other.name, other.path.display()),
            )
            .at(&output.name)
            .hint("give each output another path"));
        }
    }
    Ok(())
}

fn check_path(output: &Output) -> Result<()> {
    let path = output.path;
    let invalid = |expected: &str| {
        let message = format!("invalid path `{}`: expected {expected}", path.display());
        Err(Error::new(ErrorKind::Usage, message)
            .at(&output.name)
            .hint("use a pipeline root with s3://, gs:// or minio://, or an absolute path"))
    };
    if path.components().any(|part| part == Component::ParentDir) {
        return invalid("a path without `..`");
    }
    if !path.is_absolute() {
        return invalid("an absolute path");
    }
    match output.root {
        Some(root) if path == root || !path.starts_with(root) => {
            invalid(&format!("a path inside `{}`", root.display()))
        }
        None if path.parent().is_none() => invalid("a path other than the root"),
        _ => Ok(()),
    }
}

fn overlap(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}
