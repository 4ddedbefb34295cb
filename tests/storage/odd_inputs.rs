//! Buckets with odd keys, tags and encodings, as inputs of the whole program.

use crate::support::http_server::{Answer, HttpServer, Request};
use crate::support::outside::{Ran, Variables, examples, files, run};
use std::collections::BTreeMap;
use std::path::Path;

/// The objects of a bucket, by key.
type Objects = BTreeMap<String, Vec<u8>>;

/// The examples below `in/`.
fn example_objects() -> Objects {
    fn add(folder: &Path, key: &str, objects: &mut Objects) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let key = format!("{key}/{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap().is_dir() {
                true => add(&entry.path(), &key, objects),
                false => drop(objects.insert(key, std::fs::read(entry.path()).unwrap())),
            }
        }
    }
    let mut objects = Objects::new();
    add(&examples(), "in", &mut objects);
    objects
}

/// Google's keys are encoded completely.
fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap().to_string();
    for part in parts {
        decoded.push(u8::from_str_radix(&part[..2], 16).unwrap().into());
        decoded.push_str(&part[2..]);
    }
    decoded
}

/// What a server answers, if it is a plain S3 server.
fn answer(request: &Request, objects: &Objects) -> Answer {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let parameter = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(percent_decoded(value))
    };
    if parameter("list-type").is_some() {
        return list(objects, &parameter("prefix").unwrap_or_default(), parameter("delimiter").is_some());
    }
    let path = percent_decoded(path);
    let Some(content) = path.strip_prefix("/bucket/").and_then(|key| objects.get(key)) else { return Answer::new(404) };
    let answer =
        |status| Answer::new(status).header("etag", "\"1\"").header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT");
    match request.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) {
        Some((start, end)) => {
            let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
            let end = end.min(content.len() - 1);
            answer(206)
                .header("content-range", format!("bytes {start}-{end}/{}", content.len()))
                .body(&content[start..=end])
        }
        None => answer(200).body(content.as_slice()),
    }
}

fn list(objects: &Objects, prefix: &str, is_delimited: bool) -> Answer {
    let (mut body, mut folders) = (String::from("<ListBucketResult>"), Vec::new());
    for (key, content) in objects.iter().filter(|(key, _)| key.starts_with(prefix)) {
        match key[prefix.len()..].split_once('/').filter(|_| is_delimited) {
            Some((folder, _)) => folders.push(format!("{prefix}{folder}/")),
            None => {
                body += &format!(
                    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"1\"</ETag>\
                     <Size>{}</Size></Contents>",
                    content.len()
                );
            }
        }
    }
    folders.dedup();
    for folder in folders {
        body += &format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>");
    }
    Answer::new(200).body(body + "</ListBucketResult>")
}

fn variables(server: &HttpServer) -> Variables {
    let variables =
        [("AWS_ENDPOINT_URL", server.endpoint.as_str()), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    variables.map(|(name, value)| (name.to_string(), value.to_string())).to_vec()
}

/// Mixes `s3://bucket/in` of a server into a folder.
fn mix(server: &HttpServer, output: &Path) -> Ran {
    let output = output.to_str().unwrap();
    let arguments =
        ["mix", "--input", "s3://bucket/in", "--output", output, "--tokenizer-model", "builtin", "--max-retries", "1"];
    run(&arguments, &variables(server))
}

/// The mix of the examples.
fn expected() -> Vec<u8> {
    let objects = example_objects();
    let server = HttpServer::start(move |request| answer(request, &objects));
    rows(&server)
}

/// The rows of a mix that succeeds.
fn rows(server: &HttpServer) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let ran = mix(server, &folder.path().join("out"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    files(&folder.path().join("out")).remove("combined_cut_5x.jsonl").unwrap()
}

#[test]
fn odd_keys_beside_the_sources_are_ignored_with_one_warning() {
    for odd in ["in//x.jsonl", "in/./x.jsonl", "in/../x.jsonl", "in//extractive_summary/x.jsonl"] {
        let mut objects = example_objects();
        objects.insert(odd.to_string(), b"not a row".to_vec());
        let server = HttpServer::start(move |request| answer(request, &objects));
        let folder = tempfile::tempdir().unwrap();
        let ran = mix(&server, &folder.path().join("out"));
        assert_eq!(ran.code, Some(0), "{odd}: {}", ran.err);
        let warnings: Vec<&str> = ran.err.lines().filter(|line| line.contains("skipped: in/")).collect();
        assert_eq!(warnings.len(), 1, "{odd}: {}", ran.err);
        assert!(files(&folder.path().join("out"))["combined_cut_5x.jsonl"] == expected(), "{odd}");
    }
}

#[test]
fn an_odd_key_in_a_source_is_an_error_that_names_it() {
    for odd in ["in/extractive_summary//x.jsonl", "in/extractive_summary/../x.jsonl"] {
        let mut objects = example_objects();
        objects.insert(odd.to_string(), b"not a row".to_vec());
        let server = HttpServer::start(move |request| answer(request, &objects));
        let folder = tempfile::tempdir().unwrap();
        let ran = mix(&server, &folder.path().join("out"));
        assert_eq!(ran.code, Some(74), "{odd}: {}", ran.err);
        assert!(
            ran.err.contains("s3://bucket/in/extractive_summary: the store has a key that is not a path"),
            "{}",
            ran.err
        );
        assert!(ran.err.contains(odd), "{odd}: {}", ran.err);
    }
}

fn is_of_object(request: &Request) -> bool {
    request.method == "GET" && !request.target.contains('?')
}

/// An object that was uploaded with `gsutil cp -Z`: Google decompresses it for those who do not accept gzip.
#[test]
fn gzip_that_a_store_would_decompress_is_read_as_stored() {
    let mut objects = example_objects();
    let keys: Vec<String> = objects.keys().filter(|key| key.ends_with(".jsonl")).cloned().collect();
    for key in &keys {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, &objects[key]).unwrap();
        objects.insert(key.clone(), encoder.finish().unwrap());
    }
    assert!(!keys.is_empty());
    let server = HttpServer::start(move |request| match is_of_object(request) {
        true if request.header("accept-encoding") != Some("gzip") => Answer::new(200).body("decompressed"),
        true => answer(request, &objects).header("content-encoding", "gzip"),
        false => answer(request, &objects),
    });
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let arguments =
        ["mix", "--input", "gs://bucket/in", "--output", output.to_str().unwrap(), "--tokenizer-model", "builtin"];
    let variables = vec![
        ("GOOGLE_BASE_URL".to_string(), server.endpoint.clone()),
        ("GOOGLE_BEARER_TOKEN".to_string(), "token".to_string()),
    ];
    let ran = run(&arguments, &variables);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("files are not what their names say"), "{}", ran.err);
    assert!(files(&output)["combined_cut_5x.jsonl"] == expected());
}
