//! What goes wrong between program and server, and between two runs.

use crate::backend::{self, Backend, noise, options, s3_at};
use crate::conformance::{mix, read_all, vouched, write};
use crate::support::faulty_proxy::{self, Fault, FaultyProxy};
use crate::support::s3_server::{ACCESS_KEY, S3Server, SECRET_KEY};
use bytes::Bytes;
use knowledge_mixing::testing::ErrorKind;
use knowledge_mixing::testing::{Environment, Location, Storage, StorageOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A server, and what is stored there seen directly.
fn server() -> (std::net::SocketAddr, Backend) {
    let server = S3Server::start(&["bucket"]);
    let (address, endpoint) = (server.address(), server.endpoint());
    (address, s3_at(&endpoint, ACCESS_KEY, SECRET_KEY, Box::new(server)))
}

/// A storage that reaches the server through an endpoint.
fn through(endpoint: &str, options: StorageOptions) -> Storage {
    Storage::with_environment(options, Environment::from_iter(crate::support::s3_server::environment(endpoint)))
}

fn files(seed: u64) -> [(&'static str, Bytes); 3] {
    [("5x.jsonl", noise(seed, 1000)), ("10x.jsonl", noise(seed + 1, (9 << 20) + 7)), ("empty", Bytes::new())]
}

/// Every file's upload stands in the marker before its first byte is sent; not every file needs a writing of its own.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_begun_at_once_share_the_writing_of_the_marker() {
    let (address, direct) = server();
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let proxy = FaultyProxy::planned(address, move |line, _| {
        count.fetch_add((line.starts_with("PUT") && line.contains(".uploads")) as usize, Ordering::Relaxed);
        None
    });
    let storage = through(&proxy.endpoint(), options());
    let publication = storage.publish(&direct.folder).await.unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("{number}.jsonl")).collect();
    let sinks = futures::future::join_all(names.iter().map(|name| publication.create(name))).await;
    assert!(sinks.iter().all(|sink| sink.is_ok()));
    let everything = direct.everything().await;
    let [(_, marker)] = &everything[..] else { panic!("{:?}", direct.names().await) };
    let marker = String::from_utf8(marker.to_vec()).unwrap();
    assert_eq!(marker.lines().count(), names.len());
    assert!(names.iter().all(|name| marker.lines().any(|line| line.ends_with(&format!(" {name}")))), "{marker}");
    let written = written.load(Ordering::Relaxed);
    assert!(written <= names.len() / 2, "the marker was written {written} times");
    publication.abort().await;
    assert!(direct.names().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_gives_the_right_bytes_or_an_error_and_no_manifest() {
    let (address, direct) = server();
    let (mut whole, mut failed, mut faults) = (0, 0, 0);
    for seed in 0..40 {
        // Every fourth run is so bad that some give up.
        let rate = if seed % 4 == 3 { 0.6 } else { 0.2 };
        let proxy = FaultyProxy::start(address, seed, rate, faulty_proxy::ALL);
        let storage = through(&proxy.endpoint(), StorageOptions { max_retries: 6, ..options() });
        let before = vouched(&direct).await;
        match mix(&storage, &direct, &files(seed * 10), &[]).await {
            Ok(()) => {
                whole += 1;
                assert_eq!(vouched(&direct).await.unwrap(), ["5x.jsonl", "10x.jsonl", "empty"], "seed {seed}");
                let stored = direct.everything().await;
                for (name, content) in files(seed * 10) {
                    assert!(
                        stored.iter().any(|(found, bytes)| found == name && *bytes == content),
                        "seed {seed} {name}"
                    );
                }
                // Reading goes through the same line.
                let read = async {
                    let listed = storage.list(&direct.folder).await?;
                    let object = listed.iter().find(|object| object.key == "10x.jsonl").expect("it is there");
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
                // Either the earlier mix or none: never a manifest that lies (`vouched` checks every digest).
                let now = vouched(&direct).await;
                assert!(now.is_none() || now == before, "seed {seed}: {now:?}");
            }
        }
        faults += proxy.faults();
    }
    eprintln!("{whole} whole, {failed} failed, {faults} faults");
    assert!(whole >= 25 && faults > 200, "{whole} whole, {failed} failed, {faults} faults: no test of anything");
    // What the failed runs have left is removed by the next that wins.
    mix(&direct.storage, &direct, &files(7), &[]).await.unwrap();
    assert_eq!(direct.names().await, ["10x.jsonl", "5x.jsonl", "empty", "manifest.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_are_settled_by_a_look() {
    let (address, direct) = server();
    // The first answer to every request that writes is lost.
    let proxy = FaultyProxy::planned(address, |line, times| {
        (times == 0 && !line.starts_with("GET") && !line.starts_with("HEAD")).then_some(Fault::LostAnswer)
    });
    let storage = through(&proxy.endpoint(), options());
    for round in 0..2 {
        mix(&storage, &direct, &files(round), &[]).await.unwrap();
        assert_eq!(vouched(&direct).await.unwrap().len(), 3);
        assert_eq!(direct.names().await, ["10x.jsonl", "5x.jsonl", "empty", "manifest.json"]);
    }
    assert!(proxy.faults() > 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_taken_up_where_it_broke() {
    let (address, direct) = server();
    direct.put("large", noise(1, 8 << 20)).await;
    let proxy = FaultyProxy::planned(address, |line, times| {
        (line.starts_with("GET /bucket/some/output/large") && times < 5).then_some(Fault::HalfAnswer)
    });
    let storage = through(&proxy.endpoint(), StorageOptions { max_retries: 1, ..options() });
    let listed = storage.list(&direct.folder).await.unwrap();
    // More breaks than retries: each gets further than the one before, so none of them counts as the last.
    assert!(read_all(&storage, &listed[0]).await.unwrap() == noise(1, 8 << 20));
    assert_eq!(proxy.faults(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_heal_is_told_at_once() {
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
    let told = [denied.to_string(), unknown.to_string(), no_bucket.to_string()].join("\n");
    insta::assert_snapshot!(told);
    assert_eq!((denied.kind(), unknown.kind(), no_bucket.kind()), (ErrorKind::Io, ErrorKind::Io, ErrorKind::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_nobody_serves_is_unreachable() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = StorageOptions { max_retries: 2, ..options() };
    let storage = through(&format!("http://127.0.0.1:{port}"), options);
    let error = storage.list(&Location::parse("s3://bucket/x").unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let told = error.to_string().replace(&port.to_string(), "PORT");
    assert!(told.contains("s3://bucket/x") && told.contains("Connection refused"), "{told}");
}

/// As after SIGKILL: nothing of the run's own cleaning up happens.
fn killed<T>(run: T) {
    std::mem::forget(run);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_has_left_is_removed_by_the_next() {
    let (_, direct) = server();
    let memory = backend::memory();
    for backend in [memory, direct, backend::local()] {
        mix(&backend.storage, &backend, &files(1), &[]).await.unwrap();
        let publication = backend.storage.publish(&backend.folder).await.unwrap();
        write(&publication, "5x.jsonl", &noise(8, 9 << 20)).await.unwrap();
        let mut sink = publication.create("10x.jsonl").await.unwrap();
        sink.write(vec![noise(9, 9 << 20)]).await.unwrap();
        if backend.folder.is_local() {
            // The lock of a killed process is gone, its files are not.
            let staging = std::fs::read_dir(backend.folder.local_path().unwrap()).unwrap();
            let names: Vec<_> = staging.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            assert!(names.iter().filter(|name| name.ends_with(".staging")).count() == 2, "{names:?}");
            drop((sink, publication));
            for name in names.iter().filter(|name| name.starts_with('.')) {
                backend.put(name, "half a file").await;
            }
        } else {
            killed((sink, publication));
        }
        assert_eq!(vouched(&backend).await.unwrap().len(), 3, "the earlier mix is intact");
        mix(&backend.storage, &backend, &files(2), &[]).await.unwrap();
        assert_eq!(vouched(&backend).await.unwrap().len(), 3);
        assert_eq!(backend.names().await, ["10x.jsonl", "5x.jsonl", "empty", "manifest.json"], "{}", backend.folder);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_in_its_commit_is_fenced_off_and_taken_over() {
    for backend in [backend::memory(), backend::s3()] {
        mix(&backend.storage, &backend, &files(1), &[]).await.unwrap();
        // A run that sleeps in the middle of its commit, its claim taken: it wakes up when another has taken over.
        let asleep = backend.storage.publish(&backend.folder).await.unwrap();
        write(&asleep, "5x.jsonl", &noise(8, 9 << 20)).await.unwrap();
        let marker = backend.names().await.into_iter().find(|name| name.ends_with(".uploads")).unwrap();
        let run_id = marker.trim_start_matches(".knowledge-mixing-").trim_end_matches(".uploads").to_string();
        backend.put(".knowledge-mixing.claim", run_id).await;
        backend.delete("manifest.json").await;

        let began = Instant::now();
        mix(&backend.storage, &backend, &files(2), &[]).await.unwrap();
        assert!(began.elapsed() >= options().lease_timeout, "a claim may belong to a living run");
        let late = asleep.commit(Bytes::from_static(b"a lie"), &[]).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TryAgain, "{late}");
        assert_eq!(vouched(&backend).await.unwrap().len(), 3);
        assert_eq!(backend.names().await, ["10x.jsonl", "5x.jsonl", "empty", "manifest.json"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_keys_come_in_several_pages() {
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
async fn a_full_disk_leaves_nothing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(folder.path())
        .stderr(std::process::Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: a small tmpfs cannot be mounted here, so the full disk is not tested");
        return;
    }
    let storage = Storage::with_environment(options(), Environment::default());
    let output = Location::local(folder.path().join("output"));
    let outcome = async {
        let publication = storage.publish(&output).await?;
        write(&publication, "5x.jsonl", &noise(1, 1000)).await?;
        write(&publication, "10x.jsonl", &noise(2, 9 << 20)).await?;
        publication.commit(Bytes::new(), &[]).await
    };
    let error = outcome.await.unwrap_err();
    let left = std::fs::read_dir(output.local_path().unwrap()).unwrap().count();
    let unmounted = std::process::Command::new("umount").arg(folder.path()).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(left, 0);
}
