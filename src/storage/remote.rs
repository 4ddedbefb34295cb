//! Buckets, read.

use super::connect::Store;
use super::environment::Environment;
use super::fault::{Fault, classify, explain};
use super::local::{changed, too_large};
use super::retry::Retry;
use super::{Location, ObjectInfo, RANGE, Version};
use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Attributes, Error as StoreError, GetOptions, GetResult, ObjectMeta};
use std::ops::Range;
use std::sync::Arc;

/// A store with the rules by which it is asked.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) retry: Retry,
    environment: Environment,
}

impl Remote {
    pub(crate) fn new(store: Arc<dyn Store>, retry: Retry, environment: Environment) -> Self {
        Self { store, retry, environment }
    }

    /// The error that a user reads.
    pub(crate) fn explain(&self, error: &StoreError, place: impl std::fmt::Display) -> Error {
        explain(error, place, &self.environment)
    }

    /// Every object below a prefix, unsorted.
    pub(crate) async fn list(&self, folder: &Location) -> Result<Vec<ObjectInfo>> {
        let prefix = key(folder)?;
        let listed: Result<Vec<ObjectMeta>, _> = self
            .retry
            .run(|| {
                let prefix = (!prefix.as_ref().is_empty()).then_some(&prefix);
                self.store.list(prefix).try_collect()
            })
            .await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) if classify(&error) == Fault::NotFound => Vec::new(),
            Err(error) => return Err(self.explain(&error, folder)),
        };
        let mut found: Vec<ObjectInfo> = listed
            .into_iter()
            .filter_map(|meta| {
                let below = meta.location.as_ref().strip_prefix(prefix.as_ref())?;
                let key = if prefix.as_ref().is_empty() { below } else { below.strip_prefix('/')? };
                (!key.is_empty()).then(|| info(key.to_string(), folder.join(key), &meta))
            })
            .collect();
        if found.is_empty() && !prefix.as_ref().is_empty() {
            found.extend(self.stat(folder).await?);
        }
        Ok(found)
    }

    /// What an object is now.
    pub(crate) async fn stat(&self, object: &Location) -> Result<Option<ObjectInfo>> {
        let path = key(object)?;
        if path.as_ref().is_empty() {
            return Ok(None);
        }
        match self.head(&path).await {
            Ok(result) => Ok(Some(info(object.name().to_string(), object.clone(), &result.meta))),
            Err(error) if classify(&error) == Fault::NotFound => Ok(None),
            Err(error) => Err(self.explain(&error, object)),
        }
    }

    pub(crate) async fn head(&self, path: &Path) -> Result<GetResult, StoreError> {
        self.retry.run(|| self.store.get_opts(path, GetOptions::new().with_head(true))).await
    }

    /// The object with a version that can be asked for: some stores name it only when they are asked for one object.
    pub(crate) async fn pinned(&self, object: &ObjectInfo) -> Result<ObjectInfo> {
        match &object.version {
            // Where one request is enough, its answer says which version it is of.
            Version::Object { e_tag: None, .. } if object.size <= RANGE => Ok(object.clone()),
            Version::Object { e_tag: None, modified } => match self.stat(&object.location).await? {
                Some(now) if now.size == object.size && now.modified_second() == Some(modified.timestamp()) => {
                    Ok(ObjectInfo { version: now.version, ..object.clone() })
                }
                _ => Err(changed(&object.location)),
            },
            _ => Ok(object.clone()),
        }
    }

    /// A small object whole, with what it was when it was read.
    pub(crate) async fn read(
        &self,
        object: &Location,
        max_bytes: u64,
    ) -> Result<Option<(Bytes, ObjectMeta, Attributes)>> {
        let path = key(object)?;
        if path.as_ref().is_empty() {
            return Ok(None);
        }
        let mut attempts = self.retry.begin();
        loop {
            let outcome = async {
                let result = self.store.get_opts(&path, GetOptions::new()).await?;
                let (meta, attributes) = (result.meta.clone(), result.attributes.clone());
                if meta.size > max_bytes {
                    return Ok(Err(too_large(object, max_bytes)));
                }
                let bytes = result.bytes().await?;
                if bytes.len() as u64 != meta.size {
                    return Err(cut_short());
                }
                Ok(Ok((bytes, meta, attributes)))
            };
            match outcome.await {
                Ok(read) => return read.map(Some),
                Err(error) => match classify(&error) {
                    Fault::NotFound => return Ok(None),
                    Fault::Transient if attempts.pause().await => {}
                    _ => return Err(self.explain(&error, object)),
                },
            }
        }
    }

    /// A range of one version of an object. A body that breaks off is taken up again where it broke.
    pub(crate) async fn fetch(&self, object: &ObjectInfo, range: Range<u64>) -> Result<Bytes> {
        let path = key(&object.location)?;
        let (mut e_tag, modified) = match &object.version {
            Version::Object { e_tag, modified } => (e_tag.clone(), modified),
            Version::Local(_) => return Err(changed(&object.location)),
        };
        if range.end > object.size || range.start > range.end {
            return Err(changed(&object.location));
        }
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut bytes: Vec<u8> = Vec::with_capacity(length);
        let mut attempts = self.retry.begin();
        while bytes.len() < length {
            let start = range.start + bytes.len() as u64;
            let options = GetOptions::new().with_range(Some(start..range.end)).with_if_match(e_tag.clone());
            let before = bytes.len();
            let outcome = async {
                let result = self.store.get_opts(&path, options).await?;
                let now = result.meta.e_tag.clone().map(quoted);
                let same = match &e_tag {
                    Some(_) => now == e_tag,
                    None => result.meta.last_modified.timestamp() == modified.timestamp(),
                };
                if !same || result.meta.size != object.size {
                    return Ok(false);
                }
                e_tag = now;
                let mut body = result.into_stream();
                while let Some(chunk) = body.next().await {
                    bytes.extend_from_slice(&chunk?);
                }
                if bytes.len() < length { Err(cut_short()) } else { Ok(true) }
            };
            match outcome.await {
                Ok(true) => {}
                Ok(false) => return Err(changed(&object.location)),
                Err(error) => match classify(&error) {
                    Fault::NotFound | Fault::Condition | Fault::Range => return Err(changed(&object.location)),
                    Fault::Transient => {
                        if bytes.len() > before {
                            attempts.progressed();
                        }
                        if !attempts.pause().await {
                            return Err(self.explain(&error, &object.location));
                        }
                    }
                    _ => return Err(self.explain(&error, &object.location)),
                },
            }
        }
        if bytes.len() > length {
            return Err(Error::new(ErrorKind::Io, "the store sent more bytes than were asked for").at(&object.location));
        }
        Ok(bytes.into())
    }
}

impl ObjectInfo {
    /// To the second: some stores tell a finer time in a listing than in a header.
    fn modified_second(&self) -> Option<i64> {
        match &self.version {
            Version::Object { modified, .. } => Some(modified.timestamp()),
            Version::Local(_) => None,
        }
    }
}

fn info(key: String, location: Location, meta: &ObjectMeta) -> ObjectInfo {
    let version = Version::Object { e_tag: meta.e_tag.clone().map(quoted), modified: meta.last_modified };
    ObjectInfo { key, location, size: meta.size, version }
}

/// An entity tag as HTTP wants it: Azure leaves the quotes out in a listing, but not in a header.
fn quoted(e_tag: String) -> String {
    if e_tag.ends_with('"') { e_tag } else { format!("\"{e_tag}\"") }
}

/// An error that counts as one that can heal.
pub(crate) fn cut_short() -> StoreError {
    StoreError::Generic { store: "storage", source: "the response body was cut short".into() }
}

/// The key as `object_store` wants it.
pub(crate) fn key(location: &Location) -> Result<Path> {
    let text = location.object().map_or("", |(_, key)| key);
    Path::parse(text).map_err(|_| {
        Error::new(ErrorKind::Usage, "a key with a segment that is `.` or `..` cannot be used").at(location)
    })
}
