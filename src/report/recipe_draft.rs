//! A recipe for what is in an input, with comments: the output of `init`.

use super::format::{counted, line, thousands};
use crate::recipe::Kind;
use serde_json::{Value, json};

/// Where the comment of a line begins.
const COMMENT_COLUMN: usize = 32;

/// What a recipe is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecipeDraft {
    /// The folders and URLs with the source folders.
    pub(crate) inputs: Vec<String>,
    /// The tokenizer.
    pub(crate) tokenizer: String,
    /// Whether it stands in for that of a model.
    pub(crate) is_stand_in: bool,
    /// The known sources, and then what else is in the input.
    pub(crate) sources: Vec<DraftSource>,
    /// The largest feasible cut, and a sentence about each source that decides it; `None` if cuts select nothing.
    pub(crate) largest_cut: Option<u32>,
    pub(crate) offers: Vec<String>,
    /// Rows that are not readable.
    pub(crate) unreadable: u64,
}

/// A source of a recipe.
#[derive(Debug, Clone)]
pub(crate) struct DraftSource {
    /// Its name.
    pub(crate) name: String,
    /// Whether the recipe has it, or only a comment.
    pub(crate) is_enabled: bool,
    /// Whether it is one of the known sources, whose kinds need not be given.
    pub(crate) is_known: bool,
    /// What its rows are, as far as their columns show it.
    pub(crate) kind: Option<Kind>,
    /// Where its rows are, if not in the folder of its name in each input.
    pub(crate) paths: Vec<String>,
    /// Which rows of which folder are its own, if it shares the folder with other sources.
    pub(crate) part: Option<DraftPart>,
    /// Its files and rows.
    pub(crate) files: usize,
    pub(crate) rows: u64,
    /// The rows that cannot be trained on, by reason: `2 empty_response`.
    pub(crate) dropped: String,
    /// The generations of the generator whose columns its files have.
    pub(crate) generations: Vec<&'static str>,
}

/// Some rows of a folder.
#[derive(Debug, Clone)]
pub(crate) struct DraftPart {
    /// The folder in each input.
    pub(crate) folder: String,
    /// The column that tells its rows from others.
    pub(crate) column: String,
    /// The values of its rows.
    pub(crate) values: Vec<String>,
}

impl DraftPart {
    /// The condition that its rows meet.
    pub(crate) fn condition(&self) -> Value {
        match &self.values[..] {
            [value] => json!({"column": self.column, "equals": value}),
            values => json!({"column": self.column, "in": values}),
        }
    }

    /// The keys of a source, each on a line.
    fn lines(&self, indent: &str) -> String {
        let values = match &self.values[..] {
            [value] => format!("equals: {}", Value::from(value.as_str())),
            values => format!("in: {}", Value::from(values)),
        };
        let folder = Value::from(self.folder.as_str());
        format!("{indent}folder: {folder}\n{indent}where: {{column: {}, {values}}}\n", self.column)
    }
}

impl RecipeDraft {
    /// The cuts that the recipe asks for: the largest feasible one, and half of it.
    pub(crate) fn cuts(&self) -> Vec<u32> {
        let largest = self.largest_cut.unwrap_or(1).max(1);
        let mut cuts = vec![largest.div_ceil(2), largest];
        cuts.dedup();
        cuts
    }

    /// The recipe. `file` is its name, which its comments mention.
    pub(crate) fn text(&self, file: &str) -> String {
        let mut text = format!(
            "# A recipe for knowledge-mixing, made of what is in the input. What it does:\n\
             #   knowledge-mixing plan --recipe {file}\n\
             # `knowledge-mixing recipe example` prints a recipe with all keys, docs/recipes.md explains them.\n\n"
        );
        let inputs = Value::from(self.inputs.clone());
        text.push_str(&commented(&format!("input: {inputs}"), "folders or URLs with the source folders"));
        let tokenizer = format!("tokenizer_model: {}", Value::from(self.tokenizer.as_str()));
        text.push_str(&commented(
            &tokenizer,
            match self.is_stand_in {
                true => "a stand-in: replace it by your model's tokenizer, a folder, a URL or OWNER/NAME",
                false => "the tokenizer of the model to train",
            },
        ));
        text.push_str(&self.cut_lines());
        if self.unreadable > 0 {
            let rows = counted(self.unreadable, "row is", "rows are");
            text.push_str(&commented("bad_rows: skip", &format!("{rows} not readable; fail: stop at the first")));
        }
        text.push_str(SETTINGS);
        text.push_str("\nsources:\n");
        self.sources.iter().for_each(|source| text.push_str(&source.lines()));
        text.push_str(SUGGESTIONS);
        text
    }

    fn cut_lines(&self) -> String {
        let cuts: Vec<String> = self.cuts().iter().map(u32::to_string).collect();
        let mut text = commented(
            &format!("cut_sizes: [{}]", cuts.join(", ")),
            "number of summaries per raw document; one mix per number",
        );
        match self.largest_cut {
            Some(largest) => text.push_str(&format!("# The largest feasible cut is {largest}:\n")),
            None => text.push_str("# Without summaries, all cuts are the same.\n"),
        }
        self.offers.iter().for_each(|offer| text.push_str(&format!("# - {}\n", line(offer))));
        text
    }
}

impl DraftSource {
    /// The lines of the source below `sources`; comments, if the recipe does not have it.
    fn lines(&self) -> String {
        let name = &self.name;
        if self.rows == 0 && self.is_known {
            return commented(&format!("  {name}:"), "not found in the input") + "    enabled: false\n";
        }
        let sign = if self.is_enabled { "" } else { "# " };
        let Some(kind) = self.kind else {
            return format!("  # {name}: {}, with columns that belong to no kind of source\n", self.amount());
        };
        let part = self.part.as_ref().map(|part| part.lines(&format!("  {sign}  ")));
        if self.is_known {
            return match part {
                Some(part) => commented(&format!("  {name}:"), &self.amount()) + &part,
                None => commented(&format!("  {name}: {{}}"), &self.amount()),
            };
        }
        let mut text = commented(&format!("  {sign}{name}:"), &self.amount());
        text.push_str(&commented(&format!("  {sign}  kind: {}", kind.name()), "a guess from the columns"));
        text.extend(part);
        if !self.paths.is_empty() {
            text.push_str(&format!("  {sign}  paths: {}\n", Value::from(self.paths.clone())));
        }
        if kind == Kind::Messages {
            text.push_str(&commented(&format!("  {sign}  # share: 0.1"), "a tenth of the mix's tokens ..."));
            text.push_str(&commented(&format!("  {sign}  # max_repeat: 4"), "... with each chat at most four times"));
        }
        text
    }

    /// How much of it there is: `2 files, 146 rows (3 dropped: 3 empty_response), columns of sdg_hub 0.9`.
    fn amount(&self) -> String {
        let mut text =
            format!("{}, {}", counted(self.files as u64, "file", "files"), counted(self.rows, "row", "rows"));
        if !self.dropped.is_empty() {
            text.push_str(&format!(" (not trained: {})", self.dropped));
        }
        if !self.generations.is_empty() {
            text.push_str(&format!(", columns of {}", self.generations.join(", ")));
        }
        text
    }
}

/// The settings that one may want to change.
const SETTINGS: &str = "\
# qa_per_doc: 3                 # maximum number of pairs per summary
# seed: 42                      # which summaries are sampled
# order: shuffle                # a random order over all sources; natural: source by source
# max_seq_len: 8192             # the trainer's sequence length: reports what it would drop
# save_gpt_oss_format: true     # drop questions that contain a placeholder
";

/// The sections that one may want to add.
const SUGGESTIONS: &str = "
# filter:                       # samples that are left out before anything is sampled
#   max_tokens: 8192            # longer than the trainer's sequence length
#   min_response_chars: 20
#   duplicates: drop
# split:
#   validation: 0.02            # documents that are held out for validation
# budget:
#   tokens: 100M                # the size of each mix; without it, the sources decide
";

/// A line with a comment.
fn commented(key: &str, comment: &str) -> String {
    format!("{key:<width$}# {}\n", line(comment), width = COMMENT_COLUMN.max(key.chars().count() + 1))
}

/// The line that says what was written.
pub(crate) fn summary(draft: &RecipeDraft, file: &str) -> String {
    let enabled = draft.sources.iter().filter(|source| source.is_enabled);
    let (sources, rows) = enabled.fold((0, 0), |(sources, rows), source| (sources + 1, rows + source.rows));
    let cuts: Vec<String> = draft.cuts().iter().map(u32::to_string).collect();
    let cut = if cuts.len() == 1 { "cut" } else { "cuts" };
    format!(
        "{file}: {} with {} rows, {cut} {}\nnext: knowledge-mixing plan --recipe {file}\n",
        counted(sources, "source", "sources"),
        thousands(rows),
        cuts.join(" and ")
    )
}
