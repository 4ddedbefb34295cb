//! Counts word by word: a tokenizer with a pre-tokenizer encodes each word of a text on its own, so a text is as long as its
//! words together, and each distinct word need be encoded only once in a run.
//!
//! `fastokens` finds the words, `tokenizers` encodes them. Without a vocabulary `fastokens` is there at once; with one it
//! takes longer to load than most jobs take to count.

use super::config::Token;
use super::counter::{Authority, Count};
use super::fast::{WHILE_LOADING, add_tokens, caught, is_unused, refuse_whole_words};
use crate::keyed::{ByKey, Keys, lock, shard, shards};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

/// So many bytes of distinct lines may be searched for words, some two seconds of one core, before it would be quicker to
/// load `fastokens` whole.
const PATIENCE: u64 = 128 << 20;
/// A byte of a word that is encoded takes as long as searching so many.
const ENCODING: u64 = 32;

/// Finds the words of texts.
pub(super) struct Splitter {
    tokenizer: fastokens::Tokenizer,
    /// Maps the bytes of words to what the model knows them by, where the search leaves that out.
    byte_level: Option<ByteLevel>,
    /// Whether a line can be searched on its own.
    by_line: bool,
}

impl Splitter {
    /// Loads all of `tokenizer.json` but the model, or says why this tokenizer cannot be counted word by word.
    pub(super) fn load(tokenizer_json: &[u8]) -> Result<Self, String> {
        caught(WHILE_LOADING, || Self::build(tokenizer_json))
    }

    fn build(tokenizer_json: &[u8]) -> Result<Self, String> {
        let sections: BTreeMap<String, &RawValue> =
            serde_json::from_slice(tokenizer_json).map_err(|e| e.to_string())?;
        let mut needed = serde_json::Map::new();
        for (name, section) in sections.into_iter().filter(|(name, _)| !is_unused(name) && name != "model") {
            needed.insert(name, serde_json::from_str(section.get()).map_err(|e| e.to_string())?);
        }
        let added = needed.get("added_tokens").and_then(Value::as_array);
        refuse_whole_words(added.into_iter().flatten().any(|token| token["single_word"] == true))?;
        needed.insert("model".into(), json!({"type": "BPE", "vocab": {"a": 0}, "merges": []}));
        // Mapping whole texts costs more than mapping each distinct word.
        let mut byte_level = None;
        let steps = needed.get_mut("pre_tokenizer").and_then(|step| step.get_mut("pretokenizers"));
        if let Some(steps) = steps.and_then(Value::as_array_mut)
            && steps.pop_if(|last| only_maps_bytes(last)).is_some()
        {
            byte_level = Some(ByteLevel::new(false, false, false));
        }
        let searches = needed.get("pre_tokenizer").unwrap_or(&Value::Null);
        let searches = searches["pretokenizers"].as_array().map_or(std::slice::from_ref(searches), Vec::as_slice);
        if !searches.iter().any(|step| step["type"] == "Split" || step["use_regex"] == true) {
            return Err("it does not cut texts into words".into());
        }
        let section = |name| needed.get(name).unwrap_or(&Value::Null);
        let by_line = lines_are_apart(searches, section("normalizer"), section("added_tokens"));
        let tokenizer = fastokens::Tokenizer::from_json(Value::Object(needed)).map_err(|e| e.to_string())?;
        Ok(Self { tokenizer, byte_level, by_line })
    }
}

/// Whether a step of a pre-tokenizer is `ByteLevel` without a search for words.
fn only_maps_bytes(step: &Value) -> bool {
    step["type"] == "ByteLevel" && step["use_regex"] == false && step["add_prefix_space"] == false
}

/// Whether a line that begins with a letter, a digit or a sign begins a word, whatever stands before it, and nothing in one
/// line has a part in how another one is encoded.
fn lines_are_apart(searches: &[Value], normalizer: &Value, added_tokens: &Value) -> bool {
    let [search] = searches else { return false };
    let isolates = search["behavior"] == "Isolated" && search["invert"] == false;
    let token_keeps_to_its_line = |token: &Value| {
        token["lstrip"] != true && !token["content"].as_str().is_none_or(|content| content.contains(['\r', '\n']))
    };
    isolates
        && search["pattern"]["Regex"].as_str().is_some_and(ends_words_with_lines)
        && (normalizer.is_null() || normalizer["type"] == "NFC")
        && added_tokens.as_array().into_iter().flatten().all(token_keeps_to_its_line)
}

/// Whether no word that a pattern finds goes on after a line end, but for white space and slashes.
///
/// So it is with the patterns of GPT-4, GPT-4o and the many models that took them over: what else they hold takes line ends only
/// as the last of a word (`[\r\n]*`, `[\r\n/]*`), and white space with a line end in it is a word up to its last line end. GPT-2's
/// is another: there the last line end may stand before the first word of a line.
pub(super) fn ends_words_with_lines(pattern: &str) -> bool {
    let Some(others) = pattern.strip_suffix(r"\s*[\r\n]+|\s+(?!\S)|\s+") else { return false };
    let without_line_ends = [(r"[\r\n]*|", "|"), (r"[\r\n/]*|", "|"), (r"[^\r\n", "["), (r"[^\s", "[")];
    let others = without_line_ends.iter().fold(others.to_owned(), |left, (from, to)| left.replace(from, to));
    let may_hold_one = [
        r"\s", r"\S", r"\r", r"\n", r"\R", r"\W", r"\D", r"\H", r"\X", r"\P", r"\x", r"\u", "[^", ".", "(?=", "(?!",
        "(?<", "^", "$", r"\b", r"\B", r"\A", r"\z", r"\Z", r"\G",
    ];
    !may_hold_one.iter().any(|construct| others.contains(construct))
}

/// The parts of a text that can be counted on their own: each but the first begins with a visible ASCII character.
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

/// Lengths of pieces of text, each counted where it comes for the first time.
struct Lengths {
    keys: Keys,
    shards: Vec<Mutex<ByKey<u32>>>,
    /// What counting a byte costs.
    cost: u64,
    /// What the pieces have cost, each once: the same in every run over the same texts, whichever thread comes first.
    spent: AtomicU64,
}

impl Lengths {
    fn new(cost: u64) -> Self {
        Self { keys: Keys::default(), shards: shards(), cost, spent: AtomicU64::new(0) }
    }

    fn of(&self, piece: &str, count: impl FnOnce() -> Result<u32, String>) -> Result<u32, String> {
        let key = self.keys.key(piece.as_bytes());
        let known = &self.shards[shard(key)];
        if let Some(length) = lock(known).get(&key) {
            return Ok(*length);
        }
        let length = count()?;
        if lock(known).insert(key, length).is_none() {
            self.spent.fetch_add(self.cost * piece.len() as u64, Ordering::Relaxed);
        }
        Ok(length)
    }
}

/// Counts texts word by word.
pub(super) struct Words {
    splitter: Splitter,
    authority: Arc<Authority>,
    /// Tokens that the post-processor adds to each text.
    specials: u32,
    lines: Lengths,
    words: Lengths,
}

impl Words {
    /// Counts with the model of `authority`, to which `tokens` were added beside those of `tokenizer.json`.
    pub(super) fn new(
        mut splitter: Splitter,
        authority: Arc<Authority>,
        tokens: &[Token],
        specials: u32,
    ) -> Result<Self, String> {
        add_tokens(&mut splitter.tokenizer, tokens)?;
        splitter.by_line &= tokens.iter().all(|token| !token.lstrip && !token.content.contains(['\r', '\n']));
        Ok(Self { splitter, authority, specials, lines: Lengths::new(1), words: Lengths::new(ENCODING) })
    }

    fn text(&self, text: &str) -> Result<u32, String> {
        let length = |line| self.lines.of(line, || self.line(line));
        if self.splitter.by_line { lines(text).try_fold(0, |sum, line| Ok(sum + length(line)?)) } else { length(text) }
    }

    fn line(&self, line: &str) -> Result<u32, String> {
        let tokenizer = &self.splitter.tokenizer;
        let mut pieces = tokenizer.build_pre_tokenized(line);
        if let Some(search) = tokenizer.pre_tokenizer() {
            search.pre_tokenize(&mut pieces).map_err(|e| e.to_string())?;
        }
        pieces.splits().iter().try_fold(0, |sum, piece| {
            let length = match pieces.split_text(piece) {
                _ if piece.token_id.is_some() => 1,
                "" => 0,
                word => self.words.of(word, || self.word(word))?,
            };
            Ok(sum + length)
        })
    }

    fn word(&self, word: &str) -> Result<u32, String> {
        let model = self.authority.tokenizer().get_model();
        let Some(byte_level) = &self.splitter.byte_level else {
            return model.tokenize(word).map(|tokens| tokens.len() as u32).map_err(|e| e.to_string());
        };
        let mut mapped = PreTokenizedString::from(word);
        byte_level.pre_tokenize(&mut mapped).map_err(|e| e.to_string())?;
        mapped
            .get_splits(OffsetReferential::Original, OffsetType::None)
            .into_iter()
            .try_fold(0, |sum, (word, ..)| Ok(sum + model.tokenize(word).map_err(|e| e.to_string())?.len() as u32))
    }
}

impl Count for Words {
    fn count(&self, text: &str) -> Result<u32, String> {
        caught("", || self.text(text)).map(|length| length.saturating_add(self.specials))
    }

    fn is_quick(&self) -> bool {
        [&self.lines, &self.words].iter().map(|lengths| lengths.spent.load(Ordering::Relaxed)).sum::<u64>() <= PATIENCE
    }
}
