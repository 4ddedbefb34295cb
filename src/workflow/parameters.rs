//! The output parameters: the few values that a later step of a workflow branches on.

use super::files::{self, write_atomically};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::Manifest;
use serde_json::{Map, Value};
use std::path::Path;

/// The values that a later step of a workflow branches on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputParameters {
    /// The requested cuts that are feasible, ascending.
    pub(crate) feasible_cuts: Vec<u32>,
    /// The cut whose mix is passed on.
    pub(crate) selected_cut: u32,
    /// Samples in the mix that is passed on, including copies.
    pub(crate) total_samples: u64,
    /// Tokens in the mix that is passed on, including copies.
    pub(crate) total_tokens: u64,
}

/// Creates the folder of output parameters. Called before a run, so that a folder that cannot be created fails it early.
///
/// # Errors
/// The folder cannot be created.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    files::create_folder(folder)
}

impl OutputParameters {
    /// The parameters of a complete mix.
    ///
    /// # Errors
    /// The selected cut is not in the manifest: a bug of the caller.
    pub(crate) fn of(manifest: &Manifest, selected_cut: u32) -> Result<Self> {
        let cut = manifest.cut(selected_cut).filter(|cut| cut.written).ok_or_else(|| {
            Error::new(ErrorKind::Bug, format!("the selected cut {selected_cut} is not in the manifest"))
        })?;
        Ok(Self {
            feasible_cuts: manifest.cuts.iter().filter(|cut| cut.feasible).map(|cut| cut.cut).collect(),
            selected_cut,
            total_samples: cut.samples,
            total_tokens: cut.tokens,
        })
    }

    /// Name and value of each parameter.
    pub(super) fn values(&self) -> Map<String, Value> {
        Map::from_iter([
            ("feasible_cuts".to_string(), Value::from(self.feasible_cuts.clone())),
            ("selected_cut".to_string(), Value::from(self.selected_cut)),
            ("total_samples".to_string(), Value::from(self.total_samples)),
            ("total_tokens".to_string(), Value::from(self.total_tokens)),
        ])
    }

    /// Writes each parameter to a file of its name in `folder`, which is created. The content is the value as JSON
    /// without a newline, because engines use the content as it is.
    ///
    /// # Errors
    /// The folder or a file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        create_folder(folder)?;
        for (name, value) in self.values() {
            write_atomically(&folder.join(name), value.to_string().as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::fixtures::manifest;

    #[test]
    fn each_parameter_is_a_file_without_a_newline() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("created/on/the/way");
        let parameters = OutputParameters::of(&manifest(), 5).unwrap();
        parameters.write(&folder).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(read("feasible_cuts"), "[2,5]");
        assert_eq!(read("selected_cut"), "5");
        assert_eq!(read("total_samples"), "80");
        assert_eq!(read("total_tokens"), "8000");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 4);
        assert_eq!(OutputParameters::of(&manifest(), 50).unwrap_err().kind(), ErrorKind::Bug);
    }
}
