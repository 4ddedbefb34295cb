//! Which folder each source of a Kubeflow step comes from.
//!
//! A source can reach the step in three ways: as an artifact of its own (four generation steps wired in directly), within
//! the `datasets` artifact, or below `input_uri`. For each source the first of these that has it wins; so a step can take
//! three sources from last week's bucket and one from the step before it. Within one way a source may come once only:
//! twice would train on it twice without anybody having said so.

use super::executor::{Artifact, ExecutorInput};
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The sources that have an input artifact of their own.
pub(crate) const SOURCES: [&str; 4] =
    ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"];

/// The input that holds a folder for each source.
pub(crate) const DATASETS: &str = "datasets";

/// Adds the input artifacts to the settings. `datasets` alone becomes `input`, so that it is treated as any input folder is;
/// beside an `input_uri` its sources become `source_input`, as each source's own artifact does: that wins over `input`.
///
/// # Errors
/// An artifact is not there, a source comes twice, or a `datasets` artifact holds no folder.
pub(crate) fn add_artifacts(input: &ExecutorInput, settings: &mut BTreeMap<String, Vec<String>>) -> Result<()> {
    let mut sources: BTreeMap<String, PathBuf> = BTreeMap::new();
    for artifact in input.input_artifacts(DATASETS) {
        for (name, path) in folders(artifact)? {
            if let Some(other) = sources.insert(name.clone(), path.clone()) {
                return Err(twice(&name, &other, &path));
            }
        }
    }
    if settings.contains_key("input") {
        // Other folders are no sources, and would be refused as such.
        sources.retain(|name, _| SOURCES.contains(&name.as_str()));
    } else if !sources.is_empty() {
        let paths = input.input_artifacts(DATASETS).iter().map(|artifact| artifact.path().display().to_string());
        settings.insert("input".to_string(), paths.collect());
        sources.clear();
    }
    let mut own: BTreeMap<&str, PathBuf> = BTreeMap::new();
    for name in SOURCES {
        for artifact in input.input_artifacts(name) {
            let path = rows_of(name, artifact)?;
            if let Some(other) = own.insert(name, path.clone()) {
                return Err(twice(name, &other, &path));
            }
        }
    }
    for (at, (name, path)) in own.iter().enumerate() {
        if let Some((other, _)) = own.iter().take(at).find(|(_, taken)| *taken == path) {
            return Err(Error::new(ErrorKind::Usage, format!("is wired to both {other} and {name}"))
                .at(path.display())
                .hint("wire each generation step's output to its own source"));
        }
    }
    sources.extend(own.into_iter().map(|(name, path)| (name.to_string(), path)));
    if !sources.is_empty() {
        let values = sources.iter().map(|(name, path)| format!("{name}={}", path.display())).collect();
        settings.insert("source_input".to_string(), values);
    }
    Ok(())
}

fn twice(name: &str, one: &Path, other: &Path) -> Error {
    Error::new(ErrorKind::Usage, format!("the source {name} is given twice"))
        .at(other.display())
        .hint(format!("it is also in {}; give it once, or put both into one folder", one.display()))
}

/// The folders of a `datasets` artifact, by name.
fn folders(artifact: &Artifact) -> Result<Vec<(String, PathBuf)>> {
    let path = present(DATASETS, artifact)?;
    let place = |error: std::io::Error| {
        Error::new(ErrorKind::Data, "the artifact datasets is not a folder of source folders")
            .at(path.display())
            .caused_by(error)
            .hint("wire the output of a single source to the input of that name")
    };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(&path).map_err(place)? {
        let entry = entry.map_err(place)?;
        // A name that is no text is no source's name.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.starts_with(['.', '_']) && entry.path().is_dir() {
            folders.push((name, entry.path()));
        }
    }
    if folders.is_empty() {
        return Err(place(std::io::Error::other("it holds no folder")));
    }
    folders.sort();
    Ok(folders)
}

/// Where the rows of a source's own artifact are: the artifact, or the source's folder in it, because a generation step may
/// well hand on the whole folder that it was told to write to.
fn rows_of(name: &str, artifact: &Artifact) -> Result<PathBuf> {
    let path = present(name, artifact)?;
    let inner = path.join(name);
    Ok(if inner.is_dir() { inner } else { path })
}

fn present(name: &str, artifact: &Artifact) -> Result<PathBuf> {
    let path = artifact.path();
    if path.exists() {
        return Ok(path);
    }
    Err(Error::new(ErrorKind::NotFound, format!("the artifact {name} is not there"))
        .at(path.display())
        .hint(format!("its uri is {}; did the step before this one write it?", artifact.uri)))
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
    fn a_sources_own_artifact_wins_over_datasets_and_both_over_input_uri() {
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
        assert_eq!(settings["input"], ["s3://b/x"], "what no artifact brings still comes from there");
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
    fn datasets_alone_is_an_input_folder_like_any_other() {
        let root = tempfile::tempdir().unwrap();
        let datasets = folder(&root.path().join("d"), &["extractive_summary", "no_source"]);
        let own = folder(&root.path().join("own"), &["inner"]);
        let artifacts = json!({"datasets": list(std::slice::from_ref(&datasets)), "key_facts_to_qa": list(std::slice::from_ref(&own))});
        let settings = resolve(artifacts, BTreeMap::new()).unwrap();
        assert_eq!(settings["input"], [datasets.display().to_string()]);
        assert_eq!(settings["source_input"], [format!("key_facts_to_qa={}", own.display())]);
    }

    #[test]
    fn without_artifacts_nothing_changes() {
        assert!(resolve(json!({}), BTreeMap::new()).unwrap().is_empty());
    }

    #[test]
    fn a_source_that_comes_twice_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (root.path().join("a"), root.path().join("b"));
        folder(&a, &["extractive_summary"]);
        folder(&b, &["extractive_summary"]);
        for (artifacts, message) in [
            (json!({"datasets": list(&[a.clone(), b.clone()])}), "the source extractive_summary is given twice"),
            (json!({"key_facts_to_qa": list(&[a.clone(), b.clone()])}), "the source key_facts_to_qa is given twice"),
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
    fn an_artifact_that_cannot_hold_sources_is_named() {
        let root = tempfile::tempdir().unwrap();
        let gone = resolve(json!({"datasets": list(&[root.path().join("gone")])}), BTreeMap::new()).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        assert!(gone.to_string().contains("the artifact datasets is not there"), "{gone}");
        std::fs::write(root.path().join("file"), "{}").unwrap();
        for path in [root.path().to_path_buf(), root.path().join("file")] {
            let error = resolve(json!({"datasets": list(&[path])}), BTreeMap::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data);
            assert!(error.to_string().contains("not a folder of source folders"), "{error}");
        }
    }
}
