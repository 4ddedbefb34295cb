//! Runs made of nothing, for the tests of the reports: a small one, a usual one, a huge one.

use super::statistics::{
    CutSourceStatistics, CutStatistics, DocumentStatistics, Example, SourceStatistics, Statistics,
};
use crate::manifest::{
    CutRecord, InputFile, MANIFEST_FORMAT, Manifest, Measure, MixSettings, OutputFile, OutputKind, Program, Requested,
    ShareRecord, SourceRecord, TokenizerRecord,
};

/// How much of everything a run has.
struct Shape {
    documents: u32,
    /// Summaries of a document: from, to.
    summaries: (u32, u32),
    facts: u32,
    cuts: &'static [u32],
    /// Shifts all lengths: about 2 to the power of `length`.
    length: f64,
}

/// Three documents, a cut that is not feasible, some drops.
pub(crate) fn small() -> (Manifest, Statistics) {
    build(&Shape { documents: 3, summaries: (4, 7), facts: 11, cuts: &[2, 5], length: 8.6 }, &[50])
}

/// Forty documents, cuts 5 and 50 and three more.
pub(crate) fn typical() -> (Manifest, Statistics) {
    build(&Shape { documents: 40, summaries: (44, 62), facts: 9_000, cuts: &[5, 10, 20, 30, 50], length: 10.6 }, &[])
}

/// Three thousand documents of very different sizes.
pub(crate) fn huge() -> (Manifest, Statistics) {
    build(&Shape { documents: 3000, summaries: (1, 110), facts: 120_000, cuts: &[5, 50], length: 10.9 }, &[100])
}

/// A usual run with a recipe that replays general chats, more of them than there are.
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
        read: 700,
        kept: 700,
        dropped: Default::default(),
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
        let mut lengths: Vec<u32> = (0..1400).map(|_| random.length(7.5)).collect();
        lengths.sort_unstable();
        let tokens: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
        let rest = cut.tokens();
        let source = CutSourceStatistics {
            name: "general_chat".to_owned(),
            distinct: 700,
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
            let got = source.tokens();
            let available = if source.rule.is_some() { got * 2 } else { got };
            source.requested = Some(Requested { measure: Measure::Tokens, target: got, available, actual: got, shortfall: 0 });
        }
        cut.validation = Some((40, 60_000));
        *record = cut_record(cut, record.feasible);
    }
    (manifest, statistics)
}

/// Texts as an enemy would write them.
pub(crate) const HOSTILE: &str = "<|im_start|>user\n</script><script>alert(1)</script><img src=x onerror=alert(2)>\n\
    {{ 7 * 7 }} &lt;b&gt; \"quoted\" 'single' `ticks` \u{202e}reversed\u{0} \u{1b}[31m]]>--><!--<|im_end|>\n";

/// A small run in which an enemy wrote every text.
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

/// More sources than there are colours, with long names.
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
        // The sum of several draws looks like a bell, and 2 to its power like lengths do.
        let bell = (0..6).map(|_| self.between(0, 1000) as f64 / 1000.0 - 0.5).sum::<f64>();
        2.0_f64.powf(center + bell * 1.1) as u32
    }
}

fn build(shape: &Shape, infeasible: &[u32]) -> (Manifest, Statistics) {
    let mut random = Random(7);
    let names = ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"];
    let shifts = [0.0, 0.35, -3.6, 0.8];
    let kinds = ["summary_qa", "summary_qa", "fact_qa", "document_qa"];
    let mut sources = Vec::new();
    let mut records = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let mut source = SourceStatistics { name: (*name).to_owned(), ..Default::default() };
        if place < 2 {
            source.documents = (0..shape.documents)
                .map(|n| DocumentStatistics {
                    outline: format!("Handbook of small harbours, chapter {}: lights, tides & moorings", n + 1),
                    summaries: random.between(shape.summaries.0, shape.summaries.1),
                })
                .collect();
        }
        source.kept = match place {
            0 | 1 => source.summaries() * 4,
            2 => u64::from(shape.facts),
            _ => u64::from(shape.documents) * 12,
        };
        source.dropped = match place {
            0 => vec![("empty response".to_owned(), source.kept / 60 + 2), ("placeholder question".to_owned(), 1)],
            1 => vec![("empty response".to_owned(), 3)],
            _ => Vec::new(),
        };
        source.read = source.kept + source.dropped_rows();
        records.push(SourceRecord {
            name: source.name.clone(),
            kind: kinds[place].to_owned(),
            read: source.read,
            kept: source.kept,
            dropped: source.dropped.iter().cloned().collect(),
            documents: if place == 2 { 0 } else { u64::from(shape.documents) },
            summaries: if place < 2 { source.summaries() } else { 0 },
        });
        sources.push(source);
    }
    let mut cuts = Vec::new();
    for cut in shape.cuts {
        let of_sources = names.iter().enumerate().map(|(place, name)| {
            let samples = match place {
                0 | 1 => sources[place].documents.iter().map(|d| u64::from(d.summaries.min(*cut))).sum::<u64>() * 3,
                _ => sources[place].kept,
            };
            let mut random = Random(place as u64 + 1);
            let mut lengths: Vec<u32> = (0..samples).map(|_| random.length(shape.length + shifts[place])).collect();
            lengths.sort_unstable();
            let name = (*name).to_owned();
            CutSourceStatistics { name, lengths, distinct: samples, ..Default::default() }
        });
        cuts.push(CutStatistics { cut: *cut, sources: of_sources.collect(), validation: None });
    }
    let mut cut_records: Vec<CutRecord> = cuts.iter().map(|cut| cut_record(cut, true)).collect();
    cut_records.extend(infeasible.iter().map(|cut| CutRecord {
        cut: *cut,
        feasible: false,
        written: false,
        samples: 0,
        tokens: 0,
        validation_samples: None,
        validation_tokens: None,
        sources: Vec::new(),
    }));
    let statistics = Statistics {
        sources,
        cuts,
        examples: examples(&names),
        warnings: warnings(infeasible),
        counted_by: "fastokens, checked against tokenizers".to_owned(),
    };
    (manifest(records, cut_records), statistics)
}

fn cut_record(cut: &CutStatistics, feasible: bool) -> CutRecord {
    let shares = cut.sources.iter().map(|source| ShareRecord {
        name: source.name.clone(),
        samples: source.samples(),
        tokens: source.tokens(),
        distinct: source.distinct,
        rule: source.rule.clone(),
        requested: source.requested,
    });
    CutRecord {
        cut: cut.cut,
        feasible,
        written: true,
        samples: cut.samples(),
        tokens: cut.tokens(),
        validation_samples: cut.validation.map(|(samples, _)| samples),
        validation_tokens: cut.validation.map(|(_, tokens)| tokens),
        sources: shares.collect(),
    }
}

fn warnings(infeasible: &[u32]) -> Vec<String> {
    let left_out = infeasible.iter().map(|cut| format!("cut {cut} is not feasible and is left out"));
    left_out.chain(["folder `notes` is no source and is passed over".to_owned()]).collect()
}

fn examples(names: &[&str]) -> Vec<Example> {
    let mut examples = Vec::new();
    for name in names {
        let text = format!(
            "<|im_start|>user\nHandbook of small harbours, chapter 1\nThe inner light shows white over the fairway \
             and red over the rocks of {name}.\n\nWhat does a skipper see who is too far north?<|im_end|>\n\
             <|im_start|>assistant\nThe red sector of the inner light.<|im_end|>\n"
        );
        examples.push(Example { source: (*name).to_owned(), text, tokens: 61 });
        let long = format!("<|im_start|>user\n{}<|im_end|>\n", "The tide turns twice a day. ".repeat(120));
        examples.push(Example { source: (*name).to_owned(), text: long, tokens: 848 });
    }
    examples[1] = Example { source: names[0].to_owned(), text: HOSTILE.to_owned(), tokens: 88 };
    examples
}

fn manifest(sources: Vec<SourceRecord>, cuts: Vec<CutRecord>) -> Manifest {
    let digest = |n: u64| blake3::hash(&n.to_le_bytes()).to_hex().to_string();
    let inputs = sources.iter().enumerate().map(|(place, source)| InputFile {
        source: source.name.clone(),
        key: "part-00000.jsonl.gz".to_owned(),
        folder: 0,
        bytes: source.read * 4_100 + 17,
        digest: digest(place as u64 + 1),
        rows: source.read,
    });
    let outputs = cuts.iter().filter(|cut| cut.written).map(|cut| OutputFile {
        name: format!("combined_cut_{}x.jsonl", cut.cut),
        kind: OutputKind::Mix,
        cut: Some(cut.cut),
        rows: Some(cut.samples),
        tokens: Some(cut.tokens),
        bytes: cut.tokens * 9,
        digest: digest(u64::from(cut.cut) + 100),
    });
    Manifest {
        format: MANIFEST_FORMAT,
        program: Program { name: "knowledge-mixing".to_owned(), version: "0.1.0".to_owned() },
        settings: MixSettings {
            cut_sizes: cuts.iter().map(|cut| cut.cut).collect(),
            qa_per_doc: 3,
            save_gpt_oss_format: false,
            seed: 42,
            reasoning: "auto".to_owned(),
            columns: "full".to_owned(),
            compression: "none".to_owned(),
            infeasible_cuts: "drop".to_owned(),
            bad_rows: "fail".to_owned(),
            order: "natural".to_owned(),
            recipe: None,
        },
        tokenizer: TokenizerRecord {
            name: "builtin".to_owned(),
            digest: digest(77),
            chat_template_digest: digest(78),
            chat_template_date: None,
        },
        inputs: inputs.collect(),
        outputs: outputs.collect(),
        sources,
        cuts,
    }
}
