//! Limits on the files of a tokenizer, checked before the `tokenizers` library sees them: it believes every number and list in
//! them, so a small file can ask for all memory. All limits are a multiple of what published tokenizers have; Gemma 3, one of
//! the largest, has 262,144 tokens, 514,906 merges and 33 MB.

mod json;
mod limit;
mod steps;

use super::config::Token;
use super::files::TokenizerFiles;
use crate::error::{Error, ErrorKind, Result};
use json::{Shape, sections};
use limit::{Check, over};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The bytes of `tokenizer.json`, or of a vocabulary or a file of merges.
const MAX_TOKENIZER_BYTES: usize = 256 << 20;

/// The bytes of each configuration file. One that lists 200,000 added tokens has 40 MB.
const MAX_CONFIG_BYTES: usize = 64 << 20;

/// The values in a configuration file: 8 for each added token.
const MAX_CONFIG_VALUES: u64 = 4 << 20;

/// The tokens of a vocabulary.
const MAX_TOKENS: u64 = 4 << 20;

/// The bytes of all tokens of a vocabulary: a Unigram model takes up to 100 times as much memory.
const MAX_VOCABULARY_BYTES: u64 = 64 << 20;

/// The bytes of a token of a vocabulary.
const MAX_TOKEN_BYTES: u64 = 16 << 10;

/// The largest id of a token, exclusive.
const MAX_ID: u64 = 1 << 24;

/// The pairs of a list of merges.
const MAX_MERGES: u64 = 4 << 20;

/// The bytes of a list of merges that cannot have more pairs: each takes six or more.
const SHORT_MERGES_BYTES: usize = 6 * MAX_MERGES as usize;

/// The added tokens.
const MAX_ADDED_TOKENS: u64 = 1 << 20;

/// The bytes of one added token, and of all.
const MAX_ADDED_TOKEN_BYTES: u64 = 4 << 10;
const MAX_ADDED_BYTES: u64 = 16 << 20;

/// The values in a section that is neither vocabulary nor list, how deep they are nested, and the bytes of each.
const MAX_SECTION_VALUES: u64 = 4096;
const MAX_SECTION_DEPTH: u64 = 16;
const MAX_SECTION_TEXT_BYTES: u64 = 16 << 20;

/// The characters of a word that a WordPiece model takes apart, in time that is quadratic in them: 100 in all published ones.
const MAX_WORD_CHARS: u64 = 10_000;

/// Checks all files of a tokenizer.
///
/// # Errors
/// The first file that exceeds a limit, with field, value and limit, or that is not valid JSON.
pub(super) fn check(files: &TokenizerFiles) -> Result<()> {
    let configurations = [
        ("tokenizer_config.json", &files.tokenizer_config),
        ("special_tokens_map.json", &files.special_tokens_map),
        ("added_tokens.json", &files.added_tokens),
        ("config.json", &files.config),
    ];
    for (name, bytes) in configurations {
        if let Some(bytes) = bytes {
            check_configuration(bytes).map_err(|error| error.at(files.location_of(name)))?;
        }
    }
    check_tokenizer(&files.tokenizer_json).map_err(|error| error.at(files.location_of("tokenizer.json")))
}

/// Checks a configuration file.
///
/// # Errors
/// What exceeds a limit.
pub(super) fn check_configuration(bytes: &[u8]) -> Result<()> {
    over("file", "bytes", bytes.len(), MAX_CONFIG_BYTES).map_err(exceeded)?;
    let shape = Shape::of(text(bytes)?).map_err(not_json)?;
    over("file", "values", shape.values, MAX_CONFIG_VALUES).map_err(exceeded)
}

/// Checks the vocabulary and the merges of a folder without `tokenizer.json`.
///
/// # Errors
/// What exceeds a limit.
pub(super) fn check_vocabulary_files(vocabulary: &[u8], merges: &[u8]) -> Result<()> {
    over("vocabulary", "bytes", vocabulary.len(), MAX_TOKENIZER_BYTES).map_err(exceeded)?;
    let shape = Shape::of(text(vocabulary)?).map_err(not_json)?;
    check_vocabulary("vocabulary", &shape).map_err(exceeded)?;
    let pairs = memchr::memchr_iter(b'\n', merges).count();
    over("merges", "pairs", pairs as u64, MAX_MERGES).map_err(exceeded)
}

/// Checks the tokens that a configuration adds.
///
/// # Errors
/// What exceeds a limit.
pub(super) fn check_added_tokens(tokens: &[Token]) -> Check {
    let longest = tokens.iter().map(|token| token.content.len()).max().unwrap_or_default();
    let bytes: usize = tokens.iter().map(|token| token.content.len()).sum();
    over("added tokens", "tokens", tokens.len() as u64, MAX_ADDED_TOKENS)?;
    over("added tokens", "bytes in one token", longest as u64, MAX_ADDED_TOKEN_BYTES)?;
    over("added tokens", "bytes in all tokens", bytes as u64, MAX_ADDED_BYTES)
}

/// Checks `tokenizer.json`.
fn check_tokenizer(json: &[u8]) -> Result<()> {
    over("file", "bytes", json.len(), MAX_TOKENIZER_BYTES).map_err(exceeded)?;
    for (name, section) in sections(text(json)?).map_err(not_a_tokenizer)? {
        match name.as_str() {
            "model" => check_model(section)?,
            "added_tokens" => {
                let shape = Shape::of(section.get()).map_err(not_a_tokenizer)?;
                check_added_list(&shape).map_err(exceeded)?;
            }
            _ => check_section(&name, section)?,
        }
    }
    Ok(())
}

/// Checks the list of added tokens, each of which is an object of seven fields.
fn check_added_list(shape: &Shape) -> Check {
    const FIELD: &str = "added_tokens";
    over(FIELD, "tokens", shape.values / 8, MAX_ADDED_TOKENS)?;
    over(FIELD, "as the largest id", shape.largest, MAX_ID - 1)?;
    over(FIELD, "bytes in one token", shape.longest, MAX_ADDED_TOKEN_BYTES)?;
    over(FIELD, "bytes in all tokens", shape.text_bytes, MAX_ADDED_BYTES)
}

fn check_model(section: &RawValue) -> Result<()> {
    // Without an object, the library says what is wrong.
    if !section.get().starts_with('{') {
        return check_section("model", section);
    }
    let model = sections(section.get()).map_err(not_a_tokenizer)?;
    for (name, value) in &model {
        // Those of published tokenizers are not measured: a third of the time that all checks take.
        if name == "merges" && value.get().len() < SHORT_MERGES_BYTES {
            continue;
        }
        let shape = Shape::of(value.get()).map_err(not_a_tokenizer)?;
        let field = format!("model.{}", name.escape_debug());
        let checked = match name.as_str() {
            "vocab" => check_vocabulary(&field, &shape),
            "merges" => check_merges(&field, &shape),
            "max_input_chars_per_word" => over(&field, "characters", shape.largest, MAX_WORD_CHARS),
            _ => check_small(&field, &shape),
        };
        checked.map_err(exceeded)?;
    }
    check_prefix(&model)
}

/// Checks a vocabulary: an object of ids by token, or a list of tokens and scores.
fn check_vocabulary(field: &str, shape: &Shape) -> Check {
    // The vocabulary is a value itself.
    let tokens = if shape.depth > 1 { (shape.values - 1) / 3 } else { shape.values - 1 };
    over(field, "tokens", tokens, MAX_TOKENS)?;
    over(field, "as the largest id", shape.largest, MAX_ID - 1)?;
    over(field, "bytes in one token", shape.longest, MAX_TOKEN_BYTES)?;
    over(field, "bytes in all tokens", shape.key_bytes + shape.text_bytes, MAX_VOCABULARY_BYTES)
}

/// Checks a list of merges: each is a text, or a list of two.
fn check_merges(field: &str, shape: &Shape) -> Check {
    let pairs = if shape.depth > 1 { (shape.values - 1) / 3 } else { shape.values - 1 };
    over(field, "pairs", pairs, MAX_MERGES)
}

/// Checks that what a model with `continuing_subword_prefix` merges has it: the library takes it off without looking.
fn check_prefix(model: &BTreeMap<String, &RawValue>) -> Result<()> {
    let text = |name: &str| model.get(name).and_then(|value| serde_json::from_str::<String>(value.get()).ok());
    let Some(prefix) = text("continuing_subword_prefix").filter(|prefix| !prefix.is_empty()) else { return Ok(()) };
    let Some(merges) = model.get("merges") else { return Ok(()) };
    let merges: Vec<Value> = serde_json::from_str(merges.get()).map_err(not_a_tokenizer)?;
    let right = |pair: &Value| match pair {
        Value::String(pair) => pair.split_once(' ').map(|(_, right)| right.to_owned()),
        pair => pair[1].as_str().map(str::to_owned),
    };
    match merges.iter().position(|pair| right(pair).is_none_or(|right| !right.starts_with(&prefix))) {
        None => Ok(()),
        Some(index) => {
            let message =
                format!("`model.merges[{index}]`: expected a second part that begins with `continuing_subword_prefix`");
            Err(exceeded(message))
        }
    }
}

/// Checks a section that is small in every tokenizer.
fn check_section(name: &str, section: &RawValue) -> Result<()> {
    let shape = Shape::of(section.get()).map_err(not_a_tokenizer)?;
    check_small(&name.escape_debug().to_string(), &shape).map_err(exceeded)?;
    let value: Value = serde_json::from_str(section.get()).map_err(not_a_tokenizer)?;
    match name {
        "normalizer" | "pre_tokenizer" | "decoder" => steps::check(name, &value).map_err(exceeded),
        "post_processor" => steps::check_post_processor(name, &value).map_err(exceeded),
        _ => Ok(()),
    }
}

fn check_small(field: &str, shape: &Shape) -> Check {
    over(field, "values", shape.values, MAX_SECTION_VALUES)?;
    over(field, "levels", shape.depth, MAX_SECTION_DEPTH)?;
    over(field, "bytes in one text", shape.longest, MAX_SECTION_TEXT_BYTES)
}

fn exceeded(what: String) -> Error {
    Error::new(ErrorKind::Data, what).hint(
        "check that the file is that of the published tokenizer: no tokenizer of a known model comes near this limit",
    )
}

/// The text of a file. Not checked again for each of its parts.
fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::Data, "not valid UTF-8").caused_by(error))
}

fn not_a_tokenizer(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Data, "not a valid tokenizer")
        .caused_by(error)
        .hint("use a tokenizer that transformers loads as a fast tokenizer")
}

fn not_json(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Data, "not valid JSON").caused_by(error)
}

#[cfg(test)]
mod tests;
