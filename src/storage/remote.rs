//! Lists and reads buckets.

use super::connect::Store;
use super::environment::Environment;
use super::location::Location;
use super::object::{ListFilter, Listing, ObjectInfo, ObjectVersion, RemoteVersion, Subfolders};
use super::retry::{Attempts, Retry};
use super::store_error::{StoreErrorKind, changed, store_error, too_large, transformed, truncated};
use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, GetOptions, GetResult, ObjectMeta};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// Size of the ranges in which an object is read.
pub(crate) const RANGE: u64 = 4 << 20;

/// Number of ranges of one object that are read ahead: a request has a high latency.
pub(crate) const READ_AHEAD: usize = 6;

/// The largest number of objects of one listing. Their names alone take about a gigabyte.
const MAX_LISTED: usize = 10_000_000;

/// A store and the rules for requests to it.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) retry: Retry,
    environment: Environment,
}

/// A small object, read completely.
pub(crate) struct SmallObject {
    pub(crate) bytes: Bytes,
    pub(crate) meta: ObjectMeta,
}

/// Why an attempt to read an object failed.
enum ReadFailure {
    Store(StoreError),
    Permanent(Error),
}

impl From<StoreError> for ReadFailure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Remote {
    pub(crate) fn new(store: Arc<dyn Store>, retry: Retry, environment: Environment) -> Self {
        Self { store, retry, environment }
    }

    /// Describes an error of the store to the user.
    pub(crate) fn error(&self, error: &StoreError, place: impl std::fmt::Display) -> Error {
        store_error(error, place, &self.environment)
    }

    /// Returns every object below a prefix that a filter selects, unsorted.
    pub(crate) async fn list(&self, folder: &Location, filter: ListFilter) -> Result<Listing> {
        let prefix = object_path(folder)?;
        let mut attempts = self.retry.begin();
        let listed = loop {
            match self.list_once(&prefix, folder).await {
                Ok(listed) => break listed,
                Err(ReadFailure::Permanent(error)) => return Err(error),
                Err(ReadFailure::Store(error)) => match StoreErrorKind::of(&error) {
                    StoreErrorKind::NotFound => break Vec::new(),
                    StoreErrorKind::Transient if attempts.pause(Some(&error)).await => {}
                    _ => return Err(self.error(&error, folder)),
                },
            }
        };
        if listed.is_empty() && !prefix.as_ref().is_empty() {
            return Ok(Listing { files: self.stat(folder).await?.into_iter().collect(), ..Listing::default() });
        }
        let mut found = Listing::default();
        for meta in listed {
            match key_below(&prefix, &meta.location).filter(|key| !filter.ignores(key)) {
                Some(key) if filter.wants(key) => found.files.push(info(key.to_string(), folder.join(key), &meta)),
                Some(key) => found.unread.push(key.to_string()),
                None => {}
            }
        }
        Ok(found)
    }

    /// Requests the pages of a listing. A store that never ends it would be asked for ever.
    async fn list_once(&self, prefix: &Path, folder: &Location) -> Result<Vec<ObjectMeta>, ReadFailure> {
        let mut pages = self.store.list((!prefix.as_ref().is_empty()).then_some(prefix));
        let (mut listed, mut seen) = (Vec::<ObjectMeta>::new(), HashSet::new());
        loop {
            let next = tokio::time::timeout(self.retry.timeout, pages.next()).await;
            let Ok(next) = next else { return Err(ReadFailure::Permanent(self.no_end(folder, listed.len()))) };
            let Some(meta) = next.transpose()? else { return Ok(listed) };
            // Most stores list keys in order; only another order may repeat one.
            let is_in_order = listed.last().is_none_or(|last| last.location < meta.location);
            if !is_in_order && seen.is_empty() {
                seen.extend(listed.iter().map(|meta| meta.location.clone()));
            }
            let is_repeated = (!is_in_order || !seen.is_empty()) && !seen.insert(meta.location.clone());
            if is_repeated || listed.len() >= MAX_LISTED {
                let error = self.no_end(folder, listed.len());
                let cause = format!("key `{}` {}", meta.location, if is_repeated { "again" } else { "and more" });
                return Err(ReadFailure::Permanent(error.caused_by(cause)));
            }
            listed.push(meta);
        }
    }

    /// The error for a listing that does not end.
    fn no_end(&self, folder: &Location, listed: usize) -> Error {
        Error::new(ErrorKind::Io, format!("the store's listing does not end: {listed} keys so far"))
            .at(folder)
            .hint("check the endpoint: its listings repeat themselves")
    }

    /// Returns the objects below the sub-folders `names`, unsorted, with keys below `folder`.
    ///
    /// The first request names the sub-folders. Stores have keys that are no paths (`in//x`, `in/../x`), for which `object_store` refuses
    /// the whole listing; beside the sub-folders they do no harm.
    pub(crate) async fn list_subfolders(
        &self,
        folder: &Location,
        names: &[String],
        filter: ListFilter,
    ) -> Result<Subfolders> {
        let prefix = object_path(folder)?;
        let prefix = (!prefix.as_ref().is_empty()).then_some(&prefix);
        let listing = self.retry.run(|| self.store.list_with_delimiter(prefix));
        let listing = tokio::time::timeout(self.retry.timeout.saturating_mul(2), listing).await;
        let listing = listing.map_err(|_| self.no_end(folder, 0))?;
        let mut found = Subfolders::default();
        let mut present = names.to_vec();
        match listing {
            Ok(listing) => {
                let names_of = listing.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_string));
                let (known, others): (Vec<_>, Vec<_>) = names_of.partition(|name| names.contains(name));
                found.others.extend(others.into_iter().filter(|name| !(filter.is_ignored)(name)));
                present.retain(|name| known.contains(name));
            }
            Err(StoreError::InvalidPath { source }) => found.unreadable.push(invalid_key(&source)),
            Err(error) if StoreErrorKind::of(&error) == StoreErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(self.error(&error, folder)),
        }
        for name in present {
            // An object of that name is no folder.
            let below = self.list(&folder.join(&name), filter).await?;
            let files = below.files.into_iter().filter(|file| file.location != folder.join(&name));
            let listing = &mut found.listing;
            listing.files.extend(files.map(|file| ObjectInfo { key: format!("{name}/{}", file.key), ..file }));
            listing.unread.extend(below.unread.into_iter().map(|key| format!("{name}/{key}")));
        }
        Ok(found)
    }

    /// Describes an object; `None` if it does not exist.
    pub(crate) async fn stat(&self, object: &Location) -> Result<Option<ObjectInfo>> {
        let path = object_path(object)?;
        if path.as_ref().is_empty() {
            return Ok(None);
        }
        match self.head(&path).await {
            Ok(result) => Ok(Some(info(object.name().to_string(), object.clone(), &result.meta))),
            Err(error) if StoreErrorKind::of(&error) == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(&error, object)),
        }
    }

    pub(crate) async fn head(&self, path: &Path) -> Result<GetResult, StoreError> {
        self.retry.run(|| self.store.get_opts(path, GetOptions::new().with_head(true))).await
    }

    /// Opens the version of an object that was listed. Asks for its entity tag if the listing has none.
    pub(crate) async fn open(&self, object: &ObjectInfo, version: &RemoteVersion) -> Result<OpenObject> {
        let mut version = version.clone();
        // An object of one range needs no tag: the only response says which version it holds.
        if version.e_tag.is_none() && object.size > RANGE {
            let path = object_path(&object.location)?;
            let current = match self.head(&path).await {
                Ok(found) => found.meta,
                Err(error) if StoreErrorKind::of(&error) == StoreErrorKind::NotFound => {
                    return Err(changed(&object.location));
                }
                Err(error) => return Err(self.error(&error, &object.location)),
            };
            if current.last_modified.timestamp() != version.modified {
                return Err(changed(&object.location));
            }
            if current.size != object.size {
                return Err(transformed(&object.location, &size_differs(object.size, current.size)));
            }
            version = version_of(&current);
        }
        Ok(OpenObject { remote: self.clone(), location: object.location.clone(), size: object.size, version })
    }

    /// Reads a small object; `None` if it does not exist.
    pub(crate) async fn read(&self, object: &Location, max_bytes: u64) -> Result<Option<SmallObject>> {
        let path = object_path(object)?;
        if path.as_ref().is_empty() {
            return Ok(None);
        }
        let mut attempts = self.retry.begin();
        loop {
            let outcome = async {
                let result = self.store.get_opts(&path, GetOptions::new()).await?;
                let meta = result.meta.clone();
                if meta.size > max_bytes {
                    return Err(ReadFailure::Permanent(too_large(object, max_bytes)));
                }
                let bytes = result.bytes().await?;
                if bytes.len() as u64 != meta.size {
                    return Err(truncated().into());
                }
                Ok(SmallObject { bytes, meta })
            };
            match outcome.await {
                Ok(read) => return Ok(Some(read)),
                Err(ReadFailure::Permanent(error)) => return Err(error),
                Err(ReadFailure::Store(error)) => match StoreErrorKind::of(&error) {
                    StoreErrorKind::NotFound => return Ok(None),
                    StoreErrorKind::Transient if attempts.pause(Some(&error)).await => {}
                    _ => return Err(self.error(&error, object)),
                },
            }
        }
    }
}

/// One version of an object, open for reading.
#[derive(Clone)]
pub(crate) struct OpenObject {
    remote: Remote,
    location: Location,
    size: u64,
    version: RemoteVersion,
}

impl OpenObject {
    /// Reads a range. A body that breaks off is resumed where it broke off.
    pub(crate) async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let path = object_path(&self.location)?;
        if range.end > self.size || range.start > range.end {
            return Err(changed(&self.location));
        }
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut bytes: Vec<u8> = Vec::with_capacity(length);
        let mut e_tag = self.version.e_tag.clone();
        let mut attempts = self.remote.retry.begin();
        while bytes.len() < length {
            let read_before = bytes.len();
            let rest = range.start + read_before as u64..range.end;
            match self.read_rest(&path, rest, &mut e_tag, &mut bytes).await {
                Ok(()) if bytes.len() < length => {
                    self.retry_or_fail(truncated(), bytes.len() > read_before, &mut attempts).await?;
                }
                Ok(()) => {}
                Err(ReadFailure::Permanent(error)) => return Err(error),
                Err(ReadFailure::Store(error)) => {
                    self.retry_or_fail(error, bytes.len() > read_before, &mut attempts).await?;
                }
            }
        }
        if bytes.len() > length {
            return Err(Error::new(ErrorKind::Io, "the store sent more bytes than requested").at(&self.location));
        }
        Ok(bytes.into())
    }

    /// Appends what one response holds of a range, if it is of this version; keeps its tag for the next request.
    async fn read_rest(
        &self,
        path: &Path,
        range: Range<u64>,
        e_tag: &mut Option<String>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ReadFailure> {
        // A condition never holds for a weak tag. What a response says of its version is checked in any case.
        let condition = e_tag.clone().filter(|tag| !is_weak(tag));
        let options = GetOptions::new().with_range(Some(range)).with_if_match(condition);
        let result = self.remote.store.get_opts(path, options).await?;
        let current = version_of(&result.meta);
        let is_same_time = current.modified == self.version.modified;
        let is_same = match (&*e_tag, &current.e_tag) {
            (Some(expected), Some(found)) if is_weak(expected) || is_weak(found) => {
                opaque(expected) == opaque(found) && is_same_time
            }
            (Some(expected), Some(found)) => expected == found,
            (Some(_), None) => false,
            (None, _) => is_same_time,
        };
        if !is_same {
            return Err(ReadFailure::Permanent(changed(&self.location)));
        }
        if result.meta.size != self.size {
            let cause = size_differs(self.size, result.meta.size);
            return Err(ReadFailure::Permanent(transformed(&self.location, &cause)));
        }
        *e_tag = current.e_tag;
        let mut body = result.into_stream();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        Ok(())
    }

    /// Pauses before the next attempt, or fails with the error of this one.
    async fn retry_or_fail(&self, error: StoreError, has_progressed: bool, attempts: &mut Attempts) -> Result<()> {
        match StoreErrorKind::of(&error) {
            StoreErrorKind::NotFound | StoreErrorKind::PreconditionFailed | StoreErrorKind::InvalidRange => {
                return Err(changed(&self.location));
            }
            StoreErrorKind::Transient => {
                if has_progressed {
                    attempts.progressed();
                }
                if attempts.pause(Some(&error)).await {
                    return Ok(());
                }
            }
            _ => {}
        }
        Err(self.remote.error(&error, &self.location))
    }
}

/// The key that is not a path.
fn invalid_key(error: &object_store::path::Error) -> String {
    use object_store::path::Error as PathError;
    match error {
        PathError::EmptySegment { path } | PathError::BadSegment { path, .. } => path.clone(),
        other => other.to_string(),
    }
}

/// The key of an object below a prefix.
fn key_below<'p>(prefix: &Path, object: &'p Path) -> Option<&'p str> {
    let below = object.as_ref().strip_prefix(prefix.as_ref())?;
    let key = if prefix.as_ref().is_empty() { below } else { below.strip_prefix('/')? };
    (!key.is_empty()).then_some(key)
}

fn info(key: String, location: Location, meta: &ObjectMeta) -> ObjectInfo {
    ObjectInfo { key, location, size: meta.size, version: ObjectVersion::Remote(version_of(meta)) }
}

fn version_of(meta: &ObjectMeta) -> RemoteVersion {
    // A listing may hold a tag that no header can carry.
    let e_tag = meta.e_tag.clone().filter(|tag| is_sendable(tag));
    RemoteVersion { e_tag: e_tag.map(quoted), modified: meta.last_modified.timestamp() }
}

/// Whether a header can carry an entity tag: `object_store` panics if it cannot.
pub(crate) fn is_sendable(e_tag: &str) -> bool {
    e_tag.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An entity tag in its HTTP form: Azure omits the quotes in a listing, but not in a header.
fn quoted(e_tag: String) -> String {
    if e_tag.ends_with('"') { e_tag } else { format!("\"{e_tag}\"") }
}

/// Whether an entity tag is weak: versions that have it in common are equivalent, but not the same bytes (RFC 9110, section 8.8.1).
fn is_weak(e_tag: &str) -> bool {
    e_tag.starts_with("W/")
}

/// What a weak and a strong entity tag of the same version have in common.
fn opaque(e_tag: &str) -> &str {
    e_tag.trim_start_matches("W/")
}

fn size_differs(listed: u64, sent: u64) -> String {
    format!("the store lists {listed} bytes and sends {sent}, of the same version")
}

/// The path of a location in its store.
pub(crate) fn object_path(location: &Location) -> Result<Path> {
    let text = location.object().map_or("", |(_, key)| key);
    Path::parse(text).map_err(|_| {
        Error::new(ErrorKind::Usage, "invalid key: a segment is `.` or `..`")
            .at(location)
            .hint("remove the segment from the URL")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_tag_that_no_header_can_carry_is_no_condition() {
        let of = |tag: Option<&str>| {
            version_of(&ObjectMeta {
                location: Path::from("a"),
                last_modified: chrono::DateTime::UNIX_EPOCH,
                size: 1,
                e_tag: tag.map(str::to_owned),
                version: None,
            })
            .e_tag
        };
        assert_eq!(of(Some("\"1\"")).as_deref(), Some("\"1\""));
        assert_eq!(of(Some("0x1")).as_deref(), Some("\"0x1\""));
        assert_eq!((of(Some("\"a\nb\"")), of(Some("\"é\"")), of(None)), (None, None, None));
    }
}
