//! Encodes each distinct word of a run once. As no word continues across most line ends, each distinct line is searched for
//! words only once, too. A mix repeats most of its text: a summary appears in each of its QA pairs.

use super::backend::TextEncoder;
use super::patterns::WordFinder;
use super::pieces::Pieces;
use super::reference::ReferenceEncoder;
use super::word_rules::{WordRules, is_nfc_inert, mark_spaces, sentence_piece_lines, sentence_piece_words};
use crate::hash_map::{HashKeyMap, Keys, lock, shard, shards};
use crate::tokens::panics::caught;
use std::sync::{Arc, Mutex};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    AddedToken, Model, NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

/// What one shard of a cache may hold, in entries of 24 bytes. 64 shards of two caches take some 100 MB if all are full.
const MAX_SHARD: usize = 1 << 15;

/// The encoded forms of known pieces of text.
struct PieceCache<E: Pieces> {
    keys: Keys,
    shards: Vec<Mutex<Shard<E>>>,
}

struct Shard<E: Pieces> {
    pieces: HashKeyMap<E::Cached>,
    weight: usize,
}

impl<E: Pieces> Default for Shard<E> {
    fn default() -> Self {
        Self { pieces: HashKeyMap::default(), weight: 0 }
    }
}

impl<E: Pieces> PieceCache<E> {
    fn new() -> Self {
        Self { keys: Keys::default(), shards: shards() }
    }

    /// Appends the encoded form of a piece: known, or what `encode` appends.
    fn append(
        &self,
        piece: &str,
        out: &mut E,
        encode: impl FnOnce(&mut E) -> Result<(), String>,
    ) -> Result<(), String> {
        let key = self.keys.key(piece.as_bytes());
        let shard = &self.shards[shard(key)];
        if let Some(cached) = lock(shard).pieces.get(&key) {
            out.push_cached(cached);
            return Ok(());
        }
        let mut encoded = E::default();
        encode(&mut encoded)?;
        let cached = encoded.to_cached();
        out.push_cached(&cached);
        let mut shard = lock(shard);
        // What repeats does so soon, so a full shard starts over.
        if shard.weight >= MAX_SHARD {
            *shard = Shard::default();
        }
        shard.weight += E::weight(&cached);
        shard.pieces.insert(key, cached);
        Ok(())
    }
}

/// Encodes texts word by word, with the model of the reference.
pub(super) struct WordCache<E: Pieces> {
    reference: Arc<ReferenceEncoder>,
    rules: WordRules,
    /// Added tokens that are found before the text is normalized.
    raw_tokens: AddedTokens,
    /// Added tokens that are found after that, between the others.
    normalized_tokens: AddedTokens,
    /// Maps a word's bytes to the characters by which a byte-level model knows them.
    byte_level: ByteLevel,
    /// Number of tokens that the post-processor adds to each text.
    tokens_per_text: u32,
    lines: PieceCache<E>,
    words: PieceCache<E>,
}

impl<E: Pieces> WordCache<E> {
    /// # Errors
    /// The reason, if the words of this tokenizer cannot be counted separately.
    pub(super) fn new(reference: Arc<ReferenceEncoder>) -> Result<Self, String> {
        let rules = WordRules::of(&reference)?;
        let tokens_per_text = reference
            .encoding()
            .run(|| reference.tokens_per_text())
            .ok_or_else(|| "its post-processor does not add the same number of tokens to every text".to_owned())?;
        let tokens = reference.tokenizer().get_added_tokens_decoder();
        Ok(Self {
            raw_tokens: AddedTokens::new(tokens.iter().filter(|(_, token)| !token.normalized)),
            normalized_tokens: AddedTokens::new(tokens.iter().filter(|(_, token)| token.normalized)),
            reference,
            rules,
            byte_level: ByteLevel::new(false, false, false),
            tokens_per_text,
            lines: PieceCache::new(),
            words: PieceCache::new(),
        })
    }

    /// Appends a text's tokens, without those that the tokenizer adds to every text.
    fn append_text(&self, text: &str, out: &mut E) -> Result<(), String> {
        match &self.rules {
            WordRules::ByteLevel { pattern, separate_digits, nfc } => {
                let mut finder = pattern.finder();
                pattern.independent_parts(text).try_for_each(|line| {
                    self.lines.append(line, out, |out| self.line(&mut finder, line, *separate_digits, *nfc, out))
                })
            }
            WordRules::SentencePiece(prefix_space) => {
                let pieces = self.reference.tokenizer().get_added_vocabulary();
                let pieces = pieces.extract_and_normalize(None::<&NormalizerWrapper>, text);
                for_each_piece(&pieces, out, |piece, start, out| {
                    let with_space = prefix_space.applies(piece, start).then(|| format!(" {piece}"));
                    let mut lines = sentence_piece_lines(with_space.as_deref().unwrap_or(piece));
                    lines.try_for_each(|line| self.lines.append(line, out, |out| self.sentence_piece_line(line, out)))
                })
            }
        }
    }

    fn line(
        &self,
        finder: &mut WordFinder<'_>,
        line: &str,
        separate_digits: bool,
        nfc: bool,
        out: &mut E,
    ) -> Result<(), String> {
        if !nfc || is_nfc_inert(line) {
            return self.raw_tokens.split(line, out, |piece, out| {
                self.normalized_tokens
                    .split(piece, out, |piece, out| self.byte_level_words(finder, piece, separate_digits, out))
            });
        }
        // Slower: the library keeps the position of each byte before normalization.
        let tokenizer = self.reference.tokenizer();
        let pieces = tokenizer.get_added_vocabulary().extract_and_normalize(tokenizer.get_normalizer(), line);
        for_each_piece(&pieces, out, |piece, _, out| self.byte_level_words(finder, piece, separate_digits, out))
    }

    fn byte_level_words(
        &self,
        finder: &mut WordFinder<'_>,
        text: &str,
        separate_digits: bool,
        out: &mut E,
    ) -> Result<(), String> {
        let mut rest = text;
        while separate_digits && let Some((at, digit)) = rest.char_indices().find(|(_, c)| c.is_numeric()) {
            let (before, from_digit) = rest.split_at(at);
            let (digit, after) = from_digit.split_at(digit.len_utf8());
            self.found_words(finder, before, out)?;
            self.found_words(finder, digit, out)?;
            rest = after;
        }
        self.found_words(finder, rest, out)
    }

    /// Appends the words that the pattern finds.
    fn found_words(&self, finder: &mut WordFinder<'_>, text: &str, out: &mut E) -> Result<(), String> {
        let mut start = 0;
        while start < text.len() {
            let end = finder.word_end(text, start).ok_or("its pattern finds no word")?;
            let word = &text[start..end];
            self.words.append(word, out, |out| {
                let mut mapped = PreTokenizedString::from(word);
                self.byte_level.pre_tokenize(&mut mapped).map_err(|e| e.to_string())?;
                let pieces = mapped.get_splits(OffsetReferential::Original, OffsetType::None);
                pieces.into_iter().try_for_each(|(piece, ..)| self.model_tokens(piece, out))
            })?;
            start = end;
        }
        Ok(())
    }

    fn sentence_piece_line(&self, line: &str, out: &mut E) -> Result<(), String> {
        sentence_piece_words(line)
            .try_for_each(|word| self.words.append(word, out, |out| self.model_tokens(&mark_spaces(word), out)))
    }

    /// Appends the tokens that the model makes of a word.
    fn model_tokens(&self, word: &str, out: &mut E) -> Result<(), String> {
        out.push_tokens(&self.reference.tokenizer().get_model().tokenize(word).map_err(|e| e.to_string())?);
        Ok(())
    }

    fn encode_text(&self, text: &str) -> Result<E, String> {
        let mut out = E::default();
        // The reference encodes everything again if this code or a library has a bug that panics.
        caught(|| self.append_text(text, &mut out))?;
        Ok(out)
    }
}

impl TextEncoder<u32> for WordCache<u32> {
    fn encode(&self, text: &str) -> Result<u32, String> {
        let encoded = self.reference.encoding().run(|| self.encode_text(text))?;
        Ok(encoded.saturating_add(self.tokens_per_text))
    }
}

impl TextEncoder<Vec<u32>> for WordCache<Vec<u32>> {
    fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        self.reference.encoding().run(|| self.encode_text(text))
    }
}

/// Appends the added tokens of a text, and what is left between them with `append`, which also gets where that starts.
fn for_each_piece<E: Pieces>(
    pieces: &PreTokenizedString,
    out: &mut E,
    mut append: impl FnMut(&str, usize, &mut E) -> Result<(), String>,
) -> Result<(), String> {
    for (piece, (start, _), added) in pieces.get_splits(OffsetReferential::Original, OffsetType::None) {
        match added {
            Some(tokens) => out.push_tokens(tokens),
            None if piece.is_empty() => {}
            None => append(piece, start, out)?,
        }
    }
    Ok(())
}

/// The added tokens of a byte-level tokenizer, which [`WordRules`] has found to depend on nothing but their own text.
struct AddedTokens {
    /// Their texts and ids by first byte, longest first.
    tokens: Vec<Vec<(String, u32)>>,
}

impl AddedTokens {
    fn new<'t>(added: impl Iterator<Item = (&'t u32, &'t AddedToken)>) -> Self {
        let mut tokens = vec![Vec::new(); 256];
        for (&id, token) in added {
            if let Some(first) = token.content.bytes().next() {
                tokens[usize::from(first)].push((token.content.clone(), id));
            }
        }
        for tokens in &mut tokens {
            tokens.sort_by_key(|(content, _)| std::cmp::Reverse(content.len()));
        }
        Self { tokens }
    }

    /// Appends the added tokens of a text, and what is left between them with `append`.
    fn split<E: Pieces>(
        &self,
        text: &str,
        out: &mut E,
        mut append: impl FnMut(&str, &mut E) -> Result<(), String>,
    ) -> Result<(), String> {
        let bytes = text.as_bytes();
        let (mut start, mut at) = (0, 0);
        while at < bytes.len() {
            let candidates = &self.tokens[usize::from(bytes[at])];
            match candidates.iter().find(|(content, _)| bytes[at..].starts_with(content.as_bytes())) {
                Some((content, id)) => {
                    append(&text[start..at], out)?;
                    out.push_id(*id);
                    at += content.len();
                    start = at;
                }
                None => at += 1,
            }
        }
        append(&text[start..], out)
    }
}
