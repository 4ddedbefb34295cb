//! What an error of a store means for a person and for an engine, told without any secret.

use super::environment::Environment;
use crate::error::{Error, ErrorKind};
use object_store::Error as StoreError;
use object_store::client::HttpError;
use std::fmt::Display;

/// What can be done about an error of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The object is not there.
    NotFound,
    /// The bucket is not there.
    NoBucket,
    /// A condition did not hold: somebody else has changed the object.
    Condition,
    /// The object was to be created and is there already.
    Exists,
    /// Credentials are missing, wrong or not enough.
    Denied,
    /// No credentials could be had from any provider.
    NoCredentials,
    /// The bucket is in another region.
    Region,
    /// The store cannot do this.
    Unsupported,
    /// The requested range does not exist (any more).
    Range,
    /// The server's certificate is not trusted.
    Certificate,
    /// Worth another try.
    Transient,
    /// Anything else.
    Other,
}

/// Sorts an error of a store.
pub(crate) fn classify(error: &StoreError) -> Fault {
    match error {
        StoreError::NotFound { source, .. } if says(source.as_ref(), &["NoSuchBucket", "ContainerNotFound"]) => {
            Fault::NoBucket
        }
        StoreError::NotFound { .. } => Fault::NotFound,
        StoreError::Precondition { .. } | StoreError::NotModified { .. } => Fault::Condition,
        StoreError::AlreadyExists { .. } => Fault::Exists,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => Fault::Denied,
        StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => Fault::Unsupported,
        StoreError::InvalidPath { .. } | StoreError::UnknownConfigurationKey { .. } => Fault::Other,
        other => classify_generic(other),
    }
}

fn classify_generic(error: &StoreError) -> Fault {
    let text = error.to_string();
    // The instance's metadata service is the last provider in the chain: where it fails, there are no credentials.
    if ["169.254.169.254", "169.254.170.2", "metadata.google.internal", "/computeMetadata/"]
        .iter()
        .any(|sign| text.contains(sign))
    {
        return Fault::NoCredentials;
    }
    if let Some(status) = status(&text) {
        let code = tag(&text, "Code").unwrap_or_default();
        return match (status, code) {
            (_, "NoSuchBucket" | "ContainerNotFound") => Fault::NoBucket,
            (_, "RequestTimeout" | "InternalError" | "SlowDown" | "ServerBusy") => Fault::Transient,
            (_, "ExpiredToken" | "InvalidToken" | "AuthorizationHeaderMalformed") => Fault::Denied,
            (_, "PermanentRedirect" | "IllegalLocationConstraintException") => Fault::Region,
            (_, "InvalidRange") | (416, _) => Fault::Range,
            // Azure drops what was sent for a file when somebody else publishes one of its name: the upload is gone.
            (_, "InvalidBlockList") => Fault::NotFound,
            (404, _) => Fault::NotFound,
            (412, _) => Fault::Condition,
            (401 | 403, _) => Fault::Denied,
            (301 | 307 | 308, _) => Fault::Region,
            (501, _) => Fault::Unsupported,
            (408 | 429 | 500.., _) => Fault::Transient,
            _ => Fault::Other,
        };
    }
    // The store in memory says so of an upload that was completed or aborted.
    if text.contains("MultipartUpload not found") {
        return Fault::NotFound;
    }
    if text.contains("redirect without LOCATION") {
        return Fault::Region;
    }
    if let Some(transport) = transport(error) {
        // Said by the cause of a cause: the outer errors only say that a request has failed.
        let untrusted = deepest(transport).to_string().contains("certificate");
        return if untrusted { Fault::Certificate } else { Fault::Transient };
    }
    // An answer that was cut short: a body that is not the XML or JSON that it should be.
    let cut_short = ["error response", "Got invalid", "response body", "Error decoding", "MissingEtag", "ETag Header"];
    if cut_short.iter().any(|sign| text.contains(sign)) { Fault::Transient } else { Fault::Other }
}

/// The error that a user reads: with the place, the cause in a few words, and what to do.
pub(crate) fn explain(error: &StoreError, place: impl Display, environment: &Environment) -> Error {
    let (kind, message, hint) = match classify(error) {
        Fault::NotFound => (ErrorKind::NotFound, "not found", ""),
        Fault::NoBucket => (ErrorKind::NotFound, "no such bucket", "check the name, the endpoint and the account"),
        Fault::Condition | Fault::Exists => (ErrorKind::TryAgain, "somebody else is writing here", ""),
        Fault::Denied if environment.has_credentials() => {
            (ErrorKind::Io, "access denied", "check the credentials, and that they may read, write and list here")
        }
        Fault::Denied | Fault::NoCredentials => (
            ErrorKind::Io,
            "access denied, and no credentials were found",
            "set the provider's variables (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, \
             AZURE_STORAGE_ACCOUNT_KEY, ...) or give the pod a service account with access",
        ),
        Fault::Region => (ErrorKind::Io, "the bucket is in another region", "set AWS_REGION to the bucket's region"),
        Fault::Unsupported => (ErrorKind::Io, "the store cannot do this", ""),
        Fault::Range => (ErrorKind::Io, "changed while it was read", ""),
        Fault::Certificate => (
            ErrorKind::Io,
            "the store's certificate is not trusted",
            "name the PEM file of its certificate authority in AWS_CA_BUNDLE",
        ),
        Fault::Transient => (ErrorKind::Unreachable, "the store cannot be reached or does not answer", ""),
        Fault::Other => (ErrorKind::Io, "the store refused the request", ""),
    };
    let mut told = Error::new(kind, message).at(place);
    let cause = environment.redact(&cause(error));
    if !cause.is_empty() {
        told = told.caused_by(cause);
    }
    if hint.is_empty() { told } else { told.hint(hint) }
}

/// An error of the file system, with what it means where that is not plain.
pub(crate) fn explain_io(error: std::io::Error, doing: &str, place: impl Display) -> Error {
    use std::io::ErrorKind as Io;
    let (kind, hint) = match error.kind() {
        Io::NotFound => (ErrorKind::NotFound, ""),
        Io::StorageFull | Io::QuotaExceeded => {
            (ErrorKind::Io, "the disk is full: free some space or give another folder; nothing was published")
        }
        Io::PermissionDenied => {
            (ErrorKind::Io, "check the owner and mode of the folder, and the user that the container runs as")
        }
        Io::ReadOnlyFilesystem => {
            (ErrorKind::Io, "the file system is mounted read-only: give a folder on a writable volume")
        }
        _ => (ErrorKind::Io, ""),
    };
    let told = Error::new(kind, format!("cannot {doing}")).at(place).caused_by(error);
    if hint.is_empty() { told } else { told.hint(hint) }
}

/// The cause in a few words: status, code and message of an answer, or what broke the connection. Never the whole body:
/// S3 repeats the access key and the signature in it.
fn cause(error: &StoreError) -> String {
    let text = error.to_string();
    let mut words = Vec::new();
    if let Some(status) = status(&text) {
        words.push(format!("status {status}"));
        words.extend(tag(&text, "Code").map(str::to_string));
        // Azure's goes on with the request's number and the time.
        words.extend(tag(&text, "Message").and_then(|message| message.lines().next()).map(str::to_string));
    } else if let Some(transport) = transport(error) {
        words.push(deepest(transport).to_string());
    } else if !matches!(error, StoreError::NotFound { .. }) {
        words.push(deepest(error).to_string());
    }
    let told = words.join(", ");
    told.chars().take(300).collect()
}

/// The cause of all causes.
fn deepest<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest
}

fn transport(error: &StoreError) -> Option<&HttpError> {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<HttpError>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn says(source: &(dyn std::error::Error + Send + Sync), words: &[&str]) -> bool {
    let text = source.to_string();
    words.iter().any(|word| text.contains(word))
}

/// The status in the words of `object_store`, whose own error type for it is private.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// The content of an XML element.
fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once("</").map(|(content, _)| content.trim())
}
