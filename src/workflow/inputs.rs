//! Input artifacts of a Kubeflow step: which folder each source is read from.
//!
//! A source can reach the step in three ways: as a separate artifact (four generation steps, wired in directly), in the
//! `datasets` artifact, or below `input_uri`. For each source the first of these that contains it wins, so a step can read
//! three sources from last week's bucket and one from the previous step. Within one of these ways a source may occur only
//! once: training on it twice must be an explicit choice.

use super::executor::{Artifact, ExecutorInput};
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The sources that have an input artifact of their own.
pub(super) const SOURCES: [&str; 4] =
    ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"];

/// The input artifact that contains a folder for each source.
pub(super) const DATASETS: &str = "datasets";

/// Adds the input artifacts to the settings.
///
/// Without an `input_uri`, `datasets` becomes `input` and is treated like any input folder. With one, the sources of
/// `datasets` become `source_input`, which wins over `input`. So does each source's own artifact.
///
/// # Errors
/// An artifact is not found, a source is given twice, or a `datasets` artifact contains no folder.
pub(super) fn add_artifacts(input: &ExecutorInput, settings: &mut BTreeMap<String, Vec<String>>) -> Result<()> {
    let mut sources = sources_of_datasets(input)?;
    if settings.contains_key("input") {
        // Folders of other names are not sources and would be rejected as unknown ones.
        sources.retain(|name, _| SOURCES.contains(&name.as_str()));
    } else if !sources.is_empty() {
        let paths = input.input_artifacts(DATASETS).iter().map(|artifact| artifact.path().display().to_string());
        settings.insert("input".to_string(), paths.collect());
        sources.clear();
    }
    sources.extend(sources_with_artifacts(input)?.into_iter().map(|(name, path)| (name.to_string(), path)));
    if !sources.is_empty() {
        let values = sources.iter().map(|(name, path)| format!("{name}={}", path.display())).collect();
        settings.insert("source_input".to_string(), values);
    }
    Ok(())
}

/// The folders of all `datasets` artifacts, by name.
fn sources_of_datasets(input: &ExecutorInput) -> Result<BTreeMap<String, PathBuf>> {
    let mut sources = BTreeMap::new();
    for artifact in input.input_artifacts(DATASETS) {
        for (name, path) in folders(artifact)? {
            if let Some(other) = sources.insert(name.clone(), path.clone()) {
                return Err(given_twice(&name, &other, &path));
            }
        }
    }
    Ok(sources)
}

/// The sources that have an artifact of their own, with the folder of their rows.
fn sources_with_artifacts(input: &ExecutorInput) -> Result<BTreeMap<&'static str, PathBuf>> {
    let mut sources: BTreeMap<&str, PathBuf> = BTreeMap::new();
    for name in SOURCES {
        for artifact in input.input_artifacts(name) {
            let path = rows_folder(name, artifact)?;
            if let Some(other) = sources.insert(name, path.clone()) {
                return Err(given_twice(name, &other, &path));
            }
        }
    }
    for (index, (name, path)) in sources.iter().enumerate() {
        if let Some((other, _)) = sources.iter().take(index).find(|(_, earlier)| *earlier == path) {
            return Err(Error::new(ErrorKind::Usage, format!("this artifact is wired to both {other} and {name}"))
                .at(path.display())
                .hint("wire the output of each generation step to the input of its own source"));
        }
    }
    Ok(sources)
}

fn given_twice(name: &str, first: &Path, second: &Path) -> Error {
    Error::new(ErrorKind::Usage, format!("source {name} is given twice"))
        .at(second.display())
        .hint(format!("pass it once, or put both into one folder; the other one is {}", first.display()))
}

/// The folders of a `datasets` artifact, by name.
fn folders(artifact: &Artifact) -> Result<Vec<(String, PathBuf)>> {
    let path = existing_path(DATASETS, artifact)?;
    let not_datasets = |error: std::io::Error| {
        Error::new(ErrorKind::Data, "artifact `datasets` is not a folder of source folders")
            .at(path.display())
            .caused_by(error)
            .hint("wire the output of a single source to the input with the name of that source")
    };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(&path).map_err(not_datasets)? {
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
fn rows_folder(name: &str, artifact: &Artifact) -> Result<PathBuf> {
    let path = existing_path(name, artifact)?;
    let inner = path.join(name);
    Ok(if inner.is_dir() { inner } else { path })
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

    fn resolve(artifacts: Value, mut settings: BTreeMap<String, Vec<String>>) -> Result<BTreeMap<String, Vec<String>>> {
        let text = json!({"inputs": {"artifacts": artifacts}, "outputs": {"outputFile": "/o"}}).to_string();
        add_artifacts(&ExecutorInput::parse(&text)?, &mut settings)?;
        Ok(settings)
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
    fn a_source_that_is_given_twice_is_rejected() {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (root.path().join("a"), root.path().join("b"));
        folder(&a, &["extractive_summary"]);
        folder(&b, &["extractive_summary"]);
        for (artifacts, message) in [
            (json!({"datasets": list(&[a.clone(), b.clone()])}), "source extractive_summary is given twice"),
            (json!({"key_facts_to_qa": list(&[a.clone(), b.clone()])}), "source key_facts_to_qa is given twice"),
            (
                json!({"key_facts_to_qa": list(std::slice::from_ref(&a)), "document_based_qa": list(std::slice::from_ref(&a))}),
                "is wired to both document_based_qa and key_facts_to_qa",
            ),
        ] {
            let error = resolve(artifacts, BTreeMap::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().contains(message), "{error}");
        }
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
