//! The output parameters: the few values that a later step of a workflow branches on.

use crate::error::{Error, ErrorKind, Result};
use crate::manifest::Manifest;
use serde_json::{Map, Value};
use std::path::Path;

/// The values that a later step of a workflow branches on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputParameters {
    /// The cuts asked for that are feasible, ascending.
    pub(crate) feasible_cuts: Vec<u32>,
    /// The cut whose mix is handed on.
    pub(crate) selected_cut: u32,
    /// Samples in the mix that is handed on, copies counted.
    pub(crate) total_samples: u64,
    /// Tokens in the mix that is handed on, copies counted.
    pub(crate) total_tokens: u64,
}

/// Makes the folder of output parameters: before a run, which should not end in vain.
///
/// # Errors
/// It cannot be made.
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::new(ErrorKind::Io, "cannot make the folder").at(folder.display()).caused_by(error))
}

impl OutputParameters {
    /// The parameters of a finished mix.
    ///
    /// # Errors
    /// The manifest does not hold the selected cut: a bug of the caller.
    pub(crate) fn of(manifest: &Manifest, selected_cut: u32) -> Result<Self> {
        let cut = manifest.cuts.iter().find(|cut| cut.cut == selected_cut && cut.written).ok_or_else(|| {
            Error::new(ErrorKind::Bug, format!("the manifest does not hold the selected cut {selected_cut}"))
        })?;
        Ok(Self {
            feasible_cuts: manifest.cuts.iter().filter(|cut| cut.feasible).map(|cut| cut.cut).collect(),
            selected_cut,
            total_samples: cut.samples,
            total_tokens: cut.tokens,
        })
    }

    /// Name and value of each.
    pub(crate) fn values(&self) -> Map<String, Value> {
        Map::from_iter([
            ("feasible_cuts".to_string(), Value::from(self.feasible_cuts.clone())),
            ("selected_cut".to_string(), Value::from(self.selected_cut)),
            ("total_samples".to_string(), Value::from(self.total_samples)),
            ("total_tokens".to_string(), Value::from(self.total_tokens)),
        ])
    }

    /// Writes one file for each into a folder, which is made: the name is the parameter's, the content its JSON without
    /// a newline (engines take it to the letter).
    ///
    /// # Errors
    /// The folder or a file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        make_folder(folder)?;
        for (name, value) in self.values() {
            let path = folder.join(name);
            std::fs::write(&path, value.to_string())
                .map_err(|error| Error::new(ErrorKind::Io, "cannot write").at(path.display()).caused_by(error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::kfp_step::tests::manifest;

    #[test]
    fn each_parameter_is_a_file_without_a_newline() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made/on/the/way");
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
