//! The text of a conversation as the trainer gets it, with the parts that it learns from: for people to look at.

use super::labels::{MarkerIds, UnbalancedMarkers, label};
use super::mask::{Masked, SPECIAL_TOKENS};
use crate::error::{Error, ErrorKind, Result};
use crate::sample::Conversation;
use crate::tokens::config::TokenizerConfig;
use crate::tokens::files::TokenizerFiles;
use crate::tokens::template::ChatTemplate;

/// A part of a rendered conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextPart {
    /// Its text.
    pub(crate) text: String,
    /// Whether the trainer learns from it.
    pub(crate) is_trained: bool,
}

/// Renders conversations for people.
#[derive(Debug)]
pub(crate) struct TextRenderer<'t> {
    template: &'t ChatTemplate,
    /// The text of the token after which an answer ends.
    eos: Option<String>,
}

/// The numbers that stand for the parts of a text, instead of token ids.
const CONTENT: [u32; 2] = [0, 1];
const REASONING: [u32; 2] = [2, 3];
const EOS: u32 = 4;
const OTHER: u32 = 5;

impl<'t> TextRenderer<'t> {
    /// Renders with a template and the end token that the tokenizer's configuration names.
    ///
    /// # Errors
    /// If a configuration file is not valid.
    pub(crate) fn new(template: &'t ChatTemplate, files: &TokenizerFiles) -> Result<Self> {
        let eos = TokenizerConfig::load(files)?.special_token("eos_token").map(str::to_owned);
        Ok(Self { template, eos: eos.filter(|text| !text.is_empty()) })
    }

    /// Renders a conversation as the trainer does. `unmask` trains the user messages, too.
    ///
    /// # Errors
    /// If it cannot be rendered, or the template tears its contents apart: then no trainer can label it.
    pub(crate) fn render(&self, conversation: &Conversation<'_>, unmask: bool) -> Result<Vec<TextPart>> {
        let (masked, messages) = Masked::new(conversation, unmask)?;
        let text = self.template.render(&masked.conversation())?;
        let pieces = self.pieces(&text);
        let ids: Vec<u32> = pieces.iter().map(|(id, _)| *id).collect();
        let markers = MarkerIds { content: CONTENT, reasoning: REASONING };
        let labelled = label(&ids, markers, Some(EOS), &messages).map_err(|UnbalancedMarkers| {
            Error::new(ErrorKind::Data, "the trainer cannot tell what of the conversation it is to learn from")
        })?;
        let shown = pieces.iter().filter(|(id, _)| matches!(*id, EOS | OTHER));
        let parts = shown.zip(labelled.is_trained);
        Ok(parts.map(|((_, text), is_trained)| TextPart { text: (*text).to_owned(), is_trained }).collect())
    }

    /// Splits a rendered text at the markers and at the ends of answers, each of which is a token of its own.
    fn pieces<'x>(&self, text: &'x str) -> Vec<(u32, &'x str)> {
        let markers = SPECIAL_TOKENS.iter().copied().zip(CONTENT.into_iter().chain(REASONING));
        let known: Vec<(&str, u32)> = markers.chain(self.eos.as_deref().map(|eos| (eos, EOS))).collect();
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let found = known.iter().filter_map(|(token, id)| Some((rest.find(token)?, *token, *id)));
            let Some((at, token, id)) = found.min_by_key(|(at, ..)| *at) else { break };
            if at > 0 {
                pieces.push((OTHER, &rest[..at]));
            }
            pieces.push((id, &rest[at..at + token.len()]));
            rest = &rest[at + token.len()..];
        }
        if !rest.is_empty() {
            pieces.push((OTHER, rest));
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::TokenizerRules;
    use crate::tokens::fetch::builtin;

    fn rendered(messages: &str, unmask: bool) -> String {
        let files = builtin();
        let template = ChatTemplate::load(&files, None, TokenizerRules::Auto, chrono::NaiveDateTime::MIN).unwrap();
        let renderer = TextRenderer::new(&template, &files).unwrap();
        let conversation = Conversation::Messages { messages, tools: None };
        match renderer.render(&conversation, unmask) {
            Ok(parts) => parts
                .iter()
                .map(|part| if part.is_trained { format!("[{}]", part.text) } else { part.text.clone() })
                .collect(),
            Err(error) => error.line(),
        }
    }

    #[test]
    fn trained_text_ends_with_the_end_of_the_answer() {
        let messages = r#"[{"role":"user","content":"Q"},{"role":"assistant","content":"A"}]"#;
        insta::assert_snapshot!(rendered(messages, false), @r"
        <|im_start|>user
        Q<|im_end|>
        <|im_start|>assistant
        [A][<|im_end|>]
        ");
        insta::assert_snapshot!(rendered(messages, true), @r"
        <|im_start|>user
        [Q]<|im_end|>
        <|im_start|>assistant
        [A][<|im_end|>]
        ");
    }

    #[test]
    fn a_marker_inside_a_text_is_an_error() {
        let messages = r#"[{"role":"user","content":"Q"},{"role":"assistant","content":"<|UNMASK_BEGIN|>"}]"#;
        assert_eq!(rendered(messages, false), "the trainer cannot tell what of the conversation it is to learn from");
    }
}
