//! The interface of a kind of sample.

use super::conversation::Conversation;
use super::json::RowJson;
use crate::index::{PartsHasher, Record, SplitBuilder};
use crate::recipe::{Flags, Source};
use crate::text::{TextId, TextStore};

/// What a kind of sample knows of one sample.
pub(crate) trait SampleKind {
    /// The sample's record: which document, outline and summary it belongs to.
    fn record(&self, source: &Source, split: &mut SplitBuilder<'_>) -> Record;

    /// Hashes what distinguishes the sample: its messages, tools and `unmask`. The same on every machine.
    fn hash_content(&self, source: &Source, texts: &TextStore, hasher: &mut PartsHasher);

    /// The question, if it is known by itself.
    fn question<'t>(&self, _texts: &'t TextStore) -> Option<&'t str> {
        None
    }

    /// What is suspicious about the question and the answer.
    fn flags(&self, texts: &TextStore) -> Flags;

    /// The text that the question is about, which many samples share.
    fn context(&self) -> Option<TextId> {
        None
    }

    /// The characters of the assistant's messages.
    fn response_chars(&self, texts: &TextStore) -> usize;

    /// Whether all messages but the system's are trained, instead of only the assistant's.
    fn is_unmasked(&self, source: &Source) -> bool;

    /// The conversation that a chat template renders, or the document.
    fn conversation<'t>(&self, source: &Source, texts: &'t TextStore) -> Conversation<'t>;

    /// The bytes of all texts of the conversation.
    fn text_bytes(&self, texts: &TextStore) -> usize;

    /// About how many bytes the row takes with all columns.
    fn full_row_bytes(&self, texts: &TextStore) -> usize;

    /// The outline of the sample's document, shown in reports; empty if it has none.
    fn outline<'t>(&self, _texts: &'t TextStore) -> &'t str {
        ""
    }

    /// Whether the sample has the teacher's reasoning.
    fn has_reasoning(&self) -> bool {
        false
    }

    /// Names the keys of the sample's messages, and of its row, that not every sample has.
    fn optional_keys(&self, source: &Source, texts: &TextStore, add: &mut dyn FnMut(&str));

    /// Appends the sample's row as one line of JSON.
    fn write_json(&self, source: &Source, token_length: u32, row: &mut RowJson<'_>, out: &mut Vec<u8>);
}
