use super::super::counter::Count;
use super::super::words::{DISPUTED, PATTERNS, Splitter};
use super::*;
use crate::error::{Error, ErrorKind};
use crate::tokens::Backend;
use fastokens::tiktoken::{CL100K_BASE_PATTERN, QWEN2_PATTERN};
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

fn count_all(counter: &Counter, texts: &[String]) -> crate::error::Result<crate::tokens::Counting> {
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

/// The tokenizer with another pre-tokenizer, as the newer models have it, and a normalizer.
fn newer(pattern: &str) -> TokenizerFiles {
    let mut files = small();
    let mut json: serde_json::Value = serde_json::from_slice(&files.tokenizer_json).unwrap();
    json["normalizer"] = serde_json::json!({"type": "NFC"});
    json["pre_tokenizer"] = serde_json::json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
    ]});
    files.tokenizer_json = Bytes::from(json.to_string());
    // None that takes white space, and with it the end of the line before, into its token.
    let config = String::from_utf8(files.tokenizer_config.unwrap().to_vec()).unwrap();
    files.tokenizer_config = Some(config.replace("\"lstrip\": true", "\"lstrip\": false").into());
    files
}

/// The tokenizer with a normalizer that `fastokens` does not know.
fn refused() -> TokenizerFiles {
    let mut files = small();
    let json = String::from_utf8(files.tokenizer_json.to_vec()).unwrap();
    files.tokenizer_json = Bytes::from(json.replacen("\"normalizer\":null", "\"normalizer\":{\"type\":\"NFKC\"}", 1));
    files
}

/// Counts with `fastokens`, whatever the size of the job.
fn with_fastokens(files: &TokenizerFiles) -> Counter {
    let counter = Counter::authority(files).unwrap();
    counter.load_fast(&POOL);
    counter
}

#[test]
fn texts_are_counted_word_by_word() {
    let counter = Counter::load(&newer(CL100K_BASE_PATTERN), 1000, &POOL).unwrap();
    let counting = count_all(&counter, &["the there\n in".into(), String::new(), "<s>a<end>b  <tool>".into()]).unwrap();
    assert_eq!((counting.lengths, counting.backend), (vec![7, 1, 8], Backend::Words));
    assert_eq!((counting.fallback, counting.info), (None, None));
}

/// Counts right, and is quick up to some text.
struct Tiring {
    authority: Arc<dyn Count>,
    counted: AtomicUsize,
}

impl Count for Tiring {
    fn count(&self, text: &str) -> Result<u32, String> {
        self.counted.fetch_add(1, Ordering::Relaxed);
        self.authority.count(text)
    }

    fn is_quick(&self) -> bool {
        self.counted.load(Ordering::Relaxed) < 1000
    }
}

#[test]
fn words_that_repeat_too_little_are_left_to_fastokens() {
    let texts: Vec<String> = (0..5000).map(|i| format!("the {i}")).collect();
    for (files, expected) in [(small(), Backend::Fastokens), (refused(), Backend::Words)] {
        let mut counter = Counter::authority(&files).unwrap();
        let words = Arc::new(Tiring { authority: counter.authority.clone(), counted: AtomicUsize::new(0) });
        counter.words = Some(words.clone());
        let counting = count_all(&counter, &texts).unwrap();
        assert_eq!((counting.backend, counting.fallback), (expected, None));
        for (text, length) in texts.iter().zip(counting.lengths) {
            assert_eq!(length, counter.count(text).unwrap(), "{text:?}");
        }
        let counted = words.counted.load(Ordering::Relaxed);
        assert_eq!(counted < 2000, expected == Backend::Fastokens, "{counted}");
    }
}

#[test]
fn words_tire_of_texts_that_do_not_repeat_whichever_thread_counts_them() {
    let files = newer(CL100K_BASE_PATTERN);
    // 250 kB of words, none of which comes twice.
    let letters =
        |number: usize| [number / 676, number / 26 % 26, number % 26].map(|letter| char::from(b'a' + letter as u8));
    let word = |number: usize| format!(" w{}", String::from_iter(letters(number)));
    let once: String =
        (0..50_000).map(|number| word(number % 17_576) + if number % 20 == 0 { "\n" } else { "" }).collect();
    let counter = Counter::load(&files, 0, &POOL).unwrap();
    let words = counter.words.as_ref().unwrap();
    words.count(&once).unwrap();
    assert!(words.is_quick(), "some of distinct words and lines");
    assert_eq!(words.count(&once), words.count(&once));
    assert!(words.is_quick(), "the same again costs nothing");
    for number in 0..40 {
        words.count(&once.replace('w', &"w".repeat(number + 2))).unwrap();
    }
    assert!(!words.is_quick(), "10 MB of distinct words");
}

/// PCRE2 and the Oniguruma of `tokenizers` find the same words, whatever character stands in them, but for one.
#[test]
fn patterns_find_the_words_that_the_authority_finds() {
    // Each character in one of these; of all in all, none differed either, which takes too long here.
    let around = ["a{}b", "1{}", "{} ", "!{}", " {}A", "\n{}", "{}/", "'{}s"];
    let within = |(number, c): (usize, char)| around[number % around.len()].replace("{}", &c.to_string());
    let all: Vec<String> =
        (1..0x11_0000).filter_map(char::from_u32).filter(|c| *c != DISPUTED).enumerate().map(within).collect();
    for pattern in PATTERNS {
        let ours = pcre2::bytes::RegexBuilder::new().utf(true).ucp(true).build(pattern).unwrap();
        let theirs = tokenizers::utils::SysRegex::new(pattern).unwrap();
        let differ = |text: &str| {
            let ours = ours.find_iter(text.as_bytes()).map(|found| found.unwrap());
            !ours.map(|found| (found.start(), found.end())).eq(theirs.find_iter(text))
        };
        // Oniguruma looks far ahead in long texts, again for each word.
        let different = all.chunks(100).map(<[String]>::concat).find(|text| differ(text));
        assert_eq!(different, None, "{pattern}");
        assert!(differ(&format!("!{DISPUTED}")), "no special case any more");
    }
}

#[test]
fn tokenizers_that_cannot_be_counted_word_by_word() {
    let loads = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = serde_json::from_slice(&newer(QWEN2_PATTERN).tokenizer_json).unwrap();
        change(&mut json);
        Splitter::load(json.to_string().as_bytes()).map(drop)
    };
    assert_eq!(loads(&|_| {}), Ok(()));
    assert_eq!(loads(&|json| json["normalizer"] = serde_json::Value::Null), Ok(()));
    for flag in ["single_word", "lstrip", "rstrip"] {
        assert!(
            loads(&|json| json["added_tokens"][0][flag] = true.into()).unwrap_err().contains("around it"),
            "{flag}"
        );
    }
    assert!(loads(&|json| json["added_tokens"][0]["content"] = "\n".into()).is_err());
    assert!(loads(&|json| json["normalizer"] = serde_json::json!({"type": "Lowercase"})).is_err());
    let searches = |json: &mut serde_json::Value| json["pre_tokenizer"]["pretokenizers"][0].take();
    for (key, value) in
        [("behavior", "Removed".into()), ("invert", true.into()), ("pattern", serde_json::json!({"Regex": "x"}))]
    {
        assert!(loads(&|json| json["pre_tokenizer"]["pretokenizers"][0][key] = value.clone()).is_err(), "{key}");
    }
    assert!(loads(&|json| json["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true.into()).is_err());
    assert!(loads(&|json| json["pre_tokenizer"] = searches(json)).is_err());
    assert!(loads(&|json| json["pre_tokenizer"] = serde_json::Value::Null).is_err());
    assert!(Splitter::load(b"[]").is_err());
}

#[test]
fn a_small_job_of_a_tokenizer_without_words_is_left_to_the_authority() {
    let counter = Counter::load(&small(), 1000, &POOL).unwrap();
    counter.load_fast_in_background(1000, &POOL);
    let counting = count_all(&counter, &["the".into(), String::new()]).unwrap();
    assert_eq!((counting.lengths, counting.backend), (vec![2, 1], Backend::Tokenizers));
    assert_eq!((counting.fallback, counting.info), (None, None));
}

#[test]
fn a_large_job_is_counted_fast_to_the_same_lengths() {
    let counter = with_fastokens(&small());
    let texts: Vec<String> = (0..1000).map(|i| format!("the {i} <s> in{}<tool>x<end>", "\n é".repeat(i % 7))).collect();
    let counting = count_all(&counter, &texts).unwrap();
    assert_eq!((counting.backend, counting.fallback), (Backend::Fastokens, None));
    for (text, length) in texts.iter().zip(counting.lengths) {
        assert_eq!(length, counter.count(text).unwrap(), "{text:?}");
    }
}

#[test]
fn a_tokenizer_that_the_fast_backend_refuses_is_counted_all_the_same() {
    let counter = Counter::load(&refused(), u64::MAX, &POOL).unwrap();
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
        let counter = Counter::with(StandIn::new("-", false), None, Ok(StandIn::new("wrong", fails)));
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
    let counter = Counter::with(StandIn::new("-", false), None, Ok(StandIn::new("wrong", true)));
    let counting = count_all(&counter, &texts).unwrap();
    assert_eq!((counting.backend, counting.lengths[300]), (Backend::Tokenizers, 5));
    assert!(counting.fallback.unwrap().contains("text 300"));
}

#[test]
fn a_guard_text_is_cut_at_a_character() {
    let authority = StandIn::new("-", false);
    let counter = Counter::with(authority.clone(), None, Ok(StandIn::new("-", false)));
    let counting = count_all(&counter, &[format!("x{}", "é".repeat(100_000))]).unwrap();
    assert_eq!((counting.backend, counting.lengths), (Backend::Fastokens, vec![200_001]));
    assert_eq!(authority.longest.load(Ordering::Relaxed), 65_535);
}

#[test]
fn the_callers_errors_end_the_counting() {
    let counter = Counter::with(StandIn::new("-", false), None, Err("absent".into()));
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
    let counter = Counter::with(StandIn::new("-", false), None, Err("absent".into()));
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

/// Texts of words, lines, signs and added tokens.
fn texts() -> impl Strategy<Value = Vec<String>> {
    let text = "(<s>|<tool>|<end>| the|in\n|[a-z' ]{0,9}|[\n\r\t /]{1,4}|[!-~]{1,3}|\n/|e\u{301}|\u{301}|[0-9]{1,5}|\u{180e}|\\PC)*";
    prop::collection::vec(prop_oneof![any::<String>(), text], 1..20)
}

proptest! {
    /// All backends count any text alike, and say how they counted it.
    #[test]
    fn backends_agree(texts in texts()) {
        thread_local!(static COUNTERS: Vec<(Counter, Backend)> = PATTERNS
            .iter()
            .map(|pattern| (Counter::load(&newer(pattern), 0, &POOL).unwrap(), Backend::Words))
            .chain([small(), newer(QWEN2_PATTERN)].iter().map(|files| (with_fastokens(files), Backend::Fastokens)))
            .collect());
        COUNTERS.with(|counters| {
            for (counter, backend) in counters {
                let counting = count_all(counter, &texts).unwrap();
                prop_assert_eq!((counting.backend, counting.fallback), (*backend, None));
                for (text, length) in texts.iter().zip(counting.lengths) {
                    prop_assert_eq!(length, counter.count(text).unwrap(), "{:?}", text);
                }
            }
            Ok(())
        })?;
    }
}
