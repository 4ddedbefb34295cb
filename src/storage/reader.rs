//! Reads one version of an object, wherever it is.

use super::local::OpenFile;
use super::location::Location;
use super::object::{ObjectInfo, ObjectVersion};
use super::open_files;
use super::remote::OpenObject;
use super::shared::Shared;
use super::task::{AbortOnDrop, blocking};
use super::{local, remote};
use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use std::ops::Range;

/// Describes a file without reading it; `None` if it does not exist.
pub(crate) async fn stat(shared: &Shared, location: &Location) -> Result<Option<ObjectInfo>> {
    match shared.remote(location).await? {
        Some(remote) => remote.stat(location).await,
        None => blocking(location, local::stat).await,
    }
}

/// One version of an object, open for reading.
#[derive(Clone)]
pub(crate) enum Reader {
    Local(OpenFile),
    Remote(OpenObject),
}

impl Reader {
    pub(crate) async fn open(shared: &Shared, object: &ObjectInfo) -> Result<Self> {
        match (&object.version, shared.remote(&object.location).await?) {
            (ObjectVersion::Remote(version), Some(remote)) => Ok(Self::Remote(remote.open(object, version).await?)),
            (ObjectVersion::Local(version), None) => {
                let version = version.clone();
                Ok(Self::Local(blocking(&object.location, move |path| OpenFile::open(path, &version)).await?))
            }
            _ => Err(Error::new(ErrorKind::Bug, "the object was listed by another backend").at(&object.location)),
        }
    }

    /// Size and number of the ranges that are read ahead.
    pub(crate) fn ranges(&self) -> (u64, usize) {
        match self {
            Self::Local(_) => (local::RANGE, local::READ_AHEAD),
            Self::Remote(_) => (remote::RANGE, open_files::at_most(remote::READ_AHEAD)),
        }
    }

    /// Starts reading immediately, before the result is awaited, so that reading continues while the consumer works.
    pub(crate) fn read(self, range: Range<u64>) -> impl Future<Output = Result<Bytes>> + Send + 'static {
        let task = match self {
            Self::Local(file) => AbortOnDrop(tokio::task::spawn_blocking(move || file.read(range))),
            Self::Remote(object) => AbortOnDrop(tokio::spawn(async move { object.read(range).await })),
        };
        async move { task.join().await }
    }
}
