//! Counts each distinct word of a run once. As no word continues across most line ends, each distinct line is searched for
//! words only once, too. A mix repeats most of its text: a summary appears in each of its QA pairs.

use super::backend::TokenCounter;
use super::patterns::WordFinder;
use super::reference::ReferenceCounter;
use super::word_rules::{WordRules, is_nfc_inert, mark_spaces, sentence_piece_lines, sentence_piece_words};
use crate::hash_map::{HashKeyMap, Keys, lock, shard, shards};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    AddedToken, Model, NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

/// Number of lengths in one shard of a cache. 64 shards of two caches take some 100 MB if all are full.
const MAX_SHARD: usize = 1 << 14;

/// Known lengths of pieces of text.
struct LengthCache {
    keys: Keys,
    shards: Vec<Mutex<HashKeyMap<u32>>>,
}

impl LengthCache {
    fn new() -> Self {
        Self { keys: Keys::default(), shards: shards() }
    }

    /// The length of a piece: known, or counted by `count`.
    fn get(&self, piece: &str, count: impl FnOnce() -> Result<u32, String>) -> Result<u32, String> {
        let key = self.keys.key(piece.as_bytes());
        let shard = &self.shards[shard(key)];
        if let Some(length) = lock(shard).get(&key) {
            return Ok(*length);
        }
        let length = count()?;
        let mut shard = lock(shard);
        // What repeats does so soon, so a full shard starts over.
        if shard.len() >= MAX_SHARD {
            shard.clear();
        }
        shard.insert(key, length);
        Ok(length)
    }
}

/// Counts texts word by word, with the model of the reference.
pub(super) struct WordCacheCounter {
    reference: Arc<ReferenceCounter>,
    rules: WordRules,
    /// Added tokens that are found before the text is normalized.
    raw_tokens: AddedTokens,
    /// Added tokens that are found after that, between the others.
    normalized_tokens: AddedTokens,
    /// Maps a word's bytes to the characters by which a byte-level model knows them.
    byte_level: ByteLevel,
    /// Number of tokens that the post-processor adds to each text.
    tokens_per_text: u32,
    lines: LengthCache,
    words: LengthCache,
}

impl WordCacheCounter {
    /// # Errors
    /// The reason, if the words of this tokenizer cannot be counted separately.
    pub(super) fn new(reference: Arc<ReferenceCounter>) -> Result<Self, String> {
        let rules = WordRules::of(&reference)?;
        let tokens_per_text = reference
            .tokens_per_text()
            .ok_or_else(|| "its post-processor does not add the same number of tokens to every text".to_owned())?;
        let tokens = reference.tokenizer().get_added_tokens_decoder();
        Ok(Self {
            raw_tokens: AddedTokens::new(tokens.values().filter(|token| !token.normalized)),
            normalized_tokens: AddedTokens::new(tokens.values().filter(|token| token.normalized)),
            reference,
            rules,
            byte_level: ByteLevel::new(false, false, false),
            tokens_per_text,
            lines: LengthCache::new(),
            words: LengthCache::new(),
        })
    }

    fn count_text(&self, text: &str) -> Result<u32, String> {
        match &self.rules {
            WordRules::ByteLevel { pattern, separate_digits, nfc } => {
                let mut finder = pattern.finder();
                pattern.independent_parts(text).try_fold(0, |sum, line| {
                    Ok(sum + self.lines.get(line, || self.line(&mut finder, line, *separate_digits, *nfc))?)
                })
            }
            WordRules::SentencePiece { space_at_start } => {
                let pieces = self.reference.tokenizer().get_added_vocabulary();
                let pieces = pieces.extract_and_normalize(None::<&NormalizerWrapper>, text);
                self.pieces(&pieces, |piece| {
                    let with_space = space_at_start.then(|| format!(" {piece}"));
                    let lines = sentence_piece_lines(with_space.as_deref().unwrap_or(piece));
                    lines.map(|line| self.lines.get(line, || self.sentence_piece_line(line))).sum()
                })
            }
        }
    }

    /// Counts what is left of a text between its added tokens, and one for each of these.
    fn pieces(
        &self,
        pieces: &PreTokenizedString,
        mut count: impl FnMut(&str) -> Result<u32, String>,
    ) -> Result<u32, String> {
        let pieces = pieces.get_splits(OffsetReferential::Original, OffsetType::None);
        pieces.into_iter().try_fold(0, |sum, (piece, _, added)| match added {
            Some(tokens) => Ok(sum + tokens.len() as u32),
            None if piece.is_empty() => Ok(sum),
            None => Ok(sum + count(piece)?),
        })
    }

    fn line(&self, finder: &mut WordFinder<'_>, line: &str, separate_digits: bool, nfc: bool) -> Result<u32, String> {
        if !nfc || is_nfc_inert(line) {
            return self.raw_tokens.count(line, |piece| {
                self.normalized_tokens.count(piece, |piece| self.byte_level_words(finder, piece, separate_digits))
            });
        }
        // Slower: the library keeps the position of each byte before normalization.
        let tokenizer = self.reference.tokenizer();
        let pieces = tokenizer.get_added_vocabulary().extract_and_normalize(tokenizer.get_normalizer(), line);
        self.pieces(&pieces, |piece| self.byte_level_words(finder, piece, separate_digits))
    }

    fn byte_level_words(&self, finder: &mut WordFinder<'_>, text: &str, separate_digits: bool) -> Result<u32, String> {
        if !separate_digits {
            return self.found_words(finder, text);
        }
        let mut sum = 0;
        let mut rest = text;
        while let Some((at, digit)) = rest.char_indices().find(|(_, c)| c.is_numeric()) {
            let (before, from_digit) = rest.split_at(at);
            let (digit, after) = from_digit.split_at(digit.len_utf8());
            sum += self.found_words(finder, before)? + self.found_words(finder, digit)?;
            rest = after;
        }
        Ok(sum + self.found_words(finder, rest)?)
    }

    /// Counts the words that the pattern finds.
    fn found_words(&self, finder: &mut WordFinder<'_>, text: &str) -> Result<u32, String> {
        let (mut sum, mut start) = (0, 0);
        while start < text.len() {
            let end = finder.word_end(text, start).ok_or("its pattern finds no word")?;
            let word = &text[start..end];
            sum += self.words.get(word, || {
                let mut mapped = PreTokenizedString::from(word);
                self.byte_level.pre_tokenize(&mut mapped).map_err(|e| e.to_string())?;
                let pieces = mapped.get_splits(OffsetReferential::Original, OffsetType::None);
                pieces.into_iter().map(|(piece, ..)| self.encode(piece)).sum()
            })?;
            start = end;
        }
        Ok(sum)
    }

    fn sentence_piece_line(&self, line: &str) -> Result<u32, String> {
        sentence_piece_words(line).map(|word| self.words.get(word, || self.encode(&mark_spaces(word)))).sum()
    }

    /// The number of tokens that the model makes of a word.
    fn encode(&self, word: &str) -> Result<u32, String> {
        let tokens = self.reference.tokenizer().get_model().tokenize(word).map_err(|e| e.to_string())?;
        Ok(tokens.len() as u32)
    }
}

impl TokenCounter for WordCacheCounter {
    fn count(&self, text: &str) -> Result<u32, String> {
        // The reference counts everything again if this code or a library has a bug that panics.
        let counted = catch_unwind(AssertUnwindSafe(|| self.count_text(text)));
        let length = counted.unwrap_or_else(|_| Err("it panicked".into()))?;
        Ok(length.saturating_add(self.tokens_per_text))
    }
}

/// The added tokens of a byte-level tokenizer, which [`WordRules`] has found to depend on nothing but their own text.
struct AddedTokens {
    /// Their texts by first byte, longest first.
    contents: Vec<Vec<String>>,
}

impl AddedTokens {
    fn new<'t>(tokens: impl Iterator<Item = &'t AddedToken>) -> Self {
        let mut contents = vec![Vec::new(); 256];
        for token in tokens {
            if let Some(first) = token.content.bytes().next() {
                contents[usize::from(first)].push(token.content.clone());
            }
        }
        for contents in &mut contents {
            contents.sort_by_key(|content| std::cmp::Reverse(content.len()));
        }
        Self { contents }
    }

    /// Counts one for each added token in a text, and what is left between them with `count`.
    fn count(&self, text: &str, mut count: impl FnMut(&str) -> Result<u32, String>) -> Result<u32, String> {
        let bytes = text.as_bytes();
        let (mut sum, mut start, mut at) = (0, 0, 0);
        while at < bytes.len() {
            let candidates = &self.contents[usize::from(bytes[at])];
            match candidates.iter().find(|content| bytes[at..].starts_with(content.as_bytes())) {
                Some(content) => {
                    sum += count(&text[start..at])? + 1;
                    at += content.len();
                    start = at;
                }
                None => at += 1,
            }
        }
        Ok(sum + count(&text[start..])?)
    }
}
