//! What differs between two finished mixes, by their manifests.

use super::verify::read_manifest;
use crate::dataset::manifest::Manifest;
use crate::error::Result;
use crate::storage::{Location, Storage};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// One value that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where it stands: `settings.seed`, `cut 10 extractive_summary tokens`.
    pub what: String,
    /// The value in the first mix; `None` where it has none.
    pub a: Option<Value>,
    /// The value in the second.
    pub b: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<Value>| match value {
            None => "(none)".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        write!(f, "{}: {} -> {}", self.what, shown(&self.a), shown(&self.b))?;
        if let (Some(a), Some(b)) = (self.a.as_ref().and_then(Value::as_i64), self.b.as_ref().and_then(Value::as_i64)) {
            write!(f, " ({:+})", b - a)?;
        }
        Ok(())
    }
}

/// Compares the manifests of two finished mixes.
///
/// # Errors
/// Where one of them cannot be read.
pub async fn diff(storage: &Storage, a: &Location, b: &Location) -> Result<Vec<Difference>> {
    let (a, b) = futures::try_join!(read_manifest(storage, a), read_manifest(storage, b))?;
    Ok(differences(&a, &b))
}

fn differences(a: &Manifest, b: &Manifest) -> Vec<Difference> {
    let (a, b) = (facts(a), facts(b));
    let keys = a
        .iter()
        .map(|(key, _)| key)
        .chain(b.iter().map(|(key, _)| key).filter(|key| !a.iter().any(|(k, _)| k == *key)));
    let value =
        |facts: &[(String, Value)], key: &str| facts.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
    keys.map(|key| Difference { what: key.clone(), a: value(&a, key), b: value(&b, key) })
        .filter(|difference| difference.a != difference.b)
        .collect()
}

/// All that is compared, by name, in the order in which a person wants to read it.
fn facts(manifest: &Manifest) -> Vec<(String, Value)> {
    let mut facts = Vec::new();
    facts.push(("program.version".to_owned(), manifest.program.version.clone().into()));
    flatten("settings", serde_json::to_value(&manifest.settings).unwrap_or_default(), &mut facts);
    flatten("tokenizer", serde_json::to_value(&manifest.tokenizer).unwrap_or_default(), &mut facts);
    for file in &manifest.inputs {
        let name = format!("input {}/{} of folder {}", file.source, file.key, file.folder);
        facts.push((format!("{name} rows"), file.rows.into()));
        facts.push((format!("{name} digest"), file.digest.clone().into()));
    }
    for source in &manifest.sources {
        let mut counts = BTreeMap::from([
            ("read".to_owned(), source.read),
            ("kept".to_owned(), source.kept),
            ("documents".to_owned(), source.documents),
            ("summaries".to_owned(), source.summaries),
        ]);
        counts.extend(source.dropped.iter().map(|(reason, rows)| (format!("dropped as {reason}"), *rows)));
        facts.extend(counts.into_iter().map(|(what, rows)| (format!("source {} {what}", source.name), rows.into())));
    }
    for cut in &manifest.cuts {
        let name = format!("cut {}", cut.cut);
        facts.push((format!("{name} written"), cut.written.into()));
        facts.push((format!("{name} samples"), cut.samples.into()));
        facts.push((format!("{name} tokens"), cut.tokens.into()));
        for source in &cut.sources {
            facts.push((format!("{name} {} samples", source.name), source.samples.into()));
            facts.push((format!("{name} {} tokens", source.name), source.tokens.into()));
        }
    }
    for file in &manifest.outputs {
        facts.push((format!("output {} digest", file.name), file.digest.clone().into()));
    }
    facts
}

fn flatten(name: &str, value: Value, facts: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => map.into_iter().for_each(|(key, value)| flatten(&format!("{name}.{key}"), value, facts)),
        value => facts.push((name.to_owned(), value)),
    }
}
