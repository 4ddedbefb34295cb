//! Faults between program and server, and between two runs.

use crate::backend::{self, Backend, PUBLISH_OPTIONS, noise, options, s3_at};
use crate::conformance::{self, manifest_names, mix, read_all, write};
use crate::support::faulty_proxy::{self, Fault, FaultyProxy};
use crate::support::s3_server::{ACCESS_KEY, S3Server, SECRET_KEY};
use bytes::Bytes;
use knowledge_mixing::testing::{Environment, ErrorKind, Location, StagedFile, Storage, StorageOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A server, and a backend with direct access to it.
fn server() -> (std::net::SocketAddr, Backend) {
    let server = S3Server::start(&["bucket"]);
    let (address, endpoint) = (server.address(), server.endpoint());
    (address, s3_at(&endpoint, ACCESS_KEY, SECRET_KEY, Box::new(server)))
}

/// A storage that uses an endpoint.
fn through(endpoint: &str, options: StorageOptions) -> Storage {
    Storage::with_environment(options, Environment::from_iter(crate::support::s3_server::environment(endpoint)))
}

fn files(seed: u64) -> [(&'static str, Bytes); 3] {
    [("5x.jsonl", noise(seed, 1000)), ("10x.jsonl", noise(seed + 1, (9 << 20) + 7)), ("empty", Bytes::new())]
}

/// The lease names every upload before its first byte is sent, without a write for each file.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_uploads_share_the_writes_of_the_lease() {
    let (address, direct) = server();
    let writes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&writes);
    let proxy = FaultyProxy::planned(address, move |line, _| {
        count.fetch_add((line.starts_with("PUT") && line.contains(".lease")) as usize, Ordering::Relaxed);
        None
    });
    let storage = through(&proxy.endpoint(), options());
    let publication = storage.publish(&direct.folder, PUBLISH_OPTIONS).await.unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("{number}.jsonl")).collect();
    let sinks = futures::future::join_all(names.iter().map(|name| publication.create(name))).await;
    assert!(sinks.iter().all(|sink| sink.is_ok()));
    let lease = direct.lease().await.unwrap();
    let uploads: Vec<&str> =
        lease["uploads"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(uploads.len(), names.len());
    assert!(names.iter().all(|name| uploads.contains(&name.as_str())), "{lease}");
    let writes = writes.load(Ordering::Relaxed);
    assert!(writes <= names.len() / 2, "the lease was written {writes} times");
    publication.abort().await;
    let lease = direct.lease().await.unwrap();
    assert_eq!((&lease["run"], &lease["uploads"]), (&serde_json::Value::Null, &serde_json::json!([])));
    assert!(direct.names().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_connection_gives_correct_bytes_or_an_error_without_a_false_manifest() {
    let (address, direct) = server();
    let (mut succeeded, mut failed, mut faults) = (0, 0, 0);
    for seed in 0..40 {
        // Every fourth connection is so bad that some runs fail.
        let rate = if seed % 4 == 3 { 0.6 } else { 0.2 };
        let proxy = FaultyProxy::start(address, seed, rate, faulty_proxy::ALL);
        let storage = through(&proxy.endpoint(), StorageOptions { max_retries: 6, ..options() });
        let before = manifest_names(&direct).await;
        match mix(&storage, &direct, &files(seed * 10)).await {
            Ok(()) => {
                succeeded += 1;
                assert_eq!(manifest_names(&direct).await.unwrap(), ["5x.jsonl", "10x.jsonl", "empty"], "seed {seed}");
                let stored = direct.everything().await;
                for (name, content) in files(seed * 10) {
                    assert!(
                        stored.iter().any(|(found, bytes)| found == name && *bytes == content),
                        "seed {seed} {name}"
                    );
                }
                // Reads use the same connection.
                let read = async {
                    let listed = storage.list(&direct.folder).await?;
                    let object = listed.iter().find(|object| object.key == "10x.jsonl").expect("the listed file");
                    read_all(&storage, object).await
                };
                match read.await {
                    Ok(bytes) => assert!(bytes == files(seed * 10)[1].1, "seed {seed}: wrong bytes were read"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Unreachable, "seed {seed}: {error}"),
                }
            }
            Err(error) => {
                failed += 1;
                assert!(matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TryAgain), "seed {seed}: {error}");
                // Either the earlier mix or none, never a false manifest: `manifest_names` checks every digest.
                let now = manifest_names(&direct).await;
                assert!(now.is_none() || now == before, "seed {seed}: {now:?}");
            }
        }
        faults += proxy.faults();
    }
    eprintln!("{succeeded} succeeded, {failed} failed, {faults} faults");
    assert!(succeeded >= 25 && faults > 200, "too few: {succeeded} succeeded, {failed} failed, {faults} faults");
    // The next successful run removes what failed runs have left.
    mix(&direct.storage, &direct, &files(7)).await.unwrap();
    assert_eq!(direct.names().await, ["10x.jsonl", "5x.jsonl", "empty", "manifest.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_responses_are_resolved_by_reading_the_object() {
    let (address, direct) = server();
    // The first response to every writing request is lost.
    let proxy = FaultyProxy::planned(address, |line, times| {
        (times == 0 && !line.starts_with("GET") && !line.starts_with("HEAD")).then_some(Fault::LostAnswer)
    });
    let storage = through(&proxy.endpoint(), options());
    for round in 0..2 {
        mix(&storage, &direct, &files(round)).await.unwrap();
        assert_eq!(manifest_names(&direct).await.unwrap().len(), 3);
        assert_eq!(direct.names().await, ["10x.jsonl", "5x.jsonl", "empty", "manifest.json"]);
    }
    assert!(proxy.faults() > 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_body_is_resumed_where_it_broke_off() {
    let (address, direct) = server();
    direct.put("large", noise(1, 8 << 20)).await;
    let proxy = FaultyProxy::planned(address, |line, times| {
        (line.starts_with("GET /bucket/some/output/large") && times < 5).then_some(Fault::HalfAnswer)
    });
    let storage = through(&proxy.endpoint(), StorageOptions { max_retries: 1, ..options() });
    let listed = storage.list(&direct.folder).await.unwrap();
    // More faults than retries: each attempt makes progress, so the retries start over.
    assert!(read_all(&storage, &listed[0]).await.unwrap() == noise(1, 8 << 20));
    assert_eq!(proxy.faults(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn permanent_errors_are_reported_immediately() {
    let server = S3Server::start(&["bucket"]);
    let with = |key: &str, secret: &str| {
        Storage::with_environment(
            options(),
            Environment::from_iter([
                ("AWS_ENDPOINT_URL", server.endpoint().as_str()),
                ("AWS_ACCESS_KEY_ID", key),
                ("AWS_SECRET_ACCESS_KEY", secret),
            ]),
        )
    };
    let at = |text: &str| Location::parse(text).unwrap();
    let began = Instant::now();
    let denied = with(ACCESS_KEY, "wrong-secret").read(&at("s3://bucket/file"), 9).await.unwrap_err();
    let unknown = with("wrong-key-id", SECRET_KEY).list(&at("s3://bucket/folder")).await.unwrap_err();
    let no_bucket = with(ACCESS_KEY, SECRET_KEY).list(&at("s3://nowhere/folder")).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let report = [denied.to_string(), unknown.to_string(), no_bucket.to_string()].join("\n");
    insta::assert_snapshot!(report);
    assert_eq!((denied.kind(), unknown.kind(), no_bucket.kind()), (ErrorKind::Io, ErrorKind::Io, ErrorKind::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_is_unreachable() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = StorageOptions { max_retries: 2, ..options() };
    let storage = through(&format!("http://127.0.0.1:{port}"), options);
    let error = storage.list(&Location::parse("s3://bucket/x").unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let message = error.to_string().replace(&port.to_string(), "PORT");
    assert!(message.contains("s3://bucket/x") && message.contains("Connection refused"), "{message}");
}

/// A run that stages two files and is killed: it cleans up nothing, and its lease is no longer renewed.
fn kill_while_writing(storage: &Storage, folder: &Location) {
    let (storage, folder) = (storage.clone(), folder.clone());
    let run = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let publication = storage.publish(&folder, PUBLISH_OPTIONS).await.unwrap();
            write(&publication, "5x.jsonl", &noise(8, 9 << 20)).await.unwrap();
            let mut sink = publication.create("10x.jsonl").await.unwrap();
            sink.write(vec![noise(9, 9 << 20)]).await.unwrap();
            std::mem::forget((sink, publication));
        });
        runtime.shutdown_background();
    });
    run.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_removes_what_a_killed_run_leaves() {
    let (_, direct) = server();
    for backend in [backend::memory(), direct] {
        mix(&backend.storage, &backend, &files(1)).await.unwrap();
        kill_while_writing(&backend.storage, &backend.folder);
        assert_eq!(backend.lease().await.unwrap()["uploads"].as_array().unwrap().len(), 2);
        assert_eq!(manifest_names(&backend).await.unwrap().len(), 3, "the earlier mix is intact");
        let began = Instant::now();
        mix(&backend.storage, &backend, &files(2)).await.unwrap();
        assert!(began.elapsed() >= options().lease_timeout, "the lease may belong to a live run");
        assert_eq!(manifest_names(&backend).await.unwrap().len(), 3);
        assert_eq!(backend.lease().await.unwrap()["uploads"], serde_json::json!([]));
        assert_eq!(backend.names().await, ["10x.jsonl", "5x.jsonl", "empty", "manifest.json"], "{}", backend.folder);
    }
}

/// What a run leaves in a folder that is killed: before its commit, and in it.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_finishes_the_clean_up_of_a_killed_commit_in_a_folder() {
    let backend = backend::local();
    let replacing = "replacing 0f old.jsonl\n5x.jsonl 3 x\n7x.jsonl 3 x\n";
    let staged = |name: &str, content: &str| StagedFile {
        name: name.into(),
        bytes: content.len() as u64,
        digest: blake3::hash(content.as_bytes()).to_hex().to_string(),
    };
    let record = serde_json::to_string(&[staged("5x.jsonl", "new"), staged("9x.jsonl", "new")]).unwrap();
    for has_manifest in [true, false] {
        if has_manifest {
            backend.put("manifest.json", replacing).await;
            backend.put("7x.jsonl", "yes").await;
            backend.put("old.jsonl", "of the mix before").await;
        }
        backend.put("5x.jsonl", "new").await;
        backend.put("9x.jsonl", "new").await;
        backend.put("8x.jsonl", "of somebody else").await;
        backend.put(".knowledge-mixing-0f.commit", record.clone()).await;
        backend.put(".knowledge-mixing-0f.10x.jsonl.staging", "half a fi").await;
        mix(&backend.storage, &backend, &files(2)).await.unwrap();
        assert_eq!(manifest_names(&backend).await.unwrap().len(), 3);
        assert_eq!(backend.names().await, ["10x.jsonl", "5x.jsonl", "8x.jsonl", "empty", "manifest.json"]);
        for name in ["10x.jsonl", "5x.jsonl", "empty", "manifest.json"] {
            backend.delete(name).await;
        }
    }
    // The record names this file, but somebody has written another one of that name.
    backend.put(".knowledge-mixing-0f.commit", record).await;
    backend.put("5x.jsonl", "NEW").await;
    let error = mix(&backend.storage, &backend, &files(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_where_a_file_has_to_be_is_found_before_the_earlier_mix_is_touched() {
    let backend = backend::local();
    mix(&backend.storage, &backend, &[("5x.jsonl", noise(1, 9))]).await.unwrap();
    let before = backend.everything().await;
    backend.put("10x.jsonl/file", "x").await;
    let error = mix(&backend.storage, &backend, &files(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    assert_eq!(backend.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_follows_all_pages() {
    let server = S3Server::start(&["bucket"]);
    let folder = server.bucket("bucket").join("input");
    for part in 0..5 {
        let folder = folder.join(format!("part {part}"));
        std::fs::create_dir_all(&folder).unwrap();
        for file in 0..500 {
            std::fs::write(folder.join(format!("{file}.jsonl")), b"{}").unwrap();
        }
    }
    let storage = through(&server.endpoint(), options());
    let listed = storage.list(&Location::parse("s3://bucket/input").unwrap()).await.unwrap();
    assert_eq!(listed.len(), 2500);
    assert!(listed.windows(2).all(|pair| pair[0].key.as_bytes() < pair[1].key.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_reported_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(folder.path())
        .stderr(std::process::Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: cannot mount a small tmpfs, so the full disk is not tested");
        return;
    }
    let storage = Storage::with_environment(options(), Environment::default());
    let output = Location::local(folder.path().join("output"));
    let outcome = async {
        let publication = storage.publish(&output, PUBLISH_OPTIONS).await?;
        write(&publication, "5x.jsonl", &noise(1, 1000)).await?;
        write(&publication, "10x.jsonl", &noise(2, 9 << 20)).await?;
        publication.commit(|_| Ok(Bytes::new())).await
    };
    let error = outcome.await.unwrap_err();
    // The folder itself is gone, too.
    let remaining = std::fs::read_dir(output.local_path().unwrap()).map_or(0, Iterator::count);
    let unmounted = std::process::Command::new("umount").arg(folder.path()).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(remaining, 0);
}

/// The response to the last request of `clean` is lost: what it wrote is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_clean_whose_last_response_is_lost_succeeds() {
    let (address, direct) = server();
    for seed in [1, 2] {
        let names = if seed == 1 { &files(seed)[..] } else { &files(seed)[..1] };
        mix(&direct.storage, &direct, names).await.unwrap();
    }
    assert_eq!(conformance::left_over(&direct).await, ["10x.jsonl", "empty"]);
    let proxy = FaultyProxy::planned(address, |line, times| {
        (line.starts_with("PUT") && line.contains("manifest.json") && times == 0).then_some(Fault::LostAnswer)
    });
    let storage = through(&proxy.endpoint(), options());
    let cleaned = conformance::clean_with(&storage, &direct.folder).await.unwrap();
    assert_eq!(cleaned, ["10x.jsonl", "empty"]);
    assert_eq!(proxy.faults(), 1);
    assert!(conformance::left_over(&direct).await.is_empty());
}
