//! `man`: prints the manual page.

use super::print::print_bytes;
use crate::cli;
use crate::error::{Error, ErrorKind, Result};

pub(super) fn run() -> Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(cli::command())
        .render(&mut page)
        .map_err(|error| Error::new(ErrorKind::Bug, "cannot make the manual page").caused_by(error))?;
    print_bytes(&page)
}
