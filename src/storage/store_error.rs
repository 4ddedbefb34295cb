//! Classifies errors of stores and file systems and describes them without any secret.

use super::environment::Environment;
use super::refused::{Redirect, RepeatedPage};
use crate::error::{Error, ErrorKind, open_files_hint};
use crate::message::without_quotes;
use object_store::Error as StoreError;
use object_store::client::HttpError;
use std::fmt::Display;

/// The kinds of store errors that are handled differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreErrorKind {
    /// The object does not exist.
    NotFound,
    /// The bucket does not exist.
    BucketNotFound,
    /// A condition does not hold: the object has been changed.
    PreconditionFailed,
    /// The object to be created exists.
    AlreadyExists,
    /// Credentials are missing, wrong or insufficient.
    AccessDenied,
    /// No provider has credentials.
    CredentialsNotFound,
    /// The bucket is in another region.
    WrongRegion,
    /// The endpoint redirects to another host.
    Redirected,
    /// The store does not support the request.
    Unsupported,
    /// The object has no such range, or no longer has it.
    InvalidRange,
    /// The listing has a key that is not a path.
    InvalidKey,
    /// The store or a proxy sends something other than the stored bytes.
    Transformed,
    /// The server's certificate is not trusted.
    UntrustedCertificate,
    /// Worth a retry.
    Transient,
    /// Anything else.
    Other,
}

impl StoreErrorKind {
    pub(crate) fn of(error: &StoreError) -> Self {
        match error {
            StoreError::NotFound { source, .. }
                if contains_any(source.as_ref(), &["NoSuchBucket", "ContainerNotFound"]) =>
            {
                Self::BucketNotFound
            }
            StoreError::NotFound { .. } => Self::NotFound,
            StoreError::Precondition { .. } | StoreError::NotModified { .. } => Self::PreconditionFailed,
            StoreError::AlreadyExists { .. } => Self::AlreadyExists,
            StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => Self::AccessDenied,
            StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => Self::Unsupported,
            StoreError::InvalidPath { .. } => Self::InvalidKey,
            StoreError::UnknownConfigurationKey { .. } => Self::Other,
            other => Self::of_generic(other),
        }
    }

    /// `object_store` does not export the type that holds a response's status, so its text is parsed.
    fn of_generic(error: &StoreError) -> Self {
        let text = error.to_string();
        // The instance's metadata service is the last provider in the chain: if it fails, there are no credentials.
        const METADATA: [&str; 4] =
            ["169.254.169.254", "169.254.170.2", "metadata.google.internal", "/computeMetadata/"];
        if METADATA.iter().any(|address| text.contains(address)) {
            return Self::CredentialsNotFound;
        }
        if let Some(status) = status(&text) {
            // "the region 'us-east-1' is wrong; expecting 'eu-west-1'"
            let is_wrong_region = text.contains("<Code>AuthorizationHeaderMalformed") && text.contains("<Region>");
            let code = if is_wrong_region { "PermanentRedirect" } else { element(&text, "Code").unwrap_or_default() };
            return Self::of_response(status, code);
        }
        // The in-memory store's error for an upload that is completed or aborted.
        if text.contains("MultipartUpload not found") {
            return Self::NotFound;
        }
        if let Some(redirect) = redirect(error) {
            return if redirect.is_to_another_region() { Self::WrongRegion } else { Self::Redirected };
        }
        if source_of::<RepeatedPage>(error).is_some() {
            return Self::Other;
        }
        if let Some(transport) = transport(error) {
            // Only the innermost cause names the certificate; the outer errors only say that a request failed.
            let untrusted = root_cause(transport).to_string().contains("certificate");
            return if untrusted { Self::UntrustedCertificate } else { Self::Transient };
        }
        // The response has no length, or ignores the range: its content is compressed or decompressed on the way.
        const TRANSFORMED: [&str; 3] =
            ["Content-Length Header missing", "non-partial response", "Content-Range header not present"];
        if TRANSFORMED.iter().any(|part| text.contains(part)) {
            return Self::Transformed;
        }
        // A truncated response: a body that is not the expected XML or JSON.
        const TRUNCATED: [&str; 6] =
            ["error response", "Got invalid", "response body", "Error decoding", "MissingEtag", "ETag Header"];
        if TRUNCATED.iter().any(|part| text.contains(part)) { Self::Transient } else { Self::Other }
    }

    fn of_response(status: u16, code: &str) -> Self {
        match (status, code) {
            (_, "NoSuchBucket" | "ContainerNotFound") => Self::BucketNotFound,
            (_, "RequestTimeout" | "InternalError" | "SlowDown" | "ServerBusy") => Self::Transient,
            (_, "ExpiredToken" | "InvalidToken" | "AuthorizationHeaderMalformed") => Self::AccessDenied,
            (_, "PermanentRedirect" | "IllegalLocationConstraintException") => Self::WrongRegion,
            (_, "InvalidRange") | (416, _) => Self::InvalidRange,
            // Azure drops the blocks sent for a file if another run publishes a file of that name: the upload is gone.
            (_, "InvalidBlockList") => Self::NotFound,
            (404, _) => Self::NotFound,
            (412, _) => Self::PreconditionFailed,
            (401 | 403, _) => Self::AccessDenied,
            (501, _) => Self::Unsupported,
            (408 | 429 | 500.., _) => Self::Transient,
            _ => Self::Other,
        }
    }
}

/// Describes an error of a store to the user: where, what, the cause in a few words, and what to do.
pub(crate) fn store_error(error: &StoreError, place: impl Display, environment: &Environment) -> Error {
    use StoreErrorKind as Kind;
    let (kind, message, hint) = match StoreErrorKind::of(error) {
        Kind::NotFound => (ErrorKind::NotFound, "not found", None),
        Kind::BucketNotFound => {
            (ErrorKind::NotFound, "bucket not found", Some("check its name, the endpoint and the account"))
        }
        Kind::PreconditionFailed | Kind::AlreadyExists => {
            (ErrorKind::TryAgain, "another run is writing to this location", None)
        }
        Kind::AccessDenied if environment.has_credentials() => (
            ErrorKind::Io,
            "access denied",
            Some("check the credentials and their permission to read, write and list this location"),
        ),
        Kind::AccessDenied | Kind::CredentialsNotFound => (
            ErrorKind::Io,
            "access denied and no credentials found",
            Some(
                "set the provider's variables (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                 GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_KEY, ...) or give the pod a service account \
                 with access",
            ),
        ),
        Kind::WrongRegion => {
            (ErrorKind::Io, "the bucket is in another region", Some("set AWS_REGION to the bucket's region"))
        }
        Kind::Redirected => (
            ErrorKind::Io,
            "the endpoint redirects to another address",
            Some("if that address is right, set the endpoint (AWS_ENDPOINT_URL, GOOGLE_BASE_URL, ...) to it"),
        ),
        Kind::Unsupported => (ErrorKind::Io, "the store does not support this request", None),
        Kind::InvalidRange => (ErrorKind::Io, "changed while it was read", None),
        Kind::InvalidKey => (
            ErrorKind::Io,
            "the store has a key that is not a path",
            Some("rename or delete the object: no segment of a key may be empty, `.` or `..`"),
        ),
        Kind::Transformed => (ErrorKind::Io, TRANSFORMED, Some(TRANSFORMED_HINT)),
        Kind::UntrustedCertificate => (
            ErrorKind::Io,
            "the store's certificate is not trusted",
            Some("set AWS_CA_BUNDLE to the PEM file of its certificate authority"),
        ),
        Kind::Transient if let Some(hint) = open_files(error) => {
            (ErrorKind::Io, "cannot connect to the store", Some(hint))
        }
        Kind::Transient => (
            ErrorKind::Unreachable,
            "the store cannot be reached or does not respond",
            Some("check the endpoint and the network"),
        ),
        Kind::Other => (ErrorKind::Io, "the store refused the request", None),
    };
    let mut described = Error::new(kind, message).at(place);
    let cause: String = environment.redact(&cause(error)).chars().take(300).collect();
    if !cause.is_empty() {
        described = described.caused_by(cause);
    }
    match hint {
        Some(hint) => described.hint(hint),
        None => described,
    }
}

/// Describes an error of the file system: `action` completes "cannot ...".
pub(crate) fn io_error(error: std::io::Error, action: &str, place: impl Display) -> Error {
    use std::io::ErrorKind as Io;
    let (kind, hint) = match error.kind() {
        Io::NotFound => (ErrorKind::NotFound, None),
        Io::StorageFull | Io::QuotaExceeded => {
            (ErrorKind::Io, Some("the disk is full: free some space or use another folder"))
        }
        Io::PermissionDenied => {
            (ErrorKind::Io, Some("check the folder's owner and mode against the user that the container runs as"))
        }
        Io::ReadOnlyFilesystem => {
            (ErrorKind::Io, Some("the file system is mounted read-only: use a folder on a writable volume"))
        }
        _ => (ErrorKind::Io, open_files_hint(&error)),
    };
    let described = Error::new(kind, format!("cannot {action}")).at(place).caused_by(error);
    match hint {
        Some(hint) => described.hint(hint),
        None => described,
    }
}

/// Treats "not found" on a file to be written as a failure to write, not as a missing input.
pub(crate) fn write_error(error: std::io::Error, action: &str, place: impl Display) -> Error {
    let error = if error.kind() == std::io::ErrorKind::NotFound { std::io::Error::other(error) } else { error };
    io_error(error, action, place)
}

/// The error for an object that differs from its listing.
pub(crate) fn changed(place: impl Display) -> Error {
    Error::new(ErrorKind::Io, "changed while it was read").at(place).hint("run again when nothing writes to the input")
}

/// What [`transformed`] and errors of stores say.
const TRANSFORMED: &str = "the store, or a proxy before it, does not send the bytes that are stored";
const TRANSFORMED_HINT: &str = "if the object has a Content-Encoding, store it without one, under a name that ends with .gz; \
                                disable compression in proxies; the store must support range requests";

/// The error for an object whose content is compressed or decompressed on the way.
pub(crate) fn transformed(place: impl Display, cause: &str) -> Error {
    Error::new(ErrorKind::Io, TRANSFORMED).at(place).caused_by(cause.to_string()).hint(TRANSFORMED_HINT)
}

/// The error for a file that is larger than its limit.
pub(crate) fn too_large(place: impl Display, max_bytes: u64) -> Error {
    Error::new(ErrorKind::Data, format!("too large: expected at most {max_bytes} bytes")).at(place)
}

/// A response that broke off, as an error that counts as transient.
pub(crate) fn truncated() -> StoreError {
    StoreError::Generic { store: "storage", source: "the response body is truncated".into() }
}

/// The cause in a few words: the response's status, code and message, or what broke the connection. Never the whole
/// body: S3 repeats the access key and the signature in it.
fn cause(error: &StoreError) -> String {
    let text = error.to_string();
    let mut parts = Vec::new();
    if let Some(status) = status(&text) {
        parts.push(format!("status {status}"));
        parts.extend(element(&text, "Code").map(str::to_string));
        // Azure appends the request's id and the time on further lines.
        parts.extend(element(&text, "Message").and_then(|message| message.lines().next()).map(str::to_string));
    } else if let StoreError::InvalidPath { source } = error {
        // Its own cause lacks the path.
        parts.push(source.to_string());
    } else if let Some(redirect) = redirect(error) {
        parts.push(redirect.to_string());
    } else if let Some(transport) = transport(error) {
        parts.push(root_cause(transport).to_string());
    } else if !matches!(error, StoreError::NotFound { .. }) {
        parts.push(without_quotes(&root_cause(error).to_string()));
    }
    parts.join(", ")
}

/// The innermost cause.
fn root_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

fn transport(error: &StoreError) -> Option<&HttpError> {
    source_of(error)
}

fn redirect(error: &StoreError) -> Option<&Redirect> {
    source_of(error)
}

/// The first error of a type in the chain of causes.
fn source_of<E: std::error::Error + 'static>(error: &StoreError) -> Option<&E> {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The hint if a connection failed because too many files are open: a retry succeeds when another connection is closed.
fn open_files(error: &StoreError) -> Option<&'static str> {
    root_cause(transport(error)?).downcast_ref().and_then(open_files_hint)
}

fn contains_any(source: &(dyn std::error::Error + Send + Sync), words: &[&str]) -> bool {
    let text = source.to_string();
    words.iter().any(|word| text.contains(word))
}

/// The HTTP status as `object_store` words it.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// The content of an XML element.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once("</").map(|(content, _)| content.trim())
}
