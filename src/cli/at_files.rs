//! Arguments whose value is in a file: Argo passes arguments over 128 KiB this way.

use crate::error::{Error, ErrorKind, Result};
use crate::secrets;
use crate::storage::read_small;
use std::ffi::OsString;
use std::path::Path;

/// The largest value, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Replaces arguments `@FILE` and `--flag=@FILE` by the file's text, without one final newline. `@@text` is a value that
/// begins with `@`.
///
/// # Errors
/// A usage error that names the file.
pub(super) fn expand(arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>> {
    arguments
        .into_iter()
        .enumerate()
        .map(|(place, argument)| {
            // The first argument is the name of the program.
            let Some(text) = argument.to_str().filter(|_| place > 0) else { return Ok(argument) };
            if let Some(rest) = text.strip_prefix('@') {
                return value(rest).map(OsString::from);
            }
            match text.split_once("=@") {
                Some((flag, rest)) if flag.starts_with("--") && !flag.contains('=') => {
                    value(rest).map(|value| OsString::from(format!("{flag}={value}")))
                }
                _ => Ok(argument),
            }
        })
        .collect()
}

/// The value for the text after an `@`.
fn value(rest: &str) -> Result<String> {
    if rest.starts_with('@') {
        return Ok(rest.to_owned());
    }
    let read = read_small(Path::new(rest), MAX_BYTES);
    let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other)).map_err(|error| {
        Error::new(ErrorKind::Usage, "cannot read the file of an @FILE argument")
            .at(rest)
            .caused_by(error)
            .hint("check the path, or write @@ for a value that begins with @")
    })?;
    secrets::protect(|known| known.add_urls(&text));
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
