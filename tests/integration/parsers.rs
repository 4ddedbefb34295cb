//! Every parser of what is not trusted returns for any bytes: seeds of the repository, mutated.

use knowledge_mixing::testing::fuzz::TARGETS;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::io::Write;
use test_support::rows::{example_rows, example_sandbox, lines, mix_and};

/// Pieces that parsers treat specially.
const PIECES: [&[u8]; 16] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\u0000",
    b"\\ud83d",
    b"\0",
    b"\n",
    b"{{",
    b"{% for i in range(9) %}",
    b"-1e999",
    b": ",
    b"\xff",
    b"&a *a",
    b"\x1f\x8b",
];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let repository = test_support::repository();
    let read = |name: &str| std::fs::read(repository.join(name)).expect("a file of the repository");
    match target {
        "row" => example_rows("extractive_summary").iter().map(|row| row.to_string().into_bytes()).collect(),
        "codec" => {
            let text = lines(&example_rows("extractive_summary")).into_bytes();
            let mut gzip = flate2::write::GzEncoder::new(vec![1], flate2::Compression::fast());
            gzip.write_all(&text).expect("writing to memory does not fail");
            let zstd = zstd::encode_all(&text[..], 1).expect("writing to memory does not fail");
            vec![gzip.finish().expect("writing to memory does not fail"), [&[2], &zstd[..]].concat()]
        }
        "recipe" => vec![read("examples/recipes/everything.yaml"), b"seed: 7\ncut_sizes: [5, 50]\n".to_vec()],
        "executor_input" => vec![
            br#"{"inputs":{"parameterValues":{"seed":5.0,"cut_sizes":[5.0]},"artifacts":{"datasets":{"artifacts":[{"uri":"s3://b/a?x=y"}]}}},"outputs":{"outputFile":"/o","parameters":{"total_samples":{"outputFile":"/p"}}}}"#.to_vec(),
        ],
        "template" => vec![
            read("assets/builtin-tokenizer/chat_template.jinja"),
            b"{% for m in messages %}{{ m['content'] | trim }}{% endfor %}\0[{\"role\": \"user\", \"content\": \"a\"}]".to_vec(),
            b"{{ raise_exception('x' * 9) }}".to_vec(),
        ],
        "manifest" => {
            let sandbox = example_sandbox();
            sandbox.run(&mix_and(&[])).succeeded();
            vec![sandbox.read("out/manifest.json")]
        }
        _ => vec![b"invalid type: string \"a\nb\", https://me:hush@host/?a=b".to_vec()],
    }
}

/// Changes, inserts, removes or cuts something at a few places.
fn mutated(seed: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.next_u64() % 4 {
        let at = (random.next_u64() % (bytes.len() as u64 + 1)) as usize;
        let piece = PIECES[(random.next_u64() % PIECES.len() as u64) as usize];
        let end = (at + (random.next_u64() % 9) as usize).min(bytes.len());
        match random.next_u64() % 8 {
            0 => bytes.truncate(at),
            1 | 2 => drop(bytes.drain(at..end)),
            3 => {
                let copy = bytes[at..end].repeat(1 + (random.next_u64() % 50) as usize);
                drop(bytes.splice(at..at, copy));
            }
            _ => drop(bytes.splice(at..at, piece.iter().copied())),
        }
    }
    bytes
}

fn run(count: usize) {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        let mut random = ChaCha8Rng::seed_from_u64(21);
        seeds.iter().for_each(|seed| target(seed));
        for number in 0..count {
            let input = mutated(&seeds[number % seeds.len()], &mut random);
            if std::panic::catch_unwind(|| target(&input)).is_err() {
                panic!("{name}, input {number}: {:?}", String::from_utf8_lossy(&input));
            }
        }
    }
}

#[test]
fn every_parser_returns_for_mutated_inputs() {
    run(400);
}

/// `make test-long` runs it.
#[test]
#[ignore = "takes minutes"]
fn every_parser_returns_for_many_mutated_inputs() {
    run(200_000);
}
