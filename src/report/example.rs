//! Conversations as people read them: who says what, what is trained, and the middle of long texts left out.

use crate::recipe::Flags;
use crate::tokens::TextPart;
use std::ops::Range;

/// The characters shown of the beginning and of the end of a text that is elided, if it is context.
const CONTEXT_SHOWN: [usize; 2] = [280, 140];

/// The characters shown of the beginning and of the end of any other text.
const TEXT_SHOWN: [usize; 2] = [2_000, 600];

/// The longest word that is not torn, in bytes.
const LONG_WORD: usize = 24;

/// A conversation of a mix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Example {
    /// The name of its source.
    pub(crate) source: String,
    /// Why it is shown.
    pub(crate) why: Why,
    /// Its length in tokens.
    pub(crate) tokens: u32,
    /// Its tokens that count for the loss, if they were counted.
    pub(crate) loss_tokens: Option<u32>,
    /// What is suspicious about it.
    pub(crate) flags: Flags,
    /// Its text, in order.
    pub(crate) parts: Vec<Part>,
}

/// Why a conversation is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// No other sample of the source is shorter.
    Shortest,
    /// Half of the samples are at most as long.
    #[default]
    Median,
    /// No other sample of the source is longer.
    Longest,
    /// It has a flag.
    Flagged,
}

impl Why {
    /// The reason in a word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Shortest => "shortest",
            Self::Median => "median",
            Self::Longest => "longest",
            Self::Flagged => "flagged",
        }
    }
}

/// A piece of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The role of the message that it belongs to; `None` for what the chat template prints around messages.
    pub(crate) role: Option<Role>,
    /// The text.
    pub(crate) text: String,
    /// Whether its tokens are trained.
    pub(crate) is_trained: bool,
    /// The number of characters that are left out after it.
    pub(crate) elided: u64,
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The instructions before a conversation.
    System,
    /// Who asks.
    User,
    /// The model; its reasoning included.
    Assistant,
    /// The result of a tool call.
    Tool,
    /// Nobody: the text of a document.
    Document,
}

impl Role {
    /// The role with a name in messages.
    pub(crate) fn of(name: &str) -> Self {
        match name {
            "system" | "developer" => Self::System,
            "assistant" => Self::Assistant,
            "tool" => Self::Tool,
            "document" => Self::Document,
            _ => Self::User,
        }
    }

    /// The role's name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
            Self::Document => "document",
        }
    }
}

/// A message of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'t> {
    /// Who says it.
    pub(crate) role: Role,
    /// The text.
    pub(crate) text: &'t str,
    /// The bytes at its beginning that are context, which is elided more than the rest.
    pub(crate) context: usize,
}

/// The pieces of a rendered conversation, by role. Texts that the template prints otherwise than they are in their message count as
/// the template's own.
pub(crate) fn parts(rendered: &[TextPart], messages: &[Message<'_>]) -> Vec<Part> {
    let text: String = rendered.iter().map(|part| part.text.as_str()).collect();
    let mut cuts: Vec<(Range<usize>, Option<Role>, [usize; 2])> = Vec::new();
    let mut at = 0;
    let mut put = |range: Range<usize>, role, shown| {
        if !range.is_empty() {
            cuts.push((range, role, shown));
        }
    };
    for message in messages {
        let content = message.text.trim();
        let Some(start) = text[at..].find(content).map(|offset| at + offset).filter(|_| !content.is_empty()) else {
            continue;
        };
        let leading = message.text.len() - message.text.trim_start().len();
        let end = start + content.len();
        let context = start + message.context.saturating_sub(leading).min(content.len());
        put(at..start, None, TEXT_SHOWN);
        put(start..context, Some(message.role), CONTEXT_SHOWN);
        put(context..end, Some(message.role), TEXT_SHOWN);
        at = end;
    }
    put(at..text.len(), None, TEXT_SHOWN);
    let mut parts = Vec::new();
    let mut begin = 0;
    for part in rendered {
        let of_part = begin..begin + part.text.len();
        for (range, role, shown) in &cuts {
            let common = range.start.max(of_part.start)..range.end.min(of_part.end);
            if !common.is_empty() {
                elide(&text[common], *shown, |text, elided| {
                    parts.push(Part { role: *role, text: text.to_owned(), is_trained: part.is_trained, elided });
                });
            }
        }
        begin = of_part.end;
    }
    parts
}

/// Calls `put` with a text, or with its beginning, the number of characters left out after it, and its end.
fn elide(text: &str, [head, tail]: [usize; 2], mut put: impl FnMut(&str, u64)) {
    let characters = text.chars().count();
    // A few characters are not worth a gap.
    if characters <= head + tail + 60 {
        return put(text, 0);
    }
    let place = |number: usize| text.char_indices().nth(number).map_or(text.len(), |(at, _)| at);
    let (head, tail) = (&text[..place(head)], &text[place(characters - tail)..]);
    // Whole words, where words have spaces.
    let head = head.rfind(' ').filter(|end| head.len() - end <= LONG_WORD).map_or(head, |end| &head[..end]);
    let tail = tail.find(' ').filter(|begin| *begin <= LONG_WORD).map_or(tail, |begin| &tail[begin + 1..]);
    put(head, (characters - head.chars().count() - tail.chars().count()) as u64);
    put(tail, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str, is_trained: bool) -> TextPart {
        TextPart { text: text.to_owned(), is_trained }
    }

    #[test]
    fn pieces_have_the_role_of_their_message() {
        let rendered = [part("<u>In Doc.\nA fact.\n\nWhy?</u><a>", false), part("So.</a>", true)];
        let user = Message { role: Role::User, text: "In Doc.\nA fact.\n\nWhy?", context: 17 };
        let answer = Message { role: Role::Assistant, text: " So.", context: 0 };
        let parts = parts(&rendered, &[user, answer]);
        let shown: Vec<_> =
            parts.iter().map(|part| (part.role.map_or("-", Role::name), part.text.as_str(), part.is_trained)).collect();
        let expected = [
            ("-", "<u>", false),
            ("user", "In Doc.\nA fact.\n\n", false),
            ("user", "Why?", false),
            ("-", "</u><a>", false),
            ("assistant", "So.", true),
            ("-", "</a>", true),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_long_context_is_elided_and_the_question_is_not() {
        let context = "ä".repeat(9_000);
        let text = format!("{context}Why?");
        let user = Message { role: Role::User, text: &text, context: context.len() };
        let parts = parts(&[part(&text, false)], &[user]);
        let shown: Vec<_> = parts.iter().map(|part| (part.text.chars().count(), part.elided)).collect();
        assert_eq!(shown, [(280, 9_000 - 420), (140, 0), (4, 0)]);
        assert_eq!(parts[2].text, "Why?");
    }

    #[test]
    fn a_message_that_is_not_printed_changes_nothing() {
        let messages = [Message { role: Role::System, text: "hidden", context: 0 }];
        let parts = parts(&[part("text", false)], &messages);
        assert_eq!(parts, [Part { role: None, text: "text".into(), is_trained: false, elided: 0 }]);
    }
}
