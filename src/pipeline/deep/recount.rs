//! Counts the tokens of rows again, with the tokenizer of the mix.

use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{Manifest, MixKind};
use crate::pipeline::context::Context;
use crate::pipeline::sample::{date_of, model_at_hand, rules_of};
use crate::sample::Conversation;
use crate::storage::Location;
use crate::tokens::{self, ChatTemplate, Counter, DocumentEncoder, LoadedTokenizer, TokenizerModel};
use serde_json::Value;
use std::sync::Arc;

/// What counts the tokens of rows again.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeepOptions {
    /// The tokenizer; by default the mix's own, if it is at hand.
    pub(crate) tokenizer: Option<TokenizerModel>,
    /// The chat template, instead of the tokenizer's own.
    pub(crate) chat_template: Option<Location>,
}

/// Counts tokens as the mix was counted.
#[derive(Debug)]
pub(super) struct Recount {
    template: Arc<ChatTemplate>,
    counter: Counter,
    /// `None` if the mix has no documents.
    documents: Option<DocumentEncoder>,
}

impl Recount {
    /// The tokens of a conversation, or why they cannot be counted.
    pub(super) fn conversation(&self, messages: Vec<Value>, tools: Option<&str>) -> Result<u32, String> {
        let messages = Value::from(messages).to_string();
        let conversation = Conversation::Messages { messages: &messages, tools };
        let counted = self.template.render(&conversation).and_then(|text| self.counter.encode(&text));
        counted.map_err(|error| error.line())
    }

    /// The tokens of a document, or why they cannot be counted; `None` if documents are not counted.
    pub(super) fn document(&self, text: &str) -> Result<Option<u32>, String> {
        let ids = self.documents.as_ref().map(|encoder| encoder.encode(text)).transpose();
        ids.map(|ids| ids.map(|ids| ids.len() as u32)).map_err(|error| error.line())
    }
}

/// Loads the tokenizer of a mix, if it is given or at hand. Also returns what is counted, for people.
///
/// # Errors
/// If a given tokenizer or chat template is not that of the mix, or one is not valid.
pub(super) async fn load(
    manifest: &Manifest,
    options: DeepOptions,
    context: &Context,
) -> Result<(Option<Recount>, String)> {
    let record = &manifest.tokenizer;
    let is_given = options.tokenizer.is_some();
    let not_counted = |why: String| Ok((None, format!("tokens were not counted again: {why}")));
    let model = match options.tokenizer {
        Some(model) => model,
        None => match model_at_hand(&context.storage, &record.name).await? {
            Some(model) => model,
            None => {
                return not_counted(format!("the tokenizer {} is not at hand; pass --tokenizer-model", record.name));
            }
        },
    };
    let files = tokens::fetch(&context.storage, &model).await?;
    if blake3::hash(&files.tokenizer_json).to_hex().as_str() != record.digest {
        return match is_given {
            true => Err(other("tokenizer.json", &record.digest).at("--tokenizer-model")),
            false => not_counted(format!("the tokenizer {} has changed since the mix", record.name)),
        };
    }
    let given = tokens::given_template(&context.storage, options.chat_template.as_ref()).await?;
    let has_documents = manifest.outputs.iter().any(|file| file.mix == MixKind::Document);
    let (rules, date) = (rules_of(record), date_of(record)?);
    let loading = move |context: &Context| {
        let template = Arc::new(ChatTemplate::load(&files, given, rules, date)?);
        let tokenizer = LoadedTokenizer::load(&files, template.clone(), rules, false, &context.pool)?;
        let documents = has_documents.then(|| tokenizer.documents.into_encoder()).transpose()?;
        Ok(Recount { template, counter: tokenizer.counter, documents })
    };
    let recount = context.compute("loading the tokenizer", loading).await?;
    if recount.template.digest() != record.chat_template_digest {
        return match options.chat_template.is_some() {
            true => Err(other("chat template", &record.chat_template_digest).at("--chat-template")),
            false => not_counted("the mix has another chat template; pass --chat-template".to_owned()),
        };
    }
    Ok((Some(recount), format!("tokens were counted again with {}", record.name)))
}

fn other(what: &str, digest: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("the {what} is not that of the mix: the manifest names digest {digest}"))
        .hint("pass the tokenizer and the chat template that the mix was made with")
}
