//! The speed of the storage layer alone, compared with a plain copy of the same bytes:
//! `cargo bench --bench storage [-- --runs 5]`.
//!
//! Both list a folder, read all of it and write all of it, and nothing else; in turn, after a warm-up, each time into
//! an empty folder. The limit is 1.25 times the plain copy's time. It does not hold for thousands of output files in a
//! bucket, which the program never writes (it writes a dozen): each is begun, recorded, sent, completed and checked,
//! where a plain copy needs one request.
//!
//! - In a bucket, the plain copy is what one writes with `object_store`: it copies as many files at once as the program
//!   reads, each streamed by one request. A file that fits one part is put at once, a larger one is sent in parts, four
//!   at a time. It computes no digest, and each file becomes visible by itself.
//! - In a folder, it is `std::fs::copy` on as many threads as the machine has cores; each file and the folder are
//!   flushed.
//!
//! The S3 server is a process of its own: this program, started with the argument `serve`.
#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use knowledge_mixing::testing::{
    Environment, Location, ObjectInfo, PublishOptions, Sink, Storage, StorageOptions, install_tls_provider,
};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, WriteMultipart};
use std::fmt::Display;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use test_support::s3_server::{ACCESS_KEY, S3Server, SECRET_KEY};

const PUBLISH_OPTIONS: PublishOptions = PublishOptions {
    manifest_name: "manifest.json",
    max_manifest_bytes: 1 << 20,
    private_prefix: ".knowledge-mixing",
    parse_manifest: |_| None,
    overwrite: true,
};

/// Limit of the storage layer's time, as a multiple of the plain copy's.
const LIMIT: f64 = 1.25;
const PART: usize = 8 << 20;
const PARTS_AT_ONCE: usize = 4;
/// Number of files that are copied at once: the program reads as many.
const FILES_AT_ONCE: usize = 16;

/// Number and size of the files that are copied.
#[derive(Clone, Copy)]
struct Shape {
    files: usize,
    bytes: usize,
}

const LARGE: Shape = Shape { files: 4, bytes: 64 << 20 };
const SMALL: Shape = Shape { files: 2000, bytes: 8 << 10 };
/// So many that the constant cost of a publication is negligible.
const MANY: Shape = Shape { files: 8000, bytes: 8 << 10 };

impl Shape {
    fn contents(self) -> impl Iterator<Item = (String, Bytes)> {
        (0..self.files).map(move |file| {
            // Incompressible bytes.
            let mut bytes = vec![0; self.bytes];
            blake3::Hasher::new().update(&file.to_le_bytes()).finalize_xof().fill(&mut bytes);
            (format!("{file:04}"), bytes.into())
        })
    }
}

impl Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.bytes >> 20 {
            0 => write!(f, "{} files of {} KiB", self.files, self.bytes >> 10),
            mib => write!(f, "{} files of {mib} MiB", self.files),
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "serve") {
        return serve();
    }
    let runs = arguments.iter().skip_while(|argument| *argument != "--runs").nth(1);
    let runs = runs.map_or(5, |runs| runs.parse().expect("--runs: expected a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!("| {:46} | {:21} | {:21} | ratio |     |", "medians, fastest to slowest", "plain copy", "storage layer");
    println!("|---|---:|---:|---:|---|");
    runtime.block_on(async {
        in_buckets(runs).await;
        in_folders(runs).await;
    });
}

/// Runs both in turn and prints a row of the table.
async fn compare(
    what: &str,
    limit: Option<f64>,
    runs: usize,
    mut plain: impl AsyncFnMut() -> Duration,
    mut ours: impl AsyncFnMut() -> Duration,
) {
    let (mut plain_times, mut our_times) = (Vec::new(), Vec::new());
    for run in 0..=runs {
        let (one, other) = (plain().await, ours().await);
        // The first run is the warm-up.
        if run > 0 {
            plain_times.push(one.as_secs_f64());
            our_times.push(other.as_secs_f64());
        }
    }
    let (plain, ours) = (Times::of(plain_times), Times::of(our_times));
    let ratio = ours.median / plain.median;
    let verdict = limit.map_or("no limit", |limit| if ratio <= limit { "met" } else { "EXCEEDED" });
    println!("| {what:46} | {plain} | {ours} | {ratio:.2} | {verdict} |");
}

struct Times {
    fastest: f64,
    median: f64,
    slowest: f64,
}

impl Times {
    fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_unstable_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        Self { fastest: seconds[0], median, slowest: seconds[seconds.len() - 1] }
    }
}

impl Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} s, {:.2} to {:.2}", self.median, self.fastest, self.slowest)
    }
}

/// Measures some work, after the disk has written what earlier work left.
async fn timed(work: impl Future<Output = ()>) -> Duration {
    rustix::fs::sync();
    let began = Instant::now();
    work.await;
    began.elapsed()
}

async fn in_buckets(runs: usize) {
    let server = Server::start();
    let storage = Storage::with_environment(
        StorageOptions::default(),
        Environment::from_iter(test_support::s3_server::environment(&server.endpoint)),
    );
    install_tls_provider();
    let store = AmazonS3Builder::new()
        .with_endpoint(&server.endpoint)
        .with_allow_http(true)
        .with_bucket_name("bucket")
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET_KEY)
        .with_disable_bulk_delete(true)
        .build()
        .expect("a client");
    let at = |name: &str| Location::parse(&format!("s3://bucket/{name}")).expect("a location");
    for (shape, limit) in [(LARGE, Some(LIMIT)), (SMALL, None)] {
        fill(&store, shape).await;
        let plain = async || {
            empty(&store, "plain").await;
            timed(plain_copy(&store)).await
        };
        let ours = async || {
            empty(&store, "ours").await;
            timed(copy(&storage, &at("in"), &at("ours"))).await
        };
        compare(&format!("S3 to S3: {shape}"), limit, runs, plain, ours).await;
    }
    // The program's own ratio: many input files, few output files.
    fill(&store, MANY).await;
    let plain = async || {
        empty(&store, "plain").await;
        timed(plain_concatenation(&store)).await
    };
    let ours = async || {
        empty(&store, "ours").await;
        timed(concatenate(&storage, &at("in"), &at("ours"))).await
    };
    compare(&format!("S3 to S3: {MANY}, into one"), Some(LIMIT), runs, plain, ours).await;
}

/// Puts the input through the server, which then need not read a file to compute its entity tag.
async fn fill(store: &AmazonS3, shape: Shape) {
    empty(store, "in").await;
    let puts = shape.contents().map(|(name, bytes)| async move {
        store.put(&Path::from(format!("in/{name}")), bytes.into()).await.expect("an input");
    });
    futures::stream::iter(puts).buffer_unordered(FILES_AT_ONCE).collect::<()>().await;
}

async fn in_folders(runs: usize) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let [input, plain_output, output] = ["in", "plain", "ours"].map(|name| folder.path().join(name));
    let storage = Storage::with_environment(StorageOptions::default(), Environment::default());
    let at = |path: &std::path::Path| Location::local(path);
    for shape in [LARGE, SMALL] {
        let _ = std::fs::remove_dir_all(&input);
        std::fs::create_dir(&input).expect("a folder");
        for (name, bytes) in shape.contents() {
            std::fs::write(input.join(name), bytes).expect("an input");
        }
        let plain = async || {
            let _ = std::fs::remove_dir_all(&plain_output);
            timed(async { plain_folder_copy(&input, &plain_output) }).await
        };
        let ours = async || {
            let _ = std::fs::remove_dir_all(&output);
            timed(copy(&storage, &at(&input), &at(&output))).await
        };
        compare(&format!("folder to folder: {shape}"), Some(LIMIT), runs, plain, ours).await;
    }
}

/// Copies every file of a folder into another with the storage layer, and adds a manifest.
async fn copy(storage: &Storage, input: &Location, output: &Location) {
    let publication = storage.publish(output, PUBLISH_OPTIONS).await.expect("a publication");
    let listed = storage.list(input).await.expect("a listing");
    let files = futures::stream::iter(&listed).for_each_concurrent(FILES_AT_ONCE, |object| {
        let publication = &publication;
        async move {
            let mut sink = publication.create(&object.key).await.expect("a file");
            append(storage, object, &mut sink).await;
            sink.finish().await.expect("a finished file");
        }
    });
    files.await;
    publication.commit(|_| Ok(Bytes::from_static(b"{}"))).await.expect("a commit");
}

async fn append(storage: &Storage, object: &ObjectInfo, sink: &mut Sink) {
    let mut stream = storage.stream(object);
    while let Some(bytes) = stream.try_next().await.expect("bytes") {
        sink.write(vec![bytes]).await.expect("a write");
    }
}

/// Concatenates every file of a folder into one with the storage layer.
async fn concatenate(storage: &Storage, input: &Location, output: &Location) {
    let publication = storage.publish(output, PUBLISH_OPTIONS).await.expect("a publication");
    let listed = storage.list(input).await.expect("a listing");
    let mut sink = publication.create("all").await.expect("a file");
    let mut files = futures::stream::iter(&listed)
        .map(|object| storage.stream(object).try_collect::<Vec<Bytes>>())
        .buffered(FILES_AT_ONCE);
    while let Some(pieces) = files.try_next().await.expect("bytes") {
        sink.write(pieces).await.expect("a write");
    }
    sink.finish().await.expect("a finished file");
    publication.commit(|_| Ok(Bytes::from_static(b"{}"))).await.expect("a commit");
}

async fn plain_copy(store: &AmazonS3) {
    let copies = listed(store, "in").await.into_iter().map(|meta| async move {
        let target = Path::from(format!("plain/{}", meta.location.filename().expect("a name")));
        let body = store.get(&meta.location).await.expect("an object");
        if meta.size <= PART as u64 {
            store.put(&target, body.bytes().await.expect("bytes").into()).await.expect("a file");
            return;
        }
        let mut writer = upload(store, &target).await;
        let mut body = body.into_stream();
        while let Some(bytes) = body.try_next().await.expect("bytes") {
            writer.wait_for_capacity(PARTS_AT_ONCE).await.expect("a write");
            writer.put(bytes);
        }
        writer.finish().await.expect("a finished file");
    });
    futures::stream::iter(copies).buffer_unordered(FILES_AT_ONCE).collect::<()>().await;
}

async fn plain_concatenation(store: &AmazonS3) {
    let mut writer = upload(store, &Path::from("plain/all")).await;
    let mut bodies = futures::stream::iter(listed(store, "in").await)
        .map(|meta| async move { store.get(&meta.location).await?.bytes().await })
        .buffered(FILES_AT_ONCE);
    while let Some(bytes) = bodies.try_next().await.expect("bytes") {
        writer.wait_for_capacity(PARTS_AT_ONCE).await.expect("a write");
        writer.put(bytes);
    }
    writer.finish().await.expect("a finished file");
}

async fn upload(store: &AmazonS3, target: &Path) -> WriteMultipart {
    WriteMultipart::new_with_chunk_size(store.put_multipart(target).await.expect("an upload"), PART)
}

async fn listed(store: &AmazonS3, folder: &str) -> Vec<ObjectMeta> {
    store.list(Some(&Path::from(folder))).try_collect().await.expect("a listing")
}

async fn empty(store: &AmazonS3, folder: &str) {
    let keys = store.list(Some(&Path::from(folder))).map_ok(|meta| meta.location).boxed();
    store.delete_stream(keys).try_collect::<Vec<_>>().await.expect("an empty folder");
}

fn plain_folder_copy(input: &std::path::Path, output: &std::path::Path) {
    std::fs::create_dir(output).expect("a folder");
    let names: Vec<_> =
        std::fs::read_dir(input).expect("a listing").map(|entry| entry.expect("a file").file_name()).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for names in names.chunks(names.len().div_ceil(threads)) {
            scope.spawn(move || {
                for name in names {
                    let target = output.join(name);
                    std::fs::copy(input.join(name), &target).expect("a copy");
                    std::fs::File::open(&target).and_then(|file| file.sync_all()).expect("a flushed file");
                }
            });
        }
    });
    std::fs::File::open(output).and_then(|folder| folder.sync_all()).expect("a flushed folder");
}

/// The S3 server in a process of its own.
struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg("serve")
            .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        let mut endpoint = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut endpoint).expect("its address");
        Self { child, endpoint: endpoint.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Serves until standard input ends, which also happens if the parent process is killed.
fn serve() {
    let server = S3Server::start(&["bucket"]);
    println!("{}", server.endpoint());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
