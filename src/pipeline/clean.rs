//! Deletes what earlier mixes have left over in an output.

use super::finish::{json_file, publish_options, with_head};
use crate::error::Result;
use crate::manifest::Manifest;
use crate::storage::{Location, Storage};

/// Deletes the files that the manifest of a mix names as left over from earlier ones. Returns their names.
///
/// # Errors
/// [`ErrorKind::NotFound`] if there is no mix, [`ErrorKind::TryAgain`] if another run is at work, errors of storage.
pub(crate) async fn clean(storage: &Storage, output: &Location) -> Result<Vec<String>> {
    let encode = |manifest: &bytes::Bytes, head: &_| json_file(&with_head(Manifest::parse(manifest)?, head));
    // What is not a manifest is "not found" here, not a file in the way.
    storage.clean(output, publish_options(true), encode).await
}
