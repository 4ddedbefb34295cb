//! The types of `manifest.json`: what a mix was made of and what it holds. A mix is complete if its manifest says so.
//!
//! No clock, no thread count, no absolute path: the same mix gives the same manifest on any machine, but for `run` and
//! `left_over`.

mod check;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The file name of the manifest.
pub(crate) const MANIFEST_NAME: &str = "manifest.json";

/// Size limit of a manifest, for writers and readers: it lists more than a million input files.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// The version of the manifest's format; readers refuse a newer one. Version 1 had no `state`: it was removed while a mix was
/// being replaced.
pub(crate) const MANIFEST_FORMAT: u32 = 2;

/// The state of a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MixState {
    /// A run is replacing the mix, or was stopped while it did: of the listed files some may be missing.
    Replacing,
    /// Every listed file is there.
    #[default]
    Complete,
}

/// What a mix was made of and what it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Whether the mix is complete.
    #[serde(default)]
    pub state: MixState,
    /// The random id of the run that made the mix.
    #[serde(default)]
    pub run: String,
    /// The names of files of earlier mixes that are still in the output and do not belong to this mix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_over: Vec<String>,
    /// The program that made the mix.
    pub program: Program,
    /// The settings that determine the bytes of the mix.
    pub settings: SettingsRecord,
    /// The tokenizer and chat template that token counts refer to.
    pub tokenizer: TokenizerRecord,
    /// Every input file, in the order in which it was read.
    pub inputs: Vec<InputFile>,
    /// The row counts of each source.
    pub sources: Vec<SourceRecord>,
    /// Every requested cut, ascending: its mix of conversations, or its document mix if the run has no conversations.
    pub cuts: Vec<CutRecord>,
    /// The document mixes of a run that has conversations as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub document_cuts: Vec<CutRecord>,
    /// Every file besides the manifest.
    pub outputs: Vec<OutputFile>,
}

/// A program and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// `knowledge-mixing`
    pub name: String,
    /// The crate's version.
    pub version: String,
}

/// The settings that determine the bytes of the mix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingsRecord {
    /// The requested cuts, ascending.
    pub cut_sizes: Vec<u32>,
    /// The maximum number of pairs per sampled summary.
    pub qa_per_doc: u32,
    /// Whether placeholder questions were dropped.
    pub save_gpt_oss_format: bool,
    /// The seed of ranks and order.
    pub seed: u64,
    /// `auto`, `none`, or a column or path.
    pub reasoning: String,
    /// `auto`, `always` or `never`: whether messages have the reasoning. Older versions always wrote it.
    #[serde(default = "always")]
    pub thinking: String,
    /// Whether all messages but the system's are trained, if that was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmask: Option<bool>,
    /// `full` or `training`.
    pub columns: String,
    /// `none`, `gzip` or `zstd`.
    pub compression: String,
    /// `drop`, `keep` or `fail`.
    pub infeasible_cuts: String,
    /// `fail` or `skip`.
    pub bad_rows: String,
    /// `natural` or `shuffle`.
    pub order: String,
    /// The formats of the mixes.
    #[serde(default = "messages_only")]
    pub formats: Vec<String>,
    /// Whether rows of tokens have `attention_mask`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attention_mask: bool,
    /// The sequence length at which the trainer drops samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seq_len: Option<u32>,
    /// The tokens that a GPU takes at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens_per_gpu: Option<u32>,
    /// The samples of a training step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_batch_size: Option<u32>,
    /// The number of GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
    /// The number of epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
    /// The tokens of a block in which a trainer reads documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u32>,
    /// Whether document mixes were made of the QA sources: `true`, or `only` if no other mix was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<String>,
    /// `once` if document mixes hold each raw document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_documents: Option<String>,
    /// The recipe with all defaults filled in, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<serde_json::Value>,
}

/// What manifests that do not say it have for `thinking`.
fn always() -> String {
    "always".to_owned()
}

/// The formats of manifests that do not name any.
fn messages_only() -> Vec<String> {
    vec!["messages".to_owned()]
}

/// The tokenizer and chat template that token counts refer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerRecord {
    /// `builtin`, a Hugging Face repository id, or the name of the folder.
    pub name: String,
    /// BLAKE3 of `tokenizer.json`, in hexadecimal.
    pub digest: String,
    /// Which rules made it of its files: `auto` or `file`. Older versions took `tokenizer.json` as it is.
    #[serde(default = "file_rules")]
    pub rules: String,
    /// The class of transformers whose rules replaced those of `tokenizer.json`, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// BLAKE3 of the chat template, in hexadecimal.
    pub chat_template_digest: String,
    /// The date that the template used, `YYYY-MM-DD`, if it uses one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template_date: Option<String>,
}

fn file_rules() -> String {
    "file".to_owned()
}

/// One input file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// The name of its source.
    pub source: String,
    /// Its key below the source's folder, joined with `/`.
    pub key: String,
    /// The number of the source's folder it is in (0 is the first `--input`).
    pub folder: usize,
    /// Its size in bytes, as stored.
    pub bytes: u64,
    /// BLAKE3 of its bytes, as stored, in hexadecimal.
    pub digest: String,
    /// Rows read.
    pub rows: u64,
}

/// The row counts of a source: `read` = `kept` + the sum of `dropped`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The source's name.
    pub name: String,
    /// `summary_qa`, `fact_qa`, `document_qa`, `messages` or `document`.
    pub kind: String,
    /// The sources of whose rows its documents are made; empty if it has files of its own. What it reads are these documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_of: Vec<String>,
    /// Rows of its files that the source's `where` leaves out and no other source takes, by value. They are not among the rows
    /// read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unwanted: BTreeMap<String, u64>,
    /// Rows read.
    pub read: u64,
    /// Rows that became samples.
    pub kept: u64,
    /// Rows dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Kept rows whose reasoning is left out, because the chat template does not print it or the settings say so.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning_left_out: u64,
    /// Samples with at least one sign of a broken question or answer, whether or not they were dropped for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flagged: u64,
    /// These samples by sign; one sample can have several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, u64>,
    /// Distinct raw documents among the kept rows.
    pub documents: u64,
    /// Distinct summaries among the kept rows, counted per raw document.
    pub summaries: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What the rows of a mix are, and so how a trainer reads them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MixKind {
    /// Conversations, for fine-tuning.
    #[default]
    Chat,
    /// Documents, for continued pretraining.
    Document,
}

impl MixKind {
    fn is_chat(&self) -> bool {
        *self == Self::Chat
    }
}

/// One requested cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CutRecord {
    /// The cut size N.
    pub cut: u32,
    /// What the rows of its mix are; conversations if the manifest does not say it.
    #[serde(default, skip_serializing_if = "MixKind::is_chat")]
    pub mix: MixKind,
    /// Whether both summary sources have N distinct summaries per raw document on average.
    pub feasible: bool,
    /// Whether its mix was written.
    pub written: bool,
    /// Samples in the mix, copies counted; 0 if it is not written.
    pub samples: u64,
    /// Tokens in the mix, copies counted; 0 if it is not written.
    pub tokens: u64,
    /// Samples held out for validation, if the recipe holds any out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_samples: Option<u64>,
    /// Their tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_tokens: Option<u64>,
    /// What each source contributes, in the order of the sources.
    pub sources: Vec<ShareRecord>,
    /// What the trainer will do with the mix, if the settings say how it is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Preflight>,
}

/// What a trainer will do with a mix in one epoch. Figures are exact unless they are named as a bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// Samples that it trains on.
    pub samples: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Those of them that count for the loss.
    pub loss_tokens: u64,
    /// Samples that it drops, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Optimizer steps per epoch, if the batch size is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps_per_epoch: Option<u64>,
    /// Optimizer steps in all epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Tokens of a step on average, rounded down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_step: Option<u64>,
    /// Micro-batches of each GPU per epoch: at least, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_batches: Option<[u64; 2]>,
    /// Blocks of a document mix, the last of which may be padded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<u64>,
    /// A lower bound, in percent, of how evenly the tokens are divided among the GPUs: the average over the largest share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_percent: Option<u64>,
}

impl Preflight {
    /// All samples that are dropped.
    pub fn dropped_samples(&self) -> u64 {
        self.dropped.values().sum()
    }
}

impl Manifest {
    /// The record of a requested cut.
    pub fn cut(&self, cut: u32) -> Option<&CutRecord> {
        self.cuts.iter().find(|record| record.cut == cut)
    }

    /// The record of a requested cut's mix of this kind.
    pub fn mix(&self, cut: u32, mix: MixKind) -> Option<&CutRecord> {
        self.cuts.iter().chain(&self.document_cuts).find(|record| record.cut == cut && record.mix == mix)
    }

    /// Whether the documents of a source are made of the rows of others, which count there.
    pub fn is_made(&self, source: &str) -> bool {
        self.sources.iter().any(|record| record.name == source && !record.made_of.is_empty())
    }

    /// The sources whose samples are judged by signs of broken questions: those of files, or the documents, if a run has nothing else.
    pub fn judged(&self) -> impl Iterator<Item = &SourceRecord> {
        let is_of_documents = self.main_mix() == MixKind::Document;
        self.sources.iter().filter(move |source| match is_of_documents {
            true => source.kind == "document",
            false => source.made_of.is_empty(),
        })
    }

    /// The document mixes of all requested cuts.
    pub fn document_mixes(&self) -> &[CutRecord] {
        if self.main_mix() == MixKind::Document { &self.cuts } else { &self.document_cuts }
    }

    /// What the rows of the mixes in [`Self::cuts`] are.
    pub fn main_mix(&self) -> MixKind {
        self.cuts.first().map(|record| record.mix).unwrap_or_default()
    }
}

impl CutRecord {
    /// What a source contributes.
    pub fn source(&self, name: &str) -> Option<&ShareRecord> {
        self.sources.iter().find(|share| share.name == name)
    }

    /// What the trainer gets of all sources, if that was counted.
    pub fn training(&self) -> Option<TrainingRecord> {
        let mut of_sources = self.sources.iter().filter_map(|share| share.training.as_ref()).peekable();
        of_sources.peek()?;
        let mut sum = TrainingRecord::default();
        for training in of_sources {
            sum.samples += training.samples;
            sum.tokens += training.tokens;
            sum.loss_tokens += training.loss_tokens;
            for (reason, samples) in &training.left_out {
                *sum.left_out.entry(reason.clone()).or_default() += samples;
            }
        }
        Some(sum)
    }
}

/// What one source contributes to one mix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShareRecord {
    /// The source's name.
    pub name: String,
    /// Samples, copies counted.
    pub samples: u64,
    /// Tokens, copies counted.
    pub tokens: u64,
    /// Distinct samples.
    pub distinct: u64,
    /// The recipe's rule for the source (`repeat 2.5`, `share 0.1`), if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What the rule comes to in numbers, if the recipe has a rule for any source of the mix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<Requested>,
    /// What the trainer gets of it, if that was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingRecord>,
}

/// What a trainer gets of a source in one mix, copies counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// Samples that it trains on: the rows of a tokens file.
    pub samples: u64,
    /// Their tokens, as the trainer encodes them.
    pub tokens: u64,
    /// Those of them that count for the loss.
    pub loss_tokens: u64,
    /// Samples that it leaves out, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
}

/// What a recipe requests of one source of one mix, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// What the numbers count.
    pub measure: Measure,
    /// The amount that a share or a budget requests; without either, what the source's copies come to.
    pub target: u64,
    /// The amount that this cut has before any repeat, share or budget.
    pub available: u64,
    /// The amount in the mix, copies counted.
    pub actual: u64,
    /// How far the source stays below its target because there is no more of it. (A sample that does not fit any more is
    /// no shortfall.)
    pub shortfall: u64,
}

/// What shares, budgets and the numbers of a [`Requested`] count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Tokens.
    #[default]
    Tokens,
    /// Samples.
    Samples,
    /// Tokens that count for the trainer's loss; samples that the trainer leaves out have none.
    LossTokens,
}

impl Measure {
    /// Its name in messages, tables and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Samples => "samples",
            Self::LossTokens => "loss_tokens",
        }
    }
}

/// One file of the mix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Its name in the output folder.
    pub name: String,
    /// What it is.
    pub kind: OutputKind,
    /// What its rows are; conversations if the manifest does not say it.
    #[serde(default, skip_serializing_if = "MixKind::is_chat")]
    pub mix: MixKind,
    /// The cut size of a mix or a validation file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<u32>,
    /// The format of a mix or a validation file: `messages`, `tokens`, `messages-parquet` or `tokens-parquet`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Its number of rows, if it has rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The sum of the token lengths of its rows, if they have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// The tokens that count for the loss, in a file of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_tokens: Option<u64>,
    /// Its size in bytes, as stored.
    pub bytes: u64,
    /// BLAKE3 of its bytes, as stored, in hexadecimal.
    pub digest: String,
}

/// What a file of the mix is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// `combined_cut_{N}x.jsonl` or `combined_cut_{N}x.cpt.jsonl`: a training file.
    Mix,
    /// `combined_cut_{N}x.validation.jsonl`: samples held out for validation.
    Validation,
    /// `metrics.json`
    Metrics,
    /// `report.html` and `summary.md`
    Report,
    /// `rejected.jsonl`: the rows that are not readable.
    Rejected,
    /// `README.md`: the dataset card.
    Card,
}
