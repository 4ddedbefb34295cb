//! The throughput of the hot paths: `cargo bench --bench hot_paths`, or `make criterion`.
//!
//! The rows are those of `examples/step_02`, and wide ones made of them: with the prompts and raw replies of sdg_hub 0.6.
#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use knowledge_mixing::testing::hot_paths::{Parser, Samples, Texts, Tokenizer};
use std::hint::black_box;

fn rows() -> Vec<String> {
    let file = std::fs::read_to_string("examples/step_02/extractive_summary/gen.jsonl").unwrap();
    file.lines().map(str::to_owned).collect()
}

/// The same rows with the columns that sdg_hub 0.6 adds.
fn wide_rows() -> Vec<String> {
    let widen = |row: String| {
        let mut row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&row).unwrap();
        let prompt = serde_json::json!([{"role": "user", "content": row["raw_document"]}]);
        for column in
            ["summary_prompt", "question_generation_prompt", "answer_generation_prompt", "eval_faithful_prompt"]
        {
            row.insert(column.to_owned(), prompt.clone());
        }
        serde_json::to_string(&row).unwrap()
    };
    rows().into_iter().map(widen).collect()
}

fn bytes(texts: &[String]) -> Throughput {
    Throughput::Bytes(texts.iter().map(String::len).sum::<usize>() as u64)
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, rows) in [("narrow rows", rows()), ("wide rows", wide_rows())] {
        let (parser, texts) = (Parser::default(), Texts::default());
        group.throughput(bytes(&rows));
        group.bench_function(name, |bench| bench.iter(|| parser.parse(black_box(&rows), &texts)));
    }
}

fn intern(criterion: &mut Criterion) {
    let rows = rows();
    let mut group = criterion.benchmark_group("intern");
    group.throughput(bytes(&rows));
    group.bench_function("new texts", |bench| {
        bench.iter_batched(Texts::default, |texts| texts.intern(black_box(&rows)), BatchSize::LargeInput);
    });
    let texts = Texts::default();
    group.bench_function("known texts", |bench| bench.iter(|| texts.intern(black_box(&rows))));
}

fn tokens(criterion: &mut Criterion) {
    let tokenizer = Tokenizer::load().unwrap();
    let samples = Samples::of(&rows());
    let rendered = samples.render(&tokenizer).unwrap();

    let mut group = criterion.benchmark_group("render");
    group.throughput(bytes(&rendered));
    group.bench_function("pairs", |bench| bench.iter(|| samples.render(black_box(&tokenizer)).unwrap()));
    group.finish();

    let mut group = criterion.benchmark_group("count");
    group.throughput(bytes(&rendered));
    let reference = tokenizers::Tokenizer::from_file("assets/builtin-tokenizer/tokenizer.json").unwrap();
    group.bench_function("tokenizers", |bench| {
        bench.iter(|| rendered.iter().map(|text| reference.encode(text.as_str(), true).unwrap().len()).sum::<usize>());
    });
    group.bench_function("word cache", |bench| {
        let load = || Tokenizer::load().unwrap();
        bench.iter_batched(load, |tokenizer| tokenizer.count(&rendered).unwrap(), BatchSize::PerIteration);
    });
}

fn encode(criterion: &mut Criterion) {
    let samples = Samples::of(&rows());
    let mut group = criterion.benchmark_group("encode");
    for (name, all_columns) in [("full", true), ("training", false)] {
        let mut out = Vec::new();
        samples.encode(all_columns, &mut out);
        group.throughput(Throughput::Bytes(out.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| {
                out.clear();
                samples.encode(all_columns, black_box(&mut out));
            });
        });
    }
}

criterion_group!(benches, parse, intern, tokens, encode);
criterion_main!(benches);
