//! The backends of the suite, each with direct access to what is stored.

use crate::support::s3_server::{self, S3Server};
use bytes::Bytes;
use futures::TryStreamExt;
use knowledge_mixing::testing::{
    Environment, Location, ManifestHead, MixState, PublishOptions, StagedFile, Storage, StorageOptions, Store,
};
use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::memory::InMemory;
use object_store::path::Path;
use std::io::BufRead;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The names that the tests look for in the output.
pub const PUBLISH_OPTIONS: PublishOptions = PublishOptions {
    manifest_name: "manifest.json",
    max_manifest_bytes: 1 << 20,
    private_prefix: ".knowledge-mixing",
    parse_manifest,
    overwrite: false,
};

/// The object that stays in every bucket.
pub const LEASE: &str = ".knowledge-mixing.lease";

/// The manifest of a test: a line `STATE RUN` and the names that are left over, then a line `NAME BYTES DIGEST` for each file.
pub fn manifest(head: &ManifestHead, files: &[StagedFile]) -> Bytes {
    let state = if head.state == MixState::Complete { "complete" } else { "replacing" };
    let mut text = [&[state.to_owned(), head.run.clone()], &head.left_over[..]].concat().join(" ") + "\n";
    for file in files {
        text.push_str(&format!("{} {} {}\n", file.name, file.bytes, file.digest));
    }
    text.into()
}

/// Reads what [`manifest`] has written.
pub fn parse_manifest(bytes: &[u8]) -> Option<ManifestHead> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    let mut head = lines.next()?.split(' ').map(str::to_owned);
    let state = match head.next()?.as_str() {
        "complete" => MixState::Complete,
        "replacing" => MixState::Replacing,
        _ => return None,
    };
    let run = head.next()?;
    let files = lines.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
    Some(ManifestHead { state, run, files, left_over: head.collect() })
}

pub struct Backend {
    pub storage: Storage,
    pub folder: Location,
    raw: Raw,
    _keep: Box<dyn Send + Sync>,
}

enum Raw {
    Folder(PathBuf),
    Store { store: Arc<dyn Store>, prefix: String },
}

/// Retries and lease timeouts that are short enough for tests.
pub fn options() -> StorageOptions {
    StorageOptions {
        max_retries: 12,
        retry_pause: Duration::from_millis(5),
        retry_timeout: Duration::from_secs(60),
        request_timeout: Duration::from_secs(20),
        lease_timeout: Duration::from_secs(4),
        ..StorageOptions::default()
    }
}

pub fn local() -> Backend {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("output");
    Backend {
        storage: Storage::with_environment(options(), Environment::default()),
        folder: Location::local(path.clone()),
        raw: Raw::Folder(path),
        _keep: Box::new(folder),
    }
}

pub fn memory() -> Backend {
    let store = Arc::new(InMemory::new());
    Backend {
        storage: Storage::with_store(options(), Arc::clone(&store) as Arc<dyn Store>),
        folder: Location::parse("memory://bucket/some/output").unwrap(),
        raw: Raw::Store { store, prefix: "some/output".into() },
        _keep: Box::new(()),
    }
}

pub fn s3() -> Backend {
    let server = S3Server::start(&["bucket"]);
    let endpoint = server.endpoint();
    s3_at(&endpoint, s3_server::ACCESS_KEY, s3_server::SECRET_KEY, Box::new(server))
}

/// A backend in the bucket `bucket` of an S3 server.
pub fn s3_at(endpoint: &str, key: &str, secret: &str, keep: Box<dyn Send + Sync>) -> Backend {
    knowledge_mixing::testing::install_tls_provider();
    let environment = Environment::from_iter([
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_REGION", "us-east-1"),
    ]);
    let storage = Storage::with_environment(options(), environment);
    let store = AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_bucket_name("bucket")
        .with_access_key_id(key)
        .with_secret_access_key(secret)
        .with_region("us-east-1")
        .with_disable_bulk_delete(true)
        .build()
        .unwrap();
    Backend {
        storage,
        folder: Location::parse("s3://bucket/some/output").unwrap(),
        raw: Raw::Store { store: Arc::new(store), prefix: "some/output".into() },
        _keep: keep,
    }
}

/// The moto S3 server: a running one at `KM_MOTO_URL`, or one that is started with the Python at `KM_MOTO_PYTHON`.
pub struct Moto {
    url: String,
    started: Option<Child>,
}

impl Moto {
    pub fn find() -> Option<Self> {
        if let Ok(url) = std::env::var("KM_MOTO_URL") {
            return Some(Self { url: url.trim_end_matches('/').to_string(), started: None });
        }
        let python = std::env::var("KM_MOTO_PYTHON").ok()?;
        // A port that was free a moment ago: the server does not report the port that it binds.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let started = Command::new(&python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("KM_MOTO_PYTHON={python}: {error}"));
        let mut moto = Self { url: format!("http://127.0.0.1:{port}"), started: Some(started) };
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = moto.started.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(
                ended.is_none(),
                "KM_MOTO_PYTHON={python}: moto.server ended: {ended:?}; is moto[server] installed?"
            );
            assert!(std::time::Instant::now() < deadline, "moto.server does not respond");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(moto)
    }

    /// The empty bucket `bucket`.
    pub async fn bucket(&self) -> Backend {
        knowledge_mixing::testing::install_tls_provider();
        let client = reqwest::Client::new();
        let reset = client.post(format!("{}/moto-api/reset", self.url)).send().await.unwrap();
        assert!(reset.status().is_success());
        let made = client.put(format!("{}/bucket", self.url)).send().await.unwrap();
        assert!(made.status().is_success());
        s3_at(&self.url, "any", "thing", Box::new(()))
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        if let Some(started) = &mut self.started {
            let _ = started.kill();
            let _ = started.wait();
        }
    }
}

/// Azurite, Microsoft's Azure emulator, started with the script at `KM_AZURITE`.
pub struct Azurite {
    endpoint: String,
    server: Child,
    used: AtomicUsize,
}

const AZURE_ACCOUNT: &str = "account";
const AZURE_KEY: &str = "c2VjcmV0LWtleS1vZi10aGUtdGVzdHM=";

impl Azurite {
    /// Returns `None` with a note if Azurite is not set up; panics in CI.
    pub fn find() -> Option<Self> {
        let Ok(script) = std::env::var("KM_AZURITE") else {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "KM_AZURITE is not set: run `make test`");
            eprintln!("SKIPPED: set KM_AZURITE to tests/azurite/serve.mjs (`make test` does) to run this on Azure");
            return None;
        };
        let containers = (0..20).map(|number| format!("container-{number}"));
        let mut server = Command::new("node")
            .args([&script, AZURE_ACCOUNT, AZURE_KEY])
            .args(containers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("node: {error}"));
        let mut endpoint = String::new();
        std::io::BufReader::new(server.stdout.take().unwrap()).read_line(&mut endpoint).unwrap();
        assert!(
            endpoint.starts_with("http"),
            "KM_AZURITE={script}: Azurite does not start: run `npm ci` in its folder"
        );
        Some(Self { endpoint: endpoint.trim().to_string(), server, used: AtomicUsize::new(0) })
    }

    /// The variables that lead a client to the server.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("AZURE_STORAGE_ENDPOINT", self.endpoint.as_str()),
            ("AZURE_STORAGE_ACCOUNT_NAME", AZURE_ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", AZURE_KEY),
        ]
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .to_vec()
    }

    pub fn storage(&self) -> Storage {
        Storage::with_environment(options(), Environment::from_iter(self.environment()))
    }

    /// An empty container.
    pub fn container(&self) -> Backend {
        let storage = self.storage();
        let container = format!("container-{}", self.used.fetch_add(1, Ordering::Relaxed));
        knowledge_mixing::testing::install_tls_provider();
        let store = MicrosoftAzureBuilder::new()
            .with_endpoint(self.endpoint.clone())
            .with_allow_http(true)
            .with_account(AZURE_ACCOUNT)
            .with_access_key(AZURE_KEY)
            .with_container_name(&container)
            .build()
            .unwrap();
        Backend {
            storage,
            folder: Location::parse(&format!("az://{container}/some/output")).unwrap(),
            raw: Raw::Store { store: Arc::new(store), prefix: "some/output".into() },
            _keep: Box::new(()),
        }
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Backend {
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        match &self.raw {
            Raw::Folder(folder) => {
                let path = folder.join(key);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
            Raw::Store { store, prefix } => {
                let path = Path::parse(format!("{prefix}/{key}")).unwrap();
                store.put(&path, bytes.into()).await.unwrap();
            }
        }
    }

    pub async fn delete(&self, key: &str) {
        match &self.raw {
            Raw::Folder(folder) => std::fs::remove_file(folder.join(key)).unwrap(),
            Raw::Store { store, prefix } => {
                store.delete(&Path::parse(format!("{prefix}/{key}")).unwrap()).await.unwrap();
            }
        }
    }

    /// Direct access to the store of a bucket.
    pub fn store(&self) -> Arc<dyn Store> {
        let Raw::Store { store, .. } = &self.raw else { panic!("not a bucket") };
        Arc::clone(store)
    }

    /// The lease of an output in a bucket.
    pub async fn lease(&self) -> Option<serde_json::Value> {
        let everything = self.everything_and_lease().await;
        let (_, lease) = everything.into_iter().find(|(name, _)| name == LEASE)?;
        Some(serde_json::from_slice(&lease).unwrap())
    }

    /// Every stored key with its content, hidden ones included, but for the lease, which stays.
    pub async fn everything(&self) -> Vec<(String, Bytes)> {
        let mut everything = self.everything_and_lease().await;
        everything.retain(|(name, _)| name != LEASE);
        everything
    }

    async fn everything_and_lease(&self) -> Vec<(String, Bytes)> {
        let mut found = Vec::new();
        match &self.raw {
            Raw::Folder(folder) => {
                if let Ok(entries) = std::fs::read_dir(folder) {
                    for entry in entries {
                        let entry = entry.unwrap();
                        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                            let name = entry.file_name().into_string().unwrap();
                            // A thread of an aborted run may be removing its staging file at this moment.
                            if let Ok(bytes) = std::fs::read(entry.path()) {
                                found.push((name, bytes.into()));
                            }
                        }
                    }
                }
            }
            Raw::Store { store, prefix } => {
                let listed: Vec<_> = store.list(Some(&Path::parse(prefix).unwrap())).try_collect().await.unwrap();
                for meta in listed {
                    let bytes = store.get(&meta.location).await.unwrap().bytes().await.unwrap();
                    found
                        .push((meta.location.as_ref().strip_prefix(&format!("{prefix}/")).unwrap().to_string(), bytes));
                }
            }
        }
        found.sort();
        found
    }

    pub async fn names(&self) -> Vec<String> {
        self.everything().await.into_iter().map(|(name, _)| name).collect()
    }
}

/// Incompressible bytes, determined by the seed.
pub fn noise(seed: u64, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes.into()
}
