//! What is suspicious about a question or an answer: signs that a generator left behind.
//!
//! A flag is a guess from the text alone, made for every sample; it drops nothing unless the recipe's filter says so. The rules are
//! listed in docs/recipes.md.

use super::conversation::content_text;
use crate::recipe::{Flag, Flags};
use serde_json::Value;

/// How far from its beginning an answer is searched for a refusal, in bytes.
const REFUSAL_SEARCHED: usize = 160;

/// The longest placeholder or template token, in bytes between its brackets.
const LONGEST_INSIDE: usize = 48;

/// The flags of a question and its answer.
pub(crate) fn flags(question: &str, answer: &str) -> Flags {
    Flags::default()
        .with(Flag::Placeholder, has_placeholder(question) || has_placeholder(answer))
        .with(Flag::Ellipsis, has_ellipsis(question) || ends_in_ellipsis(answer))
        .with(Flag::TemplateToken, has_template_token(question) || has_template_token(answer))
        .with(Flag::NoQuestion, is_no_question(question))
        .with(Flag::Refusal, is_refusal(answer))
}

/// The flags of messages: those of each of the user's messages, or of `question`, if it is known by itself, and of the answer that
/// follows. Control tokens are looked for in all messages; later messages need not ask anything.
pub(crate) fn chat_flags(question: Option<&str>, messages: &[Value]) -> Flags {
    let mut found = Flags::default();
    let mut asked = None;
    let mut is_first = true;
    for message in messages {
        let content = content_text(message.get("content"));
        found = found.with(Flag::TemplateToken, has_template_token(&content));
        match (message.get("role").and_then(Value::as_str), &asked) {
            (Some("user"), _) => asked = Some(content),
            (Some("assistant"), Some(of_message)) if !content.is_empty() => {
                let pair = flags(question.unwrap_or(of_message), &content);
                found = found.or(if is_first { pair } else { pair.without(Flag::NoQuestion) });
                (asked, is_first) = (None, false);
            }
            _ => {}
        }
    }
    found
}

/// Whether a text contains what chat templates and tokenizers take for a control token, such as `<|eot_id|>` or `[INST]`. Then the
/// model sees the end of a message in the middle of a text.
pub(crate) fn has_template_token(text: &str) -> bool {
    const WORDS: [&[u8]; 9] =
        [b"<s>", b"</s>", b"<bos>", b"<eos>", b"<start_of_turn>", b"<end_of_turn>", b"<<SYS>>", b"[INST]", b"[/INST]"];
    let bytes = text.as_bytes();
    memchr::memchr2_iter(b'<', b'[', bytes).any(|at| {
        let rest = &bytes[at..];
        WORDS.iter().any(|word| rest.starts_with(word)) || is_bar_token(rest, b"<|", b"|>")
            // The tokens of DeepSeek have full-width bars.
            || is_bar_token(rest, "<｜".as_bytes(), "｜>".as_bytes())
    })
}

/// Whether a text begins with a token such as `<|eot_id|>`: a name without spaces between `open` and `close`.
fn is_bar_token(text: &[u8], open: &[u8], close: &[u8]) -> bool {
    let Some(inside) = text.strip_prefix(open) else { return false };
    let end = inside.len().min(LONGEST_INSIDE + close.len());
    let length = memchr::memmem::find(&inside[..end], close);
    length.is_some_and(|length| length > 0 && !inside[..length].iter().any(u8::is_ascii_whitespace))
}

/// Whether a text contains a place that a generator should have filled, such as `<question>` or `[insert name]`.
fn has_placeholder(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr3_iter(b'<', b'[', b'{', bytes).any(|at| {
        // `data[question]` is code.
        let is_index = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || matches!(bytes[at - 1], b']' | b')' | b'_'));
        !is_index && is_placeholder(&bytes[at..])
    }) || (text.len() < 200 && text.to_ascii_lowercase().contains("lorem ipsum"))
}

/// Whether a text begins with a placeholder in brackets.
fn is_placeholder(text: &[u8]) -> bool {
    const WHOLE: [&str; 9] =
        ["question", "answer", "response", "document", "summary", "placeholder", "todo", "tbd", "..."];
    const BEGINS: [&str; 4] = ["insert ", "your ", "fill in ", "placeholder "];
    let close = match text[0] {
        b'<' => b'>',
        b'[' => b']',
        _ => b'}',
    };
    let window = &text[1..text.len().min(LONGEST_INSIDE)];
    let Some(length) = memchr::memchr(close, window) else { return false };
    let Ok(inside) = std::str::from_utf8(&window[..length]) else { return false };
    let inside = inside.trim_matches(|c: char| c == '{' || c.is_whitespace());
    let begins = |word: &&str| inside.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    WHOLE.iter().any(|word| inside.eq_ignore_ascii_case(word)) || BEGINS.iter().any(begins)
}

fn has_ellipsis(text: &str) -> bool {
    text.contains("...") || text.contains('…')
}

fn ends_in_ellipsis(text: &str) -> bool {
    let text = text.trim_end();
    text.ends_with("...") || text.ends_with('…')
}

/// Whether a text neither has a question mark nor begins as English questions and instructions do. Text that begins with another
/// script is not judged: not every language has question marks.
fn is_no_question(text: &str) -> bool {
    const MARKS: [char; 5] = ['?', '？', '؟', '՞', ';'];
    const WORDS: &str = " what which who whom whose when where why how is are was were do does did can could should would will may \
        might has have had explain describe list name define identify compare contrast summarize summarise discuss outline give \
        provide state tell write explore analyze analyse evaluate calculate compute determine find show illustrate elaborate \
        clarify mention specify consider suppose imagine in according based using given for from on to under after before at \
        with during if assess interpret infer highlight enumerate detail recall select choose classify match rank translate \
        rewrite create generate draft design propose suggest recommend prove derive solve estimate examine justify please \
        complete fill true ";
    let first = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let end = first.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(first.len());
    let word = &first[..end];
    if memchr::memchr(b'?', text.as_bytes()).is_some() || (word.is_empty() && !first.is_empty()) {
        return false;
    }
    !text.contains(MARKS) && !WORDS.contains(&format!(" {} ", word.to_ascii_lowercase()))
}

/// Whether an answer begins by declining to answer.
fn is_refusal(text: &str) -> bool {
    const BEGINS: [&str; 17] = [
        "i'm sorry",
        "i am sorry",
        "sorry, ",
        "i cannot ",
        "i can't ",
        "i can not ",
        "i'm unable ",
        "i am unable ",
        "i'm not able ",
        "i am not able ",
        "i apologize",
        "i do not have ",
        "i don't have ",
        "as an ai",
        "as a language model",
        "unfortunately, i ",
        "i'm afraid",
    ];
    const TEXTS: [&str; 9] =
        ["document", "text", "passage", "context", "article", "summary", "information", "provided", "given"];
    const LACKS: [&str; 6] = ["not provide", "not contain", "not mention", "not specify", "not include", "not state"];
    let end = text.floor_char_boundary(REFUSAL_SEARCHED);
    let beginning = text[..end].trim_start();
    if !beginning.starts_with(['i', 'I', 's', 'S', 'a', 'A', 'u', 'U', 't', 'T', 'b', 'B']) {
        return false;
    }
    let beginning = beginning.to_ascii_lowercase().replace('’', "'").replace("doesn't", "does not");
    if BEGINS.iter().any(|begin| beginning.starts_with(begin)) {
        return true;
    }
    // "The document does not mention …"
    let sentence = beginning.split(['.', '!']).next().unwrap_or_default();
    let Some((subject, lacks)) = sentence.split_once("does ") else { return false };
    let is_text = subject.strip_prefix("the ").is_some_and(|rest| TEXTS.iter().any(|text| rest.starts_with(text)));
    is_text && LACKS.iter().any(|lack| lacks.starts_with(lack))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Flag::{Ellipsis, NoQuestion, Placeholder, Refusal, TemplateToken};

    const QUESTION: &str = "What does it cost?";
    const ANSWER: &str = "Ten crowns, as the second paragraph says.";

    #[test]
    fn sound_pairs_have_no_flags() {
        let questions = [
            QUESTION,
            "¿Cuánto cuesta?",
            "価格はいくらですか。",
            "Explain how a[question] is read.",
            "Is x < y and y > z?",
            "Which [1] source says so?",
            "- list the colours",
            "In the code, what does {x} mean?",
        ];
        for question in questions {
            assert!(flags(question, ANSWER).is_empty(), "{question}: {:?}", flags(question, ANSWER));
        }
        let answers = [
            "The document does state it: ten.",
            "I cannoli.",
            "It is 5 <| 6 |> 7.",
            "He said ... and left.",
            "The text is short. It does not mention it.",
            "",
        ];
        for answer in answers {
            assert!(flags(QUESTION, answer).is_empty(), "{answer}: {:?}", flags(QUESTION, answer));
        }
    }

    #[test]
    fn each_flag_is_found() {
        let cases = [
            ("<question>?", ANSWER, vec![Placeholder]),
            ("What is [Insert name here]?", ANSWER, vec![Placeholder]),
            (QUESTION, "{{ answer }}", vec![Placeholder]),
            (QUESTION, "Lorem ipsum dolor sit amet", vec![Placeholder]),
            ("What is ...?", ANSWER, vec![Ellipsis]),
            ("What is …?", ANSWER, vec![Ellipsis]),
            (QUESTION, "It begins with ...\n", vec![Ellipsis]),
            ("<|eot_id|> What?", ANSWER, vec![TemplateToken]),
            (QUESTION, "Ten.[/INST]", vec![TemplateToken]),
            (QUESTION, "Ten.</s>", vec![TemplateToken]),
            (QUESTION, "Ten.<｜end▁of▁sentence｜>", vec![TemplateToken]),
            ("The house is old.", ANSWER, vec![NoQuestion]),
            ("...", ANSWER, vec![Ellipsis, NoQuestion]),
            (QUESTION, "I’m sorry, but I cannot help.", vec![Refusal]),
            (QUESTION, "As an AI, I have no opinion.", vec![Refusal]),
            (QUESTION, "The document doesn't mention a price.", vec![Refusal]),
            (QUESTION, "The provided text does not contain it.", vec![Refusal]),
        ];
        for (question, answer, expected) in cases {
            assert_eq!(flags(question, answer).iter().collect::<Vec<_>>(), expected, "{question} {answer}");
        }
    }

    #[test]
    fn any_text_is_judged_without_a_panic() {
        for text in [
            "<",
            "[",
            "{",
            "<|",
            "<|a",
            "<｜",
            "é".repeat(200).as_str(),
            "i’".repeat(80).as_str(),
            "[é".repeat(60).as_str(),
        ] {
            let _ = flags(text, text);
        }
    }
}
