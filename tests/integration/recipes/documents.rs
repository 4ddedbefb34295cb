//! Document mixes: what a mix for continued pretraining holds, alone and beside a mix of conversations.

use super::program::{EXAMPLES, Mix, Rows, run, run_with};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use test_support::program::Sandbox;
use test_support::rows::lines;

const CUTS: [u32; 2] = [4, 8];

/// The source of documents of each source of pairs.
const SOURCES: [(&str, &str); 4] = [
    ("extractive_summary", "extractive_summary_cpt"),
    ("detailed_summary", "detailed_summary_cpt"),
    ("key_facts_to_qa", "key_facts_cpt"),
    ("document_based_qa", "document_based_cpt"),
];

/// Raw document and summary of each row.
fn contexts(rows: &Rows) -> Vec<(String, String)> {
    rows.0.iter().map(|row| (row.text("raw_document").to_owned(), row.text("document").to_owned())).collect()
}

fn distinct(rows: &Rows) -> BTreeSet<(String, String)> {
    contexts(rows).into_iter().collect()
}

/// The manifest's record of a cut's document mix.
fn record(mix: &Mix, cut: u32) -> Value {
    let manifest = mix.manifest();
    let cuts = manifest.get("document_cuts").or(manifest.get("cuts")).unwrap().as_array().unwrap();
    cuts.iter().find(|record| record["cut"] == cut).unwrap().clone()
}

#[test]
fn a_document_mix_has_each_summary_of_its_cut_once() {
    let mix = Mix::of_text("documents: true");
    for cut in CUTS {
        let (pairs, documents) = (mix.rows(cut), mix.documents(cut));
        for (of, source) in SOURCES {
            let of_source = documents.of(source);
            assert_eq!(of_source.len(), distinct(&of_source).len(), "cut {cut}: {source} repeats a document");
            assert_eq!(
                distinct(&of_source),
                distinct(&pairs.of(of)),
                "cut {cut}: {source} has other summaries than {of}"
            );
        }
        assert_eq!(documents.sources(), SOURCES.map(|(_, source)| source), "the sources have an order");
        let record = record(&mix, cut);
        assert_eq!((&record["samples"], &record["tokens"]), (&json!(documents.len()), &json!(documents.tokens())));
        let columns: Vec<&String> = documents.0[0].0.as_object().unwrap().keys().collect();
        assert_eq!(columns, ["document", "document_outline", "raw_document", "metadata", "token_length"]);
    }
    assert!(mix.documents(4).within(&mix.documents(8)), "a larger cut contains the smaller one");
    assert_eq!(run(&["verify", mix.path().to_str().unwrap()]).code, 0);
}

#[test]
fn documents_change_nothing_about_the_mix_of_conversations() {
    for order in ["natural", "shuffle"] {
        let chats = "sources: {general: {kind: messages, paths: [examples/chats/general.jsonl], share: 0.1}}";
        let text = format!("order: {order}\nsplit: {{validation: 0.2}}\n{chats}\n");
        let (without, with) =
            (Mix::of_text(&text), Mix::of_text(&format!("{text}documents: true\nraw_documents: once\n")));
        let only = Mix::of_text(&format!("{text}documents: only\nraw_documents: once\n"));
        let (without, with, only) = (without.files(), with.files(), only.files());
        for (name, bytes) in without.iter().filter(|(name, _)| name.starts_with("combined")) {
            assert!(*bytes == with[name], "{order}: {name}");
        }
        // Alone, the same documents; a shuffled order depends on what else is in the run.
        for (name, bytes) in only.iter().filter(|(name, _)| name.starts_with("combined")) {
            assert!(name.contains(".cpt."), "{name}");
            let sorted = |bytes: &[u8]| {
                let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                lines.sort();
                lines
            };
            assert!(sorted(bytes) == sorted(&with[name]), "{order}: {name}");
        }
    }
}

#[test]
fn raw_documents_are_added_once() {
    let mix = Mix::of_text("documents: true\nraw_documents: once\nsources: {document_based_cpt: {enabled: false}}");
    let documents = mix.documents(4);
    let raw = documents.of("raw_documents");
    let all: BTreeSet<String> = mix.rows(8).values("raw_document").into_iter().filter(|raw| !raw.is_empty()).collect();
    assert_eq!(raw.len(), all.len());
    assert_eq!(raw.values("document"), all);
    assert!(raw.0.iter().all(|row| row.text("document") == row.text("raw_document")));
    // A raw document that is a document already is not added.
    let mix = Mix::of_text("documents: true\nraw_documents: once");
    let documents = mix.documents(4);
    assert_eq!(documents.of("raw_documents").len(), 0);
    assert_eq!(documents.of("document_based_cpt").values("document"), all);
    // Without the summaries, they are a mix of their own.
    let mix = Mix::of_text("raw_documents: once");
    assert_eq!(mix.documents(4).values("document"), all);
    assert!(mix.documents(4) == mix.documents(8));
}

#[test]
fn no_raw_document_is_on_both_sides() {
    for seed in 0..6 {
        let mix =
            Mix::of_text(&format!("documents: true\nraw_documents: once\nseed: {seed}\nsplit: {{validation: 0.4}}"));
        for cut in CUTS {
            let sides = [(mix.rows(cut), mix.documents(cut)), (mix.validation(cut), mix.held_out_documents(cut))];
            let [train, held_out] = sides.map(|(pairs, documents)| {
                let outlines = [pairs.values("document_outline"), documents.values("document_outline")].concat_sets();
                let raw = [pairs.values("raw_document"), documents.values("raw_document")].concat_sets();
                (raw, outlines)
            });
            let known =
                |raw: &BTreeSet<String>| raw.iter().filter(|raw| !raw.is_empty()).cloned().collect::<BTreeSet<_>>();
            assert!(!held_out.0.is_empty());
            assert!(known(&train.0).is_disjoint(&known(&held_out.0)), "seed {seed}, cut {cut}");
            assert!(train.1.is_disjoint(&held_out.1), "seed {seed}, cut {cut}: outlines, which facts are known by");
        }
    }
}

trait ConcatSets {
    fn concat_sets(self) -> BTreeSet<String>;
}

impl ConcatSets for [BTreeSet<String>; 2] {
    fn concat_sets(self) -> BTreeSet<String> {
        self.into_iter().flatten().collect()
    }
}

#[test]
fn a_share_of_general_text_is_met_within_one_document() {
    let mix = Mix::of_text(
        "documents: true\nsources: {general: {kind: document, column: text, paths: [examples/texts/general.jsonl], share: 0.1, max_repeat: 9}}",
    );
    let all = Mix::of_text("sources: {general: {kind: document, column: text, paths: [examples/texts/general.jsonl]}}");
    let longest = all.documents(4).longest();
    for cut in CUTS {
        let documents = mix.documents(cut);
        let general = documents.of("general");
        let target = (documents.tokens() - general.tokens()) as f64 / 9.0;
        assert!(general.tokens() as f64 <= target + 1.0, "cut {cut}: {} of {target}", general.tokens());
        assert!((general.tokens() + longest) as f64 > target, "cut {cut}: {} of {target}", general.tokens());
        assert_eq!(mix.rows(cut).of("general").len(), 0, "text is no conversation");
    }
    assert!(mix.documents(4).within(&mix.documents(8)));
}

#[test]
fn a_budget_applies_to_each_mix() {
    let mix = Mix::of_text("documents: true\nbudget: {tokens: 3k}");
    for cut in CUTS {
        for rows in [mix.rows(cut), mix.documents(cut)] {
            assert!((2_000..=3_000).contains(&rows.tokens()), "{}", rows.tokens());
        }
    }
    let mix = Mix::of_text("documents: true\nbudget: {loss_tokens: 3k}");
    assert!((2_000..=3_000).contains(&mix.documents(4).tokens()), "every token of a document is trained");
}

/// The rows of the examples as the generator leaves them when it stops after the summaries.
fn cpt_rows(of: &str) -> Vec<Value> {
    let recipe =
        "input: [examples/step_02]\ntokenizer_model: builtin\nqa_per_doc: 1\ncut_sizes: [50]\ninfeasible_cuts: keep";
    let mix = Mix::of(recipe, &[]);
    let mut seen = BTreeSet::new();
    let row = |row: &super::program::Row| {
        let [outline, raw, text] = ["document_outline", "raw_document", "document"].map(|column| row.text(column));
        seen.insert((raw.to_owned(), text.to_owned())).then(|| match raw {
            "" => json!({"document_outline": outline, "document": text}),
            _ => json!({"document_outline": outline, "raw_document": raw, "document": text, "domain": "x"}),
        })
    };
    mix.rows(50).of(of).0.iter().filter_map(row).collect()
}

#[test]
fn rows_that_stop_after_the_summaries_give_the_same_document_mix() {
    let sandbox = Sandbox::new();
    for (of, source) in SOURCES {
        sandbox.write(&format!("cpt/{source}/gen.jsonl"), lines(&cpt_rows(of)));
    }
    let input = sandbox.path("cpt");
    let recipe = format!("input: [{}]\ntokenizer_model: builtin\ncut_sizes: [4, 8, 50]\n", input.display());
    let (alone, made) = (Mix::of(&recipe, &[]), Mix::of_text("documents: true"));
    assert!(alone.warnings.contains("cut 50 is not feasible"), "the documents decide: {}", alone.warnings);
    assert!(!alone.warnings.contains("not found"), "no pairs are missing: {}", alone.warnings);
    for cut in CUTS {
        let sorted = |mut rows: Rows| {
            rows.0.sort_by_key(|row| row.key());
            rows
        };
        assert!(sorted(alone.documents(cut)) == sorted(made.documents(cut)), "cut {cut}");
    }
    let manifest = alone.manifest();
    assert_eq!(manifest["cuts"][0]["mix"], "document");
    assert_eq!(manifest["sources"].as_array().unwrap().len(), 4, "nothing of the pairs");
    // Beside pairs, rows of its own win.
    let both = Mix::of(
        &format!("{recipe}documents: true\n"),
        &["--input", "examples/step_02", "--input", input.to_str().unwrap()],
    );
    assert!(both.warnings.contains("source key_facts_cpt has rows of its own"), "{}", both.warnings);
    assert_eq!(both.documents(4).len(), made.documents(4).len());
}

#[test]
fn upstreams_variable_makes_document_mixes() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let arguments = ["mix", "--recipe", EXAMPLES, "--output", output.to_str().unwrap(), "--formats", "messages,tokens"];
    let ended = run_with(&[("GENERATE_CPT", "True")], &arguments);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let rows = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(output.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (documents, tokens) = (rows("combined_cut_4x.cpt.jsonl"), rows("combined_cut_4x.cpt.tokens.jsonl"));
    assert_eq!(documents.len(), tokens.len());
    for (document, tokens) in documents.iter().zip(&tokens) {
        assert_eq!(document["token_length"], tokens["len"]);
        assert_eq!(tokens["len"], tokens["input_ids"].as_array().unwrap().len());
        assert_eq!(tokens.as_object().unwrap().len(), 2);
    }
    let error = run_with(&[("GENERATE_CPT", "maybe")], &arguments);
    assert_eq!(error.code, 2);
    assert!(
        error.stderr.contains("GENERATE_CPT (or --documents): invalid value `maybe`: expected false or true or only"),
        "{}",
        error.stderr
    );
}

#[test]
fn exact_duplicates_of_documents_are_dropped() {
    let paths = "[examples/texts/general.jsonl, examples/texts/general.jsonl]";
    let source = format!("sources: {{general: {{kind: document, column: text, paths: {paths}}}}}\n");
    let mix = Mix::of_text(&source);
    assert_eq!(mix.documents(4).of("general").len(), 14, "every row of a text that is not sampled");
    let mix = Mix::of_text(&format!("{source}filter: {{duplicates: drop}}"));
    assert_eq!(mix.documents(4).of("general").len(), 7);
    let general =
        mix.manifest()["sources"].as_array().unwrap().iter().find(|source| source["name"] == "general").cloned();
    assert_eq!(general.unwrap()["dropped"]["duplicate"], 7);
}

#[test]
fn documents_are_not_filtered_by_the_length_of_conversations() {
    let mix = Mix::of_text("documents: true\nfilter: {max_tokens: 60, min_response_chars: 5}");
    let plain = Mix::of_text("documents: true");
    assert!(mix.rows(4).len() < plain.rows(4).len());
    assert!(mix.documents(4) == plain.documents(4));
}

#[test]
fn preflight_counts_blocks() {
    let flags = ["--block-size", "512", "--effective-batch-size", "4", "--epochs", "3"];
    for text in ["documents: true", "documents: only"] {
        let mix = Mix::of(&format!("{EXAMPLES}{text}"), &flags);
        for cut in CUTS {
            let tokens = mix.documents(cut).tokens();
            let preflight = &record(&mix, cut)["preflight"];
            let blocks = tokens.div_ceil(512);
            let steps = blocks.div_ceil(4);
            assert_eq!(preflight["blocks"], blocks);
            assert_eq!((&preflight["steps_per_epoch"], &preflight["steps"]), (&json!(steps), &json!(steps * 3)));
            assert_eq!(preflight["tokens_per_step"], tokens / steps);
        }
        for report in ["report.html", "summary.md"] {
            assert!(mix.read(report).contains("is_pretraining=True"), "{text}: {report} has the call");
        }
    }
    let without = Mix::of(EXAMPLES, &flags[..2]);
    assert!(without.warnings.contains("--block-size has no effect"), "{}", without.warnings);
}

/// Made documents are no rows of the input: they count nowhere as rows, and no sign of a broken question counts twice.
#[test]
fn made_documents_change_no_figure_of_rows() {
    let of_rows = |mix: &Mix| -> BTreeMap<String, Value> {
        let metrics: BTreeMap<String, Value> = serde_json::from_str(&mix.read("metrics.json")).unwrap();
        metrics.into_iter().filter(|(name, _)| name.starts_with("rows.")).collect()
    };
    let (without, with) = (Mix::of_text(""), Mix::of_text("documents: true"));
    assert_eq!(of_rows(&with), of_rows(&without));
    assert!(of_rows(&with)["rows.flagged"].as_u64() > Some(0));
    for mix in [&without, &with] {
        let page = mix.read("report.html");
        assert!(page.contains("6 files of 4 sources"), "made sources have no files");
        // Both sources of summaries have the same six raw documents.
        assert!(page.contains("of 6, for cut 8x"));
    }
    let only = Mix::of_text("documents: only");
    assert_eq!(of_rows(&only)["rows.flagged"], 0);
    assert!(only.read("report.html").contains("No document contains a control token"));
}

#[test]
fn what_a_run_of_documents_alone_ignores_is_named() {
    let mix = Mix::of_text(
        "documents: only\nsources:\n  extractive_summary: {repeat: 2}\n  \
         general: {kind: messages, paths: [examples/chats/general.jsonl]}",
    );
    for warning in [
        "source extractive_summary: its amount means nothing with documents: only; give that of extractive_summary_cpt",
        "source general is in no mix: documents: only writes no conversations",
    ] {
        assert!(mix.warnings.contains(warning), "{}", mix.warnings);
    }
    assert!(!mix.warnings.contains("not found"), "{}", mix.warnings);
}

#[test]
fn reports_say_that_conversations_are_no_documents() {
    let (chats, documents) = (Mix::of_text(""), Mix::of_text("documents: only"));
    for report in ["report.html", "summary.md", "README.md"] {
        assert!(chats.read(report).contains("--documents"), "{report}");
        assert!(!documents.read(report).contains("holds conversations"), "{report}");
    }
    assert!(
        !Mix::of_text("columns: training").read("report.html").contains("holds conversations"),
        "no column document"
    );
}

/// Rows of three kinds in one file.
fn one_file() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    let row = |number: usize, kind: Option<&str>, score: Value| {
        let mut row = json!({"question": format!("q{number}?"), "response": "yes", "document_outline": "o", "raw_document": "r",
            "document": format!("s{number}"), "score": score});
        if let Some(kind) = kind {
            row["type"] = kind.into();
        }
        row
    };
    let rows = [
        row(1, Some("a"), json!("2.0")),
        row(2, Some("b"), json!(1)),
        row(3, Some("c"), json!(null)),
        row(4, None, json!("2.0")),
        row(5, Some("a"), json!(0.5)),
        row(6, Some("c"), json!(3)),
    ];
    sandbox.write("in/mixed/x.jsonl", lines(&rows));
    let input = format!("input: [{}]\ntokenizer_model: builtin\ncut_sizes: [1]\n", sandbox.path("in").display());
    (sandbox, input)
}

fn read_by_source(mix: &Mix) -> BTreeMap<String, u64> {
    let manifest = mix.manifest();
    let sources = manifest["sources"].as_array().unwrap().iter();
    sources.map(|source| (source["name"].as_str().unwrap().to_owned(), source["read"].as_u64().unwrap())).collect()
}

#[test]
fn sources_share_a_file_and_what_nobody_wants_is_named() {
    let (_sandbox, input) = one_file();
    let mix = Mix::of(
        &format!(
            "{input}sources:
  extractive_summary: {{folder: mixed, where: {{column: type, equals: a}}}}
  detailed_summary: {{folder: mixed, where: {{column: type, in: [b, x]}}}}
  rated: {{kind: document, folder: mixed, where: {{column: score, at_least: 2, at_most: 2.5}}}}
"
        ),
        &[],
    );
    let read = read_by_source(&mix);
    assert_eq!((read["extractive_summary"], read["detailed_summary"], read["rated"]), (2, 1, 2));
    assert!(mix.warnings.contains("warning: 2 rows belong to no source: 2 type=c"), "{}", mix.warnings);
    let manifest = mix.manifest();
    assert_eq!(manifest["sources"][0]["unwanted"], json!({"type=c": 2}));
    assert_eq!(manifest["inputs"].as_array().unwrap().len(), 3, "the file once for each source");
}

#[test]
fn a_condition_that_no_row_meets_is_a_warning() {
    let (_sandbox, input) = one_file();
    let mix = Mix::of(
        &format!(
            "{input}sources:
  extractive_summary: {{folder: mixed, where: {{column: type, equals: a}}}}
  detailed_summary: {{folder: mixed, where: {{column: typ, equals: b}}}}
"
        ),
        &[],
    );
    assert!(
        mix.warnings.contains("warning: source detailed_summary: no row meets its condition on `typ`"),
        "{}",
        mix.warnings
    );
    assert!(
        mix.warnings.contains("4 rows belong to no source: 2 type=c, 1 type missing, 1 type=b"),
        "{}",
        mix.warnings
    );
}
