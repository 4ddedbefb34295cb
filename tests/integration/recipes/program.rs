//! The binary as a user runs it, and the files that it writes.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use test_support::outside::mix_files;
use test_support::program::Ran;

/// Runs the binary in the root of the repository with only these variables.
pub fn run_with(variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let mut command = Command::new(test_support::binary());
    command.current_dir(test_support::repository()).env_clear().envs(variables.iter().copied()).args(arguments);
    command.output().expect("cannot start the binary").into()
}

/// Runs the binary without variables.
pub fn run(arguments: &[&str]) -> Ran {
    run_with(&[], arguments)
}

/// The settings that the example recipes share, for recipes written in tests.
pub const EXAMPLES: &str = "input: [examples/step_02]\ntokenizer_model: builtin\ncut_sizes: [4, 8]\n";

/// A finished mix in a temporary folder.
pub struct Mix {
    folder: tempfile::TempDir,
    /// The tables on standard output.
    pub table: String,
    /// What follows them: the end of a run.
    pub end: String,
    /// Standard error.
    pub warnings: String,
}

impl Mix {
    /// Mixes with a recipe, given as a file or as text, and more flags.
    pub fn of(recipe: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("cannot create a folder");
        let output = folder.path().join("out");
        let output = output.to_str().expect("temporary folders have UTF-8 names");
        let ended = run(&[&["mix", "--recipe", recipe, "--output", output, "--verbose"], flags].concat());
        assert_eq!(ended.code, 0, "{recipe}\n{}", ended.stderr);
        let (table, end) = ended.stdout.split_once("\nmixed ").expect("the end of a run");
        Self { folder, table: table.to_owned(), end: end.to_owned(), warnings: ended.stderr }
    }

    /// Mixes with one of `examples/recipes`.
    pub fn of_example(name: &str) -> Self {
        Self::of(&format!("examples/recipes/{name}.yaml"), &[])
    }

    /// Mixes with [`EXAMPLES`] followed by this text.
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
        serde_json::from_str(&self.read("manifest.json")).expect("the text is JSON")
    }

    /// The manifest's record of a source in a cut.
    pub fn share(&self, cut: u32, source: &str) -> Value {
        let manifest = self.manifest();
        let by = |list: &Value, key: &str, target: Value| -> Value {
            list.as_array()
                .and_then(|list| list.iter().find(|item| item[key] == target))
                .expect("the manifest has the record")
                .clone()
        };
        by(&by(&manifest["cuts"], "cut", cut.into())["sources"], "name", source.into())
    }

    pub fn rows(&self, cut: u32) -> Rows {
        Rows::parse(&self.read(&format!("combined_cut_{cut}x.jsonl")))
    }

    pub fn validation(&self, cut: u32) -> Rows {
        Rows::parse(&self.read(&format!("combined_cut_{cut}x.validation.jsonl")))
    }

    /// The document mix of a cut.
    pub fn documents(&self, cut: u32) -> Rows {
        Rows::parse(&self.read(&format!("combined_cut_{cut}x.cpt.jsonl")))
    }

    /// The documents of a cut that are held out.
    pub fn held_out_documents(&self, cut: u32) -> Rows {
        Rows::parse(&self.read(&format!("combined_cut_{cut}x.cpt.validation.jsonl")))
    }

    /// All files by name.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        mix_files(&self.path())
    }
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
        self.0[column].as_str().unwrap_or_else(|| panic!("{column} is not a string: {}", self.0))
    }

    pub fn tokens(&self) -> u64 {
        self.0["token_length"].as_u64().expect("token_length is a number")
    }

    /// The row as text, to compare it with others.
    pub fn key(&self) -> String {
        self.0.to_string()
    }

    /// The content of a message.
    pub fn content(&self, message: usize) -> &str {
        self.0["messages"][message]["content"].as_str().expect("a message has content")
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

    /// The sources in the order of their first rows.
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

    /// Number of copies of each row.
    pub fn copies(&self) -> BTreeMap<String, usize> {
        let mut copies = BTreeMap::new();
        for row in &self.0 {
            *copies.entry(row.key()).or_default() += 1;
        }
        copies
    }

    /// The distinct values of a column that are not empty.
    pub fn values(&self, column: &str) -> BTreeSet<String> {
        self.0.iter().map(|row| row.text(column).to_owned()).filter(|text| !text.is_empty()).collect()
    }

    /// Whether `other` holds every row of `self`, at least as often.
    pub fn within(&self, other: &Self) -> bool {
        let available = other.copies();
        self.copies().iter().all(|(key, copies)| available.get(key).is_some_and(|other| other >= copies))
    }
}
