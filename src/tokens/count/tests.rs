use super::*;
use crate::tokens::fixtures::{changed, folder, gpt2, sentence_piece, with_pattern, with_separate_digits};
use bytes::Bytes;
use patterns::{CL100K, PATTERNS, QWEN2, WordPattern};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;
use word_rules::{WordRules, is_nfc_inert};

static POOL: LazyLock<ThreadPool> = LazyLock::new(|| rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());

fn load(files: &TokenizerFiles) -> Counter {
    BaseTokenizer::load(files, TokenizerRules::Auto, &POOL).unwrap().counter()
}

impl Counter {
    /// The length of one text, by the reference.
    fn count(&self, text: &str) -> Result<u32, String> {
        self.reference.encode(text)
    }
}

fn count_all(counter: &Counter, texts: &[String]) -> Result<EncodedTexts<u32>> {
    let texts = TextSource {
        count: texts.len(),
        text: &|index, out| {
            out.push_str(&texts[index]);
            Ok(())
        },
        progress: &|_| {},
        check: &|| Ok(()),
    };
    counter.encode_all(&texts, |_, length| length, &POOL)
}

#[test]
fn the_reference_counts_special_tokens_and_does_not_truncate() {
    let counter = load(&gpt2());
    assert_eq!(counter.count("").unwrap(), 1);
    assert_eq!(counter.count("the there in").unwrap(), 1 + 5);
    // `<end>` and `<tool>` are declared by the configuration only.
    assert_eq!(counter.count("<s>a<end>b  <tool>").unwrap(), 1 + 7);
    assert_eq!(counter.count("<other>").unwrap(), 1 + 5);
}

#[test]
fn the_word_cache_counts_supported_tokenizers() {
    let texts = ["the there\n in".into(), String::new(), "<s>a<end>b  <tool>".into()];
    for (files, lengths) in [
        (with_pattern(CL100K), [7, 1, 8]),
        (gpt2(), [7, 1, 8]),
        (with_separate_digits(), [7, 1, 8]),
        (sentence_piece(), [6, 0, 13]),
    ] {
        let counts = count_all(&load(&files), &texts).unwrap();
        assert_eq!((&counts.values[..], counts.backend), (&lengths[..], Backend::WordCache));
        assert_eq!((counts.fallback, counts.info), (None, None));
    }
}

#[test]
fn a_full_cache_starts_over() {
    let counter = load(&with_pattern(CL100K));
    let letters = |number: usize| {
        [number / 17_576, number / 676 % 26, number / 26 % 26, number % 26].map(|letter| (b'a' + letter as u8) as char)
    };
    let words: String =
        (0..1_200_000).map(|number| format!(" {}", String::from_iter(letters(number % 400_000)))).collect();
    let cache = counter.word_cache.as_ref().unwrap();
    assert_eq!(cache.encode(&words), cache.encode(&words));
}

/// The lazy DFA and the Oniguruma of `tokenizers` find the same words, whatever characters they contain.
#[test]
fn patterns_find_the_words_that_the_reference_finds() {
    // Each character in one of these contexts. All characters in all contexts agree as well, but take too long here.
    let contexts = ["a{}b", "1{}", "{} ", "!{}", " {}A", "\n{}", "{}/", "'{}s", "{}\n", "  {}"];
    let in_context = |(number, c): (usize, char)| contexts[number % contexts.len()].replace("{}", &c.to_string());
    let all: Vec<String> = (1..0x11_0000).filter_map(char::from_u32).enumerate().map(in_context).collect();
    for pattern in PATTERNS {
        let ours = WordPattern::new(pattern).unwrap();
        let theirs = tokenizers::utils::SysRegex::new(pattern).unwrap();
        let differs = |text: &str| {
            let mut finder = ours.finder();
            let mut start = 0;
            !theirs.find_iter(text).into_iter().all(|(from, to)| {
                let same = from == start && finder.word_end(text, start) == Some(to);
                start = to;
                same
            }) || start != text.len()
        };
        // Oniguruma looks far ahead in long texts, again for each word.
        let different: Vec<&str> = all
            .chunks(100)
            .filter(|texts| differs(&texts.concat()))
            .flatten()
            .map(String::as_str)
            .filter(|text| differs(text))
            .collect();
        assert!(different.is_empty(), "{pattern}: {} {:?}", different.len(), &different[..different.len().min(20)]);
    }
}

#[test]
fn nfc_leaves_inert_characters_unchanged() {
    use tokenizers::{NormalizedString, Normalizer, normalizers::unicode::NFC};
    let nfc = |text: &str| {
        let mut normalized = NormalizedString::from(text);
        NFC.normalize(&mut normalized).unwrap();
        normalized.get().to_owned()
    };
    let inert: Vec<char> = (0..0x11_0000).filter_map(char::from_u32).filter(|c| is_nfc_inert(&c.to_string())).collect();
    for c in &inert {
        assert_eq!(nfc(&c.to_string()), c.to_string(), "{:x}", u32::from(*c));
    }
    // None composes with a character before it. Characters that compose do so with one of these.
    let starters = [
        "a", "A", "\u{3b1}", "\u{430}", "\u{5d0}", "\u{627}", "\u{304b}", "\u{30ab}", "\u{1100}", "\u{ac00}", "\u{9c7}",
    ];
    for starter in starters {
        let text: String = inert.iter().map(|c| format!("{starter}{c}")).collect();
        assert_eq!(nfc(&text), text);
    }
    assert!(!is_nfc_inert("e\u{301}") && !is_nfc_inert("\u{212b}") && !is_nfc_inert("\u{1100}\u{1161}"));
}

#[test]
fn tokenizers_whose_words_depend_on_each_other_are_not_supported() {
    let rules = |files: TokenizerFiles, change: &dyn Fn(&mut Value)| {
        let files = changed(files, change);
        ReferenceEncoder::load(&files, TokenizerRules::Auto)
            .map_err(|e| e.to_string())
            .and_then(|(r, _)| WordRules::of(&r))
            .map(drop)
    };
    let pattern = || with_pattern(QWEN2);
    let unchanged = |_: &mut Value| {};
    for files in [pattern(), gpt2(), with_separate_digits(), sentence_piece()] {
        assert_eq!(rules(files, &unchanged), Ok(()));
    }
    assert_eq!(rules(pattern(), &|json| json["normalizer"] = Value::Null), Ok(()));
    for flag in ["single_word", "lstrip", "rstrip"] {
        let error = rules(pattern(), &|json| json["added_tokens"][0][flag] = true.into()).unwrap_err();
        assert_eq!(error, "its added token `<s>` depends on the text around it", "{flag}");
    }
    let refused: [&dyn Fn(&mut Value); 7] = [
        &|json| json["normalizer"] = json!({"type": "Lowercase"}),
        &|json| json["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed".into(),
        &|json| json["pre_tokenizer"]["pretokenizers"][0]["invert"] = true.into(),
        &|json| json["pre_tokenizer"]["pretokenizers"][0]["pattern"] = json!({"Regex": "x"}),
        &|json| json["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true.into(),
        &|json| json["pre_tokenizer"] = json["pre_tokenizer"]["pretokenizers"][0].take(),
        &|json| json["pre_tokenizer"] = Value::Null,
    ];
    for (number, change) in refused.into_iter().enumerate() {
        assert!(rules(pattern(), change).is_err(), "{number}");
    }
    assert!(rules(gpt2(), &|json| json["pre_tokenizer"]["add_prefix_space"] = true.into()).is_err());
    type Change<'c> = &'c dyn Fn(&mut Value);
    let refused: [(&str, Change<'_>); 7] = [
        ("spans two words", &|json| json["model"]["vocab"]["a▁b"] = 600.into()),
        ("spans two words", &|json| json["model"]["vocab"]["\nb"] = 600.into()),
        ("spans two words", &|json| json["model"]["vocab"]["<0x0A>b"] = 600.into()),
        ("no line end", &|json| json["model"]["byte_fallback"] = false.into()),
        ("differently", &|json| json["model"]["ignore_merges"] = true.into()),
        ("`<end>`", &|json| json["added_tokens"][2]["normalized"] = true.into()),
        ("not BPE", &|json| {
            json["model"] = json!({"type": "WordLevel", "vocab": {"<unk>": 0, "<s>": 1}, "unk_token": "<unk>"})
        }),
    ];
    for (reason, change) in refused {
        let error = rules(sentence_piece(), change).unwrap_err();
        assert!(error.contains(reason), "{reason}: {error}");
    }
    let mut files = gpt2();
    files.tokenizer_config = Some(Bytes::from_static(br#"{"split_special_tokens": true}"#));
    assert!(rules(files, &unchanged).unwrap_err().contains("special tokens"));
}

/// A tokenizer that the word cache does not support.
fn unsupported() -> TokenizerFiles {
    changed(gpt2(), |tokenizer| tokenizer["normalizer"] = json!({"type": "NFKC"}))
}

#[test]
fn the_reference_counts_unsupported_tokenizers_and_the_log_of_a_long_run_says_so() {
    let counter = load(&unsupported());
    let counts = count_all(&counter, &["the".into(), String::new()]).unwrap();
    assert_eq!((counts.values, counts.backend), (vec![2, 1], Backend::Reference));
    assert_eq!((counts.fallback, counts.info), (None, None));
    let counts = count_all(&counter, &vec![String::new(); MANY_TEXTS]).unwrap();
    insta::assert_snapshot!(counts.info.unwrap());
}

/// Counts bytes. For texts that contain `mark` it counts one more, or fails.
struct ByteCounter {
    mark: &'static str,
    fails: bool,
    longest: AtomicUsize,
}

impl ByteCounter {
    fn new(mark: &'static str, fails: bool) -> Arc<Self> {
        Arc::new(Self { mark, fails, longest: AtomicUsize::new(0) })
    }
}

impl TextEncoder<u32> for ByteCounter {
    fn encode(&self, text: &str) -> Result<u32, String> {
        self.longest.fetch_max(text.len(), Ordering::Relaxed);
        match (text.contains(self.mark), self.fails) {
            (true, true) => Err("it broke".into()),
            (marked, _) => Ok(text.len() as u32 + u32::from(marked)),
        }
    }
}

fn with_word_cache(cache: Arc<ByteCounter>) -> Counter {
    Counter::new(ByteCounter::new("-", false), Ok(cache), "tokenizer.json")
}

fn without_word_cache() -> Counter {
    Counter::new(ByteCounter::new("-", false), Err("not supported".into()), "tokenizer.json")
}

#[test]
fn a_word_cache_that_differs_from_the_reference_is_replaced_with_a_warning() {
    let texts: Vec<String> = (0..5000).map(|i| if i >= 272 { "wrong".into() } else { "x".repeat(i % 9) }).collect();
    for fails in [false, true] {
        let counts = count_all(&with_word_cache(ByteCounter::new("wrong", fails)), &texts).unwrap();
        assert_eq!(counts.backend, Backend::Reference);
        assert_eq!(counts.values, texts.iter().map(|t| t.len() as u32).collect::<Vec<_>>());
        insta::assert_snapshot!(format!("differs_{fails}"), counts.fallback.unwrap());
    }
}

#[test]
fn a_word_cache_that_fails_outside_the_sample_is_replaced_too() {
    let mut texts = vec!["x".to_owned(); 400];
    texts[300] = "wrong".into();
    let counts = count_all(&with_word_cache(ByteCounter::new("wrong", true)), &texts).unwrap();
    assert_eq!((counts.backend, counts.values[300]), (Backend::Reference, 5));
    assert!(counts.fallback.unwrap().contains("text 300"));
}

#[test]
fn the_start_of_a_long_text_is_compared_up_to_a_whole_character() {
    let reference = ByteCounter::new("-", false);
    let counter = Counter::new(reference.clone(), Ok(ByteCounter::new("-", false)), "tokenizer.json");
    let counts = count_all(&counter, &[format!("x{}", "é".repeat(100_000))]).unwrap();
    assert_eq!((counts.backend, counts.values), (Backend::WordCache, vec![200_001]));
    assert_eq!(reference.longest.load(Ordering::Relaxed), 65_535);
}

#[test]
fn errors_of_the_caller_end_the_counting() {
    let counter = without_word_cache();
    let calls = AtomicUsize::new(0);
    let texts = TextSource {
        count: 10_000,
        text: &|_, _| Ok(()),
        progress: &|_| {},
        check: &|| match calls.fetch_add(1, Ordering::Relaxed) {
            0..5 => Ok(()),
            _ => Err(Error::new(ErrorKind::Interrupted, "stopped")),
        },
    };
    assert_eq!(counter.encode_all(&texts, |_, length| length, &POOL).unwrap_err().kind(), ErrorKind::Interrupted);
    let texts = TextSource {
        count: 3,
        text: &|index, _| if index == 1 { Err(Error::new(ErrorKind::Data, "no text")) } else { Ok(()) },
        progress: &|_| {},
        check: &|| Ok(()),
    };
    assert_eq!(counter.encode_all(&texts, |_, length| length, &POOL).unwrap_err().line(), "no text");
}

#[test]
fn progress_ends_at_the_number_of_texts() {
    let most = AtomicUsize::new(0);
    let texts = TextSource {
        count: 1000,
        text: &|_, _| Ok(()),
        progress: &|done| {
            most.fetch_max(done, Ordering::Relaxed);
        },
        check: &|| Ok(()),
    };
    without_word_cache().encode_all(&texts, |_, length| length, &POOL).unwrap();
    assert_eq!(most.load(Ordering::Relaxed), 1000);
}

#[test]
fn an_invalid_tokenizer_file_is_named() {
    let mut files = gpt2();
    files.tokenizer_json = Bytes::from_static(b"{}");
    let error = BaseTokenizer::load(&files, TokenizerRules::Auto, &POOL).map(drop).unwrap_err();
    assert!(error.line().starts_with("folder/tokenizer.json: not a valid tokenizer: "), "{error}");
    files.tokenizer_config = Some(Bytes::from_static(b"[]"));
    let error = BaseTokenizer::load(&files, TokenizerRules::Auto, &POOL).map(drop).unwrap_err();
    assert_eq!(error.line(), "folder/tokenizer_config.json: not a JSON object");
    let dropout = changed(gpt2(), |tokenizer| tokenizer["model"]["dropout"] = 0.5.into());
    insta::assert_snapshot!(BaseTokenizer::load(&dropout, TokenizerRules::Auto, &POOL).map(drop).unwrap_err());
    assert!(BaseTokenizer::load(&folder("{}"), TokenizerRules::Auto, &POOL).is_err());
}

/// Texts of words, lines, punctuation and added tokens.
fn texts() -> impl Strategy<Value = Vec<String>> {
    let text = "(<s>|<tool>|<end>|<unk>| the|in\n|[a-z' ▁]{0,9}|[\n\r\t /]{1,4}|[!-~]{1,3}|\n/|e\u{301}|\u{301}|[0-9]{1,5}|\u{180e}|<0x0A>|\\PC)*";
    prop::collection::vec(prop_oneof![any::<String>(), text], 1..20)
}

proptest! {
    /// The word cache counts any text as the reference does.
    #[test]
    fn the_word_cache_agrees_with_the_reference(texts in texts()) {
        thread_local!(static COUNTERS: Vec<Counter> = PATTERNS
            .iter()
            .map(|pattern| with_pattern(pattern))
            .chain([gpt2(), with_separate_digits(), sentence_piece()])
            .map(|files| load(&files))
            .collect());
        COUNTERS.with(|counters| {
            for (number, counter) in counters.iter().enumerate() {
                let counts = count_all(counter, &texts).unwrap();
                prop_assert_eq!((counts.backend, counts.fallback), (Backend::WordCache, None), "{}", number);
                for (text, length) in texts.iter().zip(counts.values) {
                    prop_assert_eq!(length, counter.count(text).unwrap(), "{}: {:?}", number, text);
                }
            }
            Ok(())
        })?;
    }
}
