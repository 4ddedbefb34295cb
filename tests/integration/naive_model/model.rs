//! Sections 3 to 7 of the data contract, as simply as possible: everything is compared by content, nothing is indexed.

use super::inputs::{REASONINGS, StoredFile};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use test_support::rows::SOURCES;

/// The settings that a random case varies.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    pub cut_sizes: Vec<u32>,
    pub qa_per_doc: usize,
    pub save_gpt_oss_format: bool,
    pub seed: u64,
    pub reasoning: &'static str,
    pub thinking: &'static str,
    /// Whether the chat template prints reasoning ([`REASONING_TEMPLATE`]), or else is the built-in one.
    pub prints_reasoning: bool,
    pub unmask: bool,
    pub training_columns: bool,
    pub compression: &'static str,
    pub infeasible_cuts: &'static str,
    pub skip_bad_rows: bool,
    pub shuffle: bool,
    /// Whether documents are made of the rows: `false`, `true` or `only`.
    pub documents: &'static str,
    pub raw_documents: bool,
}

/// ChatML that prints reasoning.
pub const REASONING_TEMPLATE: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n\
    {% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}";

impl ModelSettings {
    /// The key under which reasoning is written, if it is.
    fn reasoning_key(&self) -> Option<&'static str> {
        match (self.thinking, self.prints_reasoning) {
            ("always", _) => Some("thinking"),
            ("auto", true) => Some("reasoning_content"),
            _ => None,
        }
    }

    /// The suffix that compression appends to file names.
    pub fn suffix(&self) -> &'static str {
        match self.compression {
            "gzip" => ".gz",
            "zstd" => ".zst",
            _ => "",
        }
    }
}

/// Why a run fails.
#[derive(Debug, Clone, Copy)]
pub enum Refusal {
    NotFound,
    Data,
    NoFeasibleCut,
}

/// The counts of one source.
pub struct SourceCounts {
    pub name: String,
    pub read: u64,
    pub kept: u64,
    pub dropped: BTreeMap<String, u64>,
    pub reasoning_left_out: u64,
    pub documents: u64,
    pub summaries: u64,
}

/// The counts of one cut.
pub struct CutCounts {
    pub cut: u32,
    pub feasible: bool,
    pub written: bool,
    pub samples: u64,
    pub tokens: u64,
    pub shares: Vec<(String, u64, u64)>,
}

/// The expected result of a run.
pub struct Expected {
    pub mixes: BTreeMap<u32, Vec<Value>>,
    /// The document mixes.
    pub documents: BTreeMap<u32, Vec<Value>>,
    /// The samples and tokens of each source of each document mix.
    pub document_shares: BTreeMap<u32, Vec<(String, u64, u64)>>,
    pub inputs: Vec<(String, usize, String, u64)>,
    pub sources: Vec<SourceCounts>,
    pub cuts: Vec<CutCounts>,
    pub rejected: usize,
}

#[derive(Debug, Clone)]
struct Sample {
    source: &'static str,
    raw: String,
    summary: String,
    outline: String,
    question: String,
    response: String,
    thinking: String,
}

/// A document, and its rank within its raw document if cuts select it.
#[derive(Debug, Clone)]
struct Document {
    source: &'static str,
    raw: String,
    text: String,
    outline: String,
    rank: usize,
}

/// Why a row does not become a sample: it is unreadable, or nothing can be learned from it.
enum NoSample {
    Rejected(&'static str),
    Dropped(&'static str),
}

/// The model of one run.
pub struct Model<'m> {
    settings: &'m ModelSettings,
    files: &'m [StoredFile],
}

/// A column that is present and not null.
fn has<'r>(row: &'r Map<String, Value>, column: &str) -> Option<&'r Value> {
    row.get(column).filter(|value| !value.is_null())
}

fn is_summary_source(source: &str) -> bool {
    ["extractive_summary", "detailed_summary"].contains(&source)
}

impl<'m> Model<'m> {
    pub fn new(settings: &'m ModelSettings, files: &'m [StoredFile]) -> Self {
        Self { settings, files }
    }

    /// The expected mixes and counts, or why the run fails.
    #[expect(clippy::too_many_lines, reason = "a model reads best from top to bottom")]
    pub fn run(&self) -> Result<Expected, Refusal> {
        if self.files.is_empty() {
            return Err(Refusal::NotFound);
        }
        let mut samples: Vec<Sample> = Vec::new();
        let mut inputs = Vec::new();
        let mut sources = Vec::new();
        let mut rejected = 0;
        for source in SOURCES {
            let mut files: Vec<&StoredFile> = self.files.iter().filter(|file| file.source == source).collect();
            files.sort_by(|a, b| (a.input, a.key.as_bytes()).cmp(&(b.input, b.key.as_bytes())));
            let mut counts = SourceCounts {
                name: source.to_owned(),
                read: 0,
                kept: 0,
                dropped: BTreeMap::new(),
                reasoning_left_out: 0,
                documents: 0,
                summaries: 0,
            };
            let first = samples.len();
            for file in files {
                inputs.push((source.to_owned(), file.input, file.key.clone(), file.rows.len() as u64));
                for row in &file.rows {
                    counts.read += 1;
                    let reason = match self.sample(source, row) {
                        Ok(sample) => {
                            counts.kept += 1;
                            let left_out = !sample.thinking.is_empty() && self.settings.reasoning_key().is_none();
                            counts.reasoning_left_out += u64::from(left_out);
                            samples.push(sample);
                            continue;
                        }
                        Err(NoSample::Rejected(_)) if !self.settings.skip_bad_rows => return Err(Refusal::Data),
                        Err(NoSample::Rejected(reason)) => {
                            rejected += 1;
                            reason
                        }
                        Err(NoSample::Dropped(reason)) => reason,
                    };
                    *counts.dropped.entry(reason.to_owned()).or_default() += 1;
                }
            }
            let kept = &samples[first..];
            counts.documents =
                kept.iter().map(|s| &s.raw).filter(|raw| !raw.is_empty()).collect::<BTreeSet<_>>().len() as u64;
            counts.summaries = kept.iter().map(|s| (&s.raw, &s.summary)).collect::<BTreeSet<_>>().len() as u64;
            if counts.read > 0 {
                sources.push(counts);
            }
        }
        if samples.is_empty() {
            return Err(Refusal::Data);
        }
        let written = self.written(&samples)?;
        let ranks = self.ranks(&samples);
        let documents = self.documents(&samples);
        let chats = if self.settings.documents == "only" { 0 } else { samples.len() };
        let (order, document_order): (Vec<usize>, Vec<usize>) =
            self.order(chats + documents.len()).into_iter().partition(|at| *at < chats);
        let mut mixes = BTreeMap::new();
        let (mut document_mixes, mut document_shares) = (BTreeMap::new(), BTreeMap::new());
        let documents_of = |cut: u32| -> Vec<&Document> {
            let all = document_order.iter().map(|at| &documents[*at - chats]);
            all.filter(|document| document.rank < cut as usize).collect()
        };
        let mut cuts = Vec::new();
        for (cut, feasible, written) in written {
            let mut counts = CutCounts { cut, feasible, written, samples: 0, tokens: 0, shares: Vec::new() };
            if written && !documents.is_empty() {
                let selected = documents_of(cut);
                let mut shares: Vec<(String, u64, u64)> = Vec::new();
                for source in DOCUMENT_SOURCES {
                    let lengths: Vec<u64> =
                        selected.iter().filter(|d| d.source == source).map(|d| document_length(&d.text)).collect();
                    if !lengths.is_empty() {
                        shares.push((source.to_owned(), lengths.len() as u64, lengths.iter().sum()));
                    }
                }
                if chats == 0 {
                    counts.samples = selected.len() as u64;
                    counts.tokens = shares.iter().map(|share| share.2).sum();
                    counts.shares.clone_from(&shares);
                }
                document_shares.insert(cut, shares);
                document_mixes.insert(cut, selected.into_iter().map(|document| self.document_row(document)).collect());
            }
            if written && chats > 0 {
                let selected: Vec<&Sample> = order
                    .iter()
                    .filter(|at| {
                        ranks[**at].is_none_or(|(rank, pair)| rank < cut as usize && pair < self.settings.qa_per_doc)
                    })
                    .map(|at| &samples[*at])
                    .collect();
                for source in SOURCES {
                    let lengths: Vec<u64> =
                        selected.iter().filter(|s| s.source == source).map(|s| self.token_length(s)).collect();
                    if !lengths.is_empty() {
                        counts.shares.push((source.to_owned(), lengths.len() as u64, lengths.iter().sum()));
                    }
                }
                counts.samples = selected.len() as u64;
                counts.tokens = counts.shares.iter().map(|share| share.2).sum();
                let mut rows: Vec<Value> = selected.into_iter().map(|sample| self.row(sample)).collect();
                // The first row with reasoning comes first.
                let has_reasoning = |row: &Value| {
                    self.settings.reasoning_key().is_some_and(|key| row["messages"][1].get(key).is_some())
                };
                if let Some(first) = rows.iter().position(has_reasoning) {
                    let row = rows.remove(first);
                    rows.insert(0, row);
                }
                mixes.insert(cut, rows);
            }
            cuts.push(counts);
        }
        Ok(Expected { mixes, documents: document_mixes, document_shares, inputs, sources, cuts, rejected })
    }

    /// Sections 3 and 4.
    fn sample(&self, source: &'static str, row: &Value) -> Result<Sample, NoSample> {
        let row = row.as_object().ok_or(NoSample::Rejected("not_an_object"))?;
        let (summary, raw) = if source == "document_based_qa" {
            let raw =
                ["base_document", "raw_document", "document"].into_iter().find(|column| has(row, column).is_some());
            ("document", raw.unwrap_or("document"))
        } else if has(row, "summary").is_some() && has(row, "raw_document").is_none() {
            ("summary", "document")
        } else {
            ("document", "raw_document")
        };
        for column in ["question", "response", "document_outline", summary] {
            if !row.contains_key(column) {
                return Err(NoSample::Rejected("missing_column"));
            }
        }
        if is_summary_source(source) && has(row, raw).is_none() {
            return Err(NoSample::Rejected("missing_column"));
        }
        for column in ["question", "response", "document_outline", summary, raw] {
            if has(row, column).is_some_and(|value| !value.is_string()) {
                return Err(NoSample::Rejected("wrong_type"));
            }
        }
        let text = |column: &str| row.get(column).and_then(Value::as_str);
        const PLACEHOLDERS: [&str; 3] = ["...", "<question>", "<Insert question here>"];
        if self.settings.save_gpt_oss_format {
            let question = text("question").unwrap_or_default();
            if PLACEHOLDERS.iter().any(|placeholder| question.contains(placeholder)) {
                return Err(NoSample::Dropped("placeholder_question"));
            }
        }
        let question = text("question").ok_or(NoSample::Dropped("null_question"))?;
        let response = text("response").ok_or(NoSample::Dropped("null_response"))?;
        let outline = text("document_outline").ok_or(NoSample::Dropped("null_outline"))?;
        let summary = text(summary).ok_or(NoSample::Dropped("null_summary"))?;
        let response = response.replace("[END]", "").replace("[ANSWER]", "").trim().to_owned();
        if question.is_empty() {
            return Err(NoSample::Dropped("empty_question"));
        }
        if response.is_empty() {
            return Err(NoSample::Dropped("empty_response"));
        }
        Ok(Sample {
            source,
            raw: text(raw).unwrap_or_default().to_owned(),
            summary: summary.to_owned(),
            outline: outline.to_owned(),
            question: question.to_owned(),
            response,
            thinking: self.thinking(row),
        })
    }

    /// The reasoning of a row; empty if it has none.
    fn thinking(&self, row: &Map<String, Value>) -> String {
        let value = match self.settings.reasoning {
            "none" => None,
            "auto" => REASONINGS.into_iter().find_map(|column| has(row, column)),
            path => path.split('.').skip(1).fold(row.get(path.split('.').next().unwrap_or_default()), |value, step| {
                let value = value?;
                match step.parse::<usize>() {
                    Ok(index) if value.is_array() => value.get(index),
                    _ => value.get(step),
                }
            }),
        };
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Each cut, whether it is feasible, and whether it is written. Section 5.
    fn written(&self, samples: &[Sample]) -> Result<Vec<(u32, bool, bool)>, Refusal> {
        let feasible = |cut: u32| {
            ["extractive_summary", "detailed_summary"].into_iter().all(|source| {
                let of_source = || samples.iter().filter(|sample| sample.source == source);
                let documents: BTreeSet<&str> = of_source().map(|sample| sample.raw.as_str()).collect();
                let summaries: BTreeSet<(&str, &str)> =
                    of_source().map(|sample| (sample.raw.as_str(), sample.summary.as_str())).collect();
                summaries.len() >= cut as usize * documents.len()
            })
        };
        let mut sizes = self.settings.cut_sizes.clone();
        sizes.sort_unstable();
        sizes.dedup();
        let mut cuts: Vec<(u32, bool, bool)> =
            sizes.into_iter().map(|cut| (cut, feasible(cut), feasible(cut))).collect();
        if !samples.iter().any(|sample| is_summary_source(sample.source)) {
            cuts.iter_mut().skip(1).for_each(|cut| cut.2 = false);
        }
        match self.settings.infeasible_cuts {
            "keep" => cuts.iter_mut().filter(|cut| !cut.1).for_each(|cut| cut.2 = true),
            "fail" if cuts.iter().any(|cut| !cut.1) => return Err(Refusal::NoFeasibleCut),
            _ => {}
        }
        if cuts.iter().any(|cut| cut.2) { Ok(cuts) } else { Err(Refusal::NoFeasibleCut) }
    }

    /// For each sample of the summary sources: the rank of its summary, and the number of the pair within it.
    fn ranks(&self, samples: &[Sample]) -> Vec<Option<(usize, usize)>> {
        samples
            .iter()
            .enumerate()
            .map(|(at, sample)| {
                if !is_summary_source(sample.source) {
                    return None;
                }
                let of_document = || samples.iter().filter(|s| (s.source, &s.raw) == (sample.source, &sample.raw));
                let mine = self.hash(sample);
                let before: BTreeSet<&str> = of_document()
                    .filter(|s| (self.hash(s), &s.summary) < (mine.clone(), &sample.summary))
                    .map(|s| s.summary.as_str())
                    .collect();
                let same =
                    |s: &&Sample| (s.source, &s.raw, &s.summary) == (sample.source, &sample.raw, &sample.summary);
                Some((before.len(), samples[..at].iter().filter(same).count()))
            })
            .collect()
    }

    /// Each distinct context of each raw document once, then the raw documents that are no such context.
    fn documents(&self, samples: &[Sample]) -> Vec<Document> {
        let mut documents: Vec<Document> = Vec::new();
        if self.settings.documents != "false" {
            let ranks = self.ranks(samples);
            for (source, of) in DOCUMENT_SOURCES.into_iter().zip(SOURCES) {
                for (sample, rank) in samples.iter().zip(&ranks).filter(|(sample, _)| sample.source == of) {
                    let known = |d: &Document| (d.source, &d.raw, &d.text) == (source, &sample.raw, &sample.summary);
                    if sample.summary.is_empty() || documents.iter().any(known) {
                        continue;
                    }
                    let (raw, text, outline) = (sample.raw.clone(), sample.summary.clone(), sample.outline.clone());
                    documents.push(Document { source, raw, text, outline, rank: rank.map_or(0, |(rank, _)| rank) });
                }
            }
        }
        if self.settings.raw_documents {
            for sample in samples.iter().filter(|sample| !sample.raw.is_empty()) {
                let is_whole = |d: &Document| d.source != DOCUMENT_SOURCES[0] && d.source != DOCUMENT_SOURCES[1];
                if !documents.iter().any(|d| is_whole(d) && d.text == sample.raw) {
                    let (raw, outline) = (sample.raw.clone(), sample.outline.clone());
                    documents.push(Document { source: DOCUMENT_SOURCES[4], text: raw.clone(), raw, outline, rank: 0 });
                }
            }
        }
        documents
    }

    fn document_row(&self, document: &Document) -> Value {
        let Document { source, raw, text, outline, .. } = document;
        let token_length = document_length(text);
        if self.settings.training_columns {
            return json!({"document": text, "token_length": token_length});
        }
        let metadata = json!({"dataset": "document", "source": source});
        json!({
            "document": text,
            "document_outline": outline,
            "raw_document": raw,
            "metadata": metadata.to_string(),
            "token_length": token_length,
        })
    }

    /// The hash by which the summaries of a document are ranked.
    fn hash(&self, sample: &Sample) -> Vec<u8> {
        let mut bytes = Vec::new();
        let seed = self.settings.seed.to_le_bytes();
        for part in
            [b"km-rank-v1", &seed[..], sample.source.as_bytes(), sample.raw.as_bytes(), sample.summary.as_bytes()]
        {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        blake3::hash(&bytes).as_bytes()[..16].to_vec()
    }

    /// The positions of the samples in the order of the files.
    fn order(&self, samples: usize) -> Vec<usize> {
        use rand_chacha::rand_core::{Rng, SeedableRng};
        let mut order: Vec<usize> = (0..samples).collect();
        if self.settings.shuffle {
            let mut key = [0u8; 32];
            key[..13].copy_from_slice(b"km-shuffle-v1");
            key[24..].copy_from_slice(&self.settings.seed.to_le_bytes());
            let mut stream = rand_chacha::ChaCha8Rng::from_seed(key);
            let draws: Vec<u64> = order.iter().map(|_| stream.next_u64()).collect();
            order.sort_by_key(|at| (draws[*at], *at));
        }
        order
    }

    /// Section 6.
    fn row(&self, sample: &Sample) -> Value {
        let mut messages = json!([
            {"role": "user", "content": user(sample)},
            {"role": "assistant", "content": sample.response},
        ]);
        if self.settings.thinking == "always" {
            messages[0]["thinking"] = Value::Null;
        }
        if let Some(key) = self.settings.reasoning_key()
            && (self.settings.thinking == "always" || !sample.thinking.is_empty())
        {
            messages[1][key] = sample.thinking.as_str().into();
        }
        let (unmask, token_length) = (self.settings.unmask, self.token_length(sample));
        if self.settings.training_columns {
            return json!({"messages": messages, "unmask": unmask, "token_length": token_length});
        }
        let metadata = json!({
            "sdg_document": sample.summary,
            "dataset": "document_knowledge_qa",
            "raw_document": sample.raw,
            "source": sample.source,
        });
        json!({
            "question": sample.question,
            "document_outline": sample.outline,
            "raw_document": sample.raw,
            "document": sample.summary,
            "messages": messages,
            "metadata": metadata.to_string(),
            "unmask": unmask,
            "token_length": token_length,
        })
    }

    /// Section 7 for the built-in tokenizer, with its ChatML template, or the one that prints reasoning, written out.
    fn token_length(&self, sample: &Sample) -> u64 {
        let is_printed = self.settings.prints_reasoning && self.settings.reasoning_key().is_some();
        let thoughts = match sample.thinking.as_str() {
            "" => String::new(),
            _ if !is_printed => String::new(),
            thinking => format!("<think>{thinking}</think>"),
        };
        let (user, response) = (user(sample), &sample.response);
        let text =
            format!("<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n{thoughts}{response}<|im_end|>\n");
        builtin().encode(text, true).expect("any text can be encoded").len() as u64
    }
}

/// The sources of documents: of each of [`SOURCES`], and the raw documents.
const DOCUMENT_SOURCES: [&str; 5] =
    ["extractive_summary_cpt", "detailed_summary_cpt", "key_facts_cpt", "document_based_cpt", "raw_documents"];

fn builtin() -> &'static tokenizers::Tokenizer {
    static TOKENIZER: OnceLock<tokenizers::Tokenizer> = OnceLock::new();
    TOKENIZER.get_or_init(|| {
        let file = test_support::builtin_tokenizer("tokenizer.json");
        tokenizers::Tokenizer::from_bytes(file).expect("the built-in tokenizer is valid")
    })
}

/// The tokens of a document: those of the text, and an end-of-sequence token, which no text of these tests ends with.
fn document_length(text: &str) -> u64 {
    builtin().encode(text, true).expect("any text can be encoded").len() as u64 + 1
}

/// The content of the user message. Section 4.
fn user(sample: &Sample) -> String {
    let Sample { outline, summary, question, .. } = sample;
    if sample.source == "key_facts_to_qa" {
        format!("In {outline}, {question}")
    } else {
        format!("{outline}\n{summary}\n\n{question}")
    }
}
