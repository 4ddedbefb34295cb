//! The patterns with which the pre-tokenizers of many models find words.

use regex_automata::meta::{Cache, Regex};
use regex_automata::util::pool::{Pool, PoolGuard};
use regex_automata::{Anchored, Input};

/// GPT-4; with `\p{N}{1,3}`, Llama 3.
pub(super) const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2 and 3.
pub(super) const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 3.5.
pub(super) const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-4o and gpt-oss.
pub(super) const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's Tekken.
pub(super) const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-2, and with separate digits StarCoder, SmolLM and Granite.
pub(super) const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// All of them.
pub(super) const PATTERNS: [&str; 6] = [CL100K, QWEN2, QWEN35, O200K, TEKKEN, GPT2];

/// The look-ahead that all patterns contain: white space leaves its last character to the word after it.
const LOOK_AHEAD: &str = r"\s+(?!\S)|";
/// Words that end after a line's end, which all patterns but [`GPT2`] contain.
const LINE_END: &str = r"|\s*[\r\n]+|";

/// Finds words with one of [`PATTERNS`].
///
/// A lazy DFA finds some 90 MB of words per second and core, the Oniguruma of `tokenizers` 15 to 20. It cannot look ahead, so
/// the pattern is compiled without the look-ahead, which [`WordFinder::word_end`] adds.
pub(super) struct WordPattern {
    regex: Regex,
    caches: Pool<Cache, Box<dyn Fn() -> Cache + Send + Sync>>,
    ends_after_lines: bool,
}

impl std::fmt::Debug for WordPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WordPattern").finish_non_exhaustive()
    }
}

impl WordPattern {
    /// Compiles a pattern if it is one of [`PATTERNS`].
    pub(super) fn new(pattern: &str) -> Option<Self> {
        let known = PATTERNS.into_iter().find(|known| *known == pattern)?;
        let regex = Regex::new(&known.replace(LOOK_AHEAD, "")).ok()?;
        let template = regex.clone();
        let create: Box<dyn Fn() -> Cache + Send + Sync> = Box::new(move || template.create_cache());
        Some(Self { regex, caches: Pool::new(create), ends_after_lines: known.contains(LINE_END) })
    }

    /// A finder for one thread. Taking it has a cost: once per text is fine, once per word is not.
    pub(super) fn finder(&self) -> WordFinder<'_> {
        WordFinder { pattern: self, cache: self.caches.get() }
    }

    /// The parts of a text whose words do not depend on each other, roughly its lines.
    pub(super) fn independent_parts<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> + use<'t> {
        parts(text, if self.ends_after_lines { starts_word } else { ends_word })
    }
}

/// Whether no word contains both the line end before `at` and the byte at `at`, whatever surrounds them: all words of these
/// patterns with a line end in them end with it, except that slashes can follow. White space can start a word that continues
/// before `at`, so it does not count.
pub(super) fn starts_word(text: &[u8], line_end: usize) -> Option<usize> {
    let at = line_end + 1;
    text.get(at).is_some_and(|first| first.is_ascii_graphic() && *first != b'/').then_some(at)
}

/// With [`GPT2`], how white space before a line end is divided depends on what follows. But a word without white space always
/// ends before a line end.
fn ends_word(text: &[u8], line_end: usize) -> Option<usize> {
    text[..line_end].last().is_some_and(u8::is_ascii_graphic).then_some(line_end)
}

/// Cuts a text at the positions that `cut` gives for its line ends.
pub(super) fn parts(text: &str, cut: fn(&[u8], usize) -> Option<usize>) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let cuts = memchr::memchr_iter(b'\n', bytes).filter_map(move |line_end| cut(bytes, line_end));
    let mut start = 0;
    cuts.chain(std::iter::once(text.len())).map(move |end| {
        let part = &text[start..end];
        start = end;
        part
    })
}

/// Finds words on one thread.
pub(super) struct WordFinder<'p> {
    pattern: &'p WordPattern,
    cache: PoolGuard<'p, Cache, Box<dyn Fn() -> Cache + Send + Sync>>,
}

impl WordFinder<'_> {
    /// The end of the word that starts at `start`, which must be within the text.
    pub(super) fn word_end(&mut self, text: &str, start: usize) -> Option<usize> {
        let input = Input::new(text).range(start..).anchored(Anchored::Yes);
        let end = self.pattern.regex.search_half_with(&mut self.cache, &input)?.offset();
        if end == start {
            return None;
        }
        let word = &text[start..end];
        // Only the alternative `\s+` ends with white space, but for line ends.
        match word.chars().next_back() {
            Some(last)
                if end < text.len()
                    && last.is_whitespace()
                    && !(self.pattern.ends_after_lines && matches!(last, '\r' | '\n'))
                    && word.len() > last.len_utf8() =>
            {
                Some(end - last.len_utf8())
            }
            _ => Some(end),
        }
    }
}
