//! The sources of a run: the four of the generator, as a recipe changes them and adds to them.

use crate::error::{Error, ErrorKind, Result};
use crate::mixing;
use crate::recipe;
use crate::sample;
use crate::settings::Settings;
use crate::storage::Location;

/// One source of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunSource {
    /// How its rows are read and written.
    pub(crate) rows: sample::Source,
    /// How it is mixed.
    pub(crate) mixing: mixing::Source,
    /// Where its rows are; empty: in the folder of its name in every input.
    pub(crate) locations: Vec<Location>,
}

/// The sources in the order of the mix.
///
/// # Errors
/// A usage error where a place is given for a source that is not there, or a recipe's path is no location.
pub(crate) fn run_sources(settings: &Settings) -> Result<Vec<RunSource>> {
    let sources = settings.recipe.all_sources();
    let mut sources =
        sources.iter().map(|source| run_source(source, settings.qa_per_doc)).collect::<Result<Vec<_>>>()?;
    for (name, location) in &settings.source_inputs {
        let names: Vec<String> = sources.iter().map(|source| source.rows.name.clone()).collect();
        let Some(source) = sources.iter_mut().find(|source| source.rows.name == *name) else {
            let there = names.join(", ");
            return Err(Error::new(ErrorKind::Usage, format!("no source is called `{name}`; there are {there}"))
                .at("--source-input"));
        };
        source.locations.push(location.clone());
    }
    Ok(sources)
}

fn run_source(source: &recipe::Source, qa_per_doc: u32) -> Result<RunSource> {
    let place = |path: &String| {
        Location::parse(path).map_err(|error| error.at(format_args!("the recipe's paths of {}", source.name)))
    };
    Ok(RunSource {
        rows: sample::Source {
            name: source.name.clone(),
            kind: source.kind,
            with_document: source.with_document,
            unmask: source.unmask,
        },
        mixing: mixing::Source::from_recipe(source, qa_per_doc),
        locations: source.paths.iter().flatten().map(place).collect::<Result<_>>()?,
    })
}
