//! The `.env` file of the working directory, which the upstream notebook reads too.

use crate::error::{Error, ErrorKind, Result};

/// Loads the file's variables into the environment; a variable that is already set keeps its value.
///
/// # Errors
/// A file that cannot be read or parsed.
pub(super) fn load() -> Result<()> {
    let path = std::path::Path::new(".env");
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
    dotenvy::from_path(path).map_err(|error| {
        // The library's message contains the line, which may hold a secret.
        let message = match error {
            dotenvy::Error::LineParse(_, position) => format!("cannot parse a line at character {position}"),
            _ => "cannot read the file".to_owned(),
        };
        Error::new(ErrorKind::Usage, message)
            .at(".env")
            .hint("write one NAME=value per line; quote values that contain spaces")
    })
}
