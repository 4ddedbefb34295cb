//! One suite that every backend passes.

use crate::backend::{self, Backend, noise};
use bytes::Bytes;
use futures::TryStreamExt;
use knowledge_mixing::testing::{ErrorKind, Result};
use knowledge_mixing::testing::{ObjectInfo, Publication, StagedFile, Storage};

/// Every test of the suite, for one backend.
macro_rules! suite {
    ($($backend:ident),*) => {$(
        mod $backend {
            use super::*;
            #[tokio::test(flavor = "multi_thread")]
            async fn nothing_is_there_yet() { super::nothing_is_there_yet(backend::$backend()).await }
            #[tokio::test(flavor = "multi_thread")]
            async fn listings_are_sorted_by_bytes() { super::listings_are_sorted_by_bytes(backend::$backend()).await }
            #[tokio::test(flavor = "multi_thread")]
            async fn what_is_written_is_read() { super::what_is_written_is_read(backend::$backend()).await }
            #[tokio::test(flavor = "multi_thread")]
            async fn a_changed_input_is_an_error() { super::a_changed_input_is_an_error(backend::$backend()).await }
            #[tokio::test(flavor = "multi_thread")]
            async fn a_second_mix_replaces_the_first() { super::a_second_mix_replaces_the_first(backend::$backend()).await }
            #[tokio::test(flavor = "multi_thread")]
            async fn giving_up_leaves_the_earlier_mix() { super::giving_up_leaves_the_earlier_mix(backend::$backend()).await }
            #[tokio::test(flavor = "multi_thread")]
            async fn of_two_runs_one_wins_whole() { super::of_two_runs_one_wins_whole(backend::$backend()).await }
            #[tokio::test(flavor = "multi_thread")]
            async fn names_that_are_no_file_names() { super::names_that_are_no_file_names(backend::$backend()).await }
        }
    )*};
}

suite!(local, memory, s3);

/// Every test of the suite in turn, each on a backend of its own.
macro_rules! whole_suite {
    ($backend:expr) => {
        nothing_is_there_yet($backend).await;
        listings_are_sorted_by_bytes($backend).await;
        what_is_written_is_read($backend).await;
        a_changed_input_is_an_error($backend).await;
        a_second_mix_replaces_the_first($backend).await;
        giving_up_leaves_the_earlier_mix($backend).await;
        of_two_runs_one_wins_whole($backend).await;
        names_that_are_no_file_names($backend).await;
    };
}

/// The whole suite on a server that somebody else wrote. One test, one bucket at a time.
#[tokio::test(flavor = "multi_thread")]
async fn moto() {
    let Some(moto) = backend::Moto::find() else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "KM_MOTO_PYTHON is not set: run `make test`");
        eprintln!(
            "SKIPPED: set KM_MOTO_PYTHON to a Python with moto[server] (`make test` does) to run the suite on it"
        );
        return;
    };
    whole_suite!(moto.bucket().await);
    let gone = moto.bucket().await.storage.list(&"s3://no-such-bucket/x".parse().unwrap()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
}

/// The whole suite on Microsoft's own imitation of Azure.
#[tokio::test(flavor = "multi_thread")]
async fn azurite() {
    let Some(azurite) = backend::Azurite::find() else { return };
    whole_suite!(azurite.container());
    what_was_published_under_the_name_stays(azurite.container()).await;
    let gone = azurite.storage().list(&"az://no-such-container/x".parse().unwrap()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
    assert!(gone.line().contains("no such bucket"), "{gone}");
}

/// Azure knows no abortion of an upload. Instead whatever was sent for a name is dropped when it is published.
async fn what_was_published_under_the_name_stays(backend: Backend) {
    let publication = backend.storage.publish(&backend.folder).await.unwrap();
    write(&publication, "5x.jsonl", &noise(1, 1000)).await.unwrap();
    mix(&backend.storage, &backend, &[("5x.jsonl", noise(2, 50))], &[]).await.unwrap();
    // Without it nothing else tells the first run that it is too late.
    backend.delete("manifest.json").await;
    let late = publication.commit(Bytes::from_static(b"late"), &[]).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::TryAgain, "{late}");
    assert_eq!(backend.everything().await, [("5x.jsonl".to_string(), noise(2, 50))]);
}

pub async fn read_all(storage: &Storage, object: &ObjectInfo) -> Result<Bytes> {
    let parts: Vec<Bytes> = storage.stream(object).try_collect().await?;
    Ok(parts.concat().into())
}

/// Writes a file in pieces of some sizes.
pub async fn write(publication: &Publication, name: &str, content: &Bytes) -> Result<StagedFile> {
    let mut sink = publication.create(name).await?;
    let mut rest = content.clone();
    let mut step = 1;
    while !rest.is_empty() {
        let pieces = (0..3).map(|_| rest.split_to(step.min(rest.len()))).collect();
        sink.write(pieces).await?;
        step = step * 3 + 1;
    }
    sink.finish().await
}

/// Publishes some files and a manifest that names them.
pub async fn mix(storage: &Storage, backend: &Backend, files: &[(&str, Bytes)], obsolete: &[&str]) -> Result<()> {
    let publication = storage.publish(&backend.folder).await?;
    let mut manifest = String::new();
    for (name, content) in files {
        let staged = write(&publication, name, content).await?;
        manifest.push_str(&format!("{} {} {}\n", staged.name, staged.bytes, staged.digest));
    }
    let obsolete: Vec<String> = obsolete.iter().map(|name| name.to_string()).collect();
    publication.commit(manifest.into(), &obsolete).await
}

/// Checks that there is either no manifest or one that tells the truth, and returns the names that it vouches for.
pub async fn vouched(backend: &Backend) -> Option<Vec<String>> {
    let everything = backend.everything().await;
    let content = |name: &str| everything.iter().find(|(found, _)| found == name).map(|(_, content)| content.clone());
    let manifest = content("manifest.json")?;
    let mut names = Vec::new();
    for line in String::from_utf8(manifest.to_vec()).unwrap().lines() {
        let [name, bytes, digest] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("a torn manifest: {line}") };
        let content = content(name).unwrap_or_else(|| panic!("{name} is in the manifest and not there"));
        assert_eq!(content.len().to_string(), bytes, "{name}");
        assert_eq!(blake3::hash(&content).to_hex().to_string(), digest, "{name}");
        names.push(name.to_string());
    }
    Some(names)
}

async fn nothing_is_there_yet(backend: Backend) {
    let Backend { storage, folder, .. } = &backend;
    assert!(storage.list(folder).await.unwrap().is_empty());
    assert!(storage.list(&folder.join("deeper/still")).await.unwrap().is_empty());
    assert!(storage.read(&folder.join("manifest.json"), 10).await.unwrap().is_none());
    assert!(storage.stat(&folder.join("manifest.json")).await.unwrap().is_none());
}

async fn listings_are_sorted_by_bytes(backend: Backend) {
    let keys = ["a", "a b/c", "a-b", "a.jsonl", "a/b", "a/b.jsonl", "aé", "b/x+y=z&", "z%20", "Z", "ünder/ß.jsonl"];
    for key in keys.iter().filter(|key| **key != "a") {
        backend.put(key, key.as_bytes().to_vec()).await;
    }
    let listed = backend.storage.list(&backend.folder).await.unwrap();
    let mut wanted: Vec<&str> = keys.iter().copied().filter(|key| *key != "a").collect();
    wanted.sort_unstable_by_key(|key| key.as_bytes().to_vec());
    assert_eq!(listed.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), wanted);
    for object in &listed {
        assert_eq!(object.size, object.key.len() as u64);
        assert_eq!(read_all(&backend.storage, object).await.unwrap(), object.key.as_bytes());
        let stat = backend.storage.stat(&object.location).await.unwrap().unwrap();
        assert_eq!((stat.size, stat.location), (object.size, object.location.clone()));
    }
    let single = backend.storage.list(&backend.folder.join("a/b.jsonl")).await.unwrap();
    assert_eq!(single.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["b.jsonl"]);
}

async fn what_is_written_is_read(backend: Backend) {
    let sizes = [0, 1, 4095, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, (26 << 20) + 17];
    let files: Vec<(String, Bytes)> =
        sizes.iter().enumerate().map(|(at, &size)| (format!("file {at}.jsonl"), noise(at as u64, size))).collect();
    let borrowed: Vec<(&str, Bytes)> = files.iter().map(|(name, content)| (name.as_str(), content.clone())).collect();
    let publication = backend.storage.publish(&backend.folder).await.unwrap();
    assert!(publication.previous_manifest().is_none());
    for (name, content) in &borrowed {
        let staged = write(&publication, name, content).await.unwrap();
        assert_eq!((staged.name.as_str(), staged.bytes), (*name, content.len() as u64));
        assert_eq!(staged.digest, blake3::hash(content).to_hex().to_string());
        assert!(backend.names().await.iter().all(|found| found.starts_with('.')), "visible before it is whole");
    }
    publication.commit(Bytes::from_static(b"whole"), &[]).await.unwrap();

    let listed = backend.storage.list(&backend.folder).await.unwrap();
    let keys: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(listed.len(), files.len() + 1, "{keys:?}");
    for ((name, content), object) in files.iter().zip(&listed) {
        assert_eq!((&object.key, object.size), (name, content.len() as u64));
        assert!(read_all(&backend.storage, object).await.unwrap() == content, "{name}");
        if content.len() > 100 {
            let middle = content.len() / 2;
            let range = backend.storage.read_range(object, middle as u64..middle as u64 + 50).await.unwrap();
            assert_eq!(range, content[middle..middle + 50]);
        }
    }
    let manifest = backend.storage.read(&backend.folder.join("manifest.json"), 5).await.unwrap();
    assert_eq!(manifest.unwrap(), "whole");
    let too_small = backend.storage.read(&backend.folder.join("manifest.json"), 4).await.unwrap_err();
    assert_eq!(too_small.kind(), ErrorKind::Data);
    let next = backend.storage.publish(&backend.folder).await.unwrap();
    assert_eq!(next.previous_manifest().unwrap(), "whole");
    next.abort().await;
}

async fn a_changed_input_is_an_error(backend: Backend) {
    backend.put("changing", noise(1, 20 << 20)).await;
    backend.put("changing too", noise(1, 100)).await;
    backend.put("vanishing", noise(2, 100)).await;
    let listed = backend.storage.list(&backend.folder).await.unwrap();
    let mut stream = backend.storage.stream(&listed[0]);
    let first = stream.try_next().await.unwrap().unwrap();
    assert_eq!(first, noise(1, 20 << 20)[..first.len()]);
    drop(stream);

    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    backend.put("changing", noise(3, 20 << 20)).await;
    backend.put("changing too", noise(3, 100)).await;
    backend.delete("vanishing").await;
    let changed = read_all(&backend.storage, &listed[0]).await.map(|bytes| bytes.len()).unwrap_err();
    assert!(changed.line().contains("changed while it was read"), "{changed}");
    let changed = backend.storage.read_range(&listed[0], 0..5).await.unwrap_err();
    assert!(changed.line().contains("changed while it was read"), "{changed}");
    let changed = read_all(&backend.storage, &listed[1]).await.map(|bytes| bytes.len()).unwrap_err();
    assert!(changed.line().contains("changed while it was read"), "{changed}");
    let vanished = read_all(&backend.storage, &listed[2]).await.map(|bytes| bytes.len()).unwrap_err();
    assert!(matches!(vanished.kind(), ErrorKind::Io | ErrorKind::NotFound), "{vanished}");
    assert!(vanished.line().contains("vanishing"));
}

async fn a_second_mix_replaces_the_first(backend: Backend) {
    backend.put("someone's notes.txt", "untouched").await;
    let files = [("5x.jsonl", noise(1, 1000)), ("10x.jsonl", noise(2, 9 << 20)), ("old.jsonl", noise(3, 10))];
    mix(&backend.storage, &backend, &files, &[]).await.unwrap();
    assert_eq!(vouched(&backend).await.unwrap().len(), 3);
    let again = [("5x.jsonl", noise(4, 9 << 20)), ("10x.jsonl", noise(5, 10))];
    let obsolete = ["old.jsonl", "5x.jsonl", "never there", "manifest.json", "../some/output/someone's notes.txt", ""];
    mix(&backend.storage, &backend, &again, &obsolete).await.unwrap();
    assert_eq!(vouched(&backend).await.unwrap(), ["5x.jsonl", "10x.jsonl"]);
    // No lock, claim, marker or staging file is left either.
    assert_eq!(backend.names().await, ["10x.jsonl", "5x.jsonl", "manifest.json", "someone's notes.txt"]);
}

async fn giving_up_leaves_the_earlier_mix(backend: Backend) {
    let files = [("5x.jsonl", noise(1, 1000)), ("10x.jsonl", noise(2, 9 << 20))];
    mix(&backend.storage, &backend, &files, &[]).await.unwrap();
    let before = backend.everything().await;

    // Dropped with a finished file, an unfinished one and a new one; then cleaned up as after a signal.
    for stage in 0..4 {
        let publication = backend.storage.publish(&backend.folder).await.unwrap();
        let mut sink = None;
        if stage > 0 {
            write(&publication, "5x.jsonl", &noise(3, 9 << 20)).await.unwrap();
        }
        if stage > 1 {
            let mut open = publication.create("10x.jsonl").await.unwrap();
            open.write(vec![noise(4, 17 << 20)]).await.unwrap();
            sink = Some(open);
        }
        if stage == 3 {
            publication.abort().await;
        } else {
            drop(publication);
        }
        drop(sink);
        backend.storage.clean_up().await;
        for _ in 0..100 {
            if backend.everything().await == before {
                break;
            }
            // The writing thread of a dropped file ends on its own.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(backend.everything().await == before, "stage {stage}: {:?}", backend.names().await);
    }
    mix(&backend.storage, &backend, &files[..1], &["10x.jsonl"]).await.unwrap();
    assert_eq!(backend.names().await, ["5x.jsonl", "manifest.json"]);
}

async fn of_two_runs_one_wins_whole(backend: Backend) {
    for round in 0..3 {
        let files = |run: u64| [("5x.jsonl", noise(round * 10 + run, 1000)), ("10x.jsonl", noise(run, 9 << 20))];
        let (one, two) = (files(1), files(2));
        let (first, second) =
            tokio::join!(mix(&backend.storage, &backend, &one, &[]), mix(&backend.storage, &backend, &two, &[]));
        let winner = match (&first, &second) {
            (Ok(()), Err(lost)) | (Err(lost), Ok(())) => {
                assert_eq!(lost.kind(), ErrorKind::TryAgain, "{lost}");
                if first.is_ok() { one } else { two }
            }
            // On one core the second may begin only when the first has ended.
            (Ok(()), Ok(())) => two,
            (Err(one), Err(two)) => panic!("nobody won: {one} / {two}"),
        };
        assert_eq!(vouched(&backend).await.unwrap().len(), 2);
        let everything = backend.everything().await;
        if first.is_err() || second.is_err() {
            for (name, content) in &winner {
                assert!(everything.iter().any(|(found, bytes)| found == name && bytes == content), "a blend");
            }
        }
        assert_eq!(backend.names().await, ["10x.jsonl", "5x.jsonl", "manifest.json"]);
    }
}

async fn names_that_are_no_file_names(backend: Backend) {
    let publication = backend.storage.publish(&backend.folder).await.unwrap();
    for name in ["", ".hidden", "a/b", "../x", "manifest.json", "a\0b"] {
        assert!(publication.create(name).await.is_err(), "{name}");
    }
    publication.create("twice").await.unwrap();
    assert!(publication.create("twice").await.is_err());
    publication.abort().await;
}
