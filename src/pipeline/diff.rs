//! Differences between two finished mixes, by their manifests.

use super::verify::read_manifest;
use crate::error::Result;
use crate::manifest::{CutRecord, Manifest, MixKind, OutputKind};
use crate::recipe::Recipe;
use crate::report::format::{line, thousands};
use crate::storage::{Location, Storage};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// The number of characters of a digest that are shown.
const DIGEST_SHOWN: usize = 12;

/// The differences between two finished mixes, in reading order: settings, tokenizer, inputs, sources, cuts, files.
/// (Reports and metrics follow from the rest and are not compared.)
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Diff(pub Vec<Difference>);

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Difference {
    /// What it belongs to: `settings`, `cut 10`, `source extractive_summary`.
    pub(crate) group: String,
    /// What it is: `seed`, `extractive_summary: tokens`.
    pub(crate) what: String,
    /// How it differs.
    pub(crate) change: Change,
}

/// How something differs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// Both mixes have it, with these values; `None` is no value.
    Values(Option<Value>, Option<Value>),
    /// Only the first mix has it.
    OnlyFirst,
    /// Only the second mix has it.
    OnlySecond,
}

impl Diff {
    /// Whether the mixes do not differ.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in self.0.chunk_by(|a, b| a.group == b.group) {
            match group {
                // Only one of the mixes has the group.
                [Difference { group, what, change }] if what.is_empty() => writeln!(f, "{}: {change}", line(group))?,
                _ => {
                    writeln!(f, "{}", line(&group[0].group))?;
                    let widest = group.iter().map(|difference| difference.what.chars().count()).max().unwrap_or(0);
                    let width = widest.min(50);
                    for Difference { what, change, .. } in group {
                        writeln!(f, "  {:width$}  {change}", line(what))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyFirst => f.write_str("only in the first"),
            Self::OnlySecond => f.write_str("only in the second"),
            Self::Values(a, b) => {
                write!(f, "{} -> {}", shown(a.as_ref()), shown(b.as_ref()))?;
                match (a.as_ref().and_then(Value::as_u64), b.as_ref().and_then(Value::as_u64)) {
                    (Some(a), Some(b)) if b >= a => write!(f, " (+{})", thousands(b - a)),
                    (Some(a), Some(b)) => write!(f, " (-{})", thousands(a - b)),
                    _ => Ok(()),
                }
            }
        }
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) if is_digest(text) => format!("{}…", &text[..DIGEST_SHOWN]),
        Some(Value::String(text)) => line(text),
        Some(Value::Number(number)) => number.as_u64().map_or_else(|| number.to_string(), thousands),
        Some(value) => value.to_string(),
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Compares the manifests of two finished mixes.
///
/// # Errors
/// If one of them is not readable.
pub(crate) async fn diff(storage: &Storage, a: &Location, b: &Location) -> Result<Diff> {
    // Of two errors, that of the first mix is reported, whichever occurs first.
    let (a, b) = futures::join!(read_manifest(storage, a), read_manifest(storage, b));
    Ok(differences(&a?, &b?))
}

/// One value that is compared.
#[derive(Debug)]
struct Fact {
    /// What it belongs to.
    group: String,
    /// The part of the group that it describes: a file, a source; empty for the group itself.
    subject: String,
    /// What it is.
    what: String,
    value: Value,
}

fn differences(a: &Manifest, b: &Manifest) -> Diff {
    let (list_a, list_b) = (facts(a), facts(b));
    let (a, b) = (Facts::of(&list_a), Facts::of(&list_b));
    let mut all = Vec::new();
    let mut reported: HashSet<(&str, Option<&str>)> = HashSet::new();
    // Facts of the first mix in its order, then those that only the second has; a stable sort groups them.
    let only_second = b.list.iter().filter(|fact| !a.values.contains_key(&fact.key()));
    let mut facts: Vec<&Fact> = a.list.iter().chain(only_second).collect();
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    for fact in a.list.iter().chain(b.list) {
        for key in [(fact.group.as_str(), ""), (fact.group.as_str(), fact.subject.as_str())] {
            let next = places.len();
            places.entry(key).or_insert(next);
        }
    }
    facts.sort_by_key(|fact| {
        let (group, subject) = (fact.group.as_str(), fact.subject.as_str());
        (place_of_group(group), places[&(group, "")], places[&(group, subject)])
    });
    for fact in facts {
        let (group, subject) = (fact.group.as_str(), fact.subject.as_str());
        let mut report = |what: String, change: Change| all.push(Difference { group: group.to_owned(), what, change });
        if let Some(change) = only(a.groups.contains(group), b.groups.contains(group)) {
            if reported.insert((group, None)) {
                report(String::new(), change);
            }
        } else if let Some(change) =
            only(a.subjects.contains(&(group, subject)), b.subjects.contains(&(group, subject)))
        {
            if reported.insert((group, Some(subject))) {
                report(subject.to_owned(), change);
            }
        } else {
            let (value_a, value_b) = (a.values.get(&fact.key()), b.values.get(&fact.key()));
            if value_a != value_b {
                let what = if subject.is_empty() { fact.what.clone() } else { format!("{subject}: {}", fact.what) };
                report(what, Change::Values(value_a.copied().cloned(), value_b.copied().cloned()));
            }
        }
    }
    Diff(all)
}

fn only(in_first: bool, in_second: bool) -> Option<Change> {
    match (in_first, in_second) {
        (true, false) => Some(Change::OnlyFirst),
        (false, true) => Some(Change::OnlySecond),
        _ => None,
    }
}

/// Orders groups: by kind, and cuts by size, whichever mix they are from.
fn place_of_group(group: &str) -> (usize, u32) {
    const KINDS: [&str; 6] = ["program", "settings", "tokenizer", "inputs", "source ", "cut "];
    let size = group.strip_prefix("cut ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let kind = KINDS.iter().position(|kind| group.starts_with(kind)).unwrap_or(KINDS.len());
    (kind, size.unwrap_or_default())
}

/// The facts of a manifest, with lookup tables.
struct Facts<'f> {
    list: &'f [Fact],
    values: HashMap<(&'f str, &'f str, &'f str), &'f Value>,
    groups: HashSet<&'f str>,
    subjects: HashSet<(&'f str, &'f str)>,
}

impl<'f> Facts<'f> {
    fn of(list: &'f [Fact]) -> Self {
        Self {
            list,
            values: list.iter().map(|fact| (fact.key(), &fact.value)).collect(),
            groups: list.iter().map(|fact| fact.group.as_str()).collect(),
            subjects: list.iter().map(|fact| (fact.group.as_str(), fact.subject.as_str())).collect(),
        }
    }
}

impl Fact {
    fn key(&self) -> (&str, &str, &str) {
        (&self.group, &self.subject, &self.what)
    }
}

/// Everything that is compared of a manifest, in reading order.
fn facts(manifest: &Manifest) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut put = |group: &str, subject: &str, what: &str, value: Value| {
        facts.push(Fact { group: group.to_owned(), subject: subject.to_owned(), what: what.to_owned(), value });
    };
    put("program", "", "version", manifest.program.version.clone().into());
    let mut settings = manifest.settings.clone();
    // A run without a recipe equals one with the default recipe.
    let recipe = settings.recipe.take().unwrap_or_else(|| Recipe::default().for_manifest());
    let mut flat = Vec::new();
    flatten("", serde_json::to_value(&settings).unwrap_or_default(), &mut flat);
    flatten("recipe", recipe, &mut flat);
    flat.into_iter().for_each(|(what, value)| put("settings", "", &what, value));
    let mut flat = Vec::new();
    flatten("", serde_json::to_value(&manifest.tokenizer).unwrap_or_default(), &mut flat);
    flat.into_iter().for_each(|(what, value)| put("tokenizer", "", &what, value));
    for file in &manifest.inputs {
        let of_folder = if file.folder == 0 { String::new() } else { format!(" of folder {}", file.folder + 1) };
        let name = format!("{}/{}{of_folder}", file.source, file.key);
        put("inputs", &name, "rows", file.rows.into());
        put("inputs", &name, "digest", file.digest.clone().into());
    }
    for source in &manifest.sources {
        let group = format!("source {}", source.name);
        let counts = [
            ("read", source.read),
            ("kept", source.kept),
            ("documents", source.documents),
            ("summaries", source.summaries),
        ];
        counts.into_iter().for_each(|(what, rows)| put(&group, "", what, rows.into()));
        for (reason, rows) in &source.dropped {
            put(&group, "", &format!("dropped as {reason}"), (*rows).into());
        }
    }
    for cut in manifest.cuts.iter().chain(&manifest.document_cuts) {
        put_cut(cut, &mut put);
    }
    let of_rows = |kind| matches!(kind, OutputKind::Mix | OutputKind::Validation | OutputKind::Rejected);
    for file in manifest.outputs.iter().filter(|file| of_rows(file.kind)) {
        put("files", &file.name, "digest", file.digest.clone().into());
    }
    facts
}

fn put_cut(cut: &CutRecord, put: &mut impl FnMut(&str, &str, &str, Value)) {
    let group = match cut.mix {
        MixKind::Chat => format!("cut {}", cut.cut),
        MixKind::Document => format!("cut {} documents", cut.cut),
    };
    put(&group, "", "feasible", cut.feasible.into());
    put(&group, "", "written", cut.written.into());
    if !cut.written {
        return;
    }
    put(&group, "", "samples", cut.samples.into());
    put(&group, "", "tokens", cut.tokens.into());
    for (what, figure) in [("samples", cut.validation_samples), ("tokens", cut.validation_tokens)] {
        if let Some(figure) = figure {
            put(&group, "held out", what, figure.into());
        }
    }
    for source in &cut.sources {
        put(&group, &source.name, "samples", source.samples.into());
        if source.distinct != source.samples {
            put(&group, &source.name, "distinct samples", source.distinct.into());
        }
        put(&group, &source.name, "tokens", source.tokens.into());
        if let Some(requested) = source.requested.filter(|requested| requested.shortfall > 0) {
            put(
                &group,
                &source.name,
                &format!("shortfall in {}", requested.measure.name()),
                requested.shortfall.into(),
            );
        }
    }
}

/// Flattens a JSON value into names and plain values; items of lists that have a `name` are named by it.
fn flatten(name: &str, value: Value, flat: &mut Vec<(String, Value)>) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(map) => map.into_iter().for_each(|(key, value)| flatten(&below(&key), value, flat)),
        Value::Array(list) if !list.is_empty() && list.iter().all(|item| item["name"].is_string()) => {
            for mut item in list {
                let of = item["name"].take();
                if let Some(item) = item.as_object_mut() {
                    item.shift_remove("name");
                }
                flatten(&below(of.as_str().unwrap_or_default()), item, flat);
            }
        }
        // A null equals an absent value.
        Value::Null => {}
        // Text, so that no arithmetic difference is shown for a setting.
        Value::Number(number) => flat.push((name.to_owned(), number.to_string().into())),
        value => flat.push((name.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests;
