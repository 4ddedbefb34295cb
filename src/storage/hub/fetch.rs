//! Fetches a tokenizer from the cache or from the hub.

use super::cache::{Cache, is_commit};
use super::client::{COMMIT, HubClient, HubFile};
use super::repository::Repository;
use super::snapshot::{HubSnapshot, TOKENIZER, file_names};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::client::Storage;
use crate::warnings::Warnings;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::ETAG;

/// Fetches the tokenizer files of a repository (`OWNER/NAME` or `OWNER/NAME@REVISION`) from the cache or from the hub.
///
/// Reads `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_ENDPOINT` and `HF_HUB_OFFLINE`. If the hub cannot
/// be reached and the cache has the revision, that is used, with a warning. A cache that cannot be written is a
/// warning.
///
/// # Errors
/// The repository or its tokenizer is not found, is not accessible, or cannot be reached.
pub async fn fetch_tokenizer(storage: &Storage, repository: &str) -> Result<HubSnapshot> {
    let Some(repository) = Repository::parse(repository) else {
        return Err(Error::new(ErrorKind::Usage, "not a valid repository id of the Hugging Face hub")
            .at(repository)
            .hint("use OWNER/NAME or OWNER/NAME@REVISION"));
    };
    let shared = storage.shared();
    let environment = &shared.environment;
    let cache = Cache::of(environment, &repository);
    let cached = cache.snapshot(repository.revision()).filter(HubSnapshot::has_tokenizer);
    if environment.is_enabled("HF_HUB_OFFLINE") || environment.is_enabled("TRANSFORMERS_OFFLINE") {
        return cached.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "not in the cache, and HF_HUB_OFFLINE forbids requests to the hub")
                .at(&repository)
                .hint(format!("fill the cache (HF_HOME) at {}, or pass a folder", cache.folder().display()))
        });
    }
    let client = HubClient::new(shared, &repository)?;
    let fetch = Fetch { client, cache, repository: &repository, warnings: &shared.warnings };
    match fetch.snapshot().await {
        Err(error) if error.kind() == ErrorKind::Unreachable => match cached {
            Some(snapshot) => {
                let revision = &snapshot.revision;
                shared.warnings.warn(format!("{}; using the cached revision {revision}", error.line()));
                Ok(snapshot)
            }
            None => Err(error.hint("without a network, pass a folder, or set HF_HOME to a volume with a warm cache")),
        },
        fetched => fetched,
    }
}

/// Fetches from the hub what the cache lacks.
struct Fetch<'a> {
    client: HubClient<'a>,
    cache: Cache,
    repository: &'a Repository,
    warnings: &'a Warnings,
}

impl Fetch<'_> {
    async fn snapshot(&self) -> Result<HubSnapshot> {
        let commit = self.commit().await?;
        self.warn_if_not_cached(self.cache.store_ref(self.repository.revision(), &commit));
        let found = futures::future::try_join_all(file_names().map(|name| self.file(&commit, name))).await?;
        let snapshot = HubSnapshot { files: found.into_iter().flatten().collect(), revision: commit };
        if snapshot.has_tokenizer() { Ok(snapshot) } else { Err(self.no_tokenizer()) }
    }

    /// The commit of the revision.
    async fn commit(&self) -> Result<String> {
        let revision = self.repository.revision();
        if is_commit(revision) {
            return Ok(revision.to_string());
        }
        let tokenizer = HubFile { revision, name: TOKENIZER, is_optional: false };
        let Some(response) = self.client.request(Method::HEAD, tokenizer).await? else {
            return Err(self.no_tokenizer());
        };
        response.header(COMMIT).filter(|commit| is_commit(commit)).ok_or_else(|| {
            self.client
                .error(ErrorKind::Io, "the response does not name the commit of the revision (x-repo-commit)")
                .hint(format!("name the commit: {}@SHA; a proxy or mirror may drop the header", self.repository.id()))
        })
    }

    /// One file of a commit; `None` if the commit has no such file.
    async fn file(&self, commit: &str, name: &str) -> Result<Option<(String, Bytes)>> {
        if let Some(content) = self.cache.file(commit, name) {
            return Ok(Some((name.to_string(), content)));
        }
        if self.cache.is_absent(commit, name) {
            return Ok(None);
        }
        let file = HubFile { revision: commit, name, is_optional: name != TOKENIZER };
        match self.client.request(Method::GET, file).await? {
            Some(response) => {
                let e_tag = response.header("x-linked-etag").or_else(|| response.header(ETAG.as_str()));
                self.warn_if_not_cached(self.cache.store_file(commit, name, e_tag.as_deref(), &response.body));
                Ok(Some((name.to_string(), response.body)))
            }
            None => {
                self.warn_if_not_cached(self.cache.store_absence(commit, name));
                Ok(None)
            }
        }
    }

    fn warn_if_not_cached(&self, stored: std::io::Result<()>) {
        if let Err(error) = stored {
            self.warnings
                .warn(format!("cannot write the Hugging Face cache, so downloaded files are not cached: {error}"));
        }
    }

    fn no_tokenizer(&self) -> Error {
        self.client
            .error(ErrorKind::NotFound, "the repository has no tokenizer.json")
            .hint("pass a repository or a folder with a fast tokenizer")
    }
}
