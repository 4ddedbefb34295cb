//! A tokenizer that is ready for a run.

use super::config::TokenizerConfig;
use super::count::{BaseTokenizer, Counter};
use super::encode::{DocumentTokenizer, TrainingTokenizer};
use super::files::TokenizerFiles;
use super::template::ChatTemplate;
use crate::error::Result;
use crate::recipe::TokenizerRules;
use rayon::ThreadPool;
use std::sync::Arc;

/// A tokenizer's chat template and counter, with what the manifest records of it.
#[derive(Debug)]
pub(crate) struct LoadedTokenizer {
    /// The name that the user gave.
    pub(crate) name: String,
    /// The rules that made it of its files.
    pub(crate) rules: TokenizerRules,
    /// The class whose rules replaced those of `tokenizer.json`.
    pub(crate) class: Option<&'static str>,
    /// A warning: a class whose rules are not known.
    pub(crate) warning: Option<String>,
    /// The BLAKE3 digest of `tokenizer.json`, in hex.
    pub(crate) digest: String,
    /// Renders conversations.
    pub(crate) template: Arc<ChatTemplate>,
    /// Counts the tokens of rendered conversations.
    pub(crate) counter: Counter,
    /// The text of the token after which an answer ends.
    pub(crate) eos: Option<String>,
    /// Encodes conversations for the trainer, if the run needs that.
    pub(crate) training: Option<TrainingTokenizer>,
    /// Encodes documents.
    pub(crate) documents: DocumentTokenizer,
}

impl LoadedTokenizer {
    /// Loads the counter of a template's tokenizer on `pool`, which must not be the pool of the calling thread. `encodes` asks
    /// for the encoder, too.
    ///
    /// # Errors
    /// If `tokenizer.json` or a configuration file is not valid.
    pub(crate) fn load(
        files: &TokenizerFiles,
        template: Arc<ChatTemplate>,
        rules: TokenizerRules,
        encodes: bool,
        pool: &ThreadPool,
    ) -> Result<Self> {
        let tokenizer = BaseTokenizer::load(files, rules, pool)?;
        let eos = TokenizerConfig::load(files)?.special_token("eos_token").map(str::to_owned);
        Ok(Self {
            name: files.name.clone(),
            rules,
            class: tokenizer.class,
            warning: tokenizer.warning.clone(),
            digest: blake3::hash(&files.tokenizer_json).to_hex().to_string(),
            template,
            counter: tokenizer.counter(),
            documents: DocumentTokenizer::new(tokenizer.clone()),
            training: encodes.then(|| TrainingTokenizer::new(tokenizer, eos.clone())),
            eos,
        })
    }
}
