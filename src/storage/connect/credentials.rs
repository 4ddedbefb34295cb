//! Credentials that were fetched, checked before a request is signed with them: `object_store` panics if a header cannot carry them.

use crate::error::{Error, ErrorKind, Result};
use crate::secrets;
use crate::storage::environment::{Environment, check_characters};
use crate::storage::local::read_small;
use async_trait::async_trait;
use futures::FutureExt;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use object_store::azure::AzureCredential;
use object_store::gcp::GcpCredential;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;

/// The largest file with a token, in bytes.
const MAX_TOKEN_FILE: u64 = 1 << 20;

/// The files with tokens that `object_store` reads, by variable.
const TOKEN_FILES: [&str; 3] =
    ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AZURE_FEDERATED_TOKEN_FILE"];

/// Credentials that requests carry.
pub(super) trait Carried: Sized {
    /// The parts that become part of a header, with white space around them removed.
    fn trimmed(&self) -> Self;
    /// The parts that become part of a header.
    fn carried(&self) -> Vec<&str>;
}

impl Carried for AwsCredential {
    fn trimmed(&self) -> Self {
        let trimmed = |text: &String| text.trim().to_string();
        Self {
            key_id: trimmed(&self.key_id),
            secret_key: trimmed(&self.secret_key),
            token: self.token.as_ref().map(trimmed),
        }
    }

    fn carried(&self) -> Vec<&str> {
        std::iter::once(self.key_id.as_str()).chain(self.token.as_deref()).collect()
    }
}

impl Carried for GcpCredential {
    fn trimmed(&self) -> Self {
        Self { bearer: self.bearer.trim().to_string() }
    }

    fn carried(&self) -> Vec<&str> {
        vec![&self.bearer]
    }
}

impl Carried for AzureCredential {
    fn trimmed(&self) -> Self {
        match self {
            Self::BearerToken(token) => Self::BearerToken(token.trim().to_string()),
            Self::AccessKey(key) => Self::AccessKey(key.clone()),
            Self::SASToken(pairs) => Self::SASToken(pairs.clone()),
        }
    }

    fn carried(&self) -> Vec<&str> {
        match self {
            Self::BearerToken(token) => vec![token],
            Self::AccessKey(_) | Self::SASToken(_) => Vec::new(),
        }
    }
}

/// Credentials of a provider, checked.
#[derive(Debug)]
pub(super) struct Checked<C>(pub(super) Arc<dyn CredentialProvider<Credential = C>>);

#[async_trait]
impl<C: Carried + std::fmt::Debug + Send + Sync> CredentialProvider for Checked<C> {
    type Credential = C;

    async fn get_credential(&self) -> object_store::Result<Arc<C>> {
        let failed = |message: &str| object_store::Error::Generic { store: "credentials", source: message.into() };
        // The provider's own request panics if a header cannot carry what a variable or a file holds.
        let fetched = AssertUnwindSafe(self.0.get_credential()).catch_unwind().await;
        let fetched = fetched.map_err(|_| failed("the variables make no valid request for credentials"))??;
        let credential = fetched.trimmed();
        secrets::protect(|known| credential.carried().into_iter().for_each(|text| known.add_credentials(text)));
        match credential.carried().into_iter().all(|text| check_characters("", text).is_ok()) {
            true => Ok(Arc::new(credential)),
            false => Err(failed("the fetched credentials contain a character that no header can carry")),
        }
    }
}

/// Checks the files with tokens, which `object_store` reads each time that it needs credentials. Returns the path of a trimmed copy, in
/// memory, of each one that has white space around its token, by variable, and adds a warning. A copy does not follow the rotation
/// of a token; those that rotate are written by kubelet, without white space.
///
/// # Errors
/// A usage error that names the variable if a file is no token, or cannot be read.
pub(super) fn trimmed_token_files(
    environment: &Environment,
    prefix: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<(&'static str, String)>> {
    let mut copies = Vec::new();
    for variable in TOKEN_FILES.into_iter().filter(|variable| variable.starts_with(prefix)) {
        let Some(path) = environment.get(variable) else { continue };
        let place = format!("{variable} ({path})");
        let bytes = read_small(Path::new(path), MAX_TOKEN_FILE)
            .map_err(|error| Error::new(ErrorKind::Usage, "cannot read the token file").at(&place).caused_by(error))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Error::new(ErrorKind::Usage, "the token file is not valid UTF-8").at(&place))?;
        let token = text.trim();
        secrets::protect(|known| known.add_credentials(token));
        check_characters(&place, token)?;
        if token.len() != text.len() {
            let copy = file_in_memory(token).map_err(|error| {
                Error::new(ErrorKind::Io, "cannot copy the token to memory").at(&place).caused_by(error)
            })?;
            warnings.push(format!("{place}: white space around the token is ignored"));
            copies.push((variable, copy));
        }
    }
    Ok(copies)
}

/// Writes a file that exists only in memory, until the process ends; returns its path.
#[cfg(target_os = "linux")]
fn file_in_memory(content: &str) -> std::io::Result<String> {
    use std::io::Write;
    use std::os::fd::IntoRawFd;
    let mut file = std::fs::File::from(rustix::fs::memfd_create("token", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(content.as_bytes())?;
    Ok(format!("/proc/self/fd/{}", file.into_raw_fd()))
}

/// Other systems have no such files, and a token is not written to disk.
#[cfg(not(target_os = "linux"))]
fn file_in_memory(_: &str) -> std::io::Result<String> {
    Err(std::io::ErrorKind::Unsupported.into())
}
