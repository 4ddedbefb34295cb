//! `init`: writes a recipe for what is in the input.

use super::print::print;
use super::session::Session;
use crate::cli::InitArguments;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline;
use crate::report::recipe_draft::summary;
use crate::settings::{self, SettingValues, Settings};
use crate::storage::Location;
use crate::tokens::BUILTIN;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file name that means standard output.
const STDOUT: &str = "-";

pub(super) async fn run(arguments: &InitArguments, session: &Session<'_>) -> Result<()> {
    let given = &arguments.settings.0;
    let tokenizer = match &arguments.tokenizer_model {
        Some(model) => model.clone(),
        // A recipe wins over the environment, so it has to repeat it.
        None => settings::tokenizer_argument(&SettingValues::default(), session.environment)?
            .unwrap_or_else(|| BUILTIN.to_owned()),
    };
    settings::tokenizer_model(&tokenizer)?;
    let file = recipe_file(&arguments.file)?;
    // Reading the input may take a while.
    if let Some(file) = &file
        && !arguments.force
        && file.symlink_metadata().is_ok()
    {
        return Err(is_in_the_way(file));
    }
    let settings = Settings::resolve(given, None, session.environment)?;
    let draft = pipeline::init(&settings, &tokenizer, &session.context()?).await?;
    match file {
        None => print(&draft.text("FILE")),
        Some(file) => {
            write(&file, &draft.text(&arguments.file), arguments.force)?;
            print(&summary(&draft, &arguments.file))
        }
    }
}

/// The path of the recipe; `None` for standard output.
fn recipe_file(name: &str) -> Result<Option<PathBuf>> {
    if name == STDOUT {
        return Ok(None);
    }
    let location = Location::parse(name)?;
    match location.local_path() {
        Some(path) => Ok(Some(path.to_path_buf())),
        None => Err(Error::new(ErrorKind::Usage, "a recipe can only be written to a local file")
            .at(location)
            .hint("pass - to print it, and copy it from there")),
    }
}

fn is_in_the_way(file: &Path) -> Error {
    Error::new(ErrorKind::Usage, "the file exists")
        .at(file.display())
        .hint("pass another name, - to print the recipe, or --force to replace the file")
}

fn write(file: &Path, text: &str, is_forced: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if is_forced {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options.open(file).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => is_in_the_way(file),
        _ => Error::new(ErrorKind::Io, "cannot write the recipe").at(file.display()).caused_by(error),
    })
}
