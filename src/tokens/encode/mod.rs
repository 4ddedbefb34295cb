//! Encodes conversations as the trainer does: ids, and which of them are trained.
//!
//! The rules are those of `process_messages_into_input_ids` in `instructlab.training.data_process` (0.16.2), the data
//! processing of training_hub's `sft` and `osft`: contents are wrapped in marker tokens, the chat template is rendered over
//! them and encoded without the post-processor's tokens, and the markers show what is trained.

mod documents;
mod labels;
mod mask;
mod parts;

pub(crate) use documents::{DocumentEncoder, DocumentTokenizer};
pub(crate) use labels::NOT_TRAINED;
pub(crate) use parts::{TextPart, trained_parts};

use super::count::{BaseTokenizer, IdEncoder, TextSource};
use super::template::ChatTemplate;
use crate::error::{Error, ErrorKind, Result};
use crate::sample::Conversation;
use labels::{MarkerIds, TrainingTokens, UnbalancedMarkers, label};
use mask::{Masked, SPECIAL_TOKENS};
use rayon::ThreadPool;

/// Encodes conversations to ids and labels. Can be shared between threads.
#[derive(Debug)]
pub(crate) struct TrainingEncoder {
    encoder: IdEncoder,
    markers: MarkerIds,
    /// The id after which an answer ends; `None` if the tokenizer has no such token.
    eos: Option<u32>,
}

/// How many tokens a conversation gives the trainer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TrainingLength {
    /// All tokens; 0 if the conversation cannot be encoded for the trainer.
    pub(crate) tokens: u32,
    /// The tokens that count for the loss.
    pub(crate) loss_tokens: u32,
}

/// The lengths of conversations.
#[derive(Debug)]
pub(crate) struct TrainingLengths {
    /// The length of each conversation, by index.
    pub(crate) lengths: Vec<TrainingLength>,
    /// A warning: why everything was encoded again without the word cache.
    pub(crate) fallback: Option<String>,
}

/// A tokenizer that can become a [`TrainingEncoder`].
#[derive(Debug)]
pub(crate) struct TrainingTokenizer {
    tokenizer: BaseTokenizer,
    /// The text of the token after which an answer ends.
    eos: Option<String>,
}

impl TrainingTokenizer {
    /// A tokenizer, and the text of the token after which an answer ends, if it has one.
    pub(super) fn new(tokenizer: BaseTokenizer, eos: Option<String>) -> Self {
        Self { tokenizer, eos }
    }

    /// The encoder. It takes over the vocabulary of the tokenizer's counter if that no longer exists, else a copy.
    ///
    /// # Errors
    /// If the tokenizer cannot take the marker tokens.
    pub(crate) fn into_encoder(self) -> Result<TrainingEncoder> {
        let encoder = self.tokenizer.into_id_encoder(&SPECIAL_TOKENS)?;
        let marker = |number: usize| {
            let text = SPECIAL_TOKENS[number];
            let missing = || Error::new(ErrorKind::Data, format!("the tokenizer has no token for `{text}`"));
            encoder.first_id(text)?.ok_or_else(missing)
        };
        let markers = MarkerIds { content: [marker(0)?, marker(1)?], reasoning: [marker(2)?, marker(3)?] };
        let eos = self.eos.map(|text| encoder.first_id(&text)).transpose()?.flatten();
        Ok(TrainingEncoder { encoder, markers, eos })
    }
}

impl TrainingEncoder {
    /// Encodes many conversations on `pool`, which must not be the pool of the calling thread; returns their lengths.
    ///
    /// `conversation` returns the conversation with an index and whether its user messages are trained.
    ///
    /// # Errors
    /// If a conversation cannot be rendered or encoded.
    pub(crate) fn lengths<'t>(
        &self,
        template: &ChatTemplate,
        count: usize,
        conversation: &(dyn Fn(usize) -> (Conversation<'t>, bool) + Sync),
        progress: &(dyn Fn(usize) + Sync),
        pool: &ThreadPool,
    ) -> Result<TrainingLengths> {
        let texts = TextSource {
            count,
            text: &|index, out| {
                let (conversation, unmask) = conversation(index);
                template.render_into(&Masked::new(&conversation, unmask)?.0.conversation(), out)
            },
            progress,
            check: &|| Ok(()),
        };
        let length = |index, ids: Vec<u32>| {
            let (conversation, unmask) = conversation(index);
            // A conversation that cannot be masked was an error when it was rendered.
            let Ok((_, messages)) = Masked::new(&conversation, unmask) else { return TrainingLength::default() };
            match label(&ids, self.markers, self.eos, &messages) {
                Ok(tokens) => {
                    TrainingLength { tokens: tokens.input_ids.len() as u32, loss_tokens: tokens.loss_tokens() as u32 }
                }
                Err(UnbalancedMarkers) => TrainingLength::default(),
            }
        };
        let encoded = self.encoder.encode_all(&texts, length, pool)?;
        Ok(TrainingLengths { lengths: encoded.values, fallback: encoded.fallback })
    }

    /// Encodes one conversation of those that [`Self::lengths`] has encoded. `unmask` trains the user messages, too.
    ///
    /// # Errors
    /// If it cannot be rendered or encoded, or its length is 0.
    pub(crate) fn encode(
        &self,
        template: &ChatTemplate,
        conversation: &Conversation<'_>,
        unmask: bool,
    ) -> Result<TrainingTokens> {
        let (masked, messages) = Masked::new(conversation, unmask)?;
        let ids = self.encoder.encode(&template.render(&masked.conversation())?)?;
        label(&ids, self.markers, self.eos, &messages)
            .map_err(|UnbalancedMarkers| Error::new(ErrorKind::Data, "the markers of a conversation do not match"))
    }
}
