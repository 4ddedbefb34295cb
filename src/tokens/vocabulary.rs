//! Folders without `tokenizer.json`: GPT-2's class is built from its vocabulary and merges, as transformers builds it.

use super::config::parse_object;
use super::limits;
use crate::error::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

/// The files of a tokenizer that has no `tokenizer.json`: a vocabulary with merges, or models of other libraries.
pub(super) const VOCABULARY: &str = "vocab.json";
pub(super) const MERGES: &str = "merges.txt";
pub(super) const FOREIGN: [&str; 5] =
    ["vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json"];

/// The first line of a file of merges. transformers skips whatever is there.
const MERGES_HEADER: &str = "#version";

/// `tokenizer.json` of a folder with a vocabulary and merges; `None` if its class is not GPT-2's, or adds tokens to texts.
///
/// # Errors
/// If a file is not what GPT-2's class reads.
pub(super) fn tokenizer_json(
    vocabulary: &[u8],
    merges: &[u8],
    tokenizer_config: Option<&[u8]>,
    config: Option<&[u8]>,
    place: &str,
) -> Result<Option<Vec<u8>>> {
    limits::check_vocabulary_files(vocabulary, merges).map_err(|error| error.at(format!("{place}/{VOCABULARY}")))?;
    let parsed = |bytes: Option<&[u8]>, name: &str| {
        bytes.map_or_else(|| Ok(Map::new()), |bytes| parse_object(bytes, &format!("{place}/{name}")))
    };
    let tokenizer_config = parsed(tokenizer_config, "tokenizer_config.json")?;
    let config = parsed(config, "config.json")?;
    let flag = |name: &str| tokenizer_config.get(name).and_then(Value::as_bool).unwrap_or(false);
    let class = tokenizer_config.get("tokenizer_class").and_then(Value::as_str);
    let is_gpt2 = match class {
        Some(class) => class.strip_suffix("Fast").unwrap_or(class) == "GPT2Tokenizer",
        None => config.get("model_type").is_some_and(|model_type| model_type == "gpt2"),
    };
    let Some(merges) = merges_of(merges).filter(|_| is_gpt2 && !flag("add_bos_token")) else { return Ok(None) };
    let vocabulary = parse_object(vocabulary, &format!("{place}/{VOCABULARY}"))?;
    if let Some((token, _)) = vocabulary.iter().find(|(_, id)| id.as_u64().is_none_or(|id| id > u64::from(u32::MAX))) {
        let message = format!("token `{}`: not a token id", token.chars().take(40).collect::<String>());
        return Err(Error::new(ErrorKind::Data, message).at(format!("{place}/{VOCABULARY}")));
    }
    let byte_level = |add_prefix_space: bool| json!({"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": true});
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": byte_level(flag("add_prefix_space")),
        "post_processor": null,
        "decoder": byte_level(true),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocabulary,
            "merges": merges,
        },
    });
    Ok(Some(tokenizer.to_string().into_bytes()))
}

/// The pairs of a file of merges, whose first line is a header; `None` if it has another form.
fn merges_of(bytes: &[u8]) -> Option<Vec<[&str; 2]>> {
    let lines = std::str::from_utf8(bytes).ok()?.strip_prefix(MERGES_HEADER)?;
    let mut pairs = Vec::new();
    for line in lines.lines().skip(1).filter(|line| !line.is_empty()) {
        let (left, right) = line.split_once(' ')?;
        if left.is_empty() || right.is_empty() || right.contains(' ') {
            return None;
        }
        pairs.push([left, right]);
    }
    Some(pairs)
}

/// What to do about a folder or repository that has no `tokenizer.json`.
pub(super) fn conversion_hint(name: &str) -> String {
    let name = name.replace(['\\', '\''], "");
    format!(
        "convert it to a folder and pass that: python -c \"from transformers import AutoTokenizer; \
         AutoTokenizer.from_pretrained('{name}').save_pretrained('converted')\""
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::fixtures;

    /// The vocabulary and merges of a file, as older versions of transformers write them.
    fn taken_apart() -> (Vec<u8>, Vec<u8>, Value) {
        let whole: Value = serde_json::from_slice(&fixtures::gpt2().tokenizer_json).unwrap();
        let mut merges = String::from("#version: 0.2\n");
        for pair in whole["model"]["merges"].as_array().unwrap() {
            match pair {
                Value::String(pair) => merges.push_str(pair),
                pair => merges.push_str(&format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap())),
            }
            merges.push('\n');
        }
        (whole["model"]["vocab"].to_string().into_bytes(), merges.into_bytes(), whole)
    }

    #[test]
    fn a_vocabulary_with_merges_of_gpt2_is_a_tokenizer() {
        let (vocabulary, merges, whole) = taken_apart();
        let build =
            |config: &str| tokenizer_json(&vocabulary, &merges, Some(config.as_bytes()), None, "folder").unwrap();
        let built: Value = serde_json::from_slice(&build(r#"{"tokenizer_class": "GPT2Tokenizer"}"#).unwrap()).unwrap();
        assert_eq!(built["model"]["vocab"], whole["model"]["vocab"]);
        assert_eq!(built["pre_tokenizer"], whole["pre_tokenizer"]);
        let text = |merges: &Value| {
            merges
                .as_array()
                .unwrap()
                .iter()
                .map(|pair| match pair {
                    Value::String(pair) => pair.clone(),
                    pair => format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(text(&built["model"]["merges"]), text(&whole["model"]["merges"]));
        for other in [
            r#"{"tokenizer_class": "Qwen2Tokenizer"}"#,
            "{}",
            r#"{"tokenizer_class": "GPT2TokenizerFast", "add_bos_token": true}"#,
        ] {
            assert_eq!(build(other), None);
        }
        let by_model = tokenizer_json(&vocabulary, &merges, None, Some(br#"{"model_type": "gpt2"}"#), "folder");
        assert!(by_model.unwrap().is_some());
        assert_eq!(merges_of(b"a b\n"), None);
    }
}
