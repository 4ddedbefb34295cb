//! The `.env` file of the working directory, which the upstream notebook reads too.

use crate::error::{Error, ErrorKind, Result};
use std::path::Path;

/// Loads the file's variables into the environment; a variable that is already set keeps its value.
///
/// # Errors
/// A file that cannot be read or parsed.
pub(super) fn load() -> Result<()> {
    let path = Path::new(".env");
    match path.metadata() {
        Ok(found) if found.is_file() => {}
        // Some tools have a folder of this name, for virtual environments.
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => {
            return Err(Error::new(ErrorKind::Usage, "not a regular file")
                .at(".env")
                .hint("remove it, or run in another folder"));
        }
        Err(_) => return Ok(()),
    }
    check_variables(path)?;
    dotenvy::from_path(path).map_err(described)
}

/// Checks that the environment can hold all variables: setting one that it cannot would panic, with the value in the message.
fn check_variables(path: &Path) -> Result<()> {
    for variable in dotenvy::from_path_iter(path).map_err(described)? {
        let (name, value) = variable.map_err(described)?;
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(Error::new(ErrorKind::Usage, "a variable has no name, or contains a NUL byte")
                .at(".env")
                .hint("write one NAME=value per line, as text"));
        }
    }
    Ok(())
}

fn described(error: dotenvy::Error) -> Error {
    // The library's message contains the line, which may hold a secret.
    let message = match error {
        dotenvy::Error::LineParse(_, position) => format!("cannot parse a line at character {position}"),
        _ => "cannot read the file".to_owned(),
    };
    Error::new(ErrorKind::Usage, message)
        .at(".env")
        .hint("write one NAME=value per line; quote values that contain spaces")
}
