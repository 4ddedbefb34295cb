//! Loads a tokenizer's files and its chat template, renders conversations, counts tokens.
//!
//! Files come in as bytes: nothing here touches a disk or a network. What the numbers mean is said in one sentence:
//! a text's length is `len(tokenizer.encode(tokenizer.apply_chat_template(messages, tokenize=False)))`, as transformers
//! gives it with the folder's `tokenizer.json` taken as it is.

mod config;
mod counter;
mod counting;
mod fast;
mod filters;
mod guard;
mod python;
mod source;
mod template;
mod words;

pub(crate) use counter::Counter;
pub(crate) use counting::{Backend, Counting, Texts};
pub(crate) use template::{ChatTemplate, GivenTemplate};

/// A tokenizer that is ready.
pub(crate) struct LoadedTokenizer {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) template: ChatTemplate,
    pub(crate) counter: Counter,
}

use bytes::Bytes;

/// The files of one tokenizer folder, as bytes.
#[derive(Clone, Default)]
pub(crate) struct TokenizerFiles {
    /// The name the user gave: a folder, a URL, a repository id, `builtin`.
    pub(crate) name: String,
    /// Where the files came from, for messages.
    pub(crate) place: String,
    /// `tokenizer.json`, the authority on counts.
    pub(crate) tokenizer_json: Bytes,
    /// `tokenizer_config.json`: special tokens, added tokens, often the chat template.
    pub(crate) tokenizer_config: Option<Bytes>,
    /// `special_tokens_map.json`, written by older versions of transformers.
    pub(crate) special_tokens_map: Option<Bytes>,
    /// `chat_template.jinja`: wins over the other places of a template.
    pub(crate) chat_template_jinja: Option<Bytes>,
    /// `chat_template.json`: an object whose `chat_template` is the template.
    pub(crate) chat_template_json: Option<Bytes>,
}

impl std::fmt::Debug for TokenizerFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenizerFiles").field("name", &self.name).field("place", &self.place).finish_non_exhaustive()
    }
}

impl TokenizerFiles {
    /// A file of the folder, for messages.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.place.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests;
