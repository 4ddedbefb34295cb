//! A rendered conversation as text, split into what is trained and what is not.

use super::labels::{MarkerIds, label};
use super::mask::{Masked, SPECIAL_TOKENS};
use crate::error::Result;
use crate::sample::Conversation;
use crate::tokens::template::ChatTemplate;

/// A piece of a rendered conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextPart {
    /// The text.
    pub(crate) text: String,
    /// Whether its tokens are trained.
    pub(crate) is_trained: bool,
}

/// The numbers of markers and of the end-of-sequence token among the pieces of a text; other pieces follow.
const MARKERS: MarkerIds = MarkerIds { content: [0, 1], reasoning: [2, 3] };
const EOS: u32 = 4;
const FIRST_PIECE: u32 = 5;

/// Renders a conversation as the trainer gets it. No two neighbours are both trained or both not. The rules are those of the encoder
/// ([`super::TrainingEncoder`]), on pieces of text instead of tokens; `eos` is the text of the end-of-sequence token.
///
/// If the template tears contents apart, or contents are lists of parts, nothing is trained.
///
/// # Errors
/// If the conversation cannot be rendered.
pub(crate) fn trained_parts(
    template: &ChatTemplate,
    eos: Option<&str>,
    conversation: &Conversation<'_>,
    unmask: bool,
) -> Result<Vec<TextPart>> {
    let Ok((masked, messages)) = Masked::new(conversation, unmask) else {
        // Trainers take only contents that are strings.
        return Ok(vec![TextPart { text: template.render(conversation)?, is_trained: false }]);
    };
    let text = template.render(&masked.conversation())?;
    let (ids, pieces) = split(&text, eos);
    let Ok(labelled) = label(&ids, MARKERS, Some(EOS), &messages) else {
        let text = template.render(conversation)?;
        return Ok(vec![TextPart { text, is_trained: false }]);
    };
    let mut parts: Vec<TextPart> = Vec::new();
    for (id, is_trained) in labelled.input_ids.into_iter().zip(labelled.is_trained) {
        let piece = if id == EOS { eos.unwrap_or_default() } else { pieces[(id - FIRST_PIECE) as usize] };
        match parts.last_mut() {
            Some(part) if part.is_trained == is_trained => part.text.push_str(piece),
            _ => parts.push(TextPart { text: piece.to_owned(), is_trained }),
        }
    }
    Ok(parts)
}

/// Splits a text at markers and at `eos`; returns a number for each piece, and the pieces that are neither.
fn split<'t>(text: &'t str, eos: Option<&str>) -> (Vec<u32>, Vec<&'t str>) {
    let signs = SPECIAL_TOKENS[..4].iter().copied().chain(eos.filter(|eos| !eos.is_empty()));
    let signs: Vec<(u32, &str)> = (0..).zip(signs).collect();
    let (mut ids, mut pieces) = (Vec::new(), Vec::new());
    let mut rest = text;
    while !rest.is_empty() {
        let next = signs.iter().filter_map(|(id, sign)| Some((rest.find(sign)?, *id, sign.len()))).min();
        let (end, found) = next.map_or((rest.len(), None), |(at, id, length)| (at, Some((id, length))));
        if end > 0 {
            ids.push(FIRST_PIECE + pieces.len() as u32);
            pieces.push(&rest[..end]);
        }
        rest = &rest[end..];
        if let Some((id, length)) = found {
            ids.push(id);
            rest = &rest[length..];
        }
    }
    (ids, pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::TokenizerRules;
    use crate::tokens::fetch;

    fn shown(unmask: bool, eos: Option<&str>) -> String {
        let files = fetch::builtin();
        let template = ChatTemplate::load(&files, None, TokenizerRules::Auto, fetch::date_of_run().unwrap()).unwrap();
        let conversation =
            Conversation::Pair { user: "Why?".into(), assistant: "So.".into(), reasoning: None, null_thinking: false };
        let parts = trained_parts(&template, eos, &conversation, unmask).unwrap();
        let text: String = parts.iter().map(|part| part.text.as_str()).collect();
        assert_eq!(text, template.render(&conversation).unwrap());
        let shown =
            parts.iter().map(|part| if part.is_trained { format!("[{}]", part.text) } else { part.text.clone() });
        shown.collect()
    }

    #[test]
    fn an_answer_is_trained_up_to_the_end_of_sequence() {
        let eos = Some("<|im_end|>");
        let text = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n[So.<|im_end|>]\n";
        assert_eq!(shown(false, eos), text);
        assert_eq!(shown(true, eos), text.replace("Why?", "[Why?]"));
        assert_eq!(shown(false, None), text.replace("So.<|im_end|>]", "So.]<|im_end|>"));
    }
}
