//! The hot paths, each with its throughput: `cargo bench`, or `make criterion`.
//!
//! The rows are those of `examples/step_02`, and wide ones made of them: with the prompts and raw replies of sdg_hub 0.6.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use knowledge_mixing::artifacts::hot::{Interner, ParsedRow, RowParser};
use knowledge_mixing::artifacts::{Body, Reasoning, Sample, Texts, known_sources};
use knowledge_mixing::chat::{self, ChatTemplate, Conversation, Counter, TokenizerFiles};
use knowledge_mixing::dataset::{RowEncoder, RowLayout};
use knowledge_mixing::recipe::Columns;
use std::hint::black_box;

fn rows() -> Vec<String> {
    let file =
        std::fs::read_to_string("examples/step_02/extractive_summary/gen.jsonl").expect("the examples are there");
    file.lines().map(str::to_owned).collect()
}

/// The same rows with what sdg_hub 0.6 keeps beside them.
fn wide_rows() -> Vec<String> {
    let widen = |row: String| {
        let mut row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&row).expect("a row is JSON");
        let prompt = serde_json::json!([{"role": "user", "content": row["raw_document"]}]);
        for column in
            ["summary_prompt", "question_generation_prompt", "answer_generation_prompt", "eval_faithful_prompt"]
        {
            row.insert(column.to_owned(), prompt.clone());
        }
        serde_json::to_string(&row).expect("a row is JSON")
    };
    rows().into_iter().map(widen).collect()
}

fn parser() -> RowParser {
    RowParser::new(&known_sources()[0], false, &Reasoning::Auto)
}

fn samples(rows: &[String]) -> (Vec<Sample>, Texts) {
    let (parser, interner) = (parser(), Interner::default());
    let kept = rows.iter().filter_map(|row| match parser.parse(row.as_bytes(), &interner) {
        Ok(ParsedRow::Kept(body)) => Some(Sample { source: 0, body }),
        _ => None,
    });
    (kept.collect(), interner.freeze())
}

fn bytes(rows: &[String]) -> Throughput {
    Throughput::Bytes(rows.iter().map(String::len).sum::<usize>() as u64)
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, rows) in [("narrow rows", rows()), ("wide rows", wide_rows())] {
        let (parser, interner) = (parser(), Interner::default());
        group.throughput(bytes(&rows));
        group.bench_function(name, |bench| {
            bench.iter(|| rows.iter().for_each(|row| drop(black_box(parser.parse(row.as_bytes(), &interner)))));
        });
    }
}

fn intern(criterion: &mut Criterion) {
    let rows = rows();
    let mut group = criterion.benchmark_group("intern");
    group.throughput(bytes(&rows));
    group.bench_function("new texts", |bench| {
        bench.iter_batched(
            Interner::default,
            |interner| rows.iter().for_each(|row| drop(black_box(interner.intern(row)))),
            BatchSize::LargeInput,
        );
    });
    let interner = Interner::default();
    group.bench_function("known texts", |bench| {
        bench.iter(|| rows.iter().for_each(|row| drop(black_box(interner.intern(row)))));
    });
}

fn builtin() -> TokenizerFiles {
    let read =
        |name: &str| Bytes::from(std::fs::read(format!("assets/builtin-tokenizer/{name}")).expect("it is there"));
    TokenizerFiles {
        name: "builtin".to_owned(),
        place: "the built-in tokenizer".to_owned(),
        tokenizer_json: read("tokenizer.json"),
        tokenizer_config: Some(read("tokenizer_config.json")),
        chat_template_jinja: Some(read("chat_template.jinja")),
        ..TokenizerFiles::default()
    }
}

/// The text of each sample's user message and answer.
fn pairs() -> Vec<(String, String)> {
    let (samples, texts) = samples(&rows());
    let pair = |sample: &Sample| match sample.body {
        Body::Pair { outline, summary, question, response, .. } => {
            let [outline, summary, question, response] = [outline, summary, question, response].map(|id| texts.get(id));
            Some((format!("{outline}\n{summary}\n\n{question}"), response.to_owned()))
        }
        Body::Chat { .. } => None,
    };
    samples.iter().filter_map(pair).collect()
}

fn chat(criterion: &mut Criterion) {
    let files = builtin();
    let template = ChatTemplate::load(&files, None, Default::default()).expect("the template loads");
    let counter = Counter::authority(&files).expect("the tokenizer loads");
    let pairs = pairs();
    let render = |(user, assistant): &(String, String)| {
        template.render(&Conversation::Pair { user, assistant, thinking: "" }).expect("it renders")
    };
    let rendered: Vec<String> = pairs.iter().map(render).collect();

    let mut group = criterion.benchmark_group("render");
    group.throughput(bytes(&rendered));
    group.bench_function("pairs", |bench| bench.iter(|| pairs.iter().for_each(|pair| drop(black_box(render(pair))))));
    group.finish();

    let mut group = criterion.benchmark_group("count");
    group.throughput(bytes(&rendered));
    group.bench_function("tokenizers", |bench| {
        bench.iter(|| rendered.iter().map(|text| counter.count(text).expect("it counts")).sum::<u32>());
    });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread starts");
    let texts = chat::TextSource {
        count: rendered.len(),
        text: &|index, out| {
            out.push_str(&rendered[index]);
            Ok(())
        },
        progress: &|_| {},
        check: &|| Ok(()),
    };
    group.bench_function("word cache", |bench| {
        let fresh = || Counter::load(&files, &pool).expect("the tokenizer loads");
        let count = |counter: Counter| counter.count_all(&texts, &pool).expect("it counts");
        bench.iter_batched(fresh, count, BatchSize::PerIteration);
    });
}

fn encode(criterion: &mut Criterion) {
    let (samples, texts) = samples(&rows());
    let sources = known_sources();
    let mut group = criterion.benchmark_group("encode");
    for columns in [Columns::Full, Columns::Training] {
        let layout = RowLayout::of(columns, &sources, &samples, &texts);
        let mut out = Vec::new();
        let all = |out: &mut Vec<u8>| {
            out.clear();
            let mut encoder = RowEncoder::new(&layout, &sources, &texts);
            samples.iter().for_each(|sample| encoder.encode(sample, 500, out));
        };
        all(&mut out);
        group.throughput(Throughput::Bytes(out.len() as u64));
        group.bench_function(columns.name(), |bench| bench.iter(|| all(black_box(&mut out))));
    }
}

criterion_group!(benches, parse, intern, chat, encode);
criterion_main!(benches);
