//! The folders that a publication has created.

use crate::error::Result;
use crate::storage::location::Location;
use crate::storage::store_error::write_error;
use std::path::{Path, PathBuf};

/// The folders that a publication has created, deepest first. When it ends, those that are empty are removed: a run that
/// publishes nothing leaves nothing.
pub(super) struct CreatedFolders(Vec<PathBuf>);

impl CreatedFolders {
    pub(super) fn create(folder: &Path, output: &Location) -> Result<Self> {
        let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let created = folder.ancestors().take_while(is_missing).map(Path::to_path_buf).collect();
        std::fs::create_dir_all(folder).map_err(|error| write_error(error, "create the folder", output))?;
        Ok(Self(created))
    }
}

impl Drop for CreatedFolders {
    fn drop(&mut self) {
        // `remove_dir` refuses a folder that holds anything.
        let _ = self.0.iter().try_for_each(std::fs::remove_dir);
    }
}
