//! Small step_02 artifacts.

use crate::program::{Sandbox, Tree};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The sources, in the order in which a mix holds them.
pub const SOURCES: [&str; 4] = ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"];

/// A row of a summary source, as the current generator (0.9) writes it.
pub fn summary_row(document: usize, summary: usize, pair: usize) -> Value {
    json!({
        "document_outline": format!("Lighthouse manual, part {document}"),
        "raw_document": format!("Part {document} says when the lamp is lit, who trims it, and what is written down."),
        "document": format!("Summary {summary} of part {document}: the lamp is lit at dusk."),
        "question": format!("What does summary {summary} of part {document} say of the lamp ({pair})?"),
        "response": format!("It is lit at dusk, says pair {pair}."),
        "faithfulness_judgment": "YES",
    })
}

/// A row of `key_facts_to_qa`, as the current generator writes it.
pub fn fact_row(document: usize, pair: usize) -> Value {
    json!({
        "document_outline": format!("Lighthouse manual, part {document}"),
        "document": format!("Part {document} says when the lamp is lit."),
        "key_fact": format!("Fact {pair}"),
        "question": format!("what is fact {pair}?"),
        "response": format!("Fact {pair} of part {document}."),
    })
}

/// A row of `document_based_qa`, as the current generator writes it.
pub fn document_row(document: usize, pair: usize) -> Value {
    json!({
        "document_outline": format!("Lighthouse manual, part {document}"),
        "document": format!("Part {document} says when the lamp is lit, who trims it, and what is written down."),
        "question": format!("Who trims the lamp ({pair})?"),
        "response": format!("The keeper on watch, says pair {pair}."),
    })
}

/// The rows of one source of the small example: two documents with three summaries of two pairs each.
pub fn example_rows(source: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    for document in 0..2 {
        match source {
            "key_facts_to_qa" => rows.extend((0..2).map(|pair| fact_row(document, pair))),
            "document_based_qa" => rows.extend((0..2).map(|pair| document_row(document, pair))),
            _ => {
                for summary in 0..3 {
                    rows.extend((0..2).map(|pair| summary_row(document, summary, pair)));
                }
            }
        }
    }
    rows
}

/// Rows as JSON lines.
pub fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// The small example: one file per source.
pub fn example() -> Tree {
    SOURCES.iter().map(|source| (format!("{source}/gen.jsonl"), lines(&example_rows(source)).into_bytes())).collect()
}

/// A sandbox with the small example in `step_02`.
pub fn example_sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_tree("step_02", &example());
    sandbox
}

/// The arguments that mix the small example.
pub const MIX: [&str; 9] =
    ["mix", "--input", "step_02", "--output", "out", "--tokenizer-model", "builtin", "--cut-sizes", "2"];

/// [`MIX`] with more arguments, which replace the same flags of [`MIX`].
pub fn mix_and<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let given = |flag: &str| {
        more.iter().any(|word| *word == flag || word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('=')))
    };
    let kept = MIX[1..].chunks(2).filter(|pair| !given(pair[0])).flatten();
    MIX[..1].iter().chain(kept).chain(more).copied().collect()
}

/// The manifest of a finished mix.
pub fn manifest(tree: &Tree) -> Value {
    serde_json::from_slice(&tree["manifest.json"]).expect("the manifest is JSON")
}

/// The row counts of one source in a manifest: read, kept, dropped by reason.
pub fn ledger(manifest: &Value, source: &str) -> (u64, u64, BTreeMap<String, u64>) {
    let sources = manifest["sources"].as_array().expect("`sources` is a list");
    let record = sources.iter().find(|record| record["name"] == source).expect("the manifest lists the source");
    let dropped = record["dropped"].as_object().expect("`dropped` is an object");
    let dropped =
        dropped.iter().map(|(reason, rows)| (reason.clone(), rows.as_u64().expect("a count is a number"))).collect();
    (
        record["read"].as_u64().expect("a count is a number"),
        record["kept"].as_u64().expect("a count is a number"),
        dropped,
    )
}

/// Rows as a Parquet file of text columns: every column that any row has, `null` if a row lacks it.
pub fn parquet(rows: &[Value]) -> Vec<u8> {
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    let mut names: Vec<&String> = Vec::new();
    for name in rows.iter().filter_map(Value::as_object).flat_map(|row| row.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let columns: String = names.iter().map(|name| format!("OPTIONAL BYTE_ARRAY {name} (UTF8);")).collect();
    let schema = parquet::schema::parser::parse_message_type(&format!("message rows {{ {columns} }}"))
        .expect("the schema is valid");
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut file, schema.into(), WriterProperties::new().into())
        .expect("cannot start the file");
    // Several row groups, as in larger files.
    for group in rows.chunks(5) {
        let mut writer = writer.next_row_group().expect("cannot start a row group");
        for name in &names {
            let texts: Vec<Option<&str>> =
                group.iter().map(|row| row.get(name.as_str()).and_then(Value::as_str)).collect();
            let values: Vec<ByteArray> = texts.iter().flatten().map(|text| ByteArray::from(*text)).collect();
            let levels: Vec<i16> = texts.iter().map(|text| i16::from(text.is_some())).collect();
            let mut column = writer.next_column().expect("cannot start a column").expect("the schema has this column");
            column
                .typed::<ByteArrayType>()
                .write_batch(&values, Some(&levels), None)
                .expect("writing to memory does not fail");
            column.close().expect("writing to memory does not fail");
        }
        writer.close().expect("writing to memory does not fail");
    }
    writer.close().expect("writing to memory does not fail");
    file
}
