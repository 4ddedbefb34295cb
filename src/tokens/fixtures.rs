//! Tokenizers for unit tests, small enough to build in code.

use super::files::TokenizerFiles;
use bytes::Bytes;
use serde_json::{Value, json};

/// A folder that contains only a configuration.
pub(super) fn folder(config: &str) -> TokenizerFiles {
    TokenizerFiles {
        name: "folder".into(),
        place: "folder".into(),
        tokenizer_config: Some(Bytes::copy_from_slice(config.as_bytes())),
        ..TokenizerFiles::default()
    }
}

/// A byte-level BPE tokenizer of some 260 tokens with GPT-2's pattern and a post-processor that puts `<s>` before each text.
pub(super) fn gpt2() -> TokenizerFiles {
    let mut vocabulary = serde_json::Map::new();
    let printable = |b: u32| (33..=126).contains(&b) || (161..=172).contains(&b) || (174..=255).contains(&b);
    let mut next = 256;
    for byte in 0..256u32 {
        let c = if printable(byte) { byte } else { next };
        next += u32::from(!printable(byte));
        vocabulary.insert(char::from_u32(c).unwrap().to_string(), byte.into());
    }
    for (id, merge) in ["th", "the", "\u{120}the", "in", "\u{120}in", "er", "\u{10a}\u{10a}"].iter().enumerate() {
        vocabulary.insert((*merge).to_owned(), (256 + id).into());
    }
    let tokenizer = json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        "padding": null,
        "added_tokens": [added_token(263, "<s>")],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [263], "tokens": ["<s>"]}}
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": bpe(vocabulary, &["t h", "th e", "\u{120} the", "i n", "\u{120} in", "e r", "\u{10a} \u{10a}"]),
    });
    let mut files = folder(
        r#"{"bos_token": "<s>", "eos_token": "<end>", "added_tokens_decoder":
            {"300": {"content": "<tool>", "normalized": false, "special": false}}}"#,
    );
    files.tokenizer_json = Bytes::from(tokenizer.to_string());
    files
}

/// A SentencePiece tokenizer as Llama 2 and Phi 3 have it: a space before each text, bytes for unknown characters, and a
/// token that includes the white space after it.
pub(super) fn sentence_piece() -> TokenizerFiles {
    let mut vocabulary = serde_json::Map::new();
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let pieces = "▁ t h e i n a b ▁t ▁th ▁the th in ▁in ▁▁ ▁▁▁▁ er r";
    for (id, piece) in ["<unk>".to_owned(), "<s>".to_owned()].into_iter().chain(bytes).enumerate() {
        vocabulary.insert(piece, id.into());
    }
    for piece in pieces.split(' ') {
        vocabulary.insert(piece.to_owned(), vocabulary.len().into());
    }
    let mut model = bpe(vocabulary, &["▁ t", "▁t h", "▁th e", "t h", "i n", "▁ in", "▁ ▁", "▁▁ ▁▁", "e r"]);
    model["unk_token"] = "<unk>".into();
    model["fuse_unk"] = true.into();
    model["byte_fallback"] = true.into();
    let mut end = added_token(500, "<end>");
    end["rstrip"] = true.into();
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [added_token(0, "<unk>"), added_token(1, "<s>"), end],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": null,
        "model": model,
    });
    let mut files = folder("{}");
    files.tokenizer_json = Bytes::from(tokenizer.to_string());
    files
}

/// [`gpt2`] with the pre-tokenizer and the normalizer of newer models.
pub(super) fn with_pattern(pattern: &str) -> TokenizerFiles {
    changed(gpt2(), |tokenizer| {
        tokenizer["normalizer"] = json!({"type": "NFC"});
        tokenizer["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        ]});
    })
}

/// [`gpt2`] with digits that are words of their own, as Granite and StarCoder have it.
pub(super) fn with_separate_digits() -> TokenizerFiles {
    changed(gpt2(), |tokenizer| {
        let gpt2 = tokenizer["pre_tokenizer"].take();
        tokenizer["pre_tokenizer"] =
            json!({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, gpt2]});
    })
}

/// Applies a change to `tokenizer.json`.
pub(super) fn changed(mut files: TokenizerFiles, change: impl FnOnce(&mut Value)) -> TokenizerFiles {
    let mut tokenizer = serde_json::from_slice(&files.tokenizer_json).unwrap();
    change(&mut tokenizer);
    files.tokenizer_json = Bytes::from(tokenizer.to_string());
    files
}

fn added_token(id: u32, content: &str) -> Value {
    json!({
        "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true
    })
}

fn bpe(vocabulary: serde_json::Map<String, Value>, merges: &[&str]) -> Value {
    json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
        "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": vocabulary, "merges": merges,
    })
}
