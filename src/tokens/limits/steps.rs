//! Limits on the steps of a tokenizer: what its normalizers, pre-tokenizers and post-processors may make of a text.
//!
//! Fields decide what a step is, not its `type`: the library accepts steps without one.

use super::limit::{Check, over};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

/// How many steps a section may have. Published tokenizers have at most ten.
const MAX_STEPS: usize = 64;

/// The bytes of a regular expression. Those of published tokenizers have some hundred.
const MAX_PATTERN_BYTES: usize = 16 << 10;

/// How many pieces a template of a post-processor may have, and how many ids a piece.
const MAX_PIECES: usize = 64;

/// What may be put before each text: `▁` in all published tokenizers.
const MAX_PREPEND_BYTES: usize = 64;

/// What a match may be replaced with. Published tokenizers have a character or two.
const MAX_REPLACEMENT_BYTES: usize = 1024;

/// By how much all replacements together may multiply the bytes of a text. `▁` for a space makes it 3.
const MAX_GROWTH: usize = 1024;

/// What an expression needs to match a position instead of text.
const MAY_MATCH_NOTHING: [&str; 15] =
    ["*", "?", "{0", "{,", "|", "^", "$", "\\b", "\\B", "\\A", "\\z", "\\Z", "\\G", "\\K", "\\y"];

/// The bytes of a map of characters in Base64. That of `nmt_nfkc_cf`, the largest of SentencePiece, has 430 kB.
const MAX_CHARSMAP_BYTES: usize = 16 << 20;

/// What a map may make of a character. The longest in `nmt_nfkc` has 33 bytes.
const MAX_MAPPED_BYTES: usize = 1024;

/// Checks a normalizer, a pre-tokenizer or a decoder.
///
/// # Errors
/// The first step that can make too much of a text, by its field.
pub(super) fn check(section: &str, value: &Value) -> Check {
    let (mut steps, mut growth) = (0, 1);
    check_step(section, value, &mut steps, &mut growth)
}

fn check_step(field: &str, value: &Value, steps: &mut usize, growth: &mut usize) -> Check {
    match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| check_step(&format!("{field}[{index}]"), item, steps, growth)),
        Value::Object(object) => {
            *steps += 1;
            over(field, "steps", *steps, MAX_STEPS)?;
            let text = |name: &str| object.get(name).and_then(Value::as_str);
            if let Some(prepend) = text("prepend") {
                over(&format!("{field}.prepend"), "bytes", prepend.len(), MAX_PREPEND_BYTES)?;
            }
            if let (Some(pattern), Some(content)) = (object.get("pattern"), text("content")) {
                over(&format!("{field}.content"), "bytes", content.len(), MAX_REPLACEMENT_BYTES)?;
                *growth = growth.saturating_mul(replacement_growth(pattern, content));
                let what = "times as many bytes after all replacements";
                over(&format!("{field}.content"), what, *growth, MAX_GROWTH)?;
            }
            let pattern =
                object.get("pattern").and_then(|pattern| pattern.get("Regex").or_else(|| pattern.get("String")));
            let pattern_bytes = pattern.and_then(Value::as_str).unwrap_or_default().len();
            over(&format!("{field}.pattern"), "bytes", pattern_bytes, MAX_PATTERN_BYTES)?;
            if let Some(map) = text("precompiled_charsmap") {
                check_charsmap(&format!("{field}.precompiled_charsmap"), map)?;
            }
            if object.get("length").is_some_and(|length| length == 0) {
                return Err(format!("`{field}.length`: invalid value `0`: expected at least 1"));
            }
            // A pattern is an object of its own, but no step.
            let nested = object.iter().filter(|(_, value)| value.is_array() || value.get("type").is_some());
            nested
                .into_iter()
                .try_for_each(|(name, value)| check_step(&format!("{field}.{name}"), value, steps, growth))
        }
        _ => Ok(()),
    }
}

/// By how much a replacement multiplies the bytes of a text, at most.
fn replacement_growth(pattern: &Value, content: &str) -> usize {
    match pattern["String"].as_str() {
        Some(text) if !text.is_empty() => content.len().div_ceil(text.len()).max(1),
        _ => {
            let regex = pattern["Regex"].as_str().unwrap_or_default();
            let may_be_empty = regex.is_empty() || MAY_MATCH_NOTHING.iter().any(|sign| regex.contains(sign));
            // A match without any text adds to it; any other has at least a byte.
            content.len().max(1) + usize::from(may_be_empty)
        }
    }
}

/// Checks what a map of SentencePiece (the size of a trie, the trie, the texts) can make of a character.
fn check_charsmap(field: &str, map: &str) -> Check {
    over(field, "bytes", map.len(), MAX_CHARSMAP_BYTES)?;
    let invalid = |why: &str| Err(format!("`{field}`: not a valid map of characters: {why}"));
    let Ok(bytes) = BASE64_STANDARD.decode(map) else { return invalid("not valid Base64") };
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else { return invalid("too short") };
    let trie_bytes = u32::from_le_bytes(*size) as usize / 4 * 4;
    let Some(texts) = rest.get(trie_bytes..).filter(|_| trie_bytes > 0) else { return invalid("too short") };
    let longest = texts.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or_default();
    over(field, "bytes for one character", longest, MAX_MAPPED_BYTES)
}

/// Checks a post-processor: the number of its steps, and of the tokens that each adds.
///
/// # Errors
/// The first list that is too long, by its field.
pub(super) fn check_post_processor(field: &str, value: &Value) -> Check {
    let nested = |name: String, value: &Value| check_post_processor(&name, value);
    match value {
        Value::Array(items) => {
            over(field, "entries", items.len(), MAX_PIECES)?;
            items.iter().enumerate().try_for_each(|(index, item)| nested(format!("{field}[{index}]"), item))
        }
        Value::Object(object) => {
            over(field, "entries", object.len(), MAX_PIECES)?;
            object.iter().try_for_each(|(name, value)| nested(format!("{field}.{name}"), value))
        }
        _ => Ok(()),
    }
}
