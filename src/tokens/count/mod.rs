//! Encodes all texts of a run on all cores, to their number of tokens or to ids: with the word cache if it supports the
//! tokenizer, else with the reference. Results are always those of the reference, which also encodes a sample of the texts.

mod backend;
mod cross_check;
mod patterns;
mod pieces;
mod reference;
#[cfg(test)]
mod tests;
mod texts;
mod word_cache;
mod word_rules;

pub(super) use backend::Backend;
pub(super) use reference::AroundText;
pub(crate) use texts::TextSource;

use super::files::TokenizerFiles;
use super::rules::RuledTokenizer;
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::TokenizerRules;
use backend::TextEncoder;
use pieces::Pieces;
use rayon::ThreadPool;
use rayon::prelude::*;
use reference::ReferenceEncoder;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use texts::EncodedTexts;
use word_cache::WordCache;

/// Number of texts that one job encodes. A run can be interrupted between two jobs.
const JOB_TEXTS: usize = 16;

/// Number of texts from which on it is worth a line in the log that the word cache is missing.
const MANY_TEXTS: usize = 10_000;

/// Counts tokens as transformers does. Can be shared between threads.
pub(crate) type Counter = CheckedEncoder<u32>;

/// Encodes texts to ids as transformers does. Can be shared between threads.
pub(super) type IdEncoder = CheckedEncoder<Vec<u32>>;

/// Encodes texts with the word cache, if that agrees with the reference, else with the reference.
pub(crate) struct CheckedEncoder<E> {
    reference: Arc<dyn TextEncoder<E>>,
    /// The word cache, or why it does not support this tokenizer.
    word_cache: Result<Arc<dyn TextEncoder<E>>, String>,
    /// What [`CheckedEncoder::encode_all`] ended up with.
    backend: OnceLock<Backend>,
    /// The tokenizer's file, for messages.
    place: String,
}

impl<E> std::fmt::Debug for CheckedEncoder<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckedEncoder").field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// A tokenizer as its files describe it, of which counters and encoders are made. Copies share the vocabulary.
#[derive(Debug, Clone)]
pub(super) struct BaseTokenizer {
    reference: Arc<ReferenceEncoder>,
    /// The class whose rules replaced those of `tokenizer.json`.
    pub(super) class: Option<&'static str>,
    /// A warning: a class whose rules are not known.
    pub(super) warning: Option<String>,
}

impl BaseTokenizer {
    /// Loads a tokenizer on `pool`: what a run waits for before it counts needs a core to itself, however much is read in the
    /// meantime.
    ///
    /// # Errors
    /// If `tokenizer.json` or the configuration is not valid.
    pub(super) fn load(files: &TokenizerFiles, rules: TokenizerRules, pool: &ThreadPool) -> Result<Self> {
        let (reference, RuledTokenizer { class, warning, .. }) =
            pool.install(|| ReferenceEncoder::load(files, rules))?;
        Ok(Self { reference: Arc::new(reference), class, warning })
    }

    /// Counts tokens.
    pub(super) fn counter(&self) -> Counter {
        let word_cache = WordCache::<u32>::new(Arc::clone(&self.reference));
        let place = self.reference.place();
        CheckedEncoder::new(Arc::clone(&self.reference) as _, word_cache.map(|cache| Arc::new(cache) as _), place)
    }

    /// The ids that the tokenizer puts around every text, if they are the same for all texts, and that of its end-of-sequence token,
    /// if it has one.
    pub(super) fn ends(&self) -> (Option<AroundText>, Option<u32>) {
        (self.reference.around_text(), self.reference.eos())
    }

    /// Encodes texts to ids. Shares the vocabulary with the counter.
    pub(super) fn id_encoder(&self) -> IdEncoder {
        let word_cache = WordCache::<Vec<u32>>::new(Arc::clone(&self.reference));
        let place = self.reference.place();
        CheckedEncoder::new(Arc::clone(&self.reference) as _, word_cache.map(|cache| Arc::new(cache) as _), place)
    }

    /// Encodes texts to ids, after adding special tokens. If a counter of this tokenizer still exists, this takes a copy of the
    /// vocabulary.
    ///
    /// # Errors
    /// If the tokenizer cannot take one of them.
    pub(super) fn into_id_encoder(self, special_tokens: &[&str]) -> Result<IdEncoder> {
        let mut extended = Arc::unwrap_or_clone(self.reference);
        let place = extended.place().to_owned();
        extended.add_special_tokens(special_tokens).map_err(|why| cannot_encode(&place, why))?;
        let extended = Arc::new(extended);
        let word_cache = WordCache::<Vec<u32>>::new(Arc::clone(&extended));
        Ok(CheckedEncoder::new(extended as _, word_cache.map(|cache| Arc::new(cache) as _), &place))
    }
}

impl IdEncoder {
    /// The first id of a text, by the reference; `None` if it has no tokens.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub(super) fn first_id(&self, text: &str) -> Result<Option<u32>> {
        Ok(self.reference.encode(text).map_err(|why| cannot_encode(&self.place, why))?.first().copied())
    }
}

impl<E: Pieces> CheckedEncoder<E> {
    fn new(
        reference: Arc<dyn TextEncoder<E>>,
        word_cache: Result<Arc<dyn TextEncoder<E>>, String>,
        place: &str,
    ) -> Self {
        Self { reference, word_cache, backend: OnceLock::new(), place: place.to_owned() }
    }

    /// Encodes every text on `pool`, which must not be the pool of the calling thread; returns what `finish` makes of each, given
    /// its index.
    ///
    /// If the word cache differs from the reference on the sample, or fails on a text, the reference encodes everything and
    /// [`EncodedTexts::fallback`] gives the reason.
    ///
    /// # Errors
    /// Those of the caller's text and check, and a text that the reference cannot encode.
    pub(crate) fn encode_all<T: Clone + Default + Send>(
        &self,
        texts: &TextSource<'_>,
        finish: impl Fn(usize, E) -> T + Sync,
        pool: &ThreadPool,
    ) -> Result<EncodedTexts<T>> {
        (texts.check)()?;
        let (mut fallback, mut info) = (None, None);
        match &self.word_cache {
            Ok(cache) => match pool.install(|| self.encode_checked(&**cache, texts, &finish)) {
                Ok(values) => return Ok(self.encoded(values, Backend::WordCache, fallback, info)),
                Err(Failure::Caller(error)) => return Err(error),
                Err(Failure::Encoder(why)) => {
                    fallback = Some(format!("{why}; encoded everything again without the word cache"));
                }
            },
            Err(why) if texts.count >= MANY_TEXTS => {
                info = Some(format!("counting is slower: the word cache does not support this tokenizer: {why}"));
            }
            Err(_) => {}
        }
        match pool.install(|| encode_with(&*self.reference, texts, &finish)) {
            Ok(values) => Ok(self.encoded(values, Backend::Reference, fallback, info)),
            Err(Failure::Caller(error)) => Err(error),
            Err(Failure::Encoder(why)) => Err(cannot_encode(&self.place, why)),
        }
    }

    fn encoded<T>(
        &self,
        values: Vec<T>,
        backend: Backend,
        fallback: Option<String>,
        info: Option<String>,
    ) -> EncodedTexts<T> {
        // Encoded again, the same texts give the same backend.
        let _ = self.backend.set(backend);
        EncodedTexts { values, backend, fallback, info }
    }

    /// Encodes one text: of those that [`Self::encode_all`] has encoded, as it did, else with the reference.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub(crate) fn encode(&self, text: &str) -> Result<E> {
        let encoder = match (&self.word_cache, self.backend.get()) {
            (Ok(cache), Some(Backend::WordCache)) => cache,
            _ => &self.reference,
        };
        encoder.encode(text).map_err(|why| cannot_encode(&self.place, why))
    }

    /// Encodes with the word cache if it agrees with the reference. The comparison comes first: what it reports must not
    /// depend on the order in which threads encode.
    fn encode_checked<T: Clone + Default + Send>(
        &self,
        cache: &dyn TextEncoder<E>,
        texts: &TextSource<'_>,
        finish: &(impl Fn(usize, E) -> T + Sync),
    ) -> Result<Vec<T>, Failure> {
        match cross_check::first_difference(&*self.reference, cache, texts)? {
            Some(difference) => Err(Failure::Encoder(difference)),
            None => encode_with(cache, texts, finish),
        }
    }
}

/// Why the encoding of all texts failed.
enum Failure {
    /// A callback of the caller failed.
    Caller(Error),
    /// The encoder failed on a text.
    Encoder(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Caller(error)
    }
}

fn cannot_encode(place: &str, why: String) -> Error {
    Error::new(ErrorKind::Data, why).at(place).hint("check that the tokenizer belongs to the model, or use another one")
}

/// Encodes every text with one encoder.
fn encode_with<E, T: Clone + Default + Send>(
    encoder: &dyn TextEncoder<E>,
    texts: &TextSource<'_>,
    finish: &(impl Fn(usize, E) -> T + Sync),
) -> Result<Vec<T>, Failure> {
    let encoded = AtomicUsize::new(0);
    let mut values = vec![T::default(); texts.count];
    (texts.progress)(0);
    // The lengths of texts differ by a factor of 100, so only small jobs spread evenly over the cores.
    let jobs = values.par_chunks_mut(JOB_TEXTS).enumerate().with_max_len(1);
    jobs.try_for_each_init(String::new, |buffer, (job, values)| {
        (texts.check)()?;
        for (offset, value) in values.iter_mut().enumerate() {
            let index = job * JOB_TEXTS + offset;
            let text = texts.get(index, buffer)?;
            let pieces = encoder.encode(text);
            let pieces = pieces.map_err(|why| Failure::Encoder(format!("cannot encode text {index}: {why}")))?;
            *value = finish(index, pieces);
        }
        let before = encoded.fetch_add(values.len(), Ordering::Relaxed);
        (texts.progress)(before + values.len());
        Ok::<(), Failure>(())
    })?;
    Ok(values)
}
