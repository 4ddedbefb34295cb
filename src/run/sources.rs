//! The sources of a run: the four of the generator, as a recipe changes them and adds to them.

use crate::artifacts::{self, known_sources};
use crate::error::{Error, ErrorKind, Result};
use crate::mixing;
use crate::settings::Settings;
use crate::storage::Location;

/// One source of a run.
#[derive(Debug, Clone)]
pub struct RunSource {
    /// How its rows are read and written.
    pub rows: artifacts::Source,
    /// How it is mixed.
    pub mixing: mixing::Source,
    /// Where its rows are; empty: in the folder of its name in every input.
    pub locations: Vec<Location>,
}

/// The sources in the order of the mix.
///
/// # Errors
/// A usage error where a place is given for a source that is not there.
pub fn run_sources(settings: &Settings) -> Result<Vec<RunSource>> {
    let mut sources: Vec<RunSource> = known_sources()
        .into_iter()
        .map(|rows| RunSource {
            mixing: mixing::Source::new(rows.name.clone(), rows.kind, settings.qa_per_doc),
            rows,
            locations: Vec::new(),
        })
        .collect();
    for (name, location) in &settings.source_inputs {
        let names: Vec<String> = sources.iter().map(|source| source.rows.name.clone()).collect();
        let Some(source) = sources.iter_mut().find(|source| source.rows.name == *name) else {
            return Err(Error::new(ErrorKind::Usage, format!("no source is called `{name}`; there are {}", names.join(", ")))
                .at("--source-input"));
        };
        source.locations.push(location.clone());
    }
    Ok(sources)
}

/// What the planning is asked for.
pub fn mixing_options(settings: &Settings) -> mixing::Options {
    mixing::Options { seed: settings.seed, shuffle: settings.shuffle, ..mixing::Options::default() }
}
