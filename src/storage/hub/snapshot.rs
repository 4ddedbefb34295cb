//! The tokenizer files of one revision.

use bytes::Bytes;

/// The file that every tokenizer has.
pub(super) const TOKENIZER: &str = "tokenizer.json";

/// Size limit of a tokenizer file, in bytes.
pub(super) const MAX_FILE: usize = 256 << 20;

/// The other files of a tokenizer.
const OPTIONAL: [&str; 7] = [
    "config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "additional_chat_templates/tool_use.jinja",
    "chat_template.json",
];

/// The tokenizer files of one revision of a repository.
#[derive(Debug, Clone)]
pub struct HubSnapshot {
    /// Name and content of every file that exists.
    pub files: Vec<(String, Bytes)>,
    /// The commit that the files come from.
    pub revision: String,
}

impl HubSnapshot {
    /// Whether the snapshot has a tokenizer.
    pub(super) fn has_tokenizer(&self) -> bool {
        self.files.iter().any(|(name, _)| name == TOKENIZER)
    }
}

/// The names of all files that a tokenizer may have.
pub(super) fn file_names() -> impl Iterator<Item = &'static str> {
    std::iter::once(TOKENIZER).chain(OPTIONAL)
}
