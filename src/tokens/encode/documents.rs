//! Encodes documents as the trainer does: the ids of the text, with what the tokenizer puts around every text, and an
//! end-of-sequence token.
//!
//! The rules are those of `process_documents_for_pretraining` in `instructlab.training.data_process` (0.16.2), which training_hub's
//! `sft` and `osft` call with `is_pretraining=True`.

use crate::error::{Error, ErrorKind, Result};
use crate::tokens::count::{AroundText, Backend, BaseTokenizer, IdEncoder, TextSource};
use rayon::ThreadPool;

/// A tokenizer that can become a [`DocumentEncoder`].
#[derive(Debug)]
pub(crate) struct DocumentTokenizer(BaseTokenizer);

impl DocumentTokenizer {
    pub(in crate::tokens) fn new(tokenizer: BaseTokenizer) -> Self {
        Self(tokenizer)
    }

    /// The encoder.
    ///
    /// # Errors
    /// If the tokenizer has no end-of-sequence token, without which a trainer refuses documents.
    pub(crate) fn into_encoder(self) -> Result<DocumentEncoder> {
        let hint = "check eos_token in tokenizer_config.json, or use another tokenizer";
        let (around, eos) = self.0.ends();
        let Some(eos) = eos else {
            let message = "the tokenizer has no end-of-sequence token, which ends every document of a document mix";
            return Err(Error::new(ErrorKind::Data, message).hint(hint));
        };
        let Some(around) = around else {
            let message =
                "the tokenizer does not put the same tokens around every text, so documents cannot be encoded";
            return Err(Error::new(ErrorKind::Data, message).hint("use another tokenizer"));
        };
        Ok(DocumentEncoder { encoder: self.0.id_encoder(), around, eos })
    }
}

/// Encodes documents to ids. Can be shared between threads.
#[derive(Debug)]
pub(crate) struct DocumentEncoder {
    encoder: IdEncoder,
    around: AroundText,
    eos: u32,
}

/// The lengths of documents.
#[derive(Debug)]
pub(crate) struct DocumentLengths {
    /// The length of each document in tokens, by index.
    pub(crate) lengths: Vec<u32>,
    /// What encoded them.
    pub(crate) backend: Backend,
    /// A warning: why everything was encoded again without the word cache.
    pub(crate) fallback: Option<String>,
}

impl DocumentEncoder {
    /// Encodes many documents on `pool`, which must not be the pool of the calling thread; returns their lengths.
    ///
    /// # Errors
    /// If a document cannot be encoded.
    pub(crate) fn lengths<'t>(
        &self,
        count: usize,
        text: &(dyn Fn(usize) -> &'t str + Sync),
        progress: &(dyn Fn(usize) + Sync),
        pool: &ThreadPool,
    ) -> Result<DocumentLengths> {
        let texts = TextSource {
            count,
            text: &|index, out| {
                out.push_str(text(index));
                Ok(())
            },
            progress,
            check: &|| Ok(()),
        };
        let encoded = self.encoder.encode_all(&texts, |_, ids| self.length(&ids), pool)?;
        Ok(DocumentLengths { lengths: encoded.values, backend: encoded.backend, fallback: encoded.fallback })
    }

    /// The number of ids of a document whose text has these.
    fn length(&self, ids: &[u32]) -> u32 {
        let length = self.around.before.len() + ids.len() + self.around.after.len();
        (length + usize::from(!self.ends(ids))) as u32
    }

    /// Whether a document ends with the end-of-sequence token by itself.
    fn ends(&self, ids: &[u32]) -> bool {
        let last = self.around.after.last().or(ids.last()).or(self.around.before.last());
        last == Some(&self.eos)
    }

    /// Encodes one document of those that [`Self::lengths`] has encoded.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let ids = self.encoder.encode(text)?;
        let end = if self.ends(&ids) { &[][..] } else { &[self.eos] };
        Ok([&self.around.before, &ids[..], &self.around.after, end].concat())
    }
}
