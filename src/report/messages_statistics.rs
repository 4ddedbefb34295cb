//! What files of messages hold, for people and for programs: the output of `stats`.

use super::format::{counted, line, percent, size, thousands};
use super::length_counts::LengthCounts;
use super::table::aligned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The lengths whose excess is always reported, in tokens.
const LIMITS: [u32; 3] = [2048, 4096, 8192];

/// What files of messages hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct MessagesStatistics {
    /// Each file: its location, size in bytes and rows.
    pub(crate) files: Vec<(String, u64, u64)>,
    /// Rows whose conversation is readable and not empty.
    pub(crate) conversations: u64,
    /// Rows without messages.
    pub(crate) empty: u64,
    /// Rows that are not readable, and where and why the first of them are not.
    pub(crate) unreadable: (u64, Vec<String>),
    /// The number of messages of each role.
    pub(crate) roles: BTreeMap<String, u64>,
    /// How many conversations have how many answers.
    pub(crate) turns: LengthCounts,
    /// The token lengths of the conversations.
    pub(crate) lengths: LengthCounts,
    /// The tokenizer, and what has counted with it.
    pub(crate) tokenizer: String,
    pub(crate) counted_by: String,
    /// Whether the tokenizer stands in for that of a model.
    pub(crate) is_stand_in: bool,
    /// The sequence length that was asked for.
    pub(crate) max_seq_len: Option<u32>,
    /// The tokens that count for the loss and the conversations that no trainer can label, if that was asked for.
    pub(crate) loss: Option<(u64, u64)>,
    /// Conversations that repeat an earlier one exactly.
    pub(crate) duplicates: u64,
    /// Conversations with an answer that says nothing.
    pub(crate) empty_answers: u64,
    /// Conversations without any answer.
    pub(crate) unanswered: u64,
    /// Conversations by what is suspicious about them.
    pub(crate) flags: BTreeMap<&'static str, u64>,
    /// Conversations and tokens by source, if rows name theirs.
    pub(crate) sources: BTreeMap<String, (u64, u64)>,
}

impl MessagesStatistics {
    fn rows(&self) -> u64 {
        self.files.iter().map(|(.., rows)| rows).sum()
    }

    /// The rows that a trainer with this sequence length drops, and the length: those of at least as many tokens.
    fn dropped(&self) -> Option<(u32, u64)> {
        self.max_seq_len.map(|length| (length, self.lengths.longer_than(length.saturating_sub(1)).samples))
    }

    /// For people: a line for each figure. Ends with a newline.
    pub(crate) fn text(&self) -> String {
        let mut lines = self.row_lines();
        lines.extend(self.token_lines());
        lines.extend(self.doubt_lines());
        let mut text = aligned(&lines);
        if !self.sources.is_empty() {
            text.push('\n');
            let rows = self.sources.iter().map(|(source, (rows, tokens))| {
                (
                    format!("source {}", line(source)),
                    format!("{}, {}", self.part(*rows), counted(*tokens, "token", "tokens")),
                )
            });
            text.push_str(&aligned(&rows.collect::<Vec<_>>()));
        }
        for example in &self.unreadable.1 {
            text.push_str(&format!("not readable: {}\n", line(example)));
        }
        if self.is_stand_in {
            text.push_str(&format!(
                "note: tokens were counted with {}, a stand-in: pass --tokenizer-model for those of your model\n",
                self.tokenizer
            ));
        }
        text
    }

    /// A number of conversations, and which part of all they are.
    fn part(&self, rows: u64) -> String {
        let share = percent(rows, self.conversations);
        if rows == 0 { "0 rows".to_owned() } else { format!("{} ({share})", counted(rows, "row", "rows")) }
    }

    fn row_lines(&self) -> Vec<(String, String)> {
        let named = |name: &str, text: String| (name.to_owned(), text);
        let files = self.files.iter().map(|(place, bytes, rows)| {
            named("file", format!("{}: {}, {}", line(place), size(*bytes), counted(*rows, "row", "rows")))
        });
        let mut lines: Vec<(String, String)> = files.collect();
        if self.files.len() > 1 {
            lines.push(named("rows", thousands(self.rows())));
        }
        for (name, rows) in [("without messages", self.empty), ("not readable", self.unreadable.0)] {
            if rows > 0 {
                lines.push(named(name, counted(rows, "row", "rows")));
            }
        }
        let roles = self.roles.iter().map(|(role, messages)| format!("{} {}", thousands(*messages), line(role)));
        lines.push(named("messages", roles.collect::<Vec<_>>().join(", ")));
        if let Some(turns) = self.turns.summary() {
            let (min, max) = (turns.min, turns.max);
            let range = if min == max { min.to_string() } else { format!("{min} to {max}, median {}", turns.median) };
            lines.push(named("answers per row", range));
        }
        lines
    }

    fn token_lines(&self) -> Vec<(String, String)> {
        let Some(lengths) = self.lengths.summary() else { return Vec::new() };
        let number = |length: u32| thousands(length.into());
        let spread = format!(
            "min {}, median {}, p95 {}, max {}",
            number(lengths.min),
            number(lengths.median),
            number(lengths.p95),
            number(lengths.max)
        );
        let total =
            format!("{} (counted by {}, {})", thousands(self.lengths.tokens()), self.tokenizer, self.counted_by);
        let mut lines = vec![("tokens".to_owned(), total), ("tokens per row".to_owned(), spread)];
        for limit in LIMITS {
            let over = self.lengths.longer_than(limit);
            let text = match over.samples {
                0 => "0 rows".to_owned(),
                rows => format!("{}, {} beyond", self.part(rows), counted(over.tokens, "token", "tokens")),
            };
            lines.push((format!("over {}", number(limit)), text));
        }
        if let Some((length, rows)) = self.dropped() {
            lines.push((format!("at least {}", number(length)), self.part(rows)));
        }
        if let Some((tokens, unlabelled)) = self.loss {
            lines.push(("loss tokens".to_owned(), thousands(tokens)));
            if unlabelled > 0 {
                lines.push(("not trainable".to_owned(), self.part(unlabelled)));
            }
        }
        lines
    }

    fn doubt_lines(&self) -> Vec<(String, String)> {
        let mut lines = vec![
            ("exact duplicates".to_owned(), self.part(self.duplicates)),
            ("empty answers".to_owned(), self.part(self.empty_answers)),
        ];
        if self.unanswered > 0 {
            lines.push(("without an answer".to_owned(), self.part(self.unanswered)));
        }
        lines.extend(self.flags.iter().map(|(flag, rows)| (format!("flag {flag}"), self.part(*rows))));
        lines
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let file = |(place, bytes, rows): &(String, u64, u64)| json!({"file": place, "bytes": bytes, "rows": rows});
        let over = |limit: u32| {
            let over = self.lengths.longer_than(limit);
            json!({"limit": limit, "rows": over.samples, "tokens": over.tokens})
        };
        let spread = |counts: &LengthCounts| {
            let spread = counts.summary();
            spread.map(|of| json!({"min": of.min, "median": of.median, "p95": of.p95, "max": of.max}))
        };
        let source =
            |(name, (rows, tokens)): (&String, &(u64, u64))| json!({"name": name, "rows": rows, "tokens": tokens});
        let mut value = json!({
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
            "rows": self.rows(),
            "conversations": self.conversations,
            "without_messages": self.empty,
            "not_readable": self.unreadable.0,
            "messages": self.roles,
            "answers_per_row": spread(&self.turns),
            "tokenizer": self.tokenizer,
            "tokens": self.lengths.tokens(),
            "tokens_per_row": spread(&self.lengths),
            "over": LIMITS.into_iter().map(over).collect::<Vec<_>>(),
            "exact_duplicates": self.duplicates,
            "empty_answers": self.empty_answers,
            "without_answer": self.unanswered,
            "flags": self.flags.iter().map(|(flag, rows)| ((*flag).to_owned(), (*rows).into())).collect::<Map<_, _>>(),
            "sources": self.sources.iter().map(source).collect::<Vec<_>>(),
        });
        if let Some((length, rows)) = self.dropped() {
            value["at_least"] = json!({"limit": length, "rows": rows});
        }
        if let Some((tokens, unlabelled)) = self.loss {
            value["loss_tokens"] = tokens.into();
            value["not_trainable"] = unlabelled.into();
        }
        value
    }
}
