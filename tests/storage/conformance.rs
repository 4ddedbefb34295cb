//! One suite for all backends.

use crate::backend::{self, Backend, LEASE, PUBLISH_OPTIONS, manifest, noise, parse_manifest};
use bytes::Bytes;
use futures::TryStreamExt;
use knowledge_mixing::testing::{
    ErrorKind, Location, ManifestHead, MixState, ObjectInfo, Publication, PublishOptions, Result, StagedFile, Storage,
};

/// Passes the tests of the suite to a macro.
macro_rules! with_suite {
    ($target:ident!($($argument:tt)*)) => {
        $target! {
            $($argument)*;
            a_new_output_is_empty,
            listings_are_sorted_by_bytes,
            published_files_are_read_back,
            a_changed_input_is_an_error,
            a_second_mix_replaces_the_first,
            files_of_somebody_else_are_not_replaced,
            an_aborted_run_leaves_the_earlier_mix,
            one_of_two_concurrent_runs_publishes_everything,
            invalid_and_duplicate_names_are_rejected,
        }
    };
}

/// Declares every test for one backend.
macro_rules! declare {
    ($backend:ident; $($test:ident,)*) => {
        mod $backend {
            use crate::backend;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test(backend::$backend()).await
                }
            )*
        }
    };
}

/// Runs the tests in turn, each on a new backend.
macro_rules! run_in_turn {
    ($backend:expr; $($test:ident,)*) => {
        $($test($backend).await;)*
    };
}

with_suite!(declare!(local));
with_suite!(declare!(memory));
with_suite!(declare!(s3));

/// The suite on the moto server. It has one bucket at a time, so this is one test.
#[tokio::test(flavor = "multi_thread")]
async fn moto() {
    let Some(moto) = backend::Moto::find() else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "KM_MOTO_PYTHON is not set: run `make test`");
        eprintln!(
            "SKIPPED: set KM_MOTO_PYTHON to a Python with moto[server] (`make test` does) to run the suite on it"
        );
        return;
    };
    with_suite!(run_in_turn!(moto.bucket().await));
    let gone = moto.bucket().await.storage.list(&"s3://no-such-bucket/x".parse().unwrap()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
}

/// The suite on Azurite.
#[tokio::test(flavor = "multi_thread")]
async fn azurite() {
    let Some(azurite) = backend::Azurite::find() else { return };
    with_suite!(run_in_turn!(azurite.container()));
    a_published_file_invalidates_uploads_of_its_name(azurite.container()).await;
    let gone = azurite.storage().list(&"az://no-such-container/x".parse().unwrap()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
    assert!(gone.line().contains("bucket not found"), "{gone}");
}

/// Azure cannot abort an upload. Instead, publishing a file drops what other uploads have sent for its name. Publishing relies on it.
async fn a_published_file_invalidates_uploads_of_its_name(backend: Backend) {
    let (store, path) = (backend.store(), object_store::path::Path::parse("some/output/5x.jsonl").unwrap());
    let mut late = None;
    for content in [noise(1, 1000), noise(2, 50)] {
        let id = store.create_multipart(&path).await.unwrap();
        let part = store.put_part(&path, &id, 0, content.into()).await.unwrap();
        match &late {
            None => late = Some((id, part)),
            Some(_) => drop(store.complete_multipart(&path, &id, vec![part]).await.unwrap()),
        }
    }
    let (id, part) = late.unwrap();
    let error = store.complete_multipart(&path, &id, vec![part]).await.unwrap_err();
    assert!(error.to_string().contains("InvalidBlockList"), "{error}");
    assert_eq!(backend.everything().await, [("5x.jsonl".to_string(), noise(2, 50))]);
}

pub async fn read_all(storage: &Storage, object: &ObjectInfo) -> Result<Bytes> {
    let parts: Vec<Bytes> = storage.stream(object).try_collect().await?;
    Ok(parts.concat().into())
}

/// Writes a file in pieces of increasing size.
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

/// Publishes files and a manifest that lists them.
pub async fn mix(storage: &Storage, backend: &Backend, files: &[(&str, Bytes)]) -> Result<()> {
    mix_with(storage, backend, files, PUBLISH_OPTIONS).await
}

async fn mix_with(
    storage: &Storage,
    backend: &Backend,
    files: &[(&str, Bytes)],
    options: PublishOptions,
) -> Result<()> {
    let publication = storage.publish(&backend.folder, options).await?;
    let mut staged = Vec::new();
    for (name, content) in files {
        match write(&publication, name, content).await {
            Ok(file) => staged.push(file),
            Err(error) => {
                publication.abort().await;
                return Err(error);
            }
        }
    }
    publication.commit(move |head| Ok(manifest(head, &staged))).await.map(drop)
}

/// Checks that every file of the manifest is complete, and returns their names; `None` if there is no complete manifest.
pub async fn manifest_names(backend: &Backend) -> Option<Vec<String>> {
    let everything = backend.everything().await;
    let content = |name: &str| everything.iter().find(|(found, _)| found == name).map(|(_, content)| content.clone());
    let manifest = content("manifest.json")?;
    if parse_manifest(&manifest).unwrap().state != MixState::Complete {
        return None;
    }
    let mut names = Vec::new();
    for line in String::from_utf8(manifest.to_vec()).unwrap().lines().skip(1) {
        let [name, bytes, digest] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("a truncated manifest: {line}")
        };
        let content = content(name).unwrap_or_else(|| panic!("{name} is in the manifest but does not exist"));
        assert_eq!(content.len().to_string(), bytes, "{name}");
        assert_eq!(blake3::hash(&content).to_hex().to_string(), digest, "{name}");
        names.push(name.to_string());
    }
    Some(names)
}

/// The names that the manifest says are left over.
pub async fn left_over(backend: &Backend) -> Vec<String> {
    let everything = backend.everything().await;
    let (_, manifest) = everything.iter().find(|(name, _)| name == "manifest.json").unwrap();
    parse_manifest(manifest).unwrap().left_over
}

/// Deletes what is left over, as `clean` does.
pub async fn clean(backend: &Backend) -> Result<Vec<String>> {
    clean_with(&backend.storage, &backend.folder).await
}

/// Deletes what is left over in a folder, through a storage.
pub async fn clean_with(storage: &Storage, folder: &Location) -> Result<Vec<String>> {
    let encode = |bytes: &Bytes, head: &ManifestHead| {
        let text = std::str::from_utf8(bytes).unwrap();
        let (_, files) = text.split_once('\n').unwrap();
        Ok([manifest(head, &[]), files.to_owned().into()].concat().into())
    };
    storage.clean(folder, PUBLISH_OPTIONS, encode).await
}

async fn a_new_output_is_empty(backend: Backend) {
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
    let mut expected: Vec<&str> = keys.iter().copied().filter(|key| *key != "a").collect();
    expected.sort_unstable_by_key(|key| key.as_bytes().to_vec());
    assert_eq!(listed.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), expected);
    for object in &listed {
        assert_eq!(object.size, object.key.len() as u64);
        assert_eq!(read_all(&backend.storage, object).await.unwrap(), object.key.as_bytes());
        let stat = backend.storage.stat(&object.location).await.unwrap().unwrap();
        assert_eq!((stat.size, stat.location), (object.size, object.location.clone()));
    }
    let single = backend.storage.list(&backend.folder.join("a/b.jsonl")).await.unwrap();
    assert_eq!(single.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["b.jsonl"]);
}

async fn published_files_are_read_back(backend: Backend) {
    let sizes = [0, 1, 4095, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, (26 << 20) + 17];
    let files: Vec<(String, Bytes)> =
        sizes.iter().enumerate().map(|(at, &size)| (format!("file {at}.jsonl"), noise(at as u64, size))).collect();
    let borrowed: Vec<(&str, Bytes)> = files.iter().map(|(name, content)| (name.as_str(), content.clone())).collect();
    let publication = backend.storage.publish(&backend.folder, PUBLISH_OPTIONS).await.unwrap();
    for (name, content) in &borrowed {
        let staged = write(&publication, name, content).await.unwrap();
        assert_eq!((staged.name.as_str(), staged.bytes), (*name, content.len() as u64));
        assert_eq!(staged.digest, blake3::hash(content).to_hex().to_string());
        assert!(backend.names().await.iter().all(|found| found.starts_with('.')), "visible before the commit");
    }
    publication.commit(|_| Ok(Bytes::from_static(b"done!"))).await.unwrap();

    let mut listed = backend.storage.list(&backend.folder).await.unwrap();
    listed.retain(|object| object.key != LEASE);
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
    assert_eq!(manifest.unwrap(), "done!");
    let too_small = backend.storage.read(&backend.folder.join("manifest.json"), 4).await.unwrap_err();
    assert_eq!(too_small.kind(), ErrorKind::Data);
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
    mix(&backend.storage, &backend, &files).await.unwrap();
    assert_eq!(manifest_names(&backend).await.unwrap().len(), 3);
    let again = [("5x.jsonl", noise(4, 9 << 20)), ("10x.jsonl", noise(5, 10))];
    mix(&backend.storage, &backend, &again).await.unwrap();
    assert_eq!(manifest_names(&backend).await.unwrap(), ["5x.jsonl", "10x.jsonl"]);
    if !backend.folder.is_local() {
        // A bucket has no conditional deletion, so nothing is deleted before somebody asks for it.
        assert_eq!(left_over(&backend).await, ["old.jsonl"]);
        assert_eq!(
            backend.names().await,
            ["10x.jsonl", "5x.jsonl", "manifest.json", "old.jsonl", "someone's notes.txt"]
        );
        assert_eq!(clean(&backend).await.unwrap(), ["old.jsonl"]);
    }
    assert_eq!(left_over(&backend).await, [""; 0]);
    assert_eq!(clean(&backend).await.unwrap(), [""; 0]);
    assert_eq!(manifest_names(&backend).await.unwrap(), ["5x.jsonl", "10x.jsonl"]);
    // No lock, commit record or staging file is left.
    assert_eq!(backend.names().await, ["10x.jsonl", "5x.jsonl", "manifest.json", "someone's notes.txt"]);
}

/// A file that no manifest names is not replaced, unless that is asked for.
async fn files_of_somebody_else_are_not_replaced(backend: Backend) {
    let files = [("5x.jsonl", noise(1, 1000)), ("report.html", noise(2, 10))];
    for name in ["report.html", "manifest.json"] {
        backend.put(name, "not ours").await;
        let before = backend.everything().await;
        let error = mix(&backend.storage, &backend, &files).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        assert!(error.line().contains(name) && error.to_string().contains("--overwrite"), "{error}");
        assert_eq!(backend.everything().await, before);
        let publication = backend.storage.publish(&backend.folder, PUBLISH_OPTIONS).await;
        if name == "report.html" {
            let publication = publication.unwrap();
            assert!(publication.check_names(&["other", "report.html"]).await.is_err());
            publication.abort().await;
        }
        let overwrite = PublishOptions { overwrite: true, ..PUBLISH_OPTIONS };
        mix_with(&backend.storage, &backend, &files, overwrite).await.unwrap();
        assert_eq!(manifest_names(&backend).await.unwrap().len(), 2);
        for name in ["5x.jsonl", "report.html", "manifest.json"] {
            backend.delete(name).await;
        }
    }
}

async fn an_aborted_run_leaves_the_earlier_mix(backend: Backend) {
    let files = [("5x.jsonl", noise(1, 1000)), ("10x.jsonl", noise(2, 9 << 20))];
    mix(&backend.storage, &backend, &files).await.unwrap();
    let before = backend.everything().await;

    // Dropped with no file, a finished one and an unfinished one, then cleaned up as after a signal.
    for stage in 0..4 {
        let publication = backend.storage.publish(&backend.folder, PUBLISH_OPTIONS).await.unwrap();
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
            // The writing thread of a dropped file ends on its own time.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(backend.everything().await == before, "stage {stage}: {:?}", backend.names().await);
    }
    mix(&backend.storage, &backend, &files[..1]).await.unwrap();
    clean(&backend).await.unwrap();
    assert_eq!(backend.names().await, ["5x.jsonl", "manifest.json"]);
}

async fn one_of_two_concurrent_runs_publishes_everything(backend: Backend) {
    for round in 0..3 {
        let files = |run: u64| [("5x.jsonl", noise(round * 10 + run, 1000)), ("10x.jsonl", noise(run, 9 << 20))];
        let (one, two) = (files(1), files(2));
        let (first, second) =
            tokio::join!(mix(&backend.storage, &backend, &one), mix(&backend.storage, &backend, &two));
        let winner = match (&first, &second) {
            (Ok(()), Err(lost)) | (Err(lost), Ok(())) => {
                assert_eq!(lost.kind(), ErrorKind::TryAgain, "{lost}");
                if first.is_ok() { one } else { two }
            }
            // On one core, the second may begin after the first has ended.
            (Ok(()), Ok(())) => two,
            (Err(one), Err(two)) => panic!("both runs lost: {one} / {two}"),
        };
        assert_eq!(manifest_names(&backend).await.unwrap().len(), 2);
        let everything = backend.everything().await;
        if first.is_err() || second.is_err() {
            for (name, content) in &winner {
                assert!(
                    everything.iter().any(|(found, bytes)| found == name && bytes == content),
                    "files of both runs are mixed"
                );
            }
        }
        assert_eq!(backend.names().await, ["10x.jsonl", "5x.jsonl", "manifest.json"]);
    }
}

async fn invalid_and_duplicate_names_are_rejected(backend: Backend) {
    let publication = backend.storage.publish(&backend.folder, PUBLISH_OPTIONS).await.unwrap();
    for name in ["", ".hidden", "a/b", "../x", "manifest.json", "a\0b"] {
        assert!(publication.create(name).await.is_err(), "{name}");
    }
    publication.create("twice").await.unwrap();
    assert!(publication.create("twice").await.is_err());
    publication.abort().await;
}
