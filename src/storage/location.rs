//! A location: a local path, or a URL of an object store.

use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What [`Location::parse`] accepts, for hints.
const SUPPORTED: &str = "a path, file:///path, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, \
                         abfss://container@account.dfs.core.windows.net/prefix or minio://bucket/prefix";

/// A folder or a file, local or in an object store. Never holds a secret: [`Location::parse`] rejects URLs that contain
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location(Place);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Place {
    Local(PathBuf),
    Object { bucket: Bucket, key: String },
}

/// A bucket (Azure: a container). One store is opened for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Bucket {
    pub(crate) scheme: Scheme,
    /// The bucket or container. S3: `tenant:bucket`, if the URL names a tenant, as Ceph has them.
    pub(crate) name: String,
    /// Azure: `account.dfs.core.windows.net`, if the URL names it.
    pub(crate) host: Option<String>,
}

/// The kinds of object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Scheme {
    S3,
    Minio,
    Google,
    Azure,
    AzureDataLake,
    Memory,
}

impl Scheme {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "s3" | "s3a" => Self::S3,
            "minio" => Self::Minio,
            "gs" => Self::Google,
            "az" => Self::Azure,
            "abfs" | "abfss" => Self::AzureDataLake,
            "memory" => Self::Memory,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Minio => "minio",
            Self::Google => "gs",
            Self::Azure => "az",
            Self::AzureDataLake => "abfss",
            Self::Memory => "memory",
        }
    }
}

impl Location {
    /// Parses a path or a URL of a supported store. `memory://name/prefix` is a store for tests, which lives as long as
    /// its [`Storage`](super::Storage).
    ///
    /// # Errors A usage error for anything else. A URL with a user, a password or a query is rejected without repeating
    /// it in the message: it may hold a secret, and credentials are read from the environment only.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(invalid("the location is empty".into()));
        }
        if text.contains('\0') {
            return Err(invalid("the location contains a NUL byte".into()));
        }
        let Some((scheme, rest)) = split_scheme(text) else { return Ok(Self::local(text)) };
        let name = scheme.to_ascii_lowercase();
        if name == "file" {
            return file_url(rest);
        }
        let Some(scheme) = Scheme::parse(&name) else {
            return Err(invalid(format!("unsupported URL scheme `{name}://`")));
        };
        if rest.contains('?') {
            let message = format!("the {}:// URL contains a query (`?...`)", scheme.name());
            return Err(invalid(message).hint("pass credentials and SAS tokens in environment variables"));
        }
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket = bucket(scheme, authority)?;
        Ok(Self(Place::Object { bucket, key: normalized(key) }))
    }

    /// A local path.
    pub fn local(path: impl Into<PathBuf>) -> Self {
        Self(Place::Local(path.into()))
    }

    /// The location of `key` (segments joined with `/`) below this one.
    #[must_use]
    pub fn join(&self, key: &str) -> Self {
        match &self.0 {
            Place::Local(path) => {
                let mut path = path.clone();
                path.extend(key.split('/').filter(|segment| !segment.is_empty()));
                Self(Place::Local(path))
            }
            Place::Object { bucket, key: prefix } => {
                let key = if prefix.is_empty() { normalized(key) } else { normalized(&format!("{prefix}/{key}")) };
                Self(Place::Object { bucket: bucket.clone(), key })
            }
        }
    }

    /// Whether this is a path in the local file system.
    pub fn is_local(&self) -> bool {
        matches!(self.0, Place::Local(_))
    }

    /// The path in the local file system.
    pub fn local_path(&self) -> Option<&Path> {
        match &self.0 {
            Place::Local(path) => Some(path),
            Place::Object { .. } => None,
        }
    }

    /// The last segment: the bucket's name if the key is empty, and nothing for paths such as `/` and `.`.
    pub(crate) fn name(&self) -> &str {
        match &self.0 {
            Place::Local(path) => path.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
            Place::Object { bucket, key } if key.is_empty() => &bucket.name,
            Place::Object { key, .. } => key.rsplit('/').next().unwrap_or_default(),
        }
    }

    /// Whether `other` is this location or a location below it, however both are spelled: links, other mounts of the same folder and
    /// other schemes of the same bucket included, as far as the paths exist.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Place::Local(outer), Place::Local(inner)) => {
                let (outer, inner) = (resolved(outer), resolved(inner));
                inner.starts_with(&outer)
                    || identity(&outer)
                        .is_some_and(|outer| inner.ancestors().any(|folder| identity(folder) == Some(outer)))
            }
            (Place::Object { bucket: a, key: outer }, Place::Object { bucket: b, key: inner }) => {
                a.may_be(b)
                    && (outer.is_empty()
                        || inner == outer
                        || inner.strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('/')))
            }
            _ => false,
        }
    }

    /// Bucket and key in an object store.
    pub(crate) fn object(&self) -> Option<(&Bucket, &str)> {
        match &self.0 {
            Place::Local(_) => None,
            Place::Object { bucket, key } => Some((bucket, key)),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Local(path) => path.display().fmt(f),
            Place::Object { bucket, key } => {
                bucket.fmt(f)?;
                if key.is_empty() { Ok(()) } else { write!(f, "/{key}") }
            }
        }
    }
}

impl Bucket {
    /// Whether both may be the same bucket: `s3://` and `minio://` reach the same servers, as do the schemes of Azure.
    fn may_be(&self, other: &Self) -> bool {
        let store = |scheme| match scheme {
            Scheme::Minio => Scheme::S3,
            Scheme::AzureDataLake => Scheme::Azure,
            scheme => scheme,
        };
        let hosts = self.host.as_ref().zip(other.host.as_ref());
        store(self.scheme) == store(other.scheme) && self.name == other.name && hosts.is_none_or(|(a, b)| a == b)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.name)?;
        if let Some(host) = &self.host { write!(f, "@{host}") } else { Ok(()) }
    }
}

impl std::str::FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Usage, message).hint(format!("use {SUPPORTED}"))
}

/// The scheme and the rest of a text that looks like a URL.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(allowed)).then_some((scheme, rest))
}

fn file_url(rest: &str) -> Result<Location> {
    let path = match rest.split_once('/') {
        Some(("" | "localhost", path)) => format!("/{path}"),
        _ => return Err(invalid("the file:// URL names a host: expected file:///path".into())),
    };
    let path =
        percent_decoded(&path).ok_or_else(|| invalid("the path of the file:// URL is not valid UTF-8".into()))?;
    if path.contains('\0') {
        return Err(invalid("the location contains a NUL byte".into()));
    }
    Ok(Location::local(path))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |at: usize| tail.get(at).and_then(|&c| char::from(c).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, hex(0), hex(1)) {
            bytes.push((high * 16 + low) as u8);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

fn bucket(scheme: Scheme, authority: &str) -> Result<Bucket> {
    let prefix = scheme.name();
    if authority.starts_with("arn:") {
        return Err(invalid(format!("the {prefix}:// URL has the ARN of an access point, which is not supported"))
            .hint("use the access point's alias as the bucket: s3://NAME-...-s3alias/prefix"));
    }
    let (name, host) = match authority.split_once('@') {
        None => (authority, None),
        // Azure names the container of an account here; elsewhere this is a user and a password.
        Some((name, host)) if scheme == Scheme::AzureDataLake && !name.contains(':') => (name, Some(host)),
        Some(_) => {
            return Err(invalid(format!("the {prefix}:// URL contains a user or a password"))
                .hint("pass credentials in environment variables"));
        }
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '$');
    let is_valid = |text: &str| !text.is_empty() && text.chars().all(allowed);
    let is_valid_name = match name.split_once(':') {
        // A secret key that stands in the place of a bucket has capital letters; a bucket has none.
        Some((tenant, bucket)) if matches!(scheme, Scheme::S3 | Scheme::Minio) => {
            is_valid(tenant) && is_valid(bucket) && !bucket.contains(|c: char| c.is_ascii_uppercase())
        }
        _ => is_valid(name),
    };
    if !is_valid_name {
        return Err(invalid(format!("the {prefix}:// URL has no valid bucket name")));
    }
    if host.is_some_and(|host| !is_valid(host)) {
        return Err(invalid(format!("the {prefix}:// URL has no valid host name")));
    }
    Ok(Bucket { scheme, name: name.to_string(), host: host.map(str::to_ascii_lowercase) })
}

/// The key without leading, trailing and repeated slashes.
fn normalized(key: &str) -> String {
    let mut normalized = String::with_capacity(key.len());
    for segment in key.split('/').filter(|segment| !segment.is_empty()) {
        if !normalized.is_empty() {
            normalized.push('/');
        }
        normalized.push_str(segment);
    }
    normalized
}

/// What is the same for all paths of a folder.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// The absolute path, with links resolved as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut missing = Vec::new();
    let mut existing = absolute.as_path();
    loop {
        if let Ok(real) = existing.canonicalize() {
            let mut resolved = real;
            for part in missing.iter().rev() {
                if *part == std::ffi::OsStr::new("..") {
                    resolved.pop();
                } else {
                    resolved.push(part);
                }
            }
            return resolved;
        }
        match (existing.parent(), existing.components().next_back()) {
            (Some(parent), Some(last)) => {
                missing.push(last.as_os_str());
                existing = parent;
            }
            _ => return absolute,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn displayed(text: &str) -> String {
        match Location::parse(text) {
            Ok(location) => location.to_string(),
            Err(error) => format!("error: {}", error.line()),
        }
    }

    #[test]
    fn locations_are_parsed_and_displayed() {
        let table = [
            "output/step_02",
            "./a b",
            "C:notes",
            "file:///data/a%20b",
            "file://localhost/data",
            "file://elsewhere/data",
            "s3://bucket",
            "s3://bucket/",
            "S3://bucket//a///b/",
            "s3a://bucket/a%20b",
            "gs://bucket/p",
            "az://container/p",
            "abfss://container@account.dfs.core.windows.net/p",
            "minio://mlpipeline/v2/artifacts",
            "s3://AKIA:hush@bucket/p",
            "s3://hush@bucket/p",
            "s3://bucket/p?X-Amz-Signature=hush",
            "az://container/p?sig=hush",
            "abfss://c:hush@account.dfs.core.windows.net/p",
            "https://user:hush@host/p?sig=hush",
            "s3:///p",
            "s3://buc ket/p",
            "s3://tenant:bucket/p",
            "s3://:bucket/p",
            "s3://AKIAEXAMPLE:hushHUSH/p",
            "gs://tenant:bucket/p",
            "s3://arn:aws:s3:eu-central-1:123456789012:accesspoint/name/p",
            "",
        ];
        let lines: Vec<String> = table.iter().map(|text| format!("{text} -> {}", displayed(text))).collect();
        insta::assert_snapshot!(lines.join("\n"));
        for text in table.iter().filter(|text| text.contains("hush")) {
            assert!(!displayed(text).contains("hush"), "the message repeats a secret: {}", displayed(text));
        }
    }

    #[test]
    fn joining_appends_segments() {
        for (text, key, joined, name) in [
            ("a/b", "c/d", "a/b/c/d", "d"),
            ("s3://b", "c", "s3://b/c", "c"),
            ("s3://b/p/", "/c//d/", "s3://b/p/c/d", "d"),
            ("s3://b", "", "s3://b", "b"),
            (".", "", ".", ""),
        ] {
            let location = Location::parse(text).unwrap().join(key);
            assert_eq!((location.to_string().as_str(), location.name()), (joined, name));
        }
    }

    fn file_in(folder: &Path) -> PathBuf {
        let file = folder.join("file");
        std::fs::write(&file, "").unwrap();
        file
    }

    #[test]
    fn contains_resolves_links_and_compares_segments() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, folder.path().join("link")).unwrap();
        let at = |name: &str| Location::local(folder.path().join(name));
        assert!(at("real").contains(&at("real")));
        assert!(at("real").contains(&at("link/not/there")));
        assert!(at("link").contains(&at("real/x")));
        assert!(!at("real").contains(&at("real2")));
        assert!(!at("real").contains(&at("real/../other")));
        assert!(!at("real/not").contains(&at("real")));
        let url = |text: &str| Location::parse(text).unwrap();
        assert!(url("s3://b/p").contains(&url("s3://b/p/q")));
        assert!(url("s3://b").contains(&url("s3://b/p")));
        assert!(!url("s3://b/p").contains(&url("s3://b/pq")));
        assert!(!url("s3://b/p").contains(&url("gs://b/p/q")));
        assert!(url("s3a://b/p").contains(&url("minio://b//p/q")));
        assert!(url("az://c/p").contains(&url("abfss://c@account.dfs.core.windows.net/p")));
        assert!(!url("abfss://c@a.x/p").contains(&url("abfss://c@b.x/p")));
        // Another path of the same folder, as another mount of a volume is one.
        std::fs::hard_link(file_in(&real), folder.path().join("same")).unwrap();
        assert!(at("same").contains(&at("real/file")));
        assert!(!at("real").contains(&url("s3://b/p")));
    }

    proptest! {
        #[test]
        fn a_displayed_location_parses_to_itself(text in "(s3|gs|az|abfss|minio|file)?(://)?\\PC{0,30}") {
            if let Ok(location) = Location::parse(&text) {
                prop_assume!(!text.starts_with("file"));
                prop_assert_eq!(Location::parse(&location.to_string()).unwrap(), location);
            }
        }
    }
}
