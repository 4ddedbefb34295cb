//! What the user's message of a QA pair is made of.

use super::source::Source;

/// The texts that stand one after the other in the content of a pair's user message.
///
/// Parts instead of one text: the counting joins them, the encoder joins their escaped forms.
pub(crate) fn user_content<'t>(source: &Source, outline: &'t str, summary: &'t str, question: &'t str) -> [&'t str; 5] {
    if source.with_document { [outline, "\n", summary, "\n\n", question] } else { ["In ", outline, ", ", question, ""] }
}
