use super::*;
use crate::error::ErrorKind;
use crate::input::fixtures::PrintsLast;
use crate::input::parse::RowParser;
use crate::recipe::{BadRows, Recipe};
use crate::sample::{Body, ParseOptions, Reasoning};
use crate::text::Interner;
use futures::stream;
use std::io::Write;

fn reader(name: &str, threads: usize) -> FileReader {
    let parser = FileParser {
        source: "extractive_summary".to_owned(),
        key: name.to_owned(),
        place: name.to_owned(),
        bad_rows: BadRows::Fail,
        rows: Arc::new(RowParser::new(
            &Recipe::default().all_sources()[0],
            ParseOptions { drop_placeholders: false, reasoning: Reasoning::Auto, template: Arc::new(PrintsLast) },
        )),
        texts: Arc::new(Interner::default()),
    };
    FileReader {
        format: FileFormat::of_name(name).unwrap(),
        max_row_bytes: 100_000,
        parser: Arc::new(parser),
        pool: Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()),
        progress: crate::progress::Progress::silent().bar("", 0, crate::progress::ProgressUnit::Bytes).counter(),
    }
}

fn stored(bytes: &[u8], piece: usize) -> BoxStream<'static, Result<Bytes>> {
    let pieces: Vec<_> = bytes.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

fn row(number: usize) -> String {
    let row = serde_json::json!({
        "question": format!("q{number}"), "response": "a", "document_outline": "o",
        "document": "x".repeat(1000), "raw_document": "r",
    });
    row.to_string()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn rows_do_not_depend_on_compression_pieces_or_threads() {
    let content: String = (0..6000).map(|number| row(number) + "\n").collect();
    let zstd = zstd::encode_all(content.as_bytes(), 1).unwrap();
    let files = [("a.jsonl", content.as_bytes()), ("a.jsonl.gz", &gzip(content.as_bytes())), ("a.json.zst", &zstd)];
    for (name, bytes) in files {
        for (piece, threads) in [(10_000, 1), (1 << 20, 3), (bytes.len(), 2)] {
            let reader = reader(name, threads);
            let texts = reader.parser.texts.clone();
            let file = reader.read(stored(bytes, piece)).await.unwrap();
            assert_eq!((file.rows.ledger.read, file.bytes), (6000, bytes.len() as u64), "{name}");
            assert_eq!(file.digest, blake3::hash(bytes).to_hex().to_string());
            let texts = Arc::into_inner(texts).expect("no job is left").freeze();
            for (number, body) in file.rows.kept.iter().enumerate() {
                let Body::Pair(pair) = body else { panic!("{body:?}") };
                assert_eq!(texts.get(pair.question), format!("q{number}"));
            }
        }
    }
}

#[tokio::test]
async fn files_are_read_by_what_they_contain_not_by_what_their_names_say() {
    let content: String = (0..3).map(|number| row(number) + "\n").collect();
    let plain = content.as_bytes();
    let (gz, zst) = (gzip(plain), zstd::encode_all(plain, 1).unwrap());
    for (name, bytes, found) in [
        ("a.jsonl", plain, None),
        ("a.jsonl", &gz, Some("gzip")),
        ("a.json", &zst, Some("Zstandard")),
        ("a.jsonl.gz", &gz, None),
        ("a.jsonl.gz", plain, Some("not compressed")),
        ("a.jsonl.gz", &zst, Some("Zstandard")),
        ("a.ndjson.zst", plain, Some("not compressed")),
        ("a.ndjson.zst", &gz, Some("gzip")),
        ("a.jsonl.gz", "\u{feff}\n".as_bytes(), Some("not compressed")),
        ("a.jsonl", b"", None),
        ("a.jsonl", b"\n", None),
        ("a.jsonl.gz", b"\n", Some("not compressed")),
    ] {
        for piece in [1, 3, 1 << 20] {
            let file = reader(name, 2).read(stored(bytes, piece)).await.unwrap();
            let rows = if bytes.len() > 10 { 3 } else { 0 };
            assert_eq!((file.rows.ledger.read, file.unlike_name), (rows, found), "{name} {piece}");
            assert_eq!(file.digest, blake3::hash(bytes).to_hex().to_string());
        }
    }
    for (name, bytes) in
        [("a.jsonl.gz", &b"a text"[..]), ("a.jsonl.gz", b""), ("a.jsonl.zst", b"x"), ("a.jsonl.gz", &gz[..9])]
    {
        let error = reader(name, 2).read(stored(bytes, 1)).await.unwrap_err();
        assert!(error.line().contains("gzip") || error.line().contains("Zstandard"), "{name}: {error}");
    }
}

#[tokio::test]
async fn the_first_error_of_a_file_is_reported_with_any_number_of_threads() {
    let mut rows: Vec<String> = (0..3000).map(row).collect();
    rows[1] = "{}".to_owned();
    let array = format!("[{}\n", rows.join(",\n"));
    for threads in [1, 4] {
        for piece in [4096, array.len()] {
            let error = reader("a.json", threads).read(stored(array.as_bytes(), piece)).await.unwrap_err();
            assert!(error.line().starts_with("a.json:2: column `question` is missing"), "{error}");
        }
    }
}

#[tokio::test]
async fn damaged_files_are_errors_that_name_the_file() {
    let content: String = (0..10).map(|number| row(number) + "\n").collect();
    let gzip = gzip(content.as_bytes());
    let mut errors = String::new();
    for (name, bytes) in [
        ("truncated.jsonl.gz", &gzip[..gzip.len() - 3]),
        ("empty.jsonl.gz", b"".as_slice()),
        ("text.jsonl.gz", b"neither rows nor gzip"),
        ("text.jsonl.zst", b"neither rows nor zstd"),
        ("text.parquet", b"neither rows nor Parquet"),
        ("array.json", b"[{}\n{}]"),
    ] {
        let error = reader(name, 1).read(stored(bytes, 4096)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        errors += &format!("{error}\n");
    }
    insta::assert_snapshot!(errors, @r"
    truncated.jsonl.gz: the gzip file is truncated: the gzip trailer is incomplete
      hint: generate the file again, or remove it from the source's folder
    empty.jsonl.gz: the gzip file is truncated: incomplete deflate stream
      hint: generate the file again, or remove it from the source's folder
    text.jsonl.gz: not a valid gzip file: invalid gzip header
      hint: generate the file again, or remove it from the source's folder
    text.jsonl.zst: not a valid Zstandard file: Unknown frame descriptor
      hint: generate the file again, or remove it from the source's folder
    text.parquet: not a valid Parquet file: Parquet error: Invalid Parquet file. Corrupt footer
      hint: generate the file again, or remove it from the source's folder
    array.json:2: expected `,` or `]` after an element of the array
    ");
}

#[tokio::test]
async fn dropping_the_future_ends_the_work() {
    let content: String = (0..2000).map(|number| row(number) + "\n").collect();
    let endless = stream::iter(std::iter::repeat_with(move || Ok(Bytes::copy_from_slice(content.as_bytes())))).boxed();
    let reader = reader("a.jsonl", 2);
    let texts = reader.parser.texts.clone();
    let timeout = std::time::Duration::from_millis(100);
    assert!(tokio::time::timeout(timeout, reader.read(endless)).await.is_err());
    // Jobs that have not started drop what they own; those that have started end.
    let ended = async {
        while Arc::strong_count(&texts) > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), ended).await.expect("all jobs have ended");
}

#[tokio::test]
async fn a_file_of_rows_is_read_whatever_its_layout_and_its_name() {
    let rows: Vec<String> = (0..3).map(row).collect();
    let pretty =
        |row: &String| serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(row).unwrap()).unwrap();
    let objects = rows.iter().map(pretty).collect::<Vec<_>>();
    let not_finite =
        rows.iter().map(|row| row.replacen('{', "{\"score\": NaN, \"a\": [-Infinity], ", 1)).collect::<Vec<_>>();
    let padded = [gzip(rows.join("\n").as_bytes()), vec![0; 512]].concat();
    for (name, bytes) in [
        ("a.jsonl", format!("[{}]", rows.join(",\n")).into_bytes()),
        ("a.jsonl", format!("[\n{}\n]", objects.join(",\n")).into_bytes()),
        ("a.jsonl", objects.join("\n").into_bytes()),
        ("a.json", objects.join("\r\n").into_bytes()),
        ("a.jsonl", rows.join("\r").into_bytes()),
        ("a.jsonl", format!("\u{feff}{}\r\n", rows.join("\r\n")).into_bytes()),
        ("a.jsonl", not_finite.join("\n").into_bytes()),
        ("a.jsonl.gz", padded),
        ("a.parquet", rows.join("\n").into_bytes()),
    ] {
        for piece in [1, 7, 1 << 20] {
            let read = reader(name, 2).read(stored(&bytes, piece)).await.unwrap();
            assert_eq!(read.rows.ledger.kept, 3, "{name}: {}", String::from_utf8_lossy(&bytes[..40]));
        }
    }
}

#[tokio::test]
async fn a_file_that_is_no_rows_is_named_as_what_it_is() {
    let text: Vec<u8> = row(1).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let page = gzip(b"<!DOCTYPE html>\n<title>404</title>");
    let mut errors = String::new();
    for (name, bytes) in [
        ("a.jsonl", &b"BZh91AY&SY\x01"[..]),
        ("a.jsonl.gz", b"PK\x03\x04\x14"),
        ("a.json", &text),
        ("a.jsonl.gz", &page),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:1"),
    ] {
        for piece in [1, 1000] {
            let error = reader(name, 1).read(stored(bytes, piece)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data);
            errors += &if piece == 1 { format!("{error}\n") } else { String::new() };
        }
    }
    insta::assert_snapshot!(errors);
}

#[tokio::test]
async fn a_row_or_a_file_beyond_its_limit_is_an_error_that_names_it() {
    let rows = format!("{}\n{{\"question\": \"{}\"}}\n", row(1), "x".repeat(100_000));
    let same = format!("{}\n", row(1)).repeat(1 << 17);
    let bomb = vec![b' '; 200 << 20];
    let mut errors = String::new();
    for (name, bytes) in [
        ("a.jsonl", rows.into_bytes()),
        ("a.jsonl.zst", zstd::encode_all(same.as_bytes(), 3).unwrap()),
        ("a.json.zst", zstd::encode_all(&bomb[..], 3).unwrap()),
    ] {
        for piece in [4096, 1 << 20] {
            let error = reader(name, 2).read(stored(&bytes, piece)).await.map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data);
            errors += &if piece == 4096 { format!("{error}\n") } else { String::new() };
        }
    }
    assert!(errors.contains("a.jsonl:2: the row is larger than 100000 bytes (--max-row-bytes)"), "{errors}");
    assert_eq!(errors.matches("expands to more than 1000 times its compressed size").count(), 2, "{errors}");
}

/// Numbers that look random and are the same in every run (SplitMix64).
fn random(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) as usize
}

/// Damaged files in each format: cut off, with flipped bits, with random bytes, and random bytes alone. (Those of Parquet are in
/// `parquet.rs`.)
#[tokio::test]
async fn any_file_gives_rows_or_an_error_about_data() {
    let rows: Vec<String> = (0..4).map(|number| row(number).replace(&"x".repeat(900), "")).collect();
    let (lines, array) = (rows.join("\n"), format!("[\n{}\n]", rows.join(",\n")));
    let zstd = zstd::encode_all(lines.as_bytes(), 3).unwrap();
    let files = [
        ("a.jsonl", lines.clone().into_bytes()),
        ("a.json", array.into_bytes()),
        ("a.jsonl", rows.join("\r").into_bytes()),
        ("a.jsonl.gz", [gzip(lines.as_bytes()), vec![0; 9]].concat()),
        ("a.jsonl.zst", zstd),
    ];
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    let mut state = 1;
    for (name, file) in &files {
        for turn in 0..2000 {
            let mut bytes = file.clone();
            let at = random(&mut state) % bytes.len();
            match turn % 4 {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << (random(&mut state) % 8),
                2 => bytes[at..].iter_mut().take(8).for_each(|byte| *byte = random(&mut state) as u8),
                _ => bytes = (0..at % 300).map(|_| random(&mut state) as u8).collect(),
            }
            let piece = 1 + random(&mut state) % 600;
            let reader = FileReader { pool: pool.clone(), ..reader(name, 1) };
            let limit = std::time::Duration::from_secs(20);
            let read = tokio::time::timeout(limit, reader.read(stored(&bytes, piece))).await.expect("it ends");
            if let Err(error) = read {
                assert_eq!(error.kind(), ErrorKind::Data, "{name}, turn {turn}: {error}");
            }
        }
    }
}
