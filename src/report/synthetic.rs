//! Made-up runs for the tests of the reports.

use super::example::{Example, Part, Role, Why};
use super::length_counts::LengthCounts;
use super::statistics::{
    CutSourceStatistics, CutStatistics, DocumentStatistics, FlagStatistics, FlaggedPair, SourceStatistics, Statistics,
};
use crate::manifest::{
    CutRecord, InputFile, MANIFEST_FORMAT, Manifest, Measure, MixKind, MixState, OutputFile, OutputKind, Preflight,
    Program, Requested, SettingsRecord, ShareRecord, SourceRecord, TokenizerRecord, TrainingRecord,
};
use crate::recipe::Flag;
use std::collections::BTreeMap;

/// The size of a run.
struct Shape {
    documents: u32,
    /// The smallest and largest number of summaries per document.
    summaries: (u32, u32),
    facts: u32,
    cuts: &'static [u32],
    /// The base-2 logarithm of the median token length.
    length: f64,
}

/// Three documents, an infeasible cut, a few dropped rows.
pub(crate) fn small() -> (Manifest, Statistics) {
    build(&Shape { documents: 3, summaries: (4, 7), facts: 11, cuts: &[2, 5], length: 8.6 }, &[50])
}

/// Forty documents, five cuts from 5 to 50.
pub(crate) fn typical() -> (Manifest, Statistics) {
    build(&Shape { documents: 40, summaries: (44, 62), facts: 9_000, cuts: &[5, 10, 20, 30, 50], length: 10.6 }, &[])
}

/// Three thousand documents with 1 to 110 summaries.
pub(crate) fn huge() -> (Manifest, Statistics) {
    build(&Shape { documents: 3000, summaries: (1, 110), facts: 120_000, cuts: &[5, 50], length: 10.9 }, &[100])
}

/// A typical run with a recipe that requests more general chats than there are.
pub(crate) fn with_recipe() -> (Manifest, Statistics) {
    let (mut manifest, mut statistics) = typical();
    manifest.settings.recipe = Some(serde_json::json!({
        "sources": {"general_chat": {"kind": "messages", "paths": ["general/*.jsonl"], "share": 0.1, "max_repeat": 2},
                    "key_facts_to_qa": {"repeat": 0.5}},
        "order": "shuffle"
    }));
    manifest.sources.push(SourceRecord {
        name: "general_chat".to_owned(),
        kind: "messages".to_owned(),
        made_of: Vec::new(),
        unwanted: BTreeMap::new(),
        read: 700,
        kept: 700,
        dropped: Default::default(),
        reasoning_left_out: 0,
        flagged: 0,
        flags: Default::default(),
        documents: 0,
        summaries: 0,
    });
    statistics.sources.push(SourceStatistics {
        name: "general_chat".to_owned(),
        read: 700,
        kept: 700,
        ..Default::default()
    });
    let mut random = Random(99);
    for (record, cut) in manifest.cuts.iter_mut().zip(&mut statistics.cuts) {
        let lengths = random.lengths(1400, 7.5);
        let tokens = lengths.tokens();
        let rest = cut.tokens();
        let source = CutSourceStatistics {
            name: "general_chat".to_owned(),
            rule: Some("share 0.1, at most 2 copies".to_owned()),
            requested: Some(Requested {
                measure: Measure::Tokens,
                target: rest / 9,
                available: tokens / 2,
                actual: tokens,
                shortfall: (rest / 9).saturating_sub(tokens),
            }),
            lengths,
        };
        cut.sources.push(source);
        let facts = cut.sources.iter_mut().find(|source| source.name == "key_facts_to_qa").unwrap();
        facts.rule = Some("repeat 0.5".to_owned());
        for source in cut.sources.iter_mut().filter(|source| source.requested.is_none()) {
            let actual = source.tokens();
            let available = if source.rule.is_some() { actual * 2 } else { actual };
            source.requested =
                Some(Requested { measure: Measure::Tokens, target: actual, available, actual, shortfall: 0 });
        }
        cut.validation = Some((40, 60_000));
        *record = cut_record(cut, record.feasible);
        record.sources.iter_mut().for_each(|source| source.training = Some(training_record(source)));
        record.preflight = Some(preflight(&record.training().unwrap()));
        record.sources.last_mut().unwrap().distinct = 700;
    }
    (manifest, statistics)
}

/// A small run that also writes document mixes of its summaries.
pub(crate) fn with_documents() -> (Manifest, Statistics) {
    let (mut manifest, mut statistics) = small();
    manifest.settings.documents = Some("true".to_owned());
    manifest.settings.block_size = Some(2048);
    for (cut, record) in statistics.cuts.iter().zip(&manifest.cuts) {
        let documents = document_statistics(cut);
        manifest.document_cuts.push(document_record(&documents, record));
        statistics.document_cuts.push(documents);
    }
    for at in 0..2 {
        let name = format!("{}_cpt", statistics.sources[at].name);
        let made = statistics.sources[at].summaries();
        let made_of = vec![statistics.sources[at].name.clone()];
        let kind = "document".to_owned();
        let dropped = BTreeMap::new();
        let record = manifest.sources[at].clone();
        manifest.sources.push(SourceRecord {
            name: name.clone(),
            kind,
            made_of,
            read: made,
            kept: made,
            dropped,
            ..record
        });
        statistics.sources.push(SourceStatistics { name, read: made, kept: made, ..Default::default() });
    }
    (manifest, statistics)
}

/// A small run that writes document mixes alone.
pub(crate) fn only_documents() -> (Manifest, Statistics) {
    let (mut manifest, mut statistics) = with_documents();
    manifest.cuts = std::mem::take(&mut manifest.document_cuts);
    statistics.cuts = std::mem::take(&mut statistics.document_cuts);
    manifest.outputs.iter_mut().for_each(|file| file.mix = MixKind::Document);
    (manifest, statistics)
}

/// The document mix of a cut: its summary sources, a document of each three samples.
fn document_statistics(cut: &CutStatistics) -> CutStatistics {
    let of_source = |source: &CutSourceStatistics| {
        let lengths = Random(3).lengths(source.samples() / 3, 7.5);
        CutSourceStatistics { name: format!("{}_cpt", source.name), lengths, ..Default::default() }
    };
    let sources = cut.sources[..2].iter().map(of_source).collect();
    CutStatistics { cut: cut.cut, sources, validation: Some((2, 300)) }
}

fn document_record(cut: &CutStatistics, beside: &CutRecord) -> CutRecord {
    let blocks = cut.tokens().div_ceil(2048);
    let preflight = Preflight {
        samples: cut.samples(),
        tokens: cut.tokens(),
        loss_tokens: cut.tokens() - blocks,
        blocks: Some(blocks),
        steps_per_epoch: Some(blocks.div_ceil(8)),
        ..Preflight::default()
    };
    CutRecord { mix: MixKind::Document, preflight: Some(preflight), ..cut_record(cut, beside.feasible) }
}

/// Text that an attacker might write.
pub(crate) const HOSTILE: &str = "<|im_start|>user\n</script><script>alert(1)</script><img src=x onerror=alert(2)>\n\
    {{ 7 * 7 }} &lt;b&gt; \"quoted\" 'single' `ticks` \u{202e}reversed\u{0} \u{1b}[31m]]>--><!--<|im_end|>\n";

/// A small run in which every text is hostile.
pub(crate) fn hostile() -> (Manifest, Statistics) {
    let (mut manifest, mut statistics) = small();
    statistics.warnings.push(HOSTILE.to_owned());
    statistics.counted_by = HOSTILE.to_owned();
    statistics.sources[0].dropped.push((HOSTILE.to_owned(), 1));
    manifest.sources[0].dropped.insert(HOSTILE.to_owned(), 1);
    for document in &mut statistics.sources[0].documents {
        document.outline = HOSTILE.repeat(20);
    }
    statistics.sources[1].name = HOSTILE.to_owned();
    manifest.sources[1].name = HOSTILE.to_owned();
    for (record, cut) in manifest.cuts.iter_mut().zip(&mut statistics.cuts) {
        cut.sources[1].name = HOSTILE.to_owned();
        cut.sources[1].rule = Some(HOSTILE.to_owned());
        record.sources[1].name = HOSTILE.to_owned();
    }
    manifest.inputs[0].key = HOSTILE.repeat(5);
    manifest.settings.reasoning = HOSTILE.to_owned();
    manifest.settings.recipe = Some(serde_json::json!({ HOSTILE: HOSTILE }));
    manifest.tokenizer.name = HOSTILE.to_owned();
    (manifest, statistics)
}

/// More sources than series colors, with long names.
pub(crate) fn many_sources() -> (Manifest, Statistics) {
    let (mut manifest, mut statistics) = small();
    for n in 0..8 {
        let name = format!("replayed_general_conversations_of_collection_{n}");
        manifest.sources.push(SourceRecord { name: name.clone(), ..manifest.sources[3].clone() });
        statistics.sources.push(SourceStatistics { name: name.clone(), ..statistics.sources[3].clone() });
        for (record, cut) in manifest.cuts.iter_mut().zip(&mut statistics.cuts) {
            cut.sources.push(CutSourceStatistics { name: name.clone(), ..cut.sources[3].clone() });
            *record = cut_record(cut, record.feasible);
        }
    }
    (manifest, statistics)
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
    fn between(&mut self, from: u32, to: u32) -> u32 {
        from + (self.next() % u64::from(to - from + 1)) as u32
    }
    fn length(&mut self, center: f64) -> u32 {
        // The sum of several draws is about normal, and token lengths are about log-normal.
        let bell = (0..6).map(|_| self.between(0, 1000) as f64 / 1000.0 - 0.5).sum::<f64>();
        2.0_f64.powf(center + bell * 1.1) as u32
    }
    fn lengths(&mut self, samples: u64, center: f64) -> LengthCounts {
        let mut counts = LengthCounts::default();
        (0..samples).for_each(|_| counts.add(self.length(center), 1));
        counts
    }
}

/// The sources of every run: name, kind, and how much longer their samples are, in powers of two.
const SOURCES: [(&str, &str, f64); 4] = [
    ("extractive_summary", "summary_qa", 0.0),
    ("detailed_summary", "summary_qa", 0.35),
    ("key_facts_to_qa", "fact_qa", -3.6),
    ("document_based_qa", "document_qa", 0.8),
];

fn build(shape: &Shape, infeasible: &[u32]) -> (Manifest, Statistics) {
    let mut random = Random(7);
    let sources: Vec<SourceStatistics> = (0..SOURCES.len()).map(|index| source(shape, index, &mut random)).collect();
    let records = sources.iter().enumerate().map(|(index, source)| SourceRecord {
        name: source.name.clone(),
        kind: SOURCES[index].1.to_owned(),
        made_of: Vec::new(),
        unwanted: BTreeMap::new(),
        read: source.read,
        kept: source.kept,
        dropped: source.dropped.iter().cloned().collect(),
        reasoning_left_out: 0,
        flagged: source.flagged,
        flags: source.flags.iter().map(|(flag, samples)| (flag.name().to_owned(), *samples)).collect(),
        documents: if index == 2 { 0 } else { u64::from(shape.documents) },
        summaries: source.summaries(),
    });
    let records = records.collect();
    let cuts: Vec<CutStatistics> = shape.cuts.iter().map(|cut| mix(shape, &sources, *cut)).collect();
    let mut cut_records: Vec<CutRecord> = cuts.iter().map(|cut| cut_record(cut, true)).collect();
    cut_records.extend(infeasible.iter().map(|cut| CutRecord {
        cut: *cut,
        mix: MixKind::Chat,
        feasible: false,
        written: false,
        samples: 0,
        tokens: 0,
        validation_samples: None,
        validation_tokens: None,
        sources: Vec::new(),
        preflight: None,
    }));
    let statistics = Statistics {
        sources,
        cuts,
        document_cuts: Vec::new(),
        flags: flags(),
        examples: examples(),
        warnings: warnings(infeasible),
        counted_by: "tokenizers with a word cache".to_owned(),
    };
    (manifest(records, cut_records), statistics)
}

fn source(shape: &Shape, index: usize, random: &mut Random) -> SourceStatistics {
    let mut source = SourceStatistics { name: SOURCES[index].0.to_owned(), ..Default::default() };
    if index < 2 {
        let document = |n| DocumentStatistics {
            number: n,
            outline: format!("Handbook of small harbours, chapter {}: lights, tides & moorings", n + 1),
            summaries: random.between(shape.summaries.0, shape.summaries.1),
        };
        source.documents = (0..shape.documents).map(document).collect();
    }
    source.kept = match index {
        0 | 1 => source.summaries() * 4,
        2 => u64::from(shape.facts),
        _ => u64::from(shape.documents) * 12,
    };
    source.dropped = match index {
        0 => vec![("empty response".to_owned(), source.kept / 60 + 2), ("placeholder question".to_owned(), 1)],
        1 => vec![("empty response".to_owned(), 3)],
        _ => Vec::new(),
    };
    source.read = source.kept + source.dropped_rows();
    if index == 0 {
        (source.flagged, source.flags) = (2, vec![(Flag::Ellipsis, 1), (Flag::Refusal, 2)]);
    }
    source
}

fn mix(shape: &Shape, sources: &[SourceStatistics], cut: u32) -> CutStatistics {
    let of_source = |(index, source): (usize, &SourceStatistics)| {
        let samples = match index {
            0 | 1 => source.documents.iter().map(|document| u64::from(document.summaries.min(cut))).sum::<u64>() * 3,
            _ => source.kept,
        };
        let lengths = Random(index as u64 + 1).lengths(samples, shape.length + SOURCES[index].2);
        CutSourceStatistics { name: source.name.clone(), lengths, ..Default::default() }
    };
    CutStatistics { cut, sources: sources.iter().enumerate().map(of_source).collect(), validation: None }
}

fn cut_record(cut: &CutStatistics, feasible: bool) -> CutRecord {
    let shares = cut.sources.iter().map(|source| ShareRecord {
        name: source.name.clone(),
        samples: source.samples(),
        tokens: source.tokens(),
        distinct: source.samples(),
        rule: source.rule.clone(),
        requested: source.requested,
        training: None,
    });
    CutRecord {
        cut: cut.cut,
        mix: MixKind::Chat,
        feasible,
        written: true,
        samples: cut.samples(),
        tokens: cut.tokens(),
        validation_samples: cut.validation.map(|(samples, _)| samples),
        validation_tokens: cut.validation.map(|(_, tokens)| tokens),
        sources: shares.collect(),
        preflight: None,
    }
}

/// Two samples of each source are too short for the trainer.
fn training_record(source: &ShareRecord) -> TrainingRecord {
    TrainingRecord {
        samples: source.samples - 2,
        tokens: source.tokens - 30,
        loss_tokens: source.tokens / 5,
        left_out: [("too_short".to_owned(), 2)].into(),
    }
}

fn preflight(training: &TrainingRecord) -> Preflight {
    Preflight {
        samples: training.samples - 5,
        tokens: training.tokens - 45_000,
        loss_tokens: training.loss_tokens - 9_000,
        dropped: [("too_short".to_owned(), 10), ("over_max_tokens_per_gpu".to_owned(), 5)].into(),
        steps_per_epoch: Some(training.samples / 128),
        steps: Some(training.samples / 128 * 2),
        tokens_per_step: Some(training.tokens / (training.samples / 128)),
        blocks: None,
        micro_batches: Some([training.tokens / 20_000, training.tokens / 10_000]),
        balance_percent: Some(71),
    }
}

fn warnings(infeasible: &[u32]) -> Vec<String> {
    let left_out = infeasible.iter().map(|cut| format!("cut {cut} is not feasible and is skipped"));
    left_out.chain(["folder `notes` is not a source and is skipped".to_owned()]).collect()
}

fn examples() -> Vec<Example> {
    let part = |role, text: &str, is_trained, elided| Part { role, text: text.to_owned(), is_trained, elided };
    let example = |source: &str, why, answer: &str, elided| {
        let question = "What does a skipper see who is too far north?";
        Example {
            source: source.to_owned(),
            why,
            tokens: 61 + elided as u32 / 4,
            loss_tokens: Some(9),
            flags: [Flag::Refusal].into_iter().filter(|_| why == Why::Flagged).collect(),
            parts: vec![
                part(None, "<|im_start|>user\n", false, 0),
                part(Some(Role::User), "Handbook of small harbours, chapter 1\nThe inner light", false, elided),
                part(Some(Role::User), " is red over the rocks.\n\n", false, 0),
                part(Some(Role::User), question, false, 0),
                part(None, "<|im_end|>\n<|im_start|>assistant\n", false, 0),
                part(Some(Role::Assistant), answer, true, 0),
                part(None, "<|im_end|>", true, 0),
            ],
        }
    };
    let mut examples = Vec::new();
    for (name, ..) in SOURCES {
        examples.push(example(name, Why::Shortest, "Red.", 0));
        examples.push(example(name, Why::Longest, "The red sector of the inner light.", 3_240));
        examples.push(example(name, Why::Flagged, "I'm sorry, but I cannot answer that.", 0));
    }
    examples[1].parts[1].text = HOSTILE.to_owned();
    examples[1].parts[5].text = "The tide turns twice a day. ".repeat(60);
    examples
}

fn flags() -> Vec<FlagStatistics> {
    let pair = |question: &str, answer: &str| FlaggedPair {
        source: SOURCES[0].0.to_owned(),
        question: question.to_owned(),
        answer: answer.to_owned(),
    };
    vec![
        FlagStatistics {
            flag: Flag::Ellipsis,
            samples: 1,
            dropped: 1,
            examples: vec![pair("What is ...?", "The inner light.")],
        },
        FlagStatistics {
            flag: Flag::Refusal,
            samples: 2,
            dropped: 0,
            examples: vec![pair("Who built it?", "I'm sorry, but I cannot answer that."), pair(HOSTILE, HOSTILE)],
        },
    ]
}

fn manifest(sources: Vec<SourceRecord>, cuts: Vec<CutRecord>) -> Manifest {
    let digest = |n: u64| blake3::hash(&n.to_le_bytes()).to_hex().to_string();
    let inputs = sources.iter().enumerate().map(|(index, source)| InputFile {
        source: source.name.clone(),
        key: "part-00000.jsonl.gz".to_owned(),
        folder: 0,
        bytes: source.read * 4_100 + 17,
        digest: digest(index as u64 + 1),
        rows: source.read,
    });
    let outputs = cuts.iter().filter(|cut| cut.written).map(|cut| OutputFile {
        name: format!("combined_cut_{}x.jsonl", cut.cut),
        kind: OutputKind::Mix,
        mix: MixKind::Chat,
        format: Some("messages".to_owned()),
        loss_tokens: None,
        cut: Some(cut.cut),
        rows: Some(cut.samples),
        tokens: Some(cut.tokens),
        bytes: cut.tokens * 9,
        digest: digest(u64::from(cut.cut) + 100),
    });
    Manifest {
        format: MANIFEST_FORMAT,
        state: MixState::Complete,
        run: "0123456789abcdef".into(),
        left_over: Vec::new(),
        program: Program { name: "knowledge-mixing".to_owned(), version: "0.1.0".to_owned() },
        settings: SettingsRecord {
            cut_sizes: cuts.iter().map(|cut| cut.cut).collect(),
            qa_per_doc: 3,
            save_gpt_oss_format: false,
            seed: 42,
            reasoning: "auto".to_owned(),
            thinking: "auto".to_owned(),
            unmask: None,
            columns: "full".to_owned(),
            compression: "none".to_owned(),
            infeasible_cuts: "drop".to_owned(),
            bad_rows: "fail".to_owned(),
            order: "natural".to_owned(),
            formats: vec!["messages".to_owned()],
            attention_mask: false,
            max_seq_len: None,
            max_tokens_per_gpu: None,
            effective_batch_size: None,
            gpus: None,
            epochs: None,
            block_size: None,
            documents: None,
            raw_documents: None,
            recipe: None,
        },
        tokenizer: TokenizerRecord {
            name: "builtin".to_owned(),
            digest: digest(77),
            rules: "auto".to_owned(),
            class: None,
            chat_template_digest: digest(78),
            chat_template_date: None,
        },
        inputs: inputs.collect(),
        outputs: outputs.collect(),
        sources,
        cuts,
        document_cuts: Vec::new(),
    }
}
