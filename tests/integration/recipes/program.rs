//! The program as a user runs it, and what it wrote.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use test_support::program::Ran;

/// Runs the binary in the root of the repository with only these variables.
pub fn run_with(variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let mut command = Command::new(test_support::binary());
    command.current_dir(test_support::repository()).env_clear().envs(variables.iter().copied()).args(arguments);
    command.output().expect("cannot start the binary").into()
}

/// The same without any variable.
pub fn run(arguments: &[&str]) -> Ran {
    run_with(&[], arguments)
}

/// The settings that the example recipes share, for recipes that a test writes by hand.
pub const EXAMPLES: &str = "input: [examples/step_02]\ntokenizer_model: builtin\ncut_sizes: [4, 8]\n";

/// A finished mix in a folder of its own.
pub struct Mix {
    folder: tempfile::TempDir,
    pub table: String,
    pub warnings: String,
}

impl Mix {
    /// By a recipe: a file, or the text itself. The further flags stand after it.
    pub fn of(recipe: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let output = folder.path().join("out");
        let output = output.to_str().expect("a path in UTF-8");
        let ended = run(&[&["mix", "--recipe", recipe, "--output", output], flags].concat());
        assert_eq!(ended.code, 0, "{recipe}\n{}", ended.stderr);
        Self { folder, table: ended.stdout, warnings: ended.stderr }
    }

    /// By one of `examples/recipes`.
    pub fn of_example(name: &str) -> Self {
        Self::of(&format!("examples/recipes/{name}.yaml"), &[])
    }

    /// By a text that stands behind [`EXAMPLES`].
    pub fn of_text(text: &str) -> Self {
        Self::of(&format!("{EXAMPLES}{text}"), &[])
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn manifest(&self) -> Value {
        serde_json::from_str(&self.read("manifest.json")).expect("JSON")
    }

    /// What the manifest says of a source of a cut.
    pub fn share(&self, cut: u32, source: &str) -> Value {
        let manifest = self.manifest();
        let by = |list: &Value, key: &str, wanted: Value| -> Value {
            list.as_array().and_then(|list| list.iter().find(|item| item[key] == wanted)).expect("it is there").clone()
        };
        by(&by(&manifest["cuts"], "cut", cut.into())["sources"], "name", source.into())
    }

    pub fn rows(&self, cut: u32) -> Rows {
        Rows::parse(&self.read(&format!("combined_cut_{cut}x.jsonl")))
    }

    pub fn validation(&self, cut: u32) -> Rows {
        Rows::parse(&self.read(&format!("combined_cut_{cut}x.validation.jsonl")))
    }

    /// All files by name.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.path())
    }
}

/// All files of a folder by name.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.path().is_file());
    files.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

/// One row of a mix.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(pub Value);

impl Row {
    pub fn source(&self) -> String {
        let metadata: Value = serde_json::from_str(self.text("metadata")).expect("metadata is JSON");
        metadata["source"].as_str().expect("metadata names the source").to_owned()
    }

    pub fn text(&self, column: &str) -> &str {
        self.0[column].as_str().unwrap_or_else(|| panic!("{column} is no string: {}", self.0))
    }

    pub fn tokens(&self) -> u64 {
        self.0["token_length"].as_u64().expect("a number of tokens")
    }

    /// The whole row, to tell it from others.
    pub fn key(&self) -> String {
        self.0.to_string()
    }

    /// The content of a message.
    pub fn content(&self, message: usize) -> &str {
        self.0["messages"][message]["content"].as_str().expect("a content")
    }
}

/// The rows of a mix, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows(pub Vec<Row>);

impl Rows {
    fn parse(text: &str) -> Self {
        Self(text.lines().map(|line| Row(serde_json::from_str(line).expect("a row is JSON"))).collect())
    }

    /// The rows of one source.
    pub fn of(&self, source: &str) -> Self {
        Self(self.0.iter().filter(|row| row.source() == source).cloned().collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn tokens(&self) -> u64 {
        self.0.iter().map(Row::tokens).sum()
    }

    pub fn longest(&self) -> u64 {
        self.0.iter().map(Row::tokens).max().unwrap_or(0)
    }

    /// The sources, in the order in which they first stand there.
    pub fn sources(&self) -> Vec<String> {
        let mut sources = Vec::new();
        for row in &self.0 {
            let source = row.source();
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources
    }

    /// How often each row stands there.
    pub fn copies(&self) -> BTreeMap<String, usize> {
        let mut copies = BTreeMap::new();
        for row in &self.0 {
            *copies.entry(row.key()).or_default() += 1;
        }
        copies
    }

    /// The distinct values of a column, empty ones aside.
    pub fn values(&self, column: &str) -> BTreeSet<String> {
        self.0.iter().map(|row| row.text(column).to_owned()).filter(|text| !text.is_empty()).collect()
    }

    /// Whether every row of `self` stands in `other`, as often at least.
    pub fn within(&self, other: &Self) -> bool {
        let there = other.copies();
        self.copies().iter().all(|(key, copies)| there.get(key).is_some_and(|other| other >= copies))
    }
}
