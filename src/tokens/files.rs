//! The files of one tokenizer folder.

use bytes::Bytes;

/// The file of the template named `tool_use`.
pub(crate) const TOOL_USE_TEMPLATE: &str = "additional_chat_templates/tool_use.jinja";

/// The files of one tokenizer folder, in memory.
#[derive(Clone, Default)]
pub(crate) struct TokenizerFiles {
    /// The name that the user gave: a folder, a URL, a repository id, `builtin`.
    pub(crate) name: String,
    /// Where the files come from, for messages.
    pub(crate) place: String,
    /// `tokenizer.json`: the vocabulary and all rules of tokenization.
    pub(crate) tokenizer_json: Bytes,
    /// `tokenizer_config.json`: special tokens, added tokens, often the chat template.
    pub(crate) tokenizer_config: Option<Bytes>,
    /// `special_tokens_map.json`, written by older versions of transformers.
    pub(crate) special_tokens_map: Option<Bytes>,
    /// `added_tokens.json`, written by older versions of transformers: the id of each added token.
    pub(crate) added_tokens: Option<Bytes>,
    /// `config.json` of the model: its type decides which class builds the tokenizer.
    pub(crate) config: Option<Bytes>,
    /// `chat_template.jinja`: takes precedence over the other places of a template.
    pub(crate) chat_template_jinja: Option<Bytes>,
    /// [`TOOL_USE_TEMPLATE`]: the template of conversations with tools.
    pub(crate) tool_use_jinja: Option<Bytes>,
    /// `chat_template.json`: an object whose `chat_template` is the template. It belongs to processors, so it comes last.
    pub(crate) chat_template_json: Option<Bytes>,
}

impl std::fmt::Debug for TokenizerFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenizerFiles").field("name", &self.name).field("place", &self.place).finish_non_exhaustive()
    }
}

impl TokenizerFiles {
    /// The location of one file of the folder, for messages.
    pub(crate) fn location_of(&self, name: &str) -> String {
        format!("{}/{name}", self.place.trim_end_matches('/'))
    }
}
