//! What the rows of one file come to: samples, tokens, distinct contents, and rows that are not as they should be.

use super::recount::Recount;
use crate::error::Result;
use crate::input::RowVisitor;
use crate::manifest::MixKind;
use crate::recipe::Format;
use crate::report::conversation::messages_of;
use crate::report::length_counts::LengthCounts;
use crate::tokens::NOT_TRAINED;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// How many wrong rows of a file are named.
const NAMED_ROWS: usize = 5;

/// The figures of the rows of one file.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// All rows.
    pub(super) rows: u64,
    /// By source; rows that do not name theirs are under an empty name.
    pub(super) sources: BTreeMap<String, SourceTally>,
    /// The tokens that count for the loss.
    pub(super) loss_tokens: u64,
    /// Those of rows that fit into a GPU.
    pub(super) fitting_loss_tokens: u64,
    /// Rows that are not as they should be.
    pub(super) wrong: u64,
    /// Line and fault of the first of them.
    pub(super) examples: Vec<String>,
}

/// The rows of one source.
#[derive(Debug, Default)]
pub(super) struct SourceTally {
    /// How long they are.
    pub(super) lengths: LengthCounts,
    /// Hashes of their contents. 64 bits are enough: if two collide, one difference is not found.
    pub(super) contents: HashSet<u64>,
}

impl Tally {
    /// The token lengths of all rows.
    pub(super) fn lengths(&self) -> LengthCounts {
        let mut all = LengthCounts::default();
        self.sources.values().for_each(|source| all.merge(&source.lengths));
        all
    }

    /// Whether rows name their source.
    pub(super) fn names_sources(&self) -> bool {
        !self.sources.contains_key("")
    }
}

/// One row.
struct CountedRow {
    source: String,
    tokens: u32,
    loss_tokens: u32,
}

/// Reads the rows of one file of a mix.
pub(super) struct RowTally {
    /// The file, for messages.
    pub(super) place: String,
    /// What its rows are.
    pub(super) mix: MixKind,
    pub(super) format: Format,
    /// The sources of the mix.
    pub(super) sources: Arc<HashSet<String>>,
    /// Whether rows of tokens have a mask.
    pub(super) attention_mask: bool,
    /// The tokens that a GPU takes at a time.
    pub(super) max_tokens_per_gpu: Option<u32>,
    /// Counts tokens again, if the tokenizer is at hand.
    pub(super) recount: Option<Arc<Recount>>,
}

impl RowVisitor for RowTally {
    type Rows = Tally;

    fn place(&self) -> &str {
        &self.place
    }

    fn columns(&self) -> Vec<&str> {
        match (self.format.is_tokens(), self.mix) {
            (true, _) => vec!["input_ids", "labels", "attention_mask", "len", "num_loss_counted_tokens"],
            (false, MixKind::Chat) => vec!["messages", "metadata", "tools", "unmask", "token_length"],
            (false, MixKind::Document) => vec!["document", "metadata", "token_length"],
        }
    }

    fn visit(&self, line: u64, row: &[u8], tally: &mut Tally) -> Result<()> {
        tally.rows += 1;
        match self.count(row) {
            Ok(CountedRow { source, tokens, loss_tokens }) => {
                tally.loss_tokens += u64::from(loss_tokens);
                if self.max_tokens_per_gpu.is_none_or(|most| tokens <= most) {
                    tally.fitting_loss_tokens += u64::from(loss_tokens);
                }
                let of_source = tally.sources.entry(source).or_default();
                of_source.lengths.add(tokens, 1);
                of_source.contents.insert(content_hash(row));
            }
            Err(why) => {
                tally.wrong += 1;
                if tally.examples.len() < NAMED_ROWS {
                    tally.examples.push(format!("row {line}: {why}"));
                }
            }
        }
        Ok(())
    }

    fn append(&self, tally: &mut Tally, next: Tally) {
        tally.rows += next.rows;
        tally.loss_tokens += next.loss_tokens;
        tally.fitting_loss_tokens += next.fitting_loss_tokens;
        for (name, source) in next.sources {
            let of_source = tally.sources.entry(name).or_default();
            of_source.lengths.merge(&source.lengths);
            of_source.contents.extend(source.contents);
        }
        tally.wrong += next.wrong;
        tally.examples.extend(next.examples);
        tally.examples.truncate(NAMED_ROWS);
    }
}

/// A row of messages.
#[derive(Deserialize)]
struct ChatRow {
    messages: Value,
    #[expect(dead_code, reason = "a row has it")]
    unmask: bool,
    token_length: u32,
    tools: Option<String>,
    metadata: Option<String>,
}

/// A row of a document mix.
#[derive(Deserialize)]
struct DocumentRow {
    document: String,
    token_length: u32,
    metadata: Option<String>,
}

/// A row of tokens. Documents have no labels: all of them is trained.
#[derive(Deserialize)]
struct TokenRow {
    input_ids: Vec<u32>,
    labels: Option<Vec<i64>>,
    attention_mask: Option<Vec<u8>>,
    len: u32,
    num_loss_counted_tokens: Option<u32>,
}

impl RowTally {
    /// The figures of a row, or what is wrong with it.
    fn count(&self, row: &[u8]) -> Result<CountedRow, String> {
        let invalid = |error: serde_json::Error| format!("not a row of a mix: {error}");
        if self.format.is_tokens() {
            let row: TokenRow = serde_json::from_slice(row).map_err(invalid)?;
            let loss_tokens = self.check_tokens(&row)?;
            return Ok(CountedRow { source: String::new(), tokens: row.len, loss_tokens });
        }
        let (tokens, metadata) = match self.mix {
            MixKind::Chat => {
                let row: ChatRow = serde_json::from_slice(row).map_err(invalid)?;
                let messages = messages_of(&row.messages).filter(|messages| !messages.is_empty());
                let messages = messages.ok_or("`messages` is not a list of messages")?;
                if let Some(recount) = &self.recount {
                    let counted = recount.conversation(messages, row.tools.as_deref())?;
                    equal("token_length", row.token_length, counted)?;
                }
                (row.token_length, row.metadata)
            }
            MixKind::Document => {
                let row: DocumentRow = serde_json::from_slice(row).map_err(invalid)?;
                if let Some(counted) =
                    self.recount.as_ref().map(|recount| recount.document(&row.document)).transpose()?
                {
                    equal("token_length", row.token_length, counted.unwrap_or(row.token_length))?;
                }
                (row.token_length, row.metadata)
            }
        };
        Ok(CountedRow { source: self.source(metadata.as_deref())?, tokens, loss_tokens: 0 })
    }

    /// The source that a row names; empty if it has no metadata.
    fn source(&self, metadata: Option<&str>) -> Result<String, String> {
        #[derive(Deserialize)]
        struct Metadata {
            source: String,
        }
        let Some(metadata) = metadata else { return Ok(String::new()) };
        let Metadata { source } =
            serde_json::from_str(metadata).map_err(|error| format!("`metadata` names no source: {error}"))?;
        if !self.sources.contains(&source) {
            return Err(format!("unknown source `{}`", source.escape_debug()));
        }
        Ok(source)
    }

    /// Checks the lists of a row of tokens against each other. Returns the tokens that count for the loss.
    fn check_tokens(&self, row: &TokenRow) -> Result<u32, String> {
        let ids = row.input_ids.len() as u32;
        equal("len", row.len, ids)?;
        if self.mix == MixKind::Document {
            return Ok(0);
        }
        let labels = row.labels.as_ref().ok_or("`labels` is missing")?;
        equal("the number of labels", labels.len() as u32, ids)?;
        let is_trained = |label: i64| label != i64::from(NOT_TRAINED);
        let mut pairs = labels.iter().zip(&row.input_ids);
        if let Some(at) = pairs.position(|(label, id)| is_trained(*label) && *label != i64::from(*id)) {
            return Err(format!("label {at} is {}: expected {} or {NOT_TRAINED}", labels[at], row.input_ids[at]));
        }
        // The first token of a sequence is never predicted.
        let counted = labels.iter().skip(1).filter(|label| is_trained(**label)).count() as u32;
        let loss_tokens = row.num_loss_counted_tokens.ok_or("`num_loss_counted_tokens` is missing")?;
        equal("num_loss_counted_tokens", loss_tokens, counted)?;
        match &row.attention_mask {
            Some(mask)
                if self.attention_mask && mask.len() == row.input_ids.len() && mask.iter().all(|bit| *bit == 1) => {}
            None if !self.attention_mask => {}
            _ => return Err("`attention_mask` is not as the settings and the ids say".to_owned()),
        }
        Ok(counted)
    }
}

/// Checks a figure of a row against what was counted.
fn equal(what: &str, recorded: u32, counted: u32) -> Result<(), String> {
    if recorded == counted { Ok(()) } else { Err(format!("{what}: expected {recorded}, found {counted}")) }
}

fn content_hash(row: &[u8]) -> u64 {
    let mut start = [0; 8];
    start.copy_from_slice(&blake3::hash(row).as_bytes()[..8]);
    u64::from_le_bytes(start)
}
