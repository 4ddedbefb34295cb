//! How fast the room reads and writes, side by side with a bare copy. Ignored in ordinary runs:
//! `cargo test --release --test storage throughput -- --ignored --nocapture --test-threads 1`

use crate::backend::{noise, options, s3_at};
use crate::support::s3_server::{ACCESS_KEY, S3Server, SECRET_KEY};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use knowledge_mixing::storage::{Environment, Location, Storage, StorageOptions};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use std::time::Instant;

const MIB: usize = 1 << 20;

async fn write_all(storage: &Storage, output: &Location, files: usize, mib: usize) {
    let block = noise(1, MIB);
    let publication = storage.publish(output).await.unwrap();
    let mut sinks = Vec::new();
    for file in 0..files {
        sinks.push(publication.create(&format!("{file}")).await.unwrap());
    }
    // As the mixing run does it: what is encoded once is appended to every file that holds it.
    for _ in 0..mib {
        for sink in &mut sinks {
            sink.write(vec![block.clone()]).await.unwrap();
        }
    }
    let finished: Vec<_> = futures::future::join_all(sinks.into_iter().map(|sink| sink.finish())).await;
    assert!(finished.iter().all(Result::is_ok));
    publication.commit(Bytes::from_static(b"{}"), &[]).await.unwrap();
}

async fn read_all(storage: &Storage, folder: &Location) -> usize {
    let mut total = 0;
    for object in storage.list(folder).await.unwrap() {
        let mut stream = storage.stream(&object);
        while let Some(bytes) = stream.try_next().await.unwrap() {
            total += bytes.len();
        }
    }
    total
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn local_folders() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let output = Location::local(folder.path().join("output"));
    for flush in [false, true, false, true, false] {
        let storage = Storage::with_environment(StorageOptions { flush, ..options() }, Environment::default());
        let began = Instant::now();
        write_all(&storage, &output, 5, 500).await;
        let wrote = began.elapsed();
        let began = Instant::now();
        let total = read_all(&storage, &output).await;
        eprintln!("flush {flush}: wrote 2500 MiB in {wrote:?}, read {} MiB in {:?}", total / MIB, began.elapsed());
    }
    let plain = folder.path().join("plain");
    for sync in [false, true] {
        let began = Instant::now();
        std::fs::create_dir_all(&plain).unwrap();
        for file in 0..5 {
            let target = plain.join(format!("{file}"));
            std::fs::copy(folder.path().join("output").join(format!("{file}")), &target).unwrap();
            if sync {
                std::fs::File::open(&target).unwrap().sync_all().unwrap();
            }
        }
        eprintln!("std::fs::copy of the same, synced {sync}: {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn against_a_bare_copy_with_object_store() {
    let server = S3Server::start(&["bucket"]);
    let endpoint = server.endpoint();
    let bare = AmazonS3Builder::new()
        .with_endpoint(&endpoint)
        .with_allow_http(true)
        .with_bucket_name("bucket")
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET_KEY);
    let backend = s3_at(&endpoint, ACCESS_KEY, SECRET_KEY, Box::new(server));
    let bare = bare.build().unwrap();
    for file in 0..4 {
        // Put through the server, which then knows the tag and need not hash the file for every range.
        bare.put(&Path::from(format!("in/{file}")), noise(file, 64 * MIB).into()).await.unwrap();
    }
    for _ in 0..3 {
        let began = Instant::now();
        let listed: Vec<_> = bare.list(Some(&Path::from("in"))).try_collect().await.unwrap();
        for meta in &listed {
            let mut body = bare.get(&meta.location).await.unwrap().into_stream();
            let name = meta.location.filename().unwrap();
            let upload = bare.put_multipart(&Path::from(format!("bare/{name}"))).await.unwrap();
            let mut writer = WriteMultipart::new_with_chunk_size(upload, 8 * MIB);
            while let Some(bytes) = body.next().await {
                writer.wait_for_capacity(4).await.unwrap();
                writer.put(bytes.unwrap());
            }
            writer.finish().await.unwrap();
        }
        let bare_took = began.elapsed();

        let began = Instant::now();
        let storage = &backend.storage;
        let publication = storage.publish(&Location::parse("s3://bucket/ours").unwrap()).await.unwrap();
        for object in storage.list(&Location::parse("s3://bucket/in").unwrap()).await.unwrap() {
            let mut sink = publication.create(&object.key).await.unwrap();
            let mut stream = storage.stream(&object);
            while let Some(bytes) = stream.try_next().await.unwrap() {
                sink.write(vec![bytes]).await.unwrap();
            }
            sink.finish().await.unwrap();
        }
        publication.commit(Bytes::from_static(b"{}"), &[]).await.unwrap();
        eprintln!("256 MiB from S3 to S3: bare {bare_took:?}, storage {:?}", began.elapsed());
    }
}
