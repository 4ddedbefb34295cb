use super::super::counter::Count;
use super::*;
use crate::chat::Backend;
use crate::error::{Error, ErrorKind};
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// A byte-level BPE tokenizer of some 260 tokens, with a post-processor that puts `<s>` before each text.
fn small() -> TokenizerFiles {
    let mut vocab = serde_json::Map::new();
    let printable = |b: u32| (33..=126).contains(&b) || (161..=172).contains(&b) || (174..=255).contains(&b);
    let mut next = 256;
    for byte in 0..256u32 {
        let c = if printable(byte) { byte } else { next };
        next += u32::from(!printable(byte));
        vocab.insert(char::from_u32(c).unwrap().to_string(), byte.into());
    }
    for (id, merge) in ["th", "the", "\u{120}the", "in", "\u{120}in", "er"].iter().enumerate() {
        vocab.insert((*merge).to_owned(), (256 + id).into());
    }
    let json = serde_json::json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        "padding": null,
        "added_tokens": [
            {"id": 262, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}
        ],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [262], "tokens": ["<s>"]}}
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab,
            "merges": ["t h", "th e", "\u{120} the", "i n", "\u{120} in", "e r"]
        }
    });
    let mut files = folder(
        r#"{"bos_token": "<s>", "eos_token": "<end>", "added_tokens_decoder":
            {"300": {"content": "<tool>", "normalized": false, "special": false, "lstrip": true}}}"#,
    );
    files.tokenizer_json = Bytes::from(json.to_string());
    files
}

/// One thread: a job of the pool that waits for another one would never end.
static POOL: LazyLock<rayon::ThreadPool> =
    LazyLock::new(|| rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());

fn count_all(counter: &Counter, texts: &[String]) -> crate::Result<crate::chat::Counting> {
    let texts = Texts {
        count: texts.len(),
        text: &|index, out| {
            out.push_str(&texts[index]);
            Ok(())
        },
        progress: &|_| {},
        check: &|| Ok(()),
    };
    counter.count_all(&texts, &POOL)
}

#[test]
fn the_authority_counts_special_tokens_and_does_not_truncate() {
    let counter = Counter::authority(&small()).unwrap();
    assert_eq!(counter.count("").unwrap(), 1);
    assert_eq!(counter.count("the there in").unwrap(), 1 + 5);
    // The config's tokens are whole, although the file lacks them.
    assert_eq!(counter.count("<s>a<end>b  <tool>").unwrap(), 1 + 5);
    assert_eq!(counter.count("<other>").unwrap(), 1 + 5);
}

#[test]
fn a_small_job_does_without_the_fast_backend() {
    let counter = Counter::authority(&small()).unwrap();
    counter.load_fast_in_background(1000, &POOL);
    let counting = count_all(&counter, &["the".into(), String::new()]).unwrap();
    assert_eq!((counting.lengths, counting.backend), (vec![2, 1], Backend::Tokenizers));
    assert_eq!((counting.fallback, counting.info), (None, None));
}

#[test]
fn a_large_job_is_counted_fast_to_the_same_lengths() {
    let counter = Counter::authority(&small()).unwrap();
    counter.load_fast_in_background(u64::MAX, &POOL);
    let texts: Vec<String> = (0..1000).map(|i| format!("the {i} <s> in{}<tool>x<end>", "\n é".repeat(i % 7))).collect();
    let counting = count_all(&counter, &texts).unwrap();
    assert_eq!((counting.backend, counting.fallback), (Backend::Fastokens, None));
    for (text, length) in texts.iter().zip(counting.lengths) {
        assert_eq!(length, counter.count(text).unwrap(), "{text:?}");
    }
}

#[test]
fn a_tokenizer_that_the_fast_backend_refuses_is_counted_all_the_same() {
    let mut files = small();
    let json = String::from_utf8(files.tokenizer_json.to_vec()).unwrap();
    files.tokenizer_json = Bytes::from(json.replacen("\"normalizer\":null", "\"normalizer\":{\"type\":\"NFKC\"}", 1));
    let counter = Counter::authority(&files).unwrap();
    counter.load_fast_in_background(u64::MAX, &POOL);
    let counting = count_all(&counter, &["the".into()]).unwrap();
    assert_eq!((counting.backend, counting.fallback), (Backend::Tokenizers, None));
    assert!(counting.info.unwrap().starts_with("fastokens does not support this tokenizer: "));
}

/// Counts bytes, and gives one more, or fails, for texts that hold a mark.
struct StandIn {
    mark: &'static str,
    fails: bool,
    longest: AtomicUsize,
}

impl StandIn {
    fn new(mark: &'static str, fails: bool) -> Arc<Self> {
        Arc::new(Self { mark, fails, longest: AtomicUsize::new(0) })
    }
}

impl Count for StandIn {
    fn count(&self, text: &str) -> Result<u32, String> {
        self.longest.fetch_max(text.len(), Ordering::Relaxed);
        match (text.contains(self.mark), self.fails) {
            (true, true) => Err("it broke".into()),
            (marked, _) => Ok(text.len() as u32 + u32::from(marked)),
        }
    }
}

#[test]
fn backends_that_disagree_give_the_authoritys_lengths_and_a_warning() {
    let texts: Vec<String> = (0..5000).map(|i| if i >= 272 { "wrong".into() } else { "x".repeat(i % 9) }).collect();
    for fails in [false, true] {
        let counter = Counter::with(StandIn::new("-", false), Ok(StandIn::new("wrong", fails)));
        let counting = count_all(&counter, &texts).unwrap();
        assert_eq!(counting.backend, Backend::Tokenizers);
        assert_eq!(counting.lengths, texts.iter().map(|t| t.len() as u32).collect::<Vec<_>>());
        let warning = counting.fallback.unwrap();
        let expected = if fails {
            "fastokens fails on text 272: it broke"
        } else {
            "fastokens gives 6 tokens for text 272 where tokenizers gives 5"
        };
        assert_eq!(warning, format!("{expected}; counted everything again with tokenizers"));
    }
}

#[test]
fn a_fast_backend_that_fails_outside_the_sample_is_replaced_too() {
    let mut texts = vec!["x".to_owned(); 400];
    texts[300] = "wrong".into();
    let counter = Counter::with(StandIn::new("-", false), Ok(StandIn::new("wrong", true)));
    let counting = count_all(&counter, &texts).unwrap();
    assert_eq!((counting.backend, counting.lengths[300]), (Backend::Tokenizers, 5));
    assert!(counting.fallback.unwrap().contains("text 300"));
}

#[test]
fn a_guard_text_is_cut_at_a_character() {
    let authority = StandIn::new("-", false);
    let counter = Counter::with(authority.clone(), Ok(StandIn::new("-", false)));
    let counting = count_all(&counter, &[format!("x{}", "é".repeat(100_000))]).unwrap();
    assert_eq!((counting.backend, counting.lengths), (Backend::Fastokens, vec![200_001]));
    assert_eq!(authority.longest.load(Ordering::Relaxed), 65_535);
}

#[test]
fn the_callers_errors_end_the_counting() {
    let counter = Counter::with(StandIn::new("-", false), Err("absent".into()));
    let asked = AtomicUsize::new(0);
    let texts = Texts {
        count: 10_000,
        text: &|_, _| Ok(()),
        progress: &|_| {},
        check: &|| match asked.fetch_add(1, Ordering::Relaxed) {
            0..5 => Ok(()),
            _ => Err(Error::new(ErrorKind::Interrupted, "stopped")),
        },
    };
    assert_eq!(counter.count_all(&texts, &POOL).unwrap_err().kind(), ErrorKind::Interrupted);
    let texts = Texts {
        count: 3,
        text: &|index, _| if index == 1 { Err(Error::new(ErrorKind::Data, "no text")) } else { Ok(()) },
        progress: &|_| {},
        check: &|| Ok(()),
    };
    assert_eq!(counter.count_all(&texts, &POOL).unwrap_err().line(), "no text");
}

#[test]
fn progress_ends_at_the_number_of_texts() {
    let most = AtomicUsize::new(0);
    let counter = Counter::with(StandIn::new("-", false), Err("absent".into()));
    let texts = Texts {
        count: 1000,
        text: &|_, _| Ok(()),
        progress: &|done| {
            most.fetch_max(done, Ordering::Relaxed);
        },
        check: &|| Ok(()),
    };
    counter.count_all(&texts, &POOL).unwrap();
    assert_eq!(most.load(Ordering::Relaxed), 1000);
}

#[test]
fn a_broken_tokenizer_file_is_named() {
    let mut files = small();
    files.tokenizer_json = Bytes::from_static(b"{}");
    let error = Counter::authority(&files).unwrap_err();
    assert!(error.line().starts_with("folder/tokenizer.json: the tokenizers library cannot load it"), "{error}");
    files.tokenizer_config = Some(Bytes::from_static(b"[]"));
    assert_eq!(Counter::authority(&files).unwrap_err().line(), "folder/tokenizer_config.json: expected a JSON object");
}

proptest! {
    /// Both backends count any text alike.
    #[test]
    fn backends_agree(texts in prop::collection::vec(prop_oneof![any::<String>(), "(<s>|<tool>|<end>| the|[a-z ]{0,9}|\\PC)*"], 1..20)) {
        thread_local!(static COUNTER: Counter = {
            let counter = Counter::authority(&small()).unwrap();
            counter.load_fast_in_background(u64::MAX, &POOL);
            counter
        });
        COUNTER.with(|counter| {
            let counting = count_all(counter, &texts).unwrap();
            prop_assert_eq!(counting.backend, Backend::Fastokens);
            for (text, length) in texts.iter().zip(counting.lengths) {
                prop_assert_eq!(length, counter.count(text).unwrap());
            }
            Ok(())
        })?;
    }
}
