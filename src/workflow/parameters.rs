//! The output parameters: the few values that a later step of a workflow branches on.

use crate::dataset::manifest::Manifest;
use crate::error::{Error, ErrorKind, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// The values that a later step of a workflow branches on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputParameters {
    /// The cuts asked for that are feasible, ascending.
    pub feasible_cuts: Vec<u32>,
    /// The cut whose mix is handed on.
    pub selected_cut: u32,
    /// Samples in the mix that is handed on, copies counted.
    pub total_samples: u64,
    /// Tokens in the mix that is handed on, copies counted.
    pub total_tokens: u64,
}

/// Chooses the cut whose mix is handed on: the one asked for, else the largest of those that are (or will be) written.
///
/// # Errors
/// The cut asked for is not among those written, or none is: ask before the mix is published.
pub fn select_cut(written: &[u32], asked: Option<u32>) -> Result<u32> {
    let Some(largest) = written.iter().max() else {
        return Err(Error::new(ErrorKind::NoFeasibleCut, "no mix is written, so none can be handed on"));
    };
    match asked {
        None => Ok(*largest),
        Some(cut) if written.contains(&cut) => Ok(cut),
        Some(cut) => {
            let list = written.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            Err(Error::new(ErrorKind::NoFeasibleCut, format!("cut {cut} is to be handed on, but it is not written"))
                .at("--select-cut")
                .hint(format!("written are: {list}; without --select-cut the largest one is handed on")))
        }
    }
}

impl OutputParameters {
    /// The parameters of a finished mix.
    ///
    /// # Errors
    /// The manifest does not hold the selected cut: a bug of the caller.
    pub fn of(manifest: &Manifest, selected_cut: u32) -> Result<Self> {
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
    pub fn values(&self) -> Map<String, Value> {
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
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::new(ErrorKind::Io, "cannot make the folder").at(folder.display()).caused_by(error)
        })?;
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
    fn the_largest_written_cut_is_handed_on_unless_another_is_asked_for() {
        assert_eq!(select_cut(&[5, 50, 10], None).unwrap(), 50);
        assert_eq!(select_cut(&[5, 50, 10], Some(10)).unwrap(), 10);
        let error = select_cut(&[5, 10], Some(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoFeasibleCut);
        insta::assert_snapshot!(error, @r"
        --select-cut: cut 50 is to be handed on, but it is not written
          hint: written are: 5, 10; without --select-cut the largest one is handed on
        ");
        assert!(select_cut(&[], None).is_err());
    }

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
