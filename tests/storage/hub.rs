//! The hub's client against a small server.

use crate::backend::options;
use crate::support::http_server::{Answer, HttpServer, Request};
use knowledge_mixing::testing::{
    Environment, ErrorKind, HubSnapshot, Result, Storage, StorageOptions, fetch_tokenizer,
};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "hf_hush-hush";
const TOKENIZER: &str = "{\"model\": {}}";
const TEMPLATE: &str = "{{ messages }}";

/// A hub and the other host that serves its large files.
struct Hub {
    hub: HttpServer,
    files: HttpServer,
    home: tempfile::TempDir,
}

impl Hub {
    fn start() -> Self {
        Self::truncating(0)
    }

    /// Truncates the first `times` downloads of the tokenizer.
    fn truncating(times: usize) -> Self {
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
        // What the hub answers to a token that has expired, for public repositories as well.
        "test/expired" => {
            return Answer::new(401).header("x-error-message", "Invalid credentials in Authorization header");
        }
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
async fn files_are_cached_as_the_python_client_does() {
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

    // Only the hub gets the token.
    assert!(hub.hub.requests().iter().all(|request| request.header("authorization").is_some()));
    assert!(hub.files.requests().iter().all(|request| request.header("authorization").is_none()));

    // With a warm cache, one request is left, for the current commit. For a commit there is none.
    let before = hub.hub.requests().len();
    assert_eq!(names(&hub.fetch("test/public", &[]).await.unwrap()), FOUND);
    assert_eq!(hub.hub.requests().len(), before + 1);
    hub.fetch(&format!("test/public@{COMMIT}"), &[]).await.unwrap();
    assert_eq!(hub.hub.requests().len(), before + 1);
    // Offline there is none either.
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
async fn errors_name_the_repository_the_cause_and_the_remedy() {
    let hub = Hub::start();
    let mut report = Vec::new();
    for (repository, more) in [
        ("test/private", &[][..]),
        ("test/missing", &[("HF_TOKEN", TOKEN)]),
        ("test/gated", &[]),
        ("test/gated", &[("HF_TOKEN", TOKEN)]),
        ("test/gone", &[]),
        ("test/expired", &[("HF_TOKEN", TOKEN)]),
        ("test/public", &[("HF_TOKEN", "hf_hush\nhush")]),
        ("test/public@no-such", &[]),
        ("test/cold", &[("HF_HUB_OFFLINE", "1")]),
        ("test/public", &[("HF_ENDPOINT", "nonsense")]),
        ("no repository", &[]),
    ] {
        let error = hub.fetch(repository, more).await.unwrap_err();
        let text = error.to_string().replace(hub.home.path().to_str().unwrap(), "HOME");
        assert!(!text.contains("hush"), "{text}");
        report.push(format!("{} {text}", error.kind().exit_code()));
    }
    insta::assert_snapshot!(report.join("\n"));
}

#[tokio::test]
async fn a_truncated_download_is_retried() {
    let hub = Hub::truncating(2);
    assert_eq!(hub.fetch("test/public", &[]).await.unwrap().files[0].1, TOKENIZER);
    let hub = Hub::truncating(100);
    let error = hub.fetch("test/public", &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    let blobs = hub.home.path().join("hub/models--test--public/blobs/tag-of-the-tokenizer");
    assert!(!blobs.exists(), "the cache holds a truncated file");
}

#[tokio::test]
async fn an_unreachable_hub_falls_back_to_the_cache() {
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
    let warnings = storage.warnings().all();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("cannot write the Hugging Face cache"), "{warnings:?}");
}

/// A mirror that redirects every request to the hub, as `status` says.
fn mirror(hub: &Hub, status: u16) -> HttpServer {
    let endpoint = hub.hub.endpoint.clone();
    HttpServer::start(move |request| Answer::new(status).header("location", format!("{endpoint}{}", request.target)))
}

#[tokio::test]
async fn a_mirror_that_redirects_is_followed_without_the_token() {
    for status in [301, 302, 303, 307, 308] {
        let hub = Hub::start();
        let mirror = mirror(&hub, status);
        let more = [("HF_ENDPOINT", mirror.endpoint.as_str()), ("HF_TOKEN", TOKEN)];
        let snapshot = hub.fetch("test/public", &more).await.unwrap();
        assert_eq!((names(&snapshot), snapshot.revision.as_str()), (FOUND.to_vec(), COMMIT), "{status}");
        assert!(mirror.requests().iter().all(|request| request.header("authorization").is_some()));
        for elsewhere in [&hub.hub, &hub.files] {
            assert!(elsewhere.requests().iter().all(|request| request.header("authorization").is_none()), "{status}");
        }
        let error = hub.fetch("test/missing", &more).await.unwrap_err().to_string();
        assert!(error.contains("repository not found on the hub"), "{error}");
    }
}

/// A proxy that drops the headers of the hub.
#[tokio::test]
async fn without_the_header_of_the_commit_it_can_be_named() {
    let files = HttpServer::start(|request| match request.method.as_str() {
        // A signed URL is for GET.
        "HEAD" => Answer::new(403),
        _ => Answer::new(200).body(TOKENIZER),
    });
    let elsewhere = files.endpoint.clone();
    let proxy = HttpServer::start(move |request| match request.target.ends_with("tokenizer.json") {
        true => Answer::new(302).header("location", format!("{elsewhere}/blob")),
        false => Answer::new(404),
    });
    let hub = Hub::start();
    let more = [("HF_ENDPOINT", proxy.endpoint.as_str())];
    let error = hub.fetch("test/public", &more).await.unwrap_err().to_string();
    assert!(error.contains("the response does not name the commit of the revision"), "{error}");
    assert!(error.contains("hint: name the commit: test/public@SHA"), "{error}");
    let snapshot = hub.fetch(&format!("test/public@{COMMIT}"), &more).await.unwrap();
    assert_eq!(names(&snapshot), ["tokenizer.json"]);
}

#[tokio::test]
async fn a_hub_that_does_not_respond_is_given_up_within_seconds() {
    // Accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let hub = Hub::start();
    let options =
        StorageOptions { request_timeout: std::time::Duration::from_millis(500), ..StorageOptions::default() };
    let variables = [("HF_ENDPOINT", endpoint.as_str()), ("HF_HOME", hub.home.path().to_str().unwrap())];
    let storage = Storage::with_environment(options, Environment::from_iter(variables));
    let began = std::time::Instant::now();
    let error = fetch_tokenizer(&storage, "test/public").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());

    // A hub that is overloaded is asked a few times more.
    let overloaded = HttpServer::start(|_| Answer::new(503));
    let variables = [("HF_ENDPOINT", overloaded.endpoint.as_str()), ("HF_HOME", hub.home.path().to_str().unwrap())];
    let options = StorageOptions { retry_pause: std::time::Duration::from_millis(1), ..StorageOptions::default() };
    let storage = Storage::with_environment(options, Environment::from_iter(variables));
    assert_eq!(fetch_tokenizer(&storage, "test/public").await.unwrap_err().kind(), ErrorKind::Unreachable);
    assert_eq!(overloaded.requests().len(), 6);
}

/// What a user sees while the hub does not respond.
#[test]
fn each_retry_of_the_hub_is_reported_once() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let home = tempfile::tempdir().unwrap();
    let variables = vec![
        ("HF_ENDPOINT".to_string(), format!("http://{nobody}")),
        ("HF_HOME".to_string(), home.path().to_str().unwrap().to_string()),
    ];
    let input = crate::support::outside::examples();
    let arguments =
        ["plan", "--input", input.to_str().unwrap(), "--output", "/nonexistent/out", "--tokenizer-model", "a/b"];
    let ran = crate::support::outside::run(&arguments, &variables);
    assert_eq!(ran.code, Some(69), "{}", ran.err);
    let retries = ran.err.lines().filter(|line| line.contains("trying again (tokenizer.json)")).count();
    assert_eq!(retries, 2, "{}", ran.err);
}
