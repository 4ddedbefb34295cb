//! Tokenizers from the Hugging Face hub, through the Python client's cache.
//!
//! The few requests are made here and not by a client crate: the current one brings 28 MB of machinery for large files
//! and knows no offline switch. The cache keeps the Python client's layout, so a volume with a warm cache works, and what
//! is fetched here is found by Python too.

mod cache;

use super::retry::Retry;
use super::{Environment, Storage, connect};
use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use cache::Cache;
use reqwest::header::{AUTHORIZATION, ETAG, HeaderMap, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use std::fmt::Write;

/// The file without which there is no tokenizer.
const TOKENIZER: &str = "tokenizer.json";

/// What else belongs to a tokenizer, where it is there.
const OPTIONAL: &[&str] = &[
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
];

/// No tokenizer file is larger.
const LARGEST: usize = 256 << 20;

/// A chain of redirects that is longer leads nowhere.
const REDIRECTS: usize = 8;

/// The tokenizer files of one revision of a repository.
#[derive(Debug, Clone)]
pub struct HubSnapshot {
    /// Name and content of every file that is there.
    pub files: Vec<(String, Bytes)>,
    /// The commit that the files are from.
    pub revision: String,
}

/// A repository and a revision of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Repository {
    id: String,
    revision: String,
}

/// Whether a text has the form of a repository id (`org/name`, `org/name@revision`; a `name` alone only with a revision
/// or a plain word).
pub fn is_repository_id(text: &str) -> bool {
    Repository::parse(text).is_some()
}

/// The tokenizer files of a repository (`org/name` or `org/name@revision`), from the cache or from the hub.
///
/// Reads `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_ENDPOINT`, `HF_HUB_OFFLINE`. Where the hub cannot be
/// reached and the cache holds the revision, that is taken, with a warning. A cache that cannot be written is a warning.
///
/// # Errors
/// Where the repository, or a tokenizer in it, is not there, may not be read, or cannot be reached.
pub async fn fetch_tokenizer(storage: &Storage, repository: &str) -> Result<HubSnapshot> {
    let Some(repository) = Repository::parse(repository) else {
        return Err(Error::new(ErrorKind::Usage, "no repository id of the Hugging Face hub")
            .at(repository)
            .hint("give org/name or org/name@revision"));
    };
    let environment = storage.environment();
    let cache = Cache::of(environment, &repository.id);
    let cached = cache.snapshot(&repository.revision);
    let whole = |snapshot: &HubSnapshot| snapshot.files.iter().any(|(name, _)| name == TOKENIZER);
    if environment.yes("HF_HUB_OFFLINE") || environment.yes("TRANSFORMERS_OFFLINE") {
        return cached.filter(whole).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "not in the cache, and HF_HUB_OFFLINE forbids to ask the hub")
                .at(repository.shown())
                .hint(format!("looked in {}; fill the cache (HF_HOME) or give a folder", cache.folder().display()))
        });
    }
    let hub = Hub::connect(storage, &repository)?;
    match hub.fetch(&cache).await {
        Ok(snapshot) => Ok(snapshot),
        Err(error) if error.kind() == ErrorKind::Unreachable => match cached.filter(whole) {
            Some(snapshot) => {
                storage.warn(format!("{}; the cached revision {} is taken", error.line(), snapshot.revision));
                Ok(snapshot)
            }
            None => Err(error.hint("without a network, give a folder, or a volume with a warm cache as HF_HOME")),
        },
        Err(error) => Err(error),
    }
}

impl Repository {
    fn parse(text: &str) -> Option<Self> {
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && !part.contains("..")
                && part.len() <= 96
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        let names = id.split('/').count() <= 2 && id.split('/').all(plain);
        (names && revision.split('/').all(plain)).then(|| Self { id: id.to_string(), revision: revision.to_string() })
    }

    fn shown(&self) -> String {
        if self.revision == "main" { self.id.clone() } else { format!("{}@{}", self.id, self.revision) }
    }
}

/// The hub, asked for one repository.
struct Hub<'a> {
    storage: &'a Storage,
    environment: &'a Environment,
    client: reqwest::Client,
    endpoint: Url,
    token: Option<String>,
    repository: &'a Repository,
    retry: Retry,
}

/// Why a file could not be had.
enum Failure {
    /// Worth another try.
    Transient(String),
    Lasting(Error),
}

impl<'a> Hub<'a> {
    fn connect(storage: &'a Storage, repository: &'a Repository) -> Result<Self> {
        let environment = storage.environment();
        let text = environment.get("HF_ENDPOINT").unwrap_or("https://huggingface.co");
        let endpoint = Url::parse(text.trim_end_matches('/'))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| Error::new(ErrorKind::Usage, "not an http:// or https:// URL").at("HF_ENDPOINT"))?;
        let options = storage.options();
        let client = connect::http_client(options, environment)?;
        let token = token(environment);
        Ok(Self { storage, environment, client, endpoint, token, repository, retry: storage.retry() })
    }

    async fn fetch(&self, cache: &Cache) -> Result<HubSnapshot> {
        let commit = match cache::is_commit(&self.repository.revision) {
            true => self.repository.revision.clone(),
            false => {
                let answer = self.ask(Method::HEAD, &self.repository.revision, TOKENIZER).await?;
                let Some((headers, _)) = answer else { return Err(self.no_tokenizer()) };
                let commit = text(&headers, "x-repo-commit").filter(|commit| cache::is_commit(commit));
                commit.ok_or_else(|| self.error(ErrorKind::Io, "the answer names no commit: is HF_ENDPOINT a hub?"))?
            }
        };
        self.keep(cache.keep_ref(&self.repository.revision, &commit));
        let names = std::iter::once(TOKENIZER).chain(OPTIONAL.iter().copied());
        let found = futures::future::try_join_all(names.map(|name| self.file(cache, &commit, name))).await?;
        let files: Vec<(String, Bytes)> = found.into_iter().flatten().collect();
        if files.iter().all(|(name, _)| name != TOKENIZER) {
            return Err(self.no_tokenizer());
        }
        Ok(HubSnapshot { files, revision: commit })
    }

    /// One file of a commit, from the cache or from the hub; `None` where the commit has no such file.
    async fn file(&self, cache: &Cache, commit: &str, name: &str) -> Result<Option<(String, Bytes)>> {
        if let Some(content) = cache.file(commit, name) {
            return Ok(Some((name.to_string(), content)));
        }
        if cache.is_absent(commit, name) {
            return Ok(None);
        }
        match self.ask(Method::GET, commit, name).await? {
            Some((headers, content)) => {
                let e_tag = text(&headers, "x-linked-etag").or_else(|| text(&headers, ETAG.as_str()));
                self.keep(cache.keep_file(commit, name, e_tag.as_deref(), &content));
                Ok(Some((name.to_string(), content)))
            }
            None => {
                self.keep(cache.keep_absence(commit, name));
                Ok(None)
            }
        }
    }

    fn keep(&self, kept: std::io::Result<()>) {
        if let Err(error) = kept {
            self.storage.warn(format!("the Hugging Face cache cannot be written, so nothing is kept: {error}"));
        }
    }

    /// Asks for a file until there is an answer: headers and body, or `None` where there is no such file.
    async fn ask(&self, method: Method, revision: &str, name: &str) -> Result<Option<(HeaderMap, Bytes)>> {
        let mut attempts = self.retry.begin();
        loop {
            match self.ask_once(method.clone(), revision, name).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Transient(_)) if attempts.pause().await => {}
                Err(Failure::Transient(cause)) => {
                    let error = self.error(ErrorKind::Unreachable, "the hub cannot be reached or does not answer");
                    return Err(error.caused_by(self.environment.redact(&cause)));
                }
            }
        }
    }

    async fn ask_once(
        &self,
        method: Method,
        revision: &str,
        name: &str,
    ) -> std::result::Result<Option<(HeaderMap, Bytes)>, Failure> {
        let mut url = self.url(revision, name)?;
        // What the hub itself says of the file, kept through the redirects.
        let mut headers = HeaderMap::new();
        for _ in 0..REDIRECTS {
            let mut request = self.client.request(method.clone(), url.clone());
            // The token is for the hub alone: files may lie on another host, whose URLs are signed.
            if let Some(token) = &self.token
                && url.origin() == self.endpoint.origin()
            {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.send().await.map_err(|error| self.transport(&error))?;
            for (name, value) in response.headers() {
                if !headers.contains_key(name) {
                    headers.append(name.clone(), value.clone());
                }
            }
            if !response.status().is_redirection() {
                return self.answer(method, response, headers, name != TOKENIZER).await;
            }
            let target = text(response.headers(), LOCATION.as_str()).and_then(|target| url.join(&target).ok());
            let Some(target) = target.filter(|target| matches!(target.scheme(), "http" | "https")) else {
                return Err(Failure::Lasting(self.error(ErrorKind::Io, "the hub redirects to nowhere")));
            };
            if method == Method::HEAD && target.origin() != url.origin() {
                // The hub has said all that it knows; the other host is asked when the file is fetched.
                return Ok(Some((headers, Bytes::new())));
            }
            url = target;
        }
        Err(Failure::Lasting(self.error(ErrorKind::Io, "the hub redirects without end")))
    }

    async fn answer(
        &self,
        method: Method,
        mut response: Response,
        headers: HeaderMap,
        optional: bool,
    ) -> std::result::Result<Option<(HeaderMap, Bytes)>, Failure> {
        let status = response.status();
        let code = text(response.headers(), "x-error-code").unwrap_or_default();
        if status.is_success() {
            if method == Method::HEAD {
                return Ok(Some((headers, Bytes::new())));
            }
            let told = text(response.headers(), "content-length").and_then(|length| length.parse::<usize>().ok());
            let mut body = Vec::with_capacity(told.unwrap_or(0).min(LARGEST));
            while let Some(chunk) = response.chunk().await.map_err(|error| self.transport(&error))? {
                if body.len() + chunk.len() > LARGEST {
                    return Err(Failure::Lasting(self.error(ErrorKind::Data, "a tokenizer file of absurd size")));
                }
                body.extend_from_slice(&chunk);
            }
            if told.is_some_and(|told| told != body.len()) {
                return Err(Failure::Transient("the file was cut short".into()));
            }
            return Ok(Some((headers, body.into())));
        }
        Err(Failure::Lasting(match (status.as_u16(), code.as_str()) {
            (404, "EntryNotFound") => return Ok(None),
            // A mirror that gives no codes; that the repository is there is known from its tokenizer.
            (404, "") if optional => return Ok(None),
            (404, "RevisionNotFound") => self.error(ErrorKind::NotFound, "no such revision on the hub"),
            (404, "RepoNotFound" | "") | (401, "RepoNotFound") if self.token.is_some() => self
                .error(ErrorKind::NotFound, "no such repository on the hub, or HF_TOKEN may not see it")
                .hint("check the spelling, and that the token belongs to an account with access"),
            (404, "") => self.error(ErrorKind::NotFound, "not found on the hub"),
            (401 | 403, "GatedRepo") => {
                self.error(ErrorKind::NotFound, "the repository is gated").hint(match &self.token {
                    Some(_) => "accept its terms on its page, with the account that HF_TOKEN belongs to",
                    None => "accept its terms on its page, then set HF_TOKEN to a token of that account",
                })
            }
            (401 | 404, _) => self
                .error(ErrorKind::NotFound, "no such repository on the hub, or it is private")
                .hint("check the spelling; for a private repository set HF_TOKEN to a token with access"),
            (403, _) => self
                .error(ErrorKind::NotFound, "the hub refuses access")
                .hint("check that HF_TOKEN is a token with access to this repository"),
            (410, _) => self.error(ErrorKind::NotFound, "the repository is gone from the hub"),
            _ if transient(status) => return Err(Failure::Transient(format!("status {status}"))),
            _ => self.error(ErrorKind::Io, "the hub refused the request").caused_by(format!("status {status}")),
        }))
    }

    fn url(&self, revision: &str, name: &str) -> std::result::Result<Url, Failure> {
        let mut encoded = String::new();
        for byte in revision.bytes() {
            match byte {
                b'/' => encoded.push_str("%2F"),
                _ => encoded.push(char::from(byte)),
            }
        }
        let mut text = self.endpoint.as_str().trim_end_matches('/').to_string();
        let _ = write!(text, "/{}/resolve/{encoded}/{name}", self.repository.id);
        Url::parse(&text).map_err(|_| Failure::Lasting(self.error(ErrorKind::Usage, "no URL can be made of this")))
    }

    fn transport(&self, error: &reqwest::Error) -> Failure {
        let mut deepest: &dyn std::error::Error = error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        let cause = self.environment.redact(&deepest.to_string());
        if cause.contains("certificate") {
            let error = self.error(ErrorKind::Io, "the hub's certificate is not trusted").caused_by(cause);
            return Failure::Lasting(error.hint("set SSL_CERT_FILE to the certificates of your authority"));
        }
        Failure::Transient(cause)
    }

    fn no_tokenizer(&self) -> Error {
        self.error(ErrorKind::NotFound, "the repository has no tokenizer.json")
            .hint("give a repository or a folder with a fast tokenizer")
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Error {
        let host = self.endpoint.host_str().unwrap_or_default();
        Error::new(kind, message).at(format!("{} on {host}", self.repository.shown()))
    }
}

fn transient(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 429)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_string)
}

/// The token of the variables or of the file that the Python client's login leaves.
fn token(environment: &Environment) -> Option<String> {
    let written = || {
        let path = match environment.get("HF_TOKEN_PATH") {
            Some(path) => path.into(),
            None => cache::home(environment)?.join("token"),
        };
        std::fs::read_to_string(path).ok()
    };
    let token = environment.first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]).map(str::to_string).or_else(written)?;
    let token = token.trim();
    // What cannot be a header's value cannot be a token either.
    (!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())).then(|| token.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_ids() {
        for text in ["RedHatAI/Llama-3.1-8B-Instruct", "gpt2", "a/b@main", "a/b@refs/pr/1", "a/b@0123abc"] {
            assert!(is_repository_id(text), "{text}");
        }
        for text in ["", "/a", "a/", "a/b/c", "../a", "./a", "a/..", "a b/c", "a/b@", "a/b@../x", "~/a", "s3://a/b"] {
            assert!(!is_repository_id(text), "{text}");
        }
    }
}
