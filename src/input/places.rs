//! Where each sample is from, for messages.

use super::find::InputObject;
use super::rows::Origin;

/// The file and line of each sample.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// The path or URL of each file, and the place after its last sample.
    files: Vec<(String, usize)>,
    origins: Vec<Origin>,
}

impl Places {
    /// Of samples in the order of their files.
    pub(super) fn new(files: &[InputObject], samples_by_file: &[usize], origins: Vec<Origin>) -> Self {
        let mut end = 0;
        let of_file = |(file, samples): (&InputObject, &usize)| {
            end += samples;
            (file.object.location.to_string(), end)
        };
        Self { files: files.iter().zip(samples_by_file).map(of_file).collect(), origins }
    }

    /// `file:line` of a sample; `None` for one that is made of others.
    pub(crate) fn of(&self, sample: usize) -> Option<String> {
        let line = self.origins.get(sample)?.line();
        let file = self.files.partition_point(|(_, end)| *end <= sample);
        Some(format!("{}:{line}", self.files.get(file)?.0))
    }
}
