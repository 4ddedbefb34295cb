use super::*;
use crate::tokens::fixtures::{changed, folder, gpt2, sentence_piece};
use bytes::Bytes;
use serde_json::json;

/// What is wrong with GPT-2's fixture after a change.
fn refused(change: impl FnOnce(&mut Value)) -> String {
    check(&changed(gpt2(), change)).unwrap_err().to_string()
}

#[test]
fn fixtures_are_within_all_limits() {
    check(&gpt2()).unwrap();
    check(&sentence_piece()).unwrap();
    check(&crate::tokens::fetch::builtin()).unwrap();
}

#[test]
fn what_exceeds_a_limit_is_named_with_file_field_value_and_limit() {
    let error = refused(|tokenizer| tokenizer["added_tokens"][0]["id"] = 3_000_000_000_u64.into());
    assert!(
        error.starts_with(
            "folder/tokenizer.json: `added_tokens`: 3000000000 as the largest id: expected at most 16777215"
        ),
        "{error}"
    );
    assert!(error.contains("hint: "), "{error}");
}

#[test]
fn vocabularies_and_added_tokens_are_limited() {
    let long = "a".repeat(20_000);
    for (change, expected) in [
        (json!({"model": {"vocab": {"x": 1_u64 << 24}}}), "`model.vocab`: 16777216 as the largest id"),
        (json!({"model": {"vocab": {&long: 1}}}), "`model.vocab`: 20000 bytes in one token"),
        (json!({"model": {"type": "Unigram", "vocab": [[&long, -1.0]]}}), "`model.vocab`: 20000 bytes in one token"),
        (json!({"model": {"max_input_chars_per_word": 1_000_000}}), "`model.max_input_chars_per_word`: 1000000"),
        (json!({"model": {"other": vec![0; 5000]}}), "`model.other`: 5001 values: expected at most 4096"),
        (json!({"added_tokens": [{"content": long}]}), "`added_tokens`: 20000 bytes in one token"),
        (json!({"other": vec![0; 5000]}), "`other`: 5001 values"),
    ] {
        let error = refused(|tokenizer| *tokenizer = change);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_number_of_merges_is_limited() {
    let pairs = vec![r#""a b","#; MAX_MERGES as usize].concat();
    let json = format!("{{\"model\":{{\"merges\":[{pairs}\"a b\"]}}}}");
    let error = check_tokenizer(json.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("`model.merges`: 4194305 pairs: expected at most 4194304"), "{error}");
}

#[test]
fn the_number_of_tokens_is_counted_without_building_them() {
    let vocabulary: String = (0..=MAX_TOKENS).map(|id| format!("\"{id}\":1,")).collect();
    let json = format!("{{\"model\":{{\"vocab\":{{{}}}}}}}", vocabulary.trim_end_matches(','));
    let error = check_tokenizer(json.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("`model.vocab`: 4194305 tokens: expected at most 4194304"), "{error}");
}

#[test]
fn steps_cannot_multiply_a_text() {
    let replace = |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
    let sequence = |steps: Vec<Value>| json!({"type": "Sequence", "normalizers": steps});
    let doubled = replace(json!({"String": "a"}), "aa");
    for (normalizer, expected) in [
        (sequence(vec![doubled.clone(); 11]), "`normalizer.normalizers[10].content`: 2048 times as many bytes"),
        (sequence(vec![replace(json!({"Regex": "x*"}), " "); 11]), "`normalizer.normalizers[10].content`"),
        (replace(json!({"String": "a"}), &"b".repeat(2000)), "`normalizer.content`: 2000 bytes"),
        (replace(json!({"Regex": "a".repeat(20_000)}), ""), "`normalizer.pattern`: 20000 bytes"),
        (json!({"type": "Prepend", "prepend": "x".repeat(65)}), "`normalizer.prepend`: 65 bytes"),
        (sequence(vec![json!({"type": "NFC"}); 64]), "`normalizer.normalizers[63]`: 65 steps"),
        (
            json!({"type": "Precompiled", "precompiled_charsmap": "/////w=="}),
            "`normalizer.precompiled_charsmap`: not a valid map",
        ),
        (json!({"type": "Precompiled", "precompiled_charsmap": "%"}), "not valid Base64"),
        (json!({"type": "FixedLength", "length": 0}), "`normalizer.length`: invalid value `0`"),
    ] {
        let error = refused(|tokenizer| tokenizer["normalizer"] = normalizer);
        assert!(error.contains(expected), "{error}");
    }
    let deep = (0..12).fold(doubled, |step, _| sequence(vec![step]));
    assert!(refused(|tokenizer| tokenizer["normalizer"] = deep).contains("levels: expected at most 16"));
    let published = [
        sequence(vec![json!({"type": "Prepend", "prepend": "▁"}), replace(json!({"String": " "}), "▁")]),
        sequence(vec![
            replace(json!({"Regex": " {2,}"}), " "),
            replace(json!({"String": "``"}), "\""),
            json!({"type": "NFKC"}),
        ]),
        sequence(vec![replace(json!({"Regex": "\\s+"}), " "), json!({"type": "Lowercase"})]),
    ];
    for normalizer in published {
        check(&changed(gpt2(), |tokenizer| tokenizer["normalizer"] = normalizer)).unwrap();
    }
}

#[test]
fn post_processors_add_few_tokens() {
    let piece = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
    let error = refused(|tokenizer| tokenizer["post_processor"]["single"] = vec![piece; 65].into());
    assert!(error.contains("`post_processor.single`: 65 entries: expected at most 64"), "{error}");
    let error = refused(|tokenizer| tokenizer["post_processor"]["special_tokens"]["<s>"]["ids"] = vec![1; 1000].into());
    assert!(error.contains("`post_processor.special_tokens.<s>.ids`: 1000 entries"), "{error}");
}

/// The library takes the prefix off the second part of each merge without looking.
#[test]
fn merges_have_the_prefix_that_the_library_takes_off() {
    let error = refused(|tokenizer| tokenizer["model"]["continuing_subword_prefix"] = "##".into());
    assert!(error.contains("`model.merges[0]`: expected a second part"), "{error}");
}

#[test]
fn a_section_that_occurs_twice_is_refused() {
    let mut files = gpt2();
    let text = String::from_utf8(files.tokenizer_json.to_vec()).unwrap();
    files.tokenizer_json = Bytes::from(text.replacen('{', "{\"model\": {},", 1));
    let error = check(&files).unwrap_err().to_string();
    assert!(error.contains("duplicate key `model`"), "{error}");
}

#[test]
fn configurations_are_limited() {
    let values = format!("{{\"a\": [{}0]}}", "0,".repeat(MAX_CONFIG_VALUES as usize));
    let error = check(&folder(&values)).unwrap_err().to_string();
    assert!(error.starts_with("folder/tokenizer_config.json: `file`: 4194307 values"), "{error}");
    let tokens = |content: &str, count| vec![Token::parse(&Value::from(content), false).unwrap(); count];
    assert!(check_added_tokens(&tokens("a", 1000)).is_ok());
    assert!(check_added_tokens(&tokens(&"a".repeat(5000), 1)).is_err());
}
