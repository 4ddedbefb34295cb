//! Counts word by word: such a tokenizer encodes each word of a text on its own, so a text is as long as its words together,
//! and each distinct word need be encoded only once in a run. And as no word goes on in the next line, each distinct line need
//! be searched for words only once.
//!
//! That is so with the tokenizers that search with one of [`PATTERNS`]. What `tokenizers` does with Oniguruma, which finds some
//! 20 MB of words a second, is done here with PCRE2, which finds five times as many, and the same ones but for [`DISPUTED`];
//! `fastokens` finds the added tokens and normalizes; each word is encoded by the model of `tokenizers` itself. All of that is
//! there at once, where `fastokens` with a vocabulary takes longer to load than most jobs take to count.

use super::config::Token;
use super::counter::{Authority, Count};
use super::fast::{WHILE_LOADING, add_tokens, caught};
use crate::hash_map::{HashKeyMap, Keys, lock, shard, shards};
use fastokens::tiktoken::{CL100K_BASE_PATTERN, O200K_BASE_PATTERN, QWEN2_PATTERN, QWEN35_PATTERN, TEKKEN_PATTERN};
use pcre2::bytes::{Regex, RegexBuilder};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

/// The patterns that GPT-4, GPT-4o, Llama 3, Qwen, Mistral and the many models that took them over search with.
///
/// All of their words hold a line end only as their last (`[\r\n]*`), but for slashes after it (`[\r\n/]*`), and white space with
/// a line end in it is a word up to its last line end. So a line that begins with anything visible but a slash begins a word.
/// Not so with GPT-2's pattern, where that last line end may belong to the word after it.
pub(super) const PATTERNS: [&str; 5] =
    [CL100K_BASE_PATTERN, QWEN2_PATTERN, QWEN35_PATTERN, O200K_BASE_PATTERN, TEKKEN_PATTERN];

/// The one character of Unicode that is white space for PCRE2 and none for Oniguruma.
pub(super) const DISPUTED: char = '\u{180e}';

/// What may be spent, in bytes searched for words, before it would be quicker to load `fastokens` whole: some three seconds of
/// one core.
const PATIENCE: u64 = 256 << 20;
/// What any piece costs that comes for the first time.
const PER_PIECE: u64 = 128;
/// What encoding a byte of a word costs.
const PER_ENCODED_BYTE: u64 = 32;

/// Finds the words of texts.
pub(super) struct Splitter {
    /// Without its pre-tokenizer and its model.
    tokenizer: fastokens::Tokenizer,
    search: Regex,
}

impl Splitter {
    /// Loads what there is to a `tokenizer.json` before its model, or says why this tokenizer cannot be counted word by word.
    pub(super) fn load(tokenizer_json: &[u8]) -> Result<Self, String> {
        caught(WHILE_LOADING, || Self::build(tokenizer_json))
    }

    fn build(tokenizer_json: &[u8]) -> Result<Self, String> {
        let sections: BTreeMap<String, &RawValue> =
            serde_json::from_slice(tokenizer_json).map_err(|e| e.to_string())?;
        let section = |name: &str| match sections.get(name) {
            Some(section) => serde_json::from_str::<Value>(section.get()).map_err(|e| e.to_string()),
            None => Ok(Value::Null),
        };
        let (normalizer, added_tokens) = (section("normalizer")?, section("added_tokens")?);
        if !(normalizer.is_null() || normalizer["type"] == "NFC") {
            return Err("its normalizer may change more than single characters".into());
        }
        let Some(pattern) = pattern_of(&section("pre_tokenizer")?) else {
            return Err("it does not search for words with a pattern that is known".into());
        };
        let added = added_tokens.as_array().into_iter().flatten();
        if !added.map(|token| Token::read(token, false)).all(|token| token.is_some_and(|token| keeps_to_itself(&token)))
        {
            return Err(BEYOND_ITSELF.into());
        }
        let without_model = json!({
            "added_tokens": added_tokens,
            "normalizer": normalizer,
            "model": {"type": "BPE", "vocab": {"\u{10ffff}": 0}, "merges": []},
        });
        let tokenizer = fastokens::Tokenizer::from_json(without_model).map_err(|e| e.to_string())?;
        let search = RegexBuilder::new().utf(true).ucp(true).jit_if_available(true).build(pattern);
        Ok(Self { tokenizer, search: search.map_err(|e| e.to_string())? })
    }
}

/// The pattern of a pre-tokenizer that makes each of its finds a word, then maps bytes, if it is one of [`PATTERNS`].
fn pattern_of(pre_tokenizer: &Value) -> Option<&'static str> {
    let [search, mapping] = pre_tokenizer["pretokenizers"].as_array()?.as_slice() else { return None };
    let isolates = search["type"] == "Split" && search["behavior"] == "Isolated" && search["invert"] == false;
    let only_maps =
        mapping["type"] == "ByteLevel" && mapping["use_regex"] == false && mapping["add_prefix_space"] == false;
    let pattern = search["pattern"]["Regex"].as_str().filter(|_| isolates && only_maps)?;
    PATTERNS.into_iter().find(|known| *known == pattern)
}

const BEYOND_ITSELF: &str = "a token depends on what stands around it";

/// Whether a token is found by nothing but its own text, within a line.
fn keeps_to_itself(token: &Token) -> bool {
    !(token.single_word || token.lstrip || token.rstrip || token.content.contains(['\r', '\n']))
}

/// The parts of a text that can be searched on their own: its lines, but for those that begin with white space, a slash or
/// what is not ASCII, which stay with the line before.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let begins = |at: &usize| bytes.get(*at).is_some_and(|first| first.is_ascii_graphic() && *first != b'/');
    let ends = memchr::memchr_iter(b'\n', bytes).map(|line_end| line_end + 1).filter(begins);
    let mut start = 0;
    ends.chain(std::iter::once(text.len())).map(move |end| {
        let line = &text[start..end];
        start = end;
        line
    })
}

/// Lengths of pieces of text that were counted.
struct Lengths {
    keys: Keys,
    shards: Vec<Mutex<HashKeyMap<u32>>>,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { keys: Keys::default(), shards: shards() }
    }
}

/// Counts texts word by word.
pub(super) struct Words {
    splitter: Splitter,
    authority: Arc<Authority>,
    /// Maps a word's bytes to the characters by which the model knows them.
    byte_level: ByteLevel,
    /// Tokens that the post-processor adds to each text.
    specials: u32,
    lines: Lengths,
    words: Lengths,
    /// What was spent of [`PATIENCE`]. Each piece costs once, so whether it runs out depends on the texts alone.
    spent: AtomicU64,
}

impl Words {
    /// Counts with the model of `authority`, to which `tokens` were added beside those of `tokenizer.json`.
    pub(super) fn new(
        mut splitter: Splitter,
        authority: Arc<Authority>,
        tokens: &[Token],
        specials: u32,
    ) -> Result<Self, String> {
        if !tokens.iter().all(keeps_to_itself) {
            return Err(BEYOND_ITSELF.into());
        }
        add_tokens(&mut splitter.tokenizer, tokens)?;
        let byte_level = ByteLevel::new(false, false, false);
        let (lines, words, spent) = Default::default();
        Ok(Self { splitter, authority, byte_level, specials, lines, words, spent })
    }

    fn line(&self, line: &str) -> Result<u32, String> {
        self.known(&self.lines, line, 1, || {
            let pieces = self.splitter.tokenizer.build_pre_tokenized(line);
            pieces.splits().iter().try_fold(0, |sum, piece| match piece.token_id {
                Some(_) => Ok(sum + 1),
                None => Ok(sum + self.words(pieces.split_text(piece))?),
            })
        })
    }

    /// The words of a text without added tokens: what the pattern finds, and what is left between.
    fn words(&self, text: &str) -> Result<u32, String> {
        let (mut sum, mut end) = (0, 0);
        for found in self.splitter.search.find_iter(text.as_bytes()) {
            let found = found.map_err(|e| e.to_string())?;
            sum += self.word(&text[end..found.start()])? + self.word(&text[found.start()..found.end()])?;
            end = found.end();
        }
        Ok(sum + self.word(&text[end..])?)
    }

    fn word(&self, word: &str) -> Result<u32, String> {
        if word.is_empty() {
            return Ok(0);
        }
        self.known(&self.words, word, PER_ENCODED_BYTE, || {
            let mut mapped = PreTokenizedString::from(word);
            self.byte_level.pre_tokenize(&mut mapped).map_err(|e| e.to_string())?;
            let pieces = mapped.get_splits(OffsetReferential::Original, OffsetType::None);
            pieces.into_iter().try_fold(0, |sum, (piece, ..)| {
                let tokens = self.authority.tokenizer().get_model().tokenize(piece).map_err(|e| e.to_string())?;
                Ok(sum + tokens.len() as u32)
            })
        })
    }

    /// The length of a piece, counted where it comes for the first time.
    fn known(
        &self,
        lengths: &Lengths,
        piece: &str,
        cost: u64,
        count: impl FnOnce() -> Result<u32, String>,
    ) -> Result<u32, String> {
        let key = lengths.keys.key(piece.as_bytes());
        let known = &lengths.shards[shard(key)];
        if let Some(length) = lock(known).get(&key) {
            return Ok(*length);
        }
        let length = count()?;
        // Where this goes on all the same, for want of anything quicker, it does not take more memory.
        if self.is_quick() && lock(known).insert(key, length).is_none() {
            self.spent.fetch_add(PER_PIECE + cost * piece.len() as u64, Ordering::Relaxed);
        }
        Ok(length)
    }
}

impl Count for Words {
    fn count(&self, text: &str) -> Result<u32, String> {
        if text.contains(DISPUTED) {
            return self.authority.count(text);
        }
        let length = caught("", || lines(text).try_fold(0, |sum, line| Ok(sum + self.line(line)?)))?;
        Ok(length.saturating_add(self.specials))
    }

    fn is_quick(&self) -> bool {
        self.spent.load(Ordering::Relaxed) <= PATIENCE
    }
}
