//! Random step_02 folders with rows of every generation in files of every kind, and random settings.

use super::model::ModelSettings;
use crate::in_process;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::PathBuf;
use test_support::program::Sandbox;
use test_support::rows::{SOURCES, lines, parquet};

/// One row, as small numbers: a failing case shrinks to something readable.
#[derive(Debug, Clone)]
pub struct RowSpec {
    generation: u8,
    document: u8,
    summary: u8,
    outline: u8,
    question: u8,
    response: u8,
    reasoning: u8,
    /// The defect of the row; 0 for most rows.
    defect: u8,
}

/// One file of a source folder.
#[derive(Debug, Clone)]
pub struct FileSpec {
    input: usize,
    source: usize,
    folder: &'static str,
    extension: &'static str,
    array: bool,
    rows: Vec<RowSpec>,
}

/// An input and the settings to mix it with.
#[derive(Debug, Clone)]
pub struct Case {
    pub files: Vec<FileSpec>,
    pub settings: ModelSettings,
    pub threads: usize,
}

/// A file as the model reads it.
#[derive(Debug, Clone)]
pub struct StoredFile {
    pub source: &'static str,
    pub input: usize,
    pub key: String,
    pub rows: Vec<Value>,
}

fn row_specs() -> impl Strategy<Value = RowSpec> {
    // Few rows have a defect. Few documents and summaries, so that rows share them.
    let defect = prop_oneof![60 => Just(0u8), 1 => 1u8..16];
    (0u8..5, 0u8..3, 0u8..5, 0u8..3, 0u8..14, 0u8..14, 0u8..10, defect).prop_map(
        |(generation, document, summary, outline, question, response, reasoning, defect)| RowSpec {
            generation,
            document,
            summary,
            outline,
            question,
            response,
            reasoning,
            defect,
        },
    )
}

fn file_specs() -> impl Strategy<Value = FileSpec> {
    let folders = select(vec!["", "", "a", "b/", "a/", "Z/deep/", "é", "a-"]);
    let extensions = select(vec![
        "jsonl",
        "jsonl",
        "ndjson",
        "json",
        "parquet",
        "jsonl.gz",
        "ndjson.zst",
        "json.gz",
        "json.zst",
        "parquet.zst",
    ]);
    (0usize..2, 0usize..4, folders, extensions, any::<bool>(), vec(row_specs(), 0..20)).prop_map(
        |(input, source, folder, extension, array, rows)| FileSpec { input, source, folder, extension, array, rows },
    )
}

fn settings() -> impl Strategy<Value = ModelSettings> {
    let seeds = prop_oneof![Just(42u64), Just(0), Just((1 << 53) - 1), 0u64..1 << 53];
    let reasonings =
        select(vec!["auto", "auto", "none", "reasoning", "response_dict.0.reasoning_content", "nowhere.at.all"]);
    (
        (vec(1u32..5, 1..4), 1usize..4, any::<bool>(), seeds, reasonings),
        (any::<bool>(), select(vec!["none", "none", "gzip", "zstd"]), select(vec!["drop", "keep", "keep", "fail"])),
        (prop_oneof![Just(true), Just(true), Just(false)], any::<bool>()),
        (select(vec!["auto", "auto", "always", "never"]), any::<bool>(), any::<bool>()),
        (select(vec!["false", "true", "only"]), any::<bool>()),
    )
        .prop_map(
            |(
                (cut_sizes, qa_per_doc, save_gpt_oss_format, seed, reasoning),
                (training_columns, compression, infeasible_cuts),
                (skip_bad_rows, shuffle),
                (thinking, prints_reasoning, unmask),
                (documents, raw_documents),
            )| {
                ModelSettings {
                    cut_sizes,
                    qa_per_doc,
                    save_gpt_oss_format,
                    seed,
                    reasoning,
                    thinking,
                    prints_reasoning,
                    unmask,
                    training_columns,
                    compression,
                    infeasible_cuts,
                    skip_bad_rows,
                    shuffle,
                    documents,
                    raw_documents,
                }
            },
        )
}

/// Random cases.
pub fn cases() -> impl Strategy<Value = Case> {
    (vec(file_specs(), 1..10), settings(), select(vec![1usize, 2, 5])).prop_map(|(files, settings, threads)| Case {
        files,
        settings,
        threads,
    })
}

const QUESTIONS: [&str; 14] = [
    "When is the lamp lit?",
    "Who trims it?",
    "What is \"written\" down,\nand where?",
    "What comes ... next?",
    "<question>",
    "Say: <Insert question here>",
    "",
    " ",
    "Wann wird die Lampe gel\u{f6}scht? \u{1f5fc}",
    "<|im_end|>\n<|im_start|>system",
    "tab\tand \u{0} nul and \u{7f}",
    "\u{2028}line\u{2029}separators\u{feff}",
    "How many ships pass?",
    "back\\slash / and </script>",
];

const RESPONSES: [&str; 14] = [
    "At dusk.",
    "The keeper on watch. [END]",
    "[ANSWER] The hour, the wind.[END]",
    "[END]",
    " [ANSWER]\n[END]\u{a0}\u{3000}",
    "",
    "\u{2003}\u{85}Trimmed?\u{202f}\r\n",
    "a[END]b[END]c",
    "[end] [ANSWER",
    "Am Morgen \u{2013} um f\u{fc}nf.",
    "\"quoted\" and \\u0041 and \u{1}",
    "<|endoftext|>",
    "1\n2\n3",
    "The same.",
];

/// The columns in which a row may have its reasoning, in the order in which they are tried.
pub(super) const REASONINGS: [&str; 6] = [
    "parse_response_dict_reasoning_content",
    "response_reasoning_content",
    "extract_answers_reasoning_content",
    "extract_answer_reasoning_content",
    "reasoning_content",
    "reasoning",
];

/// A row of one of five generations; with a `defect`, the program drops or rejects it.
#[expect(clippy::too_many_lines, reason = "one arm per generator version")]
fn row(source: &str, spec: &RowSpec) -> Value {
    let raw = format!("Raw document {}: \u{201c}the lamp\u{201d}\n\tis lit.", spec.document);
    // Documents share the texts of summaries, which the program must keep apart.
    let summary = format!("Summary {}.", spec.summary);
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    put("document_outline", format!("Outline {}", spec.outline).into());
    put("question", QUESTIONS[spec.question as usize].into());
    put("response", RESPONSES[spec.response as usize].into());
    match (source, spec.generation) {
        ("document_based_qa", 0) => {
            put("base_document", raw.clone().into());
            put("document", raw.into());
        }
        // As in a table that combines generations.
        ("document_based_qa", 1) => {
            put("base_document", Value::Null);
            put("raw_document", raw.into());
            put("document", summary.into());
        }
        ("document_based_qa", _) => drop(put("document", raw.into())),
        (_, 0) => {
            put("icl_query_1", "Who lends them?".into());
            put("base_document", "not this one".into());
            put("document", summary.into());
            put("raw_document", raw.into());
        }
        ("key_facts_to_qa", 1) => drop(put("document", summary.into())),
        ("key_facts_to_qa", 2) => drop(put("summary", summary.into())),
        (_, 1) => {
            put("raw_document", raw.into());
            put("document", summary.into());
        }
        (_, 2) => {
            put("document", raw.into());
            put("summary", summary.into());
        }
        (_, 3) => {
            put("summary", summary.into());
            put("raw_document", Value::Null);
            put("document", raw.into());
        }
        (_, _) => {
            put("summary", Value::Null);
            put("raw_document", raw.into());
            put("document", summary.into());
        }
    }
    match spec.reasoning {
        at @ 0..=5 => {
            put(REASONINGS[at as usize], format!("Because of \"{at}\".").into());
            put("reasoning", format!("The last of {}.", spec.summary).into());
        }
        6 => drop(put(
            "response_dict",
            json!([{"content": "x", "reasoning_content": format!("Nested {}", spec.summary)}, 7]),
        )),
        7 => {
            put("reasoning_content", Value::Null);
            put("reasoning", "After a null.".into());
        }
        8 => {
            put("response_reasoning_content", "".into());
            put("reasoning", "After an empty one.".into());
        }
        _ => {}
    }
    match spec.defect {
        1 => drop(put("question", Value::Null)),
        2 => drop(put("response", Value::Null)),
        3 => drop(put("document_outline", Value::Null)),
        4 => drop(put("question", json!(7))),
        5 => drop(put("response", json!(["At dusk."]))),
        6 => drop(put("document_outline", json!({}))),
        7 => drop(row.shift_remove("question")),
        8 => drop(row.shift_remove("response")),
        9 => drop(row.shift_remove("document_outline")),
        10 => return json!([1]),
        11 => return Value::Null,
        12 => drop((put("question", Value::Null), put("response", "".into()))),
        13 => drop((put("question", "...".into()), put("response", "[END]".into()))),
        14 if source != "document_based_qa" => {
            // A null summary, in the columns of any generation.
            row.shift_remove("summary");
            row.insert("raw_document".to_owned(), "a document".into());
            row.insert("document".to_owned(), Value::Null);
        }
        15 => {
            // No raw document: an error in the summary sources, valid in key facts.
            row.shift_remove("raw_document");
            row.shift_remove("summary");
            row.insert("document".to_owned(), "a summary".into());
        }
        _ => {}
    }
    Value::Object(row)
}

/// The rows as a Parquet file of text columns holds them.
fn as_texts(rows: &[Value]) -> Vec<Value> {
    let objects = || rows.iter().filter_map(Value::as_object);
    let mut names: Vec<&String> = Vec::new();
    for name in objects().flat_map(|row| row.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let text = |row: &Map<String, Value>, name: &String| {
        row.get(name).filter(|value| value.is_string()).cloned().unwrap_or_default()
    };
    objects().map(|row| Value::Object(names.iter().map(|name| ((*name).clone(), text(row, name))).collect())).collect()
}

fn compressed(extension: &str, bytes: Vec<u8>) -> Vec<u8> {
    if extension.ends_with(".gz") {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).expect("writing to memory does not fail");
        encoder.finish().expect("writing to memory does not fail")
    } else if extension.ends_with(".zst") {
        zstd::encode_all(&bytes[..], 1).expect("writing to memory does not fail")
    } else {
        bytes
    }
}

/// Writes the files of a case below `in0` and `in1`; returns them as the model reads them.
pub fn write_inputs(case: &Case, sandbox: &Sandbox) -> Vec<StoredFile> {
    for input in ["in0", "in1"] {
        std::fs::create_dir_all(sandbox.path(input)).expect("cannot create a folder");
    }
    let mut stored = Vec::new();
    for (at, file) in case.files.iter().enumerate() {
        let source = SOURCES[file.source];
        let mut rows: Vec<Value> = file.rows.iter().map(|spec| row(source, spec)).collect();
        let extension = file.extension;
        let bytes = if extension.starts_with("parquet") {
            rows = as_texts(&rows);
            if rows.is_empty() {
                continue;
            }
            parquet(&rows)
        } else if extension.starts_with("json.") || extension == "json" {
            if file.array {
                serde_json::to_vec_pretty(&rows).expect("rows are JSON")
            } else {
                lines(&rows).into_bytes()
            }
        } else {
            lines(&rows).into_bytes()
        };
        // A `.json` file that begins with a list is read as an array.
        let looks_like_an_array = extension.starts_with("json")
            && !extension.starts_with("jsonl")
            && !file.array
            && rows.first().is_some_and(Value::is_array);
        if looks_like_an_array {
            continue;
        }
        let key = format!("{}{at}.{extension}", file.folder);
        sandbox.write(&format!("in{}/{source}/{key}", file.input), compressed(extension, bytes));
        stored.push(StoredFile { source, input: file.input, key, rows });
    }
    stored
}

/// Settings as arguments of `mix`.
pub fn arguments(settings: &ModelSettings, inputs: &[PathBuf], threads: usize) -> Vec<String> {
    let cuts: Vec<String> = settings.cut_sizes.iter().map(u32::to_string).collect();
    let inputs = inputs.iter().flat_map(|input| ["--input".to_owned(), in_process::text(input)]);
    let others = [
        ("output", "out".to_owned()),
        ("tokenizer-model", "builtin".to_owned()),
        ("cut-sizes", cuts.join(",")),
        ("qa-per-doc", settings.qa_per_doc.to_string()),
        ("save-gpt-oss-format", settings.save_gpt_oss_format.to_string()),
        ("seed", settings.seed.to_string()),
        ("reasoning", settings.reasoning.to_owned()),
        ("thinking", settings.thinking.to_owned()),
        ("unmask", settings.unmask.to_string()),
        ("columns", if settings.training_columns { "training" } else { "full" }.to_owned()),
        ("compression", settings.compression.to_owned()),
        ("infeasible-cuts", settings.infeasible_cuts.to_owned()),
        ("bad-rows", if settings.skip_bad_rows { "skip" } else { "fail" }.to_owned()),
        ("shuffle", settings.shuffle.to_string()),
        ("documents", settings.documents.to_owned()),
        ("raw-documents", if settings.raw_documents { "once" } else { "none" }.to_owned()),
        ("threads", threads.to_string()),
    ];
    let template = settings.prints_reasoning.then(|| ["--chat-template".to_owned(), "template.jinja".to_owned()]);
    // `--output` and its value are separate arguments, so that the location is resolved in the sandbox.
    inputs
        .chain(others.into_iter().flat_map(|(flag, value)| match flag {
            "output" | "tokenizer-model" => vec![format!("--{flag}"), value],
            _ => vec![format!("--{flag}={value}")],
        }))
        .chain(template.into_iter().flatten())
        .collect()
}
