//! Counts the tokens of all texts of a run on all cores: with the word cache if it supports the tokenizer, else with the
//! reference. Results are always those of the reference, which also counts a sample of the texts.

mod backend;
mod cross_check;
mod patterns;
mod reference;
#[cfg(test)]
mod tests;
mod texts;
mod word_cache;
mod word_rules;

pub(crate) use texts::TextSource;

use super::files::TokenizerFiles;
use crate::error::{Error, ErrorKind, Result};
use backend::{Backend, TokenCounter};
use rayon::ThreadPool;
use rayon::prelude::*;
use reference::ReferenceCounter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use texts::TokenCounts;
use word_cache::WordCacheCounter;

/// Number of texts that one job counts. A run can be interrupted between two jobs.
const JOB_TEXTS: usize = 16;

/// Number of texts from which on it is worth a line in the log that the word cache is missing.
const MANY_TEXTS: usize = 10_000;

/// Counts tokens as transformers does. Can be shared between threads.
pub(crate) struct Counter {
    reference: Arc<dyn TokenCounter>,
    /// The word cache, or why it does not support this tokenizer.
    word_cache: Result<Arc<dyn TokenCounter>, String>,
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counter").finish_non_exhaustive()
    }
}

impl Counter {
    /// Loads a tokenizer on `pool`: what a run waits for before it counts needs a core to itself, however much is read in the
    /// meantime.
    ///
    /// # Errors
    /// If `tokenizer.json` or the configuration is not valid.
    pub(crate) fn load(files: &TokenizerFiles, pool: &ThreadPool) -> Result<Self> {
        pool.install(|| {
            let reference = Arc::new(ReferenceCounter::load(files)?);
            let word_cache = WordCacheCounter::new(Arc::clone(&reference));
            Ok(Self { reference, word_cache: word_cache.map(|cache| Arc::new(cache) as _) })
        })
    }

    /// Counts every text on `pool`, which must not be the pool of the calling thread.
    ///
    /// If the word cache differs from the reference on the sample, or fails on a text, the reference counts everything and
    /// [`TokenCounts::fallback`] gives the reason.
    ///
    /// # Errors
    /// Those of the caller's text and check, and a text that the reference cannot encode.
    pub(crate) fn count_all(&self, texts: &TextSource<'_>, pool: &ThreadPool) -> Result<TokenCounts> {
        (texts.check)()?;
        let (mut fallback, mut info) = (None, None);
        match &self.word_cache {
            Ok(cache) => match pool.install(|| self.count_checked(&**cache, texts)) {
                Ok(lengths) => return Ok(TokenCounts { lengths, backend: Backend::WordCache, fallback, info }),
                Err(Failure::Caller(error)) => return Err(error),
                Err(Failure::Counter(why)) => {
                    fallback = Some(format!("{why}; counted everything again without the word cache"));
                }
            },
            Err(why) if texts.count >= MANY_TEXTS => {
                info = Some(format!("counting is slower: the word cache does not support this tokenizer: {why}"));
            }
            Err(_) => {}
        }
        match pool.install(|| count_with(&*self.reference, texts)) {
            Ok(lengths) => Ok(TokenCounts { lengths, backend: Backend::Reference, fallback, info }),
            Err(Failure::Caller(error)) => Err(error),
            Err(Failure::Counter(why)) => Err(cannot_encode(why)),
        }
    }

    /// Counts with the word cache if it agrees with the reference. The comparison comes first: what it reports must not
    /// depend on the order in which threads count.
    fn count_checked(&self, cache: &dyn TokenCounter, texts: &TextSource<'_>) -> Result<Vec<u32>, Failure> {
        match cross_check::first_difference(&*self.reference, cache, texts)? {
            Some(difference) => Err(Failure::Counter(difference)),
            None => count_with(cache, texts),
        }
    }
}

/// Why the counting of all texts failed.
enum Failure {
    /// A callback of the caller failed.
    Caller(Error),
    /// The counter failed on a text.
    Counter(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Caller(error)
    }
}

fn cannot_encode(why: String) -> Error {
    Error::new(ErrorKind::Data, why).hint("check that the tokenizer belongs to the model, or use another one")
}

/// Counts every text with one counter.
fn count_with(counter: &dyn TokenCounter, texts: &TextSource<'_>) -> Result<Vec<u32>, Failure> {
    let counted = AtomicUsize::new(0);
    let mut lengths = vec![0u32; texts.count];
    (texts.progress)(0);
    // The lengths of texts differ by a factor of 100, so only small jobs spread evenly over the cores.
    let jobs = lengths.par_chunks_mut(JOB_TEXTS).enumerate().with_max_len(1);
    jobs.try_for_each_init(String::new, |buffer, (job, lengths)| {
        (texts.check)()?;
        for (offset, length) in lengths.iter_mut().enumerate() {
            let index = job * JOB_TEXTS + offset;
            let text = texts.get(index, buffer)?;
            *length =
                counter.count(text).map_err(|why| Failure::Counter(format!("cannot encode text {index}: {why}")))?;
        }
        let before = counted.fetch_add(lengths.len(), Ordering::Relaxed);
        (texts.progress)(before + lengths.len());
        Ok::<(), Failure>(())
    })?;
    Ok(lengths)
}
