//! The tokenizers whose words can be counted separately.
//!
//! If a tokenizer divides a text into words before its model encodes them, a text has as many tokens as its words together.
//! That holds for byte-level tokenizers with one of the known patterns, and for the BPE of SentencePiece if no token of its
//! vocabulary spans two words: merges never cross the start of a word then.

use super::patterns::{self, GPT2, WordPattern};
use super::reference::ReferenceEncoder;
use serde_json::{Value, json};
use tokenizers::{AddedToken, ModelWrapper};

/// SentencePiece's mark for a space.
const SPACE_MARK: char = '▁';

/// How a tokenizer divides texts into words.
#[derive(Debug)]
pub(super) enum WordRules {
    /// A pattern finds words, whose bytes are then mapped to characters.
    ByteLevel {
        /// Finds the words.
        pattern: WordPattern,
        /// Whether each digit is a separate word.
        separate_digits: bool,
        /// Whether texts are normalized to NFC first.
        nfc: bool,
    },
    /// Words start with spaces, which become [`SPACE_MARK`].
    SentencePiece(PrefixSpace),
}

/// Where SentencePiece adds a space to a text, which added tokens divide into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PrefixSpace {
    /// Nowhere.
    Never,
    /// Before every piece.
    Always,
    /// Before every piece that does not start with a space.
    IfMissing,
    /// Before the text, if it does not start with a space or an added token.
    FirstIfMissing,
}

impl PrefixSpace {
    /// Whether a piece, which starts at this byte of the text, gets a space.
    pub(super) fn applies(self, piece: &str, start: usize) -> bool {
        let is_missing = !piece.starts_with([' ', SPACE_MARK]);
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::IfMissing => is_missing,
            Self::FirstIfMissing => is_missing && start == 0,
        }
    }
}

impl WordRules {
    /// The rules of a tokenizer, or why its words cannot be counted separately.
    pub(super) fn of(reference: &ReferenceEncoder) -> Result<Self, String> {
        if reference.splits_special_tokens() {
            return Err("it reads special tokens as plain text".into());
        }
        let tokenizer = reference.tokenizer();
        let section = |section: Result<Value, serde_json::Error>| section.map_err(|e| e.to_string());
        let normalizer = section(serde_json::to_value(tokenizer.get_normalizer()))?;
        let pre_tokenizer = section(serde_json::to_value(tokenizer.get_pre_tokenizer()))?;
        let added: Vec<AddedToken> = tokenizer.get_added_tokens_decoder().into_values().collect();
        if let Some(prefix_space) = sentence_piece(&normalizer, &pre_tokenizer) {
            check_vocabulary(tokenizer.get_model())?;
            // The normalizer changes such a token's text, too.
            match added.iter().find(|token| token.normalized || token.single_word) {
                Some(token) => Err(format!("its added token `{}` depends on the text around it", token.content)),
                None => Ok(Self::SentencePiece(prefix_space)),
            }
        } else {
            let nfc = normalizer["type"] == "NFC";
            if !(normalizer.is_null() || nfc) {
                return Err("its normalizer is not supported".into());
            }
            let (pattern, separate_digits) = byte_level(&pre_tokenizer)
                .ok_or_else(|| "its pre-tokenizer does not use one of the known patterns".to_owned())?;
            match added.iter().find(|token| !is_independent(token) || nfc && !is_nfc_inert(&token.content)) {
                Some(token) => Err(format!("its added token `{}` depends on the text around it", token.content)),
                None => Ok(Self::ByteLevel { pattern, separate_digits, nfc }),
            }
        }
    }
}

/// Whether an added token is found by its own text alone, within a line.
fn is_independent(token: &AddedToken) -> bool {
    !(token.single_word || token.lstrip || token.rstrip || token.content.contains(['\r', '\n']))
}

/// The pattern of a byte-level pre-tokenizer, and whether it separates digits first.
fn byte_level(pre_tokenizer: &Value) -> Option<(WordPattern, bool)> {
    let steps = match pre_tokenizer["type"].as_str()? {
        "Sequence" => pre_tokenizer["pretokenizers"].as_array()?.as_slice(),
        _ => std::slice::from_ref(pre_tokenizer),
    };
    let (map_bytes, before) = steps.split_last()?;
    if map_bytes["type"] != "ByteLevel" || map_bytes["add_prefix_space"] != false {
        return None;
    }
    let uses_gpt2 = map_bytes["use_regex"] == true;
    match before {
        [] if uses_gpt2 => Some((WordPattern::new(GPT2)?, false)),
        [digits] if uses_gpt2 && *digits == json!({"type": "Digits", "individual_digits": true}) => {
            Some((WordPattern::new(GPT2)?, true))
        }
        [split] if !uses_gpt2 => {
            let isolates = split["type"] == "Split" && split["behavior"] == "Isolated" && split["invert"] == false;
            let pattern = split["pattern"]["Regex"].as_str().filter(|_| isolates)?;
            Some((WordPattern::new(pattern)?, false))
        }
        _ => None,
    }
}

/// Where a tokenizer with these steps adds spaces, if they are those of SentencePiece.
fn sentence_piece(normalizer: &Value, pre_tokenizer: &Value) -> Option<PrefixSpace> {
    if normalizer.is_null() && pre_tokenizer["type"] == "Metaspace" {
        if pre_tokenizer["split"] != false || pre_tokenizer["replacement"] != "▁" {
            return None;
        }
        return match pre_tokenizer["prepend_scheme"].as_str()? {
            "never" => Some(PrefixSpace::Never),
            "always" => Some(PrefixSpace::IfMissing),
            "first" => Some(PrefixSpace::FirstIfMissing),
            _ => None,
        };
    }
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let prepend = json!({"type": "Prepend", "prepend": "▁"});
    // Gemma's, which finds no spaces after its normalizer.
    let no_effect =
        json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false});
    if !(pre_tokenizer.is_null() || *pre_tokenizer == no_effect) {
        return None;
    }
    if *normalizer == replace {
        Some(PrefixSpace::Never)
    } else {
        let is_prepended = *normalizer == json!({"type": "Sequence", "normalizers": [prepend, replace]});
        is_prepended.then_some(PrefixSpace::Always)
    }
}

/// Fails unless the model encodes words and lines of a SentencePiece text independently of each other.
fn check_vocabulary(model: &ModelWrapper) -> Result<(), String> {
    let ModelWrapper::BPE(bpe) = model else { return Err("its model is not BPE".into()) };
    let affixes = [&bpe.continuing_subword_prefix, &bpe.end_of_word_suffix];
    if bpe.ignore_merges || affixes.into_iter().flatten().any(|affix| !affix.is_empty()) {
        return Err("its model treats parts of a word differently".into());
    }
    let vocabulary = bpe.get_vocab();
    let has_all_bytes = || (0..=255u8).all(|byte| vocabulary.contains_key(&format!("<{byte:#04X}>")));
    let has_line_end = vocabulary.contains_key("\n") || bpe.byte_fallback && has_all_bytes();
    // Unknown characters next to each other can become one token, so what separates words and lines must be known.
    if !(vocabulary.contains_key("▁") && has_line_end) {
        return Err("its vocabulary has no space or no line end".into());
    }
    match vocabulary.keys().find(|token| spans_words(token)) {
        Some(token) => Err(format!("its token `{}` spans two words", token.escape_debug())),
        None => Ok(()),
    }
}

/// Whether a token contains the start of a word or of a line after its own start.
fn spans_words(token: &str) -> bool {
    const LINE_END_BYTE: &str = "<0x0A>";
    let pairs = token.chars().zip(token.chars().skip(1));
    pairs.into_iter().any(|(a, b)| (a != SPACE_MARK && b == SPACE_MARK) || (a == '\n' && b != '\n'))
        || (token != LINE_END_BYTE && token.contains(LINE_END_BYTE))
}

/// The words of a SentencePiece text: each starts with its spaces.
pub(super) fn sentence_piece_words(text: &str) -> impl Iterator<Item = &str> {
    let is_space = |c: char| c == ' ' || c == SPACE_MARK;
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(|c| !is_space(c)).unwrap_or(rest.len());
        let end = rest[start..].find(is_space).map_or(rest.len(), |end| start + end);
        let word;
        (word, rest) = rest.split_at(end);
        (!word.is_empty()).then_some(word)
    })
}

/// A SentencePiece word as its model knows it.
pub(super) fn mark_spaces(word: &str) -> String {
    word.replace(' ', "▁")
}

/// The lines of a SentencePiece text, but for those that start with white space, a slash, or a character outside ASCII.
pub(super) fn sentence_piece_lines(text: &str) -> impl Iterator<Item = &str> {
    patterns::parts(text, patterns::starts_word)
}

/// Whether NFC leaves a text unchanged, whatever surrounds it. Exact for the ranges below; `false` for all other characters.
///
/// They are the starters of common scripts that never compose with a character before them (`NFC_QC=Yes`, `ccc=0`).
pub(super) fn is_nfc_inert(text: &str) -> bool {
    let inert = |c: char| {
        matches!(c,
            '\0'..='\u{2ff}' // Latin
            | '\u{400}'..='\u{482}' // Cyrillic
            | '\u{5d0}'..='\u{5ea}' | '\u{621}'..='\u{64a}' // Hebrew, Arabic
            | '\u{e01}'..='\u{e30}' // Thai
            | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' // punctuation
            | '\u{20a0}'..='\u{20c0}' | '\u{2190}'..='\u{21ff}' | '\u{2500}'..='\u{27bf}' // signs
            | '\u{3001}'..='\u{3020}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}' // kana
            | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' // Chinese characters, Hangul
            | '\u{ff01}'..='\u{ff5e}' | '\u{1f300}'..='\u{1faff}' // full-width forms, emoji
        )
    };
    text.is_ascii() || text.chars().all(inert)
}
