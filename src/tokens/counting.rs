//! Counts all texts of a run on all cores, with the quickest backend, under the eyes of the authority.

use super::counter::{Count, Counter, cannot_encode};
use crate::error::{Error, ErrorKind, Result};
use rayon::ThreadPool;
use rayon::prelude::*;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many of a run's first texts are counted by both backends.
const GUARD_FIRST: usize = 16;
/// After these every so-manieth text is. The authority takes some 13 times as long as `fastokens` for a text, so this costs a
/// twentieth of its time.
const GUARD_EVERY: usize = 256;
/// At most so many texts are compared in all.
const GUARD_MOST: usize = 1024;
/// Of a guard text at most so many bytes are compared: 1 MB costs 120 MB in `tokenizers`.
const GUARD_BYTES: usize = 64 << 10;
/// So many texts are one piece of work: between two of them a run can be stopped.
const PIECE: usize = 16;
/// A buffer that a huge text made larger than this is given back.
const KEEP_BUFFER: usize = 1 << 20;

/// What counted the tokens of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// Each distinct word once, by `tokenizers`; guarded by it, too.
    Words,
    /// `fastokens`, guarded by `tokenizers`.
    Fastokens,
    /// `tokenizers`, the authority.
    Tokenizers,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Words => "tokenizers, word by word",
            Self::Fastokens => "fastokens",
            Self::Tokenizers => "tokenizers",
        })
    }
}

/// The lengths of a run's texts, and how they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counting {
    /// The tokens of each text, by index.
    pub(crate) lengths: Vec<u32>,
    /// What counted them.
    pub(crate) backend: Backend,
    /// A warning: where the two backends first differed, so that the authority counted everything again.
    pub(crate) fallback: Option<String>,
    /// For the log: why the fast backend was wanted and could not be had.
    pub(crate) info: Option<String>,
}

/// What [`Counter::count_all`] needs of its caller.
pub(crate) struct Texts<'a> {
    /// How many texts there are.
    pub(crate) count: usize,
    /// Writes the text of an index at the end of an empty buffer.
    pub(crate) text: &'a (dyn Fn(usize, &mut String) -> Result<()> + Sync),
    /// Told, from any thread, how many texts are counted; a fallback starts again at 0.
    pub(crate) progress: &'a (dyn Fn(usize) + Sync),
    /// Asked often, from any thread; its error ends the counting.
    pub(crate) check: &'a (dyn Fn() -> Result<()> + Sync),
}

impl Counter {
    /// Counts every text on the pool. Not to be called by one of its threads: it may have to wait for another.
    ///
    /// With `fastokens` where it has been loaded, else word by word where the tokenizer allows it, and where that turns out to take
    /// long, with `fastokens` after all. A sample of the texts is always counted by the authority as well; where the two differ,
    /// or the quicker one fails on a text, the authority counts all and [`Counting::fallback`] says why.
    ///
    /// # Errors
    /// What `text` and `check` return, and a text that the authority cannot encode.
    pub(crate) fn count_all(&self, texts: &Texts<'_>, pool: &ThreadPool) -> Result<Counting> {
        (texts.check)()?;
        let fast = || self.fast().map(|fast| (Backend::Fastokens, fast, Patience::Endless));
        let words = |patience| self.words.clone().map(|words| (Backend::Words, words, patience));
        let mut next = if texts.count == 0 { None } else { fast().or_else(|| words(Patience::Limited)) };
        let mut fallback = None;
        while let Some((backend, quick, patience)) = next.take() {
            match pool.install(|| self.count_guarded(backend, &*quick, patience, texts)) {
                Ok(lengths) => return Ok(Counting { lengths, backend, fallback: None, info: None }),
                Err(Stop::Caller(error)) => return Err(error),
                Err(Stop::Backend(why)) => {
                    fallback = Some(format!("{why}; counted everything again with tokenizers"));
                }
                Err(Stop::Slow) => {
                    self.load_fast(pool);
                    next = fast().or_else(|| words(Patience::Endless));
                }
            }
        }
        match pool.install(|| count_with(&*self.authority, Patience::Endless, texts)) {
            Ok(lengths) => Ok(Counting { lengths, backend: Backend::Tokenizers, fallback, info: self.info() }),
            Err(Stop::Caller(error)) => Err(error),
            Err(Stop::Backend(why)) => Err(cannot_encode(why)),
            Err(Stop::Slow) => Err(Error::new(ErrorKind::Bug, "the authority was given up")),
        }
    }

    /// Compares the backends on a sample, then counts everything with the quick one.
    fn count_guarded(
        &self,
        backend: Backend,
        quick: &dyn Count,
        patience: Patience,
        texts: &Texts<'_>,
    ) -> Result<Vec<u32>, Stop> {
        // Compared before anything is counted: then the difference that is reported does not depend on threads.
        let sample = guard_sample(texts.count);
        let differences: Vec<Option<String>> = sample
            .par_iter()
            .with_max_len(1)
            .map_init(String::new, |buffer, &index| {
                (texts.check)()?;
                let text = fetch(texts, index, buffer)?;
                Ok(difference(&*self.authority, backend, quick, index, head(text, GUARD_BYTES)))
            })
            .collect::<Result<_, Stop>>()?;
        match differences.into_iter().flatten().next() {
            Some(why) => Err(Stop::Backend(why)),
            None => count_with(quick, patience, texts),
        }
    }
}

/// How long to go on with a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// As long as it is quick.
    Limited,
    /// Always.
    Endless,
}

/// Why a counting ended early.
enum Stop {
    /// The caller's closures said so.
    Caller(Error),
    /// The backend failed on a text.
    Backend(String),
    /// The backend is not quick.
    Slow,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Caller(error)
    }
}

/// The indices that both backends count: the first texts, then an even spread.
fn guard_sample(count: usize) -> Vec<usize> {
    let every = GUARD_EVERY.max(count.div_ceil(GUARD_MOST));
    (0..count.min(GUARD_FIRST)).chain((GUARD_FIRST..count).step_by(every)).collect()
}

/// What the two backends say differently about a text, if they do.
fn difference(authority: &dyn Count, backend: Backend, quick: &dyn Count, index: usize, text: &str) -> Option<String> {
    let name = if backend == Backend::Words { "counting word by word".to_owned() } else { backend.to_string() };
    match (authority.count(text), quick.count(text)) {
        (Ok(a), Ok(b)) if a == b => None,
        (Ok(a), Ok(b)) => Some(format!("{name} gives {b} tokens for text {index} where tokenizers gives {a}")),
        (Ok(_), Err(why)) => Some(format!("{name} fails on text {index}: {why}")),
        // The authority will say the same again when it counts everything.
        (Err(why), _) => Some(format!("tokenizers fails on text {index}: {why}")),
    }
}

/// The start of a text, at most so many bytes of whole characters. A part of a text is a text, too: both backends
/// must agree on it.
fn head(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// One text, in a buffer that is used again.
fn fetch<'b>(texts: &Texts<'_>, index: usize, buffer: &'b mut String) -> Result<&'b str> {
    buffer.clear();
    buffer.shrink_to(KEEP_BUFFER);
    (texts.text)(index, buffer)?;
    Ok(buffer)
}

/// Counts every text with one backend, in pieces.
fn count_with(backend: &dyn Count, patience: Patience, texts: &Texts<'_>) -> Result<Vec<u32>, Stop> {
    let counted = AtomicUsize::new(0);
    let mut lengths = vec![0u32; texts.count];
    (texts.progress)(0);
    // Texts differ in length by the hundredfold: only single pieces can be shared out evenly.
    let pieces = lengths.par_chunks_mut(PIECE).enumerate().with_max_len(1);
    pieces.try_for_each_init(String::new, |buffer, (piece, lengths)| {
        (texts.check)()?;
        for (offset, length) in lengths.iter_mut().enumerate() {
            let index = piece * PIECE + offset;
            let text = fetch(texts, index, buffer)?;
            *length = backend
                .count(text)
                .map_err(|why| Stop::Backend(format!("the tokenizer fails on text {index}: {why}")))?;
        }
        if patience == Patience::Limited && !backend.is_quick() {
            return Err(Stop::Slow);
        }
        let before = counted.fetch_add(lengths.len(), Ordering::Relaxed);
        (texts.progress)(before + lengths.len());
        Ok::<(), Stop>(())
    })?;
    Ok(lengths)
}
