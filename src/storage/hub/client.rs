//! Requests for files of one repository.

use super::cache;
use super::repository::Repository;
use super::snapshot::MAX_FILE;
use crate::error::{Error, ErrorKind, Result};
use crate::secrets;
use crate::storage::connect::client::http_client;
use crate::storage::environment::{Environment, check_characters};
use crate::storage::retry::Retry;
use crate::storage::shared::Shared;
use crate::warnings::Warnings;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use std::fmt::Write;
use std::time::Duration;

/// Time limit for a connection to the hub.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time limit for the first byte of a response, as the Python client has it (`HF_HUB_ETAG_TIMEOUT`).
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of retries of a request: with the pauses, three seconds.
const MAX_RETRIES: usize = 5;

/// Maximum number of retries if the hub does not respond at all.
const MAX_UNREACHABLE: usize = 2;

/// The header that names the commit of a revision.
pub(super) const COMMIT: &str = "x-repo-commit";

/// Limit of a chain of redirects.
const MAX_REDIRECTS: usize = 8;

/// A client for one repository.
pub(super) struct HubClient<'a> {
    environment: &'a Environment,
    http: reqwest::Client,
    endpoint: Url,
    token: Option<Token>,
    repository: &'a Repository,
    retry: Retry,
    warnings: &'a Warnings,
}

/// A token of the hub.
struct Token {
    value: String,
    /// The variable or the file that holds it.
    place: String,
}

/// A file that is requested from the hub.
#[derive(Clone, Copy)]
pub(super) struct HubFile<'a> {
    pub(super) revision: &'a str,
    pub(super) name: &'a str,
    /// Whether a "not found" without a code means that the revision lacks this file.
    pub(super) is_optional: bool,
}

/// The response of the hub: its headers, those of redirects included, and the body of a GET.
pub(super) struct HubResponse {
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl HubResponse {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        header(&self.headers, name)
    }
}

/// Why a request failed.
enum Failure {
    /// The hub has not responded.
    Unreachable(String),
    /// Worth a retry.
    Transient(String),
    Permanent(Error),
}

impl<'a> HubClient<'a> {
    pub(super) fn new(shared: &'a Shared, repository: &'a Repository) -> Result<Self> {
        let environment = &shared.environment;
        environment.check(&["HF_", "HUGGING_FACE_HUB_TOKEN"])?.into_iter().for_each(|text| shared.warnings.warn(text));
        let text = environment.get("HF_ENDPOINT").unwrap_or("https://huggingface.co");
        let endpoint = Url::parse(text.trim_end_matches('/'))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                Error::new(ErrorKind::Usage, "invalid endpoint: expected an http:// or https:// URL").at("HF_ENDPOINT")
            })?;
        // A network without the hub is common, and the cache may do: nobody should wait a minute to learn of it.
        let http = http_client(&shared.options, CONNECT_TIMEOUT, environment)?;
        let mut retry = shared.retry(endpoint.host_str().unwrap_or("hub"));
        retry.max_retries = retry.max_retries.min(MAX_RETRIES);
        let (token, warnings) = (token(environment)?, &shared.warnings);
        Ok(Self { environment, http, endpoint, token, repository, retry, warnings })
    }

    /// Requests a file, with retries; `None` if the revision has no such file.
    pub(super) async fn request(&self, method: Method, file: HubFile<'_>) -> Result<Option<HubResponse>> {
        let mut attempts = self.retry.begin();
        let mut unreachable = 0;
        loop {
            let cause = match self.attempt(&method, file).await {
                Ok(response) => return Ok(response),
                Err(Failure::Permanent(error)) => return Err(error),
                Err(Failure::Unreachable(cause)) => {
                    unreachable += 1;
                    cause
                }
                Err(Failure::Transient(cause)) => cause,
            };
            let error = self
                .error(ErrorKind::Unreachable, "the hub cannot be reached or does not respond")
                .caused_by(self.environment.redact(&cause));
            if unreachable > MAX_UNREACHABLE || !attempts.pause(None).await {
                return Err(error);
            }
            self.warnings.note(&format!("{}; trying again ({})", error.line(), file.name));
        }
    }

    async fn attempt(&self, method: &Method, file: HubFile<'_>) -> Result<Option<HubResponse>, Failure> {
        let mut url = self.url(file)?;
        // The first value of each header wins: the hub describes the file, the hosts it redirects to do not.
        let mut headers = HeaderMap::new();
        for _ in 0..MAX_REDIRECTS {
            let mut request = self.http.request(method.clone(), url.clone());
            // Only the hub gets the token. Files may be on another host, whose URLs are signed.
            if let Some(token) = self.token.as_ref().filter(|_| self.is_hub(&url)) {
                request = request.header(AUTHORIZATION, format!("Bearer {}", token.value));
            }
            let sent = tokio::time::timeout(RESPONSE_TIMEOUT, request.send()).await;
            let response = match sent {
                Ok(sent) => sent.map_err(|error| self.transport_failure(&error, true))?,
                Err(_) => return Err(Failure::Unreachable("timed out".into())),
            };
            for (name, value) in response.headers() {
                if !headers.contains_key(name) {
                    headers.append(name.clone(), value.clone());
                }
            }
            let status = response.status();
            if status.is_success() {
                let body = if method == Method::HEAD { Bytes::new() } else { self.body(response).await? };
                return Ok(Some(HubResponse { headers, body }));
            }
            if !status.is_redirection() {
                let is_by_hub = self.is_hub(&url) || response.headers().contains_key("x-error-code");
                if method == Method::HEAD && !is_by_hub {
                    // The host of the content, whose signed URLs are for GET.
                    return Ok(Some(HubResponse { headers, body: Bytes::new() }));
                }
                return self.missing_or_failure(&response, file.is_optional);
            }
            let target = header(response.headers(), LOCATION.as_str()).and_then(|target| url.join(&target).ok());
            let Some(target) = target.filter(|target| matches!(target.scheme(), "http" | "https")) else {
                return Err(Failure::Permanent(self.error(ErrorKind::Io, "the hub redirects to an invalid URL")));
            };
            if method == Method::HEAD && target.origin() != url.origin() && headers.contains_key(COMMIT) {
                // The hub's headers are complete; the other host is only needed for the content. A mirror that names no commit may
                // redirect to a hub that does.
                return Ok(Some(HubResponse { headers, body: Bytes::new() }));
            }
            if url.scheme() == "https" && target.scheme() == "http" {
                let message =
                    format!("the hub redirects from https to http ({})", target.host_str().unwrap_or_default());
                return Err(Failure::Permanent(self.error(ErrorKind::Io, &message)));
            }
            url = target;
        }
        Err(Failure::Permanent(self.error(ErrorKind::Io, "the hub redirects too often")))
    }

    async fn body(&self, mut response: Response) -> Result<Bytes, Failure> {
        let length = header(response.headers(), "content-length").and_then(|length| length.parse::<usize>().ok());
        let mut body = Vec::with_capacity(length.unwrap_or(0).min(MAX_FILE));
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport_failure(&error, false))? {
            if body.len() + chunk.len() > MAX_FILE {
                let message = format!("tokenizer file too large: expected at most {} MiB", MAX_FILE >> 20);
                return Err(Failure::Permanent(self.error(ErrorKind::Data, &message)));
            }
            body.extend_from_slice(&chunk);
        }
        if length.is_some_and(|length| length != body.len()) {
            return Err(Failure::Transient("the response body is truncated".into()));
        }
        Ok(body.into())
    }

    /// What a response without success means: `None` if only this file does not exist.
    fn missing_or_failure(&self, response: &Response, is_optional: bool) -> Result<Option<HubResponse>, Failure> {
        let status = response.status();
        let code = header(response.headers(), "x-error-code").unwrap_or_default();
        let missing = |message: &str| self.error(ErrorKind::NotFound, message);
        Err(Failure::Permanent(match (status.as_u16(), code.as_str()) {
            (401, code) if self.is_token_invalid(response, code) => {
                let place = self.token.as_ref().map_or("HF_TOKEN", |token| &token.place);
                self.error(ErrorKind::Io, &format!("{place} is not valid: the hub does not accept the token")).hint(
                    format!(
                        "set {place} to a token that has not expired, or remove it: a public repository needs none"
                    ),
                )
            }
            (404, "EntryNotFound") => return Ok(None),
            // Mirrors send no codes. The repository exists: its tokenizer was found.
            (404, "") if is_optional => return Ok(None),
            (404, "RevisionNotFound") => missing("revision not found on the hub"),
            (404, "RepoNotFound" | "") | (401, "RepoNotFound") if self.token.is_some() => {
                missing("repository not found on the hub, or not accessible with HF_TOKEN")
                    .hint("check the spelling, and that the token's account has access")
            }
            (404, "") => missing("not found on the hub"),
            (401 | 403, "GatedRepo") => missing("the repository is gated").hint(match &self.token {
                Some(_) => "accept its terms on its page with the account of HF_TOKEN",
                None => "accept its terms on its page, then set HF_TOKEN to a token of that account",
            }),
            (401 | 404, _) => missing("repository not found on the hub, or private")
                .hint("check the spelling; for a private repository set HF_TOKEN to a token with access"),
            (403, _) => {
                missing("the hub denies access").hint("check that HF_TOKEN is a token with access to this repository")
            }
            (410, _) => missing("the repository has been removed from the hub"),
            _ if is_transient(status) => return Err(Failure::Transient(format!("status {status}"))),
            _ => self.error(ErrorKind::Io, "the hub refused the request").caused_by(format!("status {status}")),
        }))
    }

    /// Whether a 401 is about the token: the hub sends it for public repositories, too, if the token has expired.
    fn is_token_invalid(&self, response: &Response, code: &str) -> bool {
        let message = header(response.headers(), "x-error-message").unwrap_or_default();
        self.token.is_some()
            && (code.is_empty() || message.contains("Invalid credentials") || message.contains("expired"))
    }

    fn url(&self, file: HubFile<'_>) -> Result<Url, Failure> {
        let revision = file.revision.replace('/', "%2F");
        let mut text = self.endpoint.as_str().trim_end_matches('/').to_string();
        let _ = write!(text, "/{}/resolve/{revision}/{}", self.repository.id(), file.name);
        Url::parse(&text).map_err(|_| Failure::Permanent(self.error(ErrorKind::Usage, "not a valid URL of a file")))
    }

    /// Whether a URL is one of the hub: of the same host, as the endpoint or over HTTPS instead of HTTP.
    fn is_hub(&self, url: &Url) -> bool {
        let is_upgrade = self.endpoint.scheme() == "http"
            && url.scheme() == "https"
            && (self.endpoint.port(), url.port()) == (None, None)
            && self.endpoint.host() == url.host();
        url.origin() == self.endpoint.origin() || is_upgrade
    }

    fn transport_failure(&self, error: &reqwest::Error, is_before_response: bool) -> Failure {
        let mut root_cause: &dyn std::error::Error = error;
        while let Some(source) = root_cause.source() {
            root_cause = source;
        }
        let cause = self.environment.redact(&root_cause.to_string());
        if cause.contains("certificate") {
            let error = self.error(ErrorKind::Io, "the hub's certificate is not trusted").caused_by(cause);
            return Failure::Permanent(error.hint("set SSL_CERT_FILE to the PEM file of its certificate authority"));
        }
        if is_before_response { Failure::Unreachable(cause) } else { Failure::Transient(cause) }
    }

    /// An error about the repository.
    pub(super) fn error(&self, kind: ErrorKind, message: &str) -> Error {
        let host = self.endpoint.host_str().unwrap_or_default();
        Error::new(kind, message).at(format!("{} on {host}", self.repository))
    }
}

fn is_transient(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 429)
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_string)
}

/// The token from the environment, or from the file that the Python client's login writes.
///
/// # Errors
/// A usage error that names the variable or the file if no header can carry the token.
fn token(environment: &Environment) -> Result<Option<Token>> {
    const VARIABLES: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];
    let from_file = || {
        let path = match environment.get("HF_TOKEN_PATH") {
            Some(path) => path.into(),
            None => cache::home(environment)?.join("token"),
        };
        Some(Token { value: cache::read_text(&path)?, place: path.display().to_string() })
    };
    let from_variable =
        VARIABLES.into_iter().find_map(|name| Some(Token { value: environment.get(name)?.into(), place: name.into() }));
    let Some(token) = from_variable.or_else(from_file) else { return Ok(None) };
    secrets::protect(|known| known.add_credentials(&token.value));
    check_characters(&token.place, &token.value)?;
    Ok(Some(token).filter(|token| !token.value.is_empty()))
}
