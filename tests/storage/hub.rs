//! The hub, spoken by a small server from files made here.

use crate::backend::options;
use crate::support::http_server::{Answer, HttpServer, Request};
use knowledge_mixing::testing::{Environment, Storage, StorageOptions};
use knowledge_mixing::testing::{ErrorKind, Result};
use knowledge_mixing::testing::{HubSnapshot, fetch_tokenizer};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "hf_hush-hush";
const TOKENIZER: &str = "{\"model\": {}}";
const TEMPLATE: &str = "{{ messages }}";

/// A hub and the other host on which it keeps its large files.
struct Hub {
    hub: HttpServer,
    files: HttpServer,
    home: tempfile::TempDir,
}

impl Hub {
    fn start() -> Self {
        Self::cutting(0)
    }

    /// The first so many downloads of the tokenizer are cut short.
    fn cutting(times: usize) -> Self {
        let left = Arc::new(AtomicUsize::new(times));
        let files = HttpServer::start(move |request| {
            let cut = request.method == "GET"
                && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            Answer {
                cut_at: cut.then_some(5),
                ..Answer::new(200).body(TOKENIZER).header("etag", "\"of-the-file-host\"")
            }
        });
        let elsewhere = Mutex::new(files.endpoint.clone());
        let hub = HttpServer::start(move |request| answer(request, &elsewhere.lock().unwrap()));
        Self { hub, files, home: tempfile::tempdir().unwrap() }
    }

    fn storage(&self, more: &[(&str, &str)]) -> Storage {
        let mut variables = vec![
            ("HF_ENDPOINT".to_string(), self.hub.endpoint.clone()),
            ("HF_HOME".to_string(), self.home.path().to_str().unwrap().to_string()),
        ];
        variables.extend(more.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        Storage::with_environment(StorageOptions { max_retries: 3, ..options() }, Environment::from_iter(variables))
    }

    async fn fetch(&self, repository: &str, more: &[(&str, &str)]) -> Result<HubSnapshot> {
        fetch_tokenizer(&self.storage(more), repository).await
    }
}

fn answer(request: &Request, elsewhere: &str) -> Answer {
    let path = request.target.trim_start_matches('/');
    let known = request.header("authorization") == Some("Bearer hf_hush-hush");
    let not_found = |status, code: &str| Answer::new(status).header("x-error-code", code);
    let Some((repository, rest)) = path.split_once("/resolve/") else { return Answer::new(500) };
    let (revision, name) = rest.split_once('/').unwrap();
    match repository {
        "test/public" | "test/unsteady" => {}
        "test/private" if known => {}
        "test/renamed" => return Answer::new(307).header("location", format!("/test/public/resolve/{rest}")),
        "test/gated" => return not_found(if known { 403 } else { 401 }, "GatedRepo"),
        "test/gone" => return Answer::new(410),
        _ => return not_found(if known { 404 } else { 401 }, "RepoNotFound"),
    }
    if ![COMMIT, "main", "refs%2Fpr%2F1"].contains(&revision) {
        return not_found(404, "RevisionNotFound");
    }
    let answer = Answer::new(200).header("x-repo-commit", COMMIT);
    match name {
        "tokenizer.json" => Answer::new(302)
            .header("x-repo-commit", COMMIT)
            .header("x-linked-etag", "\"tag-of-the-tokenizer\"")
            .header("x-linked-size", TOKENIZER.len())
            .header("location", format!("{elsewhere}/blob?signature=secret")),
        "tokenizer_config.json" => answer.header("etag", "\"tag-of-the-config\"").body("{}"),
        "chat_template.jinja" => answer.header("etag", "W/\"tag-of-the-template\"").body(TEMPLATE),
        _ => not_found(404, "EntryNotFound"),
    }
}

fn names(snapshot: &HubSnapshot) -> Vec<&str> {
    snapshot.files.iter().map(|(name, _)| name.as_str()).collect()
}

const FOUND: [&str; 3] = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"];

#[tokio::test]
async fn found_and_kept_as_python_keeps_it() {
    let hub = Hub::start();
    let snapshot = hub.fetch("test/public", &[("HF_TOKEN", TOKEN)]).await.unwrap();
    assert_eq!(names(&snapshot), FOUND);
    assert_eq!((snapshot.revision.as_str(), &snapshot.files[0].1[..]), (COMMIT, TOKENIZER.as_bytes()));

    let folder = hub.home.path().join("hub/models--test--public");
    assert_eq!(std::fs::read_to_string(folder.join("refs/main")).unwrap(), COMMIT);
    let link = std::fs::read_link(folder.join("snapshots").join(COMMIT).join("tokenizer.json")).unwrap();
    assert_eq!(link, Path::new("../../blobs/tag-of-the-tokenizer"));
    assert_eq!(std::fs::read_to_string(folder.join("blobs/tag-of-the-template")).unwrap(), TEMPLATE);
    assert!(folder.join(".no_exist").join(COMMIT).join("special_tokens_map.json").is_file());

    // The token goes to the hub and to nobody else.
    assert!(hub.hub.requests().iter().all(|request| request.header("authorization").is_some()));
    assert!(hub.files.requests().iter().all(|request| request.header("authorization").is_none()));

    // With a warm cache one question is left: which commit is it now? With a commit, none.
    let before = hub.hub.requests().len();
    assert_eq!(names(&hub.fetch("test/public", &[]).await.unwrap()), FOUND);
    assert_eq!(hub.hub.requests().len(), before + 1);
    hub.fetch(&format!("test/public@{COMMIT}"), &[]).await.unwrap();
    assert_eq!(hub.hub.requests().len(), before + 1);
    // And offline none either.
    assert_eq!(names(&hub.fetch("test/public", &[("HF_HUB_OFFLINE", "1")]).await.unwrap()), FOUND);
    assert_eq!(hub.hub.requests().len(), before + 1);
}

#[tokio::test]
async fn revisions_renamed_repositories_and_tokens_from_a_file() {
    let hub = Hub::start();
    assert_eq!(names(&hub.fetch("test/public@refs/pr/1", &[]).await.unwrap()), FOUND);
    assert_eq!(names(&hub.fetch("test/renamed", &[]).await.unwrap()), FOUND);
    std::fs::write(hub.home.path().join("token"), format!("{TOKEN}\n")).unwrap();
    assert_eq!(names(&hub.fetch("test/private", &[]).await.unwrap()), FOUND);
}

#[tokio::test]
async fn what_goes_wrong_and_how_it_is_told() {
    let hub = Hub::start();
    let mut told = Vec::new();
    for (repository, more) in [
        ("test/private", &[][..]),
        ("test/missing", &[("HF_TOKEN", TOKEN)]),
        ("test/gated", &[]),
        ("test/gated", &[("HF_TOKEN", TOKEN)]),
        ("test/gone", &[]),
        ("test/public@no-such", &[]),
        ("test/cold", &[("HF_HUB_OFFLINE", "1")]),
        ("test/public", &[("HF_ENDPOINT", "nonsense")]),
        ("no repository", &[]),
    ] {
        let error = hub.fetch(repository, more).await.unwrap_err();
        let text = error.to_string().replace(hub.home.path().to_str().unwrap(), "HOME");
        assert!(!text.contains("hush"), "{text}");
        told.push(format!("{} {text}", error.kind().exit_code()));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn a_download_that_is_cut_short_is_tried_again() {
    let hub = Hub::cutting(2);
    assert_eq!(hub.fetch("test/public", &[]).await.unwrap().files[0].1, TOKENIZER);
    let hub = Hub::cutting(100);
    let error = hub.fetch("test/public", &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    let blobs = hub.home.path().join("hub/models--test--public/blobs/tag-of-the-tokenizer");
    assert!(!blobs.exists(), "half a file is in the cache");
}

#[tokio::test]
async fn a_hub_that_is_away_leaves_the_cache() {
    let hub = Hub::start();
    hub.fetch("test/public", &[]).await.unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = format!("http://me:hush@{nobody}");
    let storage = hub.storage(&[("HF_ENDPOINT", &away)]);
    assert_eq!(names(&fetch_tokenizer(&storage, "test/public").await.unwrap()), FOUND);
    let warnings = storage.warnings().all().join("\n");
    assert!(warnings.contains("the cached revision") && !warnings.contains("hush"), "{warnings}");
    let error = hub.fetch("test/other", &[("HF_ENDPOINT", &away)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(!error.to_string().contains("hush"));
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_is_a_warning() {
    let hub = Hub::start();
    let storage = hub.storage(&[("HF_HUB_CACHE", "/proc/no-cache-here")]);
    assert_eq!(names(&fetch_tokenizer(&storage, "test/public").await.unwrap()), FOUND);
    assert_eq!(storage.warnings().all().len(), 1, "{:?}", storage.warnings().all());
    assert!(storage.warnings().all()[0].contains("cache cannot be written"));
}
