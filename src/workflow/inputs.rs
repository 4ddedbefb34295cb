//! Input artifacts of a Kubeflow step: which folder each source is read from.
//!
//! A source can reach the step in three ways: as a separate artifact (four generation steps, wired in directly), in the
//! `datasets` artifact, or below `input_uri`. For each source the first of these that contains it wins, so a step can read
//! three sources from last week's bucket and one from the previous step. An input can have several artifacts, if the engine has
//! collected them from a loop: their rows follow each other, in an order that only their contents decide.

use super::executor::{Artifact, ExecutorInput};
use crate::error::{Error, ErrorKind, Result};
use crate::input::SOURCE_FILES;
use crate::recipe::is_known_documents;
use crate::storage::{Location, Storage};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The sources that have an input artifact of their own.
pub(super) const SOURCES: [&str; 4] =
    ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"];

/// The input artifact that contains a folder for each source.
pub(super) const DATASETS: &str = "datasets";

/// Adds the input artifacts to the settings. Returns warnings.
///
/// Without an `input_uri`, `datasets` becomes `input` and is treated like any input folder. With one, the sources of
/// `datasets` become `source_input`, which wins over `input`. So does each source's own artifact.
///
/// # Errors
/// An artifact is not found or cannot be read, a source is given by two artifacts that are not of one list, or a `datasets` artifact
/// contains no folder.
pub(super) async fn add_artifacts(
    input: &ExecutorInput,
    settings: &mut BTreeMap<String, Vec<String>>,
    storage: &Storage,
) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let datasets = existing_paths(DATASETS, input.input_artifacts(DATASETS))?;
    let datasets = in_order(DATASETS, datasets, storage, &mut warnings).await?;
    let mut sources: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in &datasets {
        for (name, folder) in folders(path)? {
            sources.entry(name).or_default().push(folder);
        }
    }
    if settings.contains_key("input") {
        // Folders of other names are not sources and would be rejected as unknown ones.
        sources.retain(|name, _| SOURCES.contains(&name.as_str()) || is_known_documents(name));
    } else if !sources.is_empty() {
        settings.insert("input".to_string(), datasets.iter().map(|path| path.display().to_string()).collect());
        sources.clear();
    }
    let mut seen: BTreeMap<PathBuf, &str> = BTreeMap::new();
    for name in SOURCES {
        let artifacts = input.input_artifacts(name);
        if artifacts.is_empty() {
            continue;
        }
        let paths = existing_paths(name, artifacts)?.into_iter().map(|path| rows_folder(name, path)).collect();
        let paths = in_order(name, paths, storage, &mut warnings).await?;
        for path in &paths {
            match seen.insert(path.clone(), name) {
                Some(other) if other != name => return Err(wired_twice(path, other, name)),
                _ => {}
            }
        }
        sources.insert(name.to_owned(), paths);
    }
    if !sources.is_empty() {
        let value = |(name, path): (&String, &PathBuf)| format!("{name}={}", path.display());
        let values = sources.iter().flat_map(|(name, paths)| paths.iter().map(move |path| value((name, path))));
        settings.insert("source_input".to_string(), values.collect());
    }
    Ok(warnings)
}

fn wired_twice(path: &Path, other: &str, name: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("this artifact is wired to both {other} and {name}"))
        .at(path.display())
        .hint("wire the output of each generation step to the input of its own source")
}

fn existing_paths(name: &str, artifacts: &[Artifact]) -> Result<Vec<PathBuf>> {
    artifacts.iter().map(|artifact| existing_path(name, artifact)).collect()
}

/// The paths of the artifacts of an input, in order. The order of a list that the engine has collected from a loop means nothing and changes
/// from run to run: the artifacts are taken in the order of the digests of their contents, so that the mix does not depend on it.
async fn in_order(
    name: &str,
    paths: Vec<PathBuf>,
    storage: &Storage,
    warnings: &mut Vec<String>,
) -> Result<Vec<PathBuf>> {
    if paths.len() < 2 {
        return Ok(paths);
    }
    let mut ordered = Vec::with_capacity(paths.len());
    for path in paths {
        ordered.push((content_digest(&path, storage).await?, path));
    }
    ordered.sort();
    for pair in ordered.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let [first, second] = [&pair[0].1, &pair[1].1].map(|path| path.display());
        warnings.push(format!("{name}: {first} and {second} have the same content: their rows are read twice"));
    }
    Ok(ordered.into_iter().map(|(_, path)| path).collect())
}

/// The BLAKE3 digest of the rows in a file or folder: the keys, sizes and bytes of all files that hold rows, in the order of their keys.
/// Where it is does not matter, nor does its own name, nor a log beside the rows.
async fn content_digest(path: &Path, storage: &Storage) -> Result<[u8; 32]> {
    let mut digest = blake3::Hasher::new();
    let is_folder = path.is_dir();
    for file in storage.list_selected(&Location::local(path), SOURCE_FILES).await?.files {
        let key = if is_folder { file.key.as_bytes() } else { b"" };
        digest.update(&(key.len() as u64).to_le_bytes()).update(key).update(&file.size.to_le_bytes());
        let mut bytes = storage.stream(&file);
        while let Some(bytes) = bytes.next().await {
            digest.update(&bytes?);
        }
    }
    Ok(*digest.finalize().as_bytes())
}

/// The folders of a `datasets` artifact, by name.
fn folders(path: &Path) -> Result<Vec<(String, PathBuf)>> {
    let not_datasets = |error: std::io::Error| {
        Error::new(ErrorKind::Data, "artifact `datasets` is not a folder of source folders")
            .at(path.display())
            .caused_by(error)
            .hint("wire the output of a single source to the input with the name of that source")
    };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path).map_err(not_datasets)? {
        let entry = entry.map_err(not_datasets)?;
        // The name of a source is valid UTF-8.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.starts_with(['.', '_']) && entry.path().is_dir() {
            folders.push((name, entry.path()));
        }
    }
    if folders.is_empty() {
        return Err(not_datasets(std::io::Error::other("it contains no folder")));
    }
    folders.sort();
    Ok(folders)
}

/// The folder with the rows of a source that has a separate artifact: the artifact, or the folder in it that is named
/// like the source, because a generation step may pass on its whole output folder.
fn rows_folder(name: &str, path: PathBuf) -> PathBuf {
    let inner = path.join(name);
    if inner.is_dir() { inner } else { path }
}

fn existing_path(name: &str, artifact: &Artifact) -> Result<PathBuf> {
    let path = artifact.path();
    if path.exists() {
        return Ok(path);
    }
    Err(Error::new(ErrorKind::NotFound, format!("artifact `{name}` not found"))
        .at(path.display())
        .hint(format!("check that the previous step writes it; its URI is {}", artifact.uri)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn storage() -> Storage {
        Storage::with_environment(Default::default(), Default::default())
    }

    type Resolved = (BTreeMap<String, Vec<String>>, Vec<String>);

    /// The settings with the artifacts, and warnings.
    fn resolve_all(artifacts: Value, mut settings: BTreeMap<String, Vec<String>>) -> Result<Resolved> {
        let text = json!({"inputs": {"artifacts": artifacts}, "outputs": {"outputFile": "/o"}}).to_string();
        let input = ExecutorInput::parse(&text)?;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let warnings = runtime.block_on(add_artifacts(&input, &mut settings, &storage()))?;
        Ok((settings, warnings))
    }

    fn resolve(artifacts: Value, settings: BTreeMap<String, Vec<String>>) -> Result<BTreeMap<String, Vec<String>>> {
        Ok(resolve_all(artifacts, settings)?.0)
    }

    fn list(paths: &[PathBuf]) -> Value {
        json!({"artifacts": paths.iter().map(|path| json!({"uri": path})).collect::<Vec<_>>()})
    }

    fn folder(root: &Path, names: &[&str]) -> PathBuf {
        for name in names {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        root.to_path_buf()
    }

    #[test]
    fn an_artifact_of_a_source_wins_over_datasets_and_both_win_over_input_uri() {
        let root = tempfile::tempdir().unwrap();
        let datasets =
            folder(&root.path().join("d"), &["extractive_summary", "key_facts_to_qa", "no_source", ".cache"]);
        let own = folder(&root.path().join("own"), &["inner"]);
        let nested = folder(&root.path().join("nested"), &["detailed_summary"]);
        let settings = resolve(
            json!({"datasets": list(std::slice::from_ref(&datasets)), "extractive_summary": list(std::slice::from_ref(&own)),
                "detailed_summary": list(std::slice::from_ref(&nested)), "document_based_qa": null}),
            BTreeMap::from([("input".to_string(), vec!["s3://b/x".to_string()])]),
        )
        .unwrap();
        assert_eq!(settings["input"], ["s3://b/x"], "sources without an artifact are still read from there");
        assert_eq!(
            settings["source_input"],
            [
                format!("detailed_summary={}", nested.join("detailed_summary").display()),
                format!("extractive_summary={}", own.display()),
                format!("key_facts_to_qa={}", datasets.join("key_facts_to_qa").display()),
            ]
        );
    }

    #[test]
    fn datasets_without_input_uri_is_an_ordinary_input_folder() {
        let root = tempfile::tempdir().unwrap();
        let datasets = folder(&root.path().join("d"), &["extractive_summary", "no_source"]);
        let own = folder(&root.path().join("own"), &["inner"]);
        let artifacts = json!({"datasets": list(std::slice::from_ref(&datasets)), "key_facts_to_qa": list(std::slice::from_ref(&own))});
        let settings = resolve(artifacts, BTreeMap::new()).unwrap();
        assert_eq!(settings["input"], [datasets.display().to_string()]);
        assert_eq!(settings["source_input"], [format!("key_facts_to_qa={}", own.display())]);
    }

    #[test]
    fn settings_stay_the_same_without_artifacts() {
        assert!(resolve(json!({}), BTreeMap::new()).unwrap().is_empty());
    }

    #[test]
    fn an_artifact_that_is_wired_to_two_sources_is_rejected() {
        let root = tempfile::tempdir().unwrap();
        let path = folder(&root.path().join("a"), &["inner"]);
        let artifacts = json!({"key_facts_to_qa": list(std::slice::from_ref(&path)), "document_based_qa": list(std::slice::from_ref(&path))});
        let error = resolve(artifacts, BTreeMap::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("is wired to both key_facts_to_qa and document_based_qa"), "{error}");
    }

    /// Kubeflow hands over what it has collected from a loop in an order that changes from run to run.
    #[test]
    fn the_order_of_a_list_means_nothing() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for (name, rows) in [("x/rows", "1"), ("y/rows", "2"), ("z/rows", "3")] {
            std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            std::fs::write(at(name), rows).unwrap();
        }
        let folders: Vec<PathBuf> = ["f", "g"].map(at).into();
        for (folder, rows) in folders.iter().zip(["1", "2"]) {
            std::fs::create_dir_all(folder.join("extractive_summary")).unwrap();
            std::fs::write(folder.join("extractive_summary/gen.jsonl"), rows).unwrap();
            // A log with a time in it: the name of the folder stands for that.
            std::fs::write(folder.join("_log"), folder.to_str().unwrap()).unwrap();
        }
        for (name, setting, paths) in [
            ("key_facts_to_qa", "source_input", vec![at("x/rows"), at("y/rows"), at("z/rows")]),
            ("datasets", "input", folders),
        ] {
            let ordered = |paths: &[PathBuf]| {
                let (settings, warnings) = resolve_all(json!({name: list(paths)}), BTreeMap::new()).unwrap();
                assert!(warnings.is_empty(), "{warnings:?}");
                settings[setting].clone()
            };
            let first = ordered(&paths);
            assert_eq!(first.len(), paths.len());
            let reversed: Vec<_> = paths.iter().rev().cloned().collect();
            assert_eq!(ordered(&reversed), first);
            // Only what they contain decides, not where they are.
            let moved: Vec<_> =
                paths.iter().map(|path| path.parent().unwrap().join("moved").join(path.file_name().unwrap())).collect();
            for (path, moved) in paths.iter().zip(&moved) {
                std::fs::create_dir_all(moved.parent().unwrap()).unwrap();
                std::fs::rename(path, moved).unwrap();
            }
            let names = |values: &[String]| values.iter().map(|value| value.replace("moved/", "")).collect::<Vec<_>>();
            assert_eq!(names(&ordered(&moved)), first);
        }
    }

    #[test]
    fn equal_artifacts_of_a_list_are_named() {
        let root = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = ["a", "b", "c"].map(|name| root.path().join(name)).into();
        for (path, rows) in paths.iter().zip(["same", "other", "same"]) {
            std::fs::write(path, rows).unwrap();
        }
        let (settings, warnings) = resolve_all(json!({"key_facts_to_qa": list(&paths)}), BTreeMap::new()).unwrap();
        assert_eq!(settings["source_input"].len(), 3);
        let [a, _, c] = &paths[..] else { panic!() };
        let expected = format!(
            "key_facts_to_qa: {} and {} have the same content: their rows are read twice",
            a.display(),
            c.display()
        );
        assert_eq!(warnings, [expected]);
    }

    #[test]
    fn an_unusable_artifact_is_named() {
        let root = tempfile::tempdir().unwrap();
        let gone = resolve(json!({"datasets": list(&[root.path().join("gone")])}), BTreeMap::new()).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        assert!(gone.to_string().contains("artifact `datasets` not found"), "{gone}");
        std::fs::write(root.path().join("file"), "{}").unwrap();
        for path in [root.path().to_path_buf(), root.path().join("file")] {
            let error = resolve(json!({"datasets": list(&[path])}), BTreeMap::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data);
            assert!(error.to_string().contains("not a folder of source folders"), "{error}");
        }
    }
}
