//! A tokenizer that is ready for a run.

use super::count::{BaseTokenizer, Counter};
use super::encode::TrainingEncoder;
use super::files::TokenizerFiles;
use super::template::{ChatTemplate, GivenTemplate};
use crate::error::Result;
use chrono::NaiveDateTime;
use rayon::ThreadPool;

/// A tokenizer's chat template and counter, with what the manifest records of it.
#[derive(Debug)]
pub(crate) struct LoadedTokenizer {
    /// The name that the user gave.
    pub(crate) name: String,
    /// The BLAKE3 digest of `tokenizer.json`, in hex.
    pub(crate) digest: String,
    /// Renders conversations.
    pub(crate) template: ChatTemplate,
    /// Counts the tokens of rendered conversations.
    pub(crate) counter: Counter,
    /// Encodes conversations for the trainer, if the run needs that.
    pub(crate) encoder: Option<TrainingEncoder>,
}

impl LoadedTokenizer {
    /// Compiles the template (`given`, or the tokenizer's own) and loads the counter on `pool`, which must not be the pool of
    /// the calling thread. `date` is what templates get from `strftime_now`; `encodes` asks for the encoder, too.
    ///
    /// # Errors
    /// If the template, `tokenizer.json` or a configuration file is not valid.
    pub(crate) fn load(
        files: &TokenizerFiles,
        given: Option<GivenTemplate>,
        date: NaiveDateTime,
        encodes: bool,
        pool: &ThreadPool,
    ) -> Result<Self> {
        let tokenizer = BaseTokenizer::load(files, pool)?;
        Ok(Self {
            name: files.name.clone(),
            digest: blake3::hash(&files.tokenizer_json).to_hex().to_string(),
            template: ChatTemplate::load(files, given, date)?,
            counter: tokenizer.counter(),
            encoder: encodes.then(|| TrainingEncoder::new(&tokenizer, files)).transpose()?,
        })
    }
}
