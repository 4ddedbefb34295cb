//! Conversations and documents of a mix for a terminal: who says what, what the trainer learns from, and long contexts without their middle.

use super::format::{counted, cut_name, line, thousands, visible};
use crate::tokens::TextPart;
use console::Style;
use serde_json::{Map, Value};
use std::ops::Range;

/// What of a long context is shown before its middle, and at least after it, in bytes.
const HEAD_BYTES: usize = 400;
const TAIL_BYTES: usize = 200;

/// A middle that is not longer than this is shown.
const SHORT_MIDDLE_BYTES: usize = 200;

/// The keys under which a message can have reasoning.
const REASONING_KEYS: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// One conversation or document of a mix.
#[derive(Debug, Clone)]
pub(crate) struct ShownSample {
    /// The name of its source, if its row has it.
    pub(crate) source: Option<String>,
    /// The cut of its mix.
    pub(crate) cut: u32,
    /// Its row in the file, counted from 1.
    pub(crate) row: u64,
    /// Its tokens, if its row has them.
    pub(crate) tokens: Option<u64>,
    /// Its tokens that count for the loss, if they are known.
    pub(crate) loss_tokens: Option<u64>,
    /// What is suspicious about it.
    pub(crate) flags: Vec<&'static str>,
    /// What is said, in its order.
    pub(crate) sections: Vec<Section>,
}

/// A part of a sample under one heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    /// The role, or several that cannot be distinguished.
    role: String,
    fragments: Vec<Fragment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fragment {
    text: String,
    kind: FragmentKind,
    is_trained: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FragmentKind {
    /// What a message says.
    Content,
    /// What the chat template puts around it.
    Template,
    /// Says how much is left out.
    Elision,
}

/// The sections of a conversation that its chat template has rendered. A context is cut in front of `question`, if it ends with it.
pub(crate) fn rendered_sections(parts: &[TextPart], messages: &[Value], question: Option<&str>) -> Vec<Section> {
    let text: String = parts.iter().map(|part| part.text.as_str()).collect();
    let spans = content_spans(&text, messages);
    let mut sections: Vec<Section> = Vec::new();
    let (mut roles, mut begin, mut content) = (Vec::new(), 0, 0..0);
    for (message, span) in messages.iter().zip(&spans) {
        let Some(span) = span else {
            roles.push(role(message));
            continue;
        };
        if content.end > 0 {
            let end = content.end + closing_bytes(&text[content.end..span.start]);
            sections.push(section(&mut roles, parts, begin..end, &content, question));
            begin = end;
        }
        // Those without a content of their own stand before this one, in the text as well.
        roles.push(role(message));
        content = span.clone();
    }
    sections.push(section(&mut roles, parts, begin..text.len(), &content, question));
    sections
}

/// The sections of a conversation without its chat template. With `unmask`, all messages but the system's are trained.
pub(crate) fn plain_sections(messages: &[Value], unmask: bool, question: Option<&str>) -> Vec<Section> {
    let plain = |message: &Value| {
        let role = role(message).to_owned();
        let is_trained = role == "assistant" || (unmask && role != "system");
        let text = |key: &str| message.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let mut texts: Vec<String> =
            REASONING_KEYS.iter().find_map(|key| text(key)).map(str::to_owned).into_iter().collect();
        texts.extend(text("content").map(str::to_owned));
        let calls = message.get("tool_calls").filter(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty()));
        texts.extend(calls.map(Value::to_string));
        let content = Fragment { text: texts.join("\n"), kind: FragmentKind::Content, is_trained };
        Section { fragments: elided(content, &role, question), role }
    };
    messages.iter().map(plain).collect()
}

/// The section of a document, all of which is trained.
pub(crate) fn document_section(document: &str) -> Section {
    let role = "document".to_owned();
    let content = Fragment { text: document.to_owned(), kind: FragmentKind::Content, is_trained: true };
    // No question to keep: the last paragraph may be all of it.
    Section { fragments: elided(content, &role, Some("")), role }
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or("?")
}

/// Where the content of each message is in a rendered text; `None` if the template does not print it as it is.
fn content_spans(text: &str, messages: &[Value]) -> Vec<Option<Range<usize>>> {
    let mut at = 0;
    let mut span = |message: &Value| {
        let content = message.get("content")?.as_str()?.trim();
        let begin = at + text[at..].find(content).filter(|_| !content.is_empty())?;
        at = begin + content.len();
        Some(begin..at)
    };
    messages.iter().map(&mut span).collect()
}

/// How much of the text between two contents belongs to the first: a token such as `<|im_end|>` and the white space after it, if
/// something else follows.
fn closing_bytes(between: &str) -> usize {
    let token = between.trim_start();
    let Some(end) = token.find('>').filter(|_| token.starts_with('<')) else { return 0 };
    let next = token[end + 1..].trim_start();
    if next.is_empty() { 0 } else { between.len() - next.len() }
}

/// The section of a range of the rendered text, in which a content is. Takes the roles.
fn section(
    roles: &mut Vec<&str>,
    parts: &[TextPart],
    range: Range<usize>,
    content: &Range<usize>,
    question: Option<&str>,
) -> Section {
    let role = std::mem::take(roles).join(", ");
    let mut fragments = Vec::new();
    let mut start = 0;
    for TextPart { text, is_trained } in parts {
        let end = start + text.len();
        // Each part is cut where the content begins and ends.
        let edges = [range.start, content.start, content.end, range.end].map(|edge| edge.clamp(start, end));
        for (cut, kind) in edges.windows(2).zip([FragmentKind::Template, FragmentKind::Content, FragmentKind::Template])
        {
            if cut[0] < cut[1] {
                let text = text[cut[0] - start..cut[1] - start].to_owned();
                let fragment = Fragment { text, kind, is_trained: *is_trained };
                fragments.extend(elided(fragment, &role, question));
            }
        }
        start = end;
    }
    Section { role, fragments }
}

/// A fragment without its middle, if it is a long context: what is no answer. Its end stays as far as it is the question, or else the
/// last paragraph.
fn elided(fragment: Fragment, role: &str, question: Option<&str>) -> Vec<Fragment> {
    let text = &fragment.text;
    if fragment.kind != FragmentKind::Content || role.contains("assistant") {
        return vec![fragment];
    }
    let end = text.trim_end();
    let asked =
        question.filter(|question| end.ends_with(question.trim_end())).map(|question| question.trim_end().len());
    let tail = asked.or_else(|| end.rfind("\n\n").map(|at| end.len() - at - 2)).unwrap_or(0) + text.len() - end.len();
    let head_end = text.floor_char_boundary(HEAD_BYTES);
    let tail_start = text.ceil_char_boundary(text.len().saturating_sub(tail.max(TAIL_BYTES)));
    if tail_start <= head_end + SHORT_MIDDLE_BYTES {
        return vec![fragment];
    }
    let hidden = text[head_end..tail_start].chars().count() as u64;
    let part = |text: String, kind| Fragment { text, kind, is_trained: fragment.is_trained };
    vec![
        part(text[..head_end].to_owned(), FragmentKind::Content),
        part(format!("[… {} …]", counted(hidden, "character", "characters")), FragmentKind::Elision),
        part(text[tail_start..].to_owned(), FragmentKind::Content),
    ]
}

/// The text of samples, which ends with a newline; in colour if the terminal has some. Lines that are trained begin with a bar in
/// any case.
pub(crate) fn text(samples: &[ShownSample], has_colours: bool) -> String {
    let style = |style: Style| style.force_styling(has_colours);
    let mut text = String::new();
    for (number, sample) in (1..).zip(samples) {
        let heading = format!("sample {number}: {}", description(sample));
        text.push_str(&format!("\n{}\n", style(Style::new().bold().underlined()).apply_to(heading)));
        for section in &sample.sections {
            let color = match section.role.as_str() {
                "system" => Style::new().yellow(),
                "user" => Style::new().cyan(),
                "tool" => Style::new().magenta(),
                _ => Style::new().blue(),
            };
            text.push_str(&format!("{}\n", style(color.bold()).apply_to(line(&section.role))));
            let mut lines = Lines { has_colours, ..Lines::default() };
            section.fragments.iter().for_each(|fragment| lines.push(fragment));
            if !lines.line.is_empty() {
                lines.end();
            }
            text.push_str(&lines.text);
        }
    }
    text
}

/// What a sample is: `key_facts_to_qa, cut 8x, row 140, 66 tokens, 12 of them trained`.
fn description(sample: &ShownSample) -> String {
    let mut parts: Vec<String> = sample.source.iter().map(|source| line(source)).collect();
    parts.push(format!("cut {}", cut_name(sample.cut)));
    parts.push(format!("row {}", thousands(sample.row)));
    parts.extend(sample.tokens.map(|tokens| counted(tokens, "token", "tokens")));
    parts.extend(sample.loss_tokens.map(|tokens| counted(tokens, "loss token", "loss tokens")));
    if !sample.flags.is_empty() {
        parts.push(format!("flagged: {}", sample.flags.join(" ")));
    }
    parts.join(", ")
}

/// Fragments become lines, each of which is either trained or not.
#[derive(Default)]
struct Lines {
    text: String,
    has_colours: bool,
    /// The line so far, and whether it is trained.
    line: String,
    is_trained: bool,
    /// Whether the last line has ended without a newline in the text.
    is_broken: bool,
}

impl Lines {
    fn push(&mut self, fragment: &Fragment) {
        let is_elision = fragment.kind == FragmentKind::Elision;
        if !self.line.is_empty() && (self.is_trained != fragment.is_trained || is_elision) {
            self.end();
            self.is_broken = true;
        }
        self.is_trained = fragment.is_trained;
        let style = match (fragment.kind, fragment.is_trained) {
            (FragmentKind::Elision, _) | (FragmentKind::Template, false) => Style::new().dim(),
            (_, true) => Style::new().green(),
            (FragmentKind::Content, false) => Style::new(),
        };
        for (number, piece) in visible(&fragment.text).split('\n').enumerate() {
            if number > 0 && !std::mem::take(&mut self.is_broken) {
                self.end();
            }
            if !piece.is_empty() {
                self.is_broken = false;
                self.line.push_str(&style.clone().force_styling(self.has_colours).apply_to(piece).to_string());
            }
        }
        if is_elision {
            self.end();
            self.is_broken = true;
        }
    }

    /// Ends the line.
    fn end(&mut self) {
        let bar = if self.is_trained { "| " } else { "  " };
        let bar = Style::new().green().force_styling(self.has_colours && self.is_trained).apply_to(bar).to_string();
        let ended = format!("{bar}{}", std::mem::take(&mut self.line));
        self.text.push_str(ended.trim_end());
        self.text.push('\n');
    }
}

/// The messages of a row: a list of objects, or of the JSON texts of objects, as Parquet files of mixed messages have them.
pub(crate) fn messages_of(value: &Value) -> Option<Vec<Value>> {
    let message = |message: &Value| match message {
        Value::Object(_) => Some(message.clone()),
        Value::String(text) => serde_json::from_str::<Map<String, Value>>(text).ok().map(Value::Object),
        _ => None,
    };
    value.as_array()?.iter().map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn part(text: &str, is_trained: bool) -> TextPart {
        TextPart { text: text.to_owned(), is_trained }
    }

    fn shown(sections: Vec<Section>, has_colours: bool) -> String {
        let sample = ShownSample {
            source: Some("key_facts_to_qa".to_owned()),
            cut: 8,
            row: 1140,
            tokens: Some(66),
            loss_tokens: Some(1),
            flags: Vec::new(),
            sections,
        };
        text(&[sample], has_colours)
    }

    fn conversation() -> (Vec<TextPart>, Vec<Value>) {
        let parts = vec![
            part(
                "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat\n\nnow?<|im_end|>\n<|im_start|>assistant\n",
                false,
            ),
            part("Nothing.\u{1b}[31m<|im_end|>", true),
            part("\n", false),
        ];
        let messages = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What\n\nnow?"},
            {"role": "assistant", "content": "Nothing.\u{1b}[31m"}
        ]);
        (parts, messages_of(&messages).unwrap())
    }

    #[test]
    fn rendered_text_is_shown_by_role_with_bars_where_it_is_trained() {
        let (parts, messages) = conversation();
        insta::assert_snapshot!(shown(rendered_sections(&parts, &messages, None), false), @r"

        sample 1: key_facts_to_qa, cut 8x, row 1,140, 66 tokens, 1 loss token
        system
          <|im_start|>system
          Be brief.<|im_end|>
        user
          <|im_start|>user
          What

          now?<|im_end|>
        assistant
          <|im_start|>assistant
        | Nothing.␛[31m<|im_end|>
        ");
        insta::assert_snapshot!(shown(rendered_sections(&parts, &messages, None), true).replace('\u{1b}', "ESC"), @r"

        ESC[1mESC[4msample 1: key_facts_to_qa, cut 8x, row 1,140, 66 tokens, 1 loss tokenESC[0m
        ESC[33mESC[1msystemESC[0m
          ESC[2m<|im_start|>systemESC[0m
          Be brief.ESC[2m<|im_end|>ESC[0m
        ESC[36mESC[1muserESC[0m
          ESC[2m<|im_start|>userESC[0m
          What

          now?ESC[2m<|im_end|>ESC[0m
        ESC[34mESC[1massistantESC[0m
          ESC[2m<|im_start|>assistantESC[0m
        ESC[32m| ESC[0mESC[32mNothing.␛[31mESC[0mESC[32m<|im_end|>ESC[0m
        ");
    }

    #[test]
    fn messages_are_shown_by_role_without_a_template() {
        let (_, mut messages) = conversation();
        messages.push(json!({"role": "assistant", "content": null, "thinking": "hm", "tool_calls": [{"name": "f"}]}));
        insta::assert_snapshot!(shown(plain_sections(&messages, true, None), false), @r#"

        sample 1: key_facts_to_qa, cut 8x, row 1,140, 66 tokens, 1 loss token
        system
          Be brief.
        user
        | What
        |
        | now?
        assistant
        | Nothing.␛[31m
        assistant
        | hm
        | [{"name":"f"}]
        "#);
    }

    #[test]
    fn the_middle_of_a_context_is_left_out_and_the_question_is_not() {
        let question = format!("{} why?", "long ".repeat(200));
        let content = format!("outline\n{}\n\n{question}", "é summary ".repeat(300));
        let messages =
            [json!({"role": "user", "content": content}), json!({"role": "assistant", "content": "a".repeat(5000)})];
        for question in [Some(question.as_str()), None] {
            let shown = shown(plain_sections(&messages, false, question), false);
            assert!(shown.contains("characters …]") && shown.len() < 8000, "{shown}");
            assert!(shown.contains(&format!("{} why?\n", "long ".repeat(200))), "{shown}");
            assert!(shown.contains(&"a".repeat(5000)), "{shown}");
        }
    }

    #[test]
    fn a_document_is_one_trained_section_without_its_middle() {
        assert_eq!(
            shown(vec![document_section("One.\n\nTwo.")], false).lines().skip(2).collect::<Vec<_>>(),
            ["document", "| One.", "|", "| Two."]
        );
        let long = format!("Title\n\n{}end", "é word ".repeat(1000));
        let shown = shown(vec![document_section(&long)], false);
        assert!(shown.len() < 1000 && shown.contains("characters …]") && shown.ends_with("end\n"), "{shown}");
        assert!(shown.lines().skip(3).all(|line| line.starts_with('|')), "{shown}");
    }

    #[test]
    fn any_conversation_is_shown_without_a_panic() {
        let messages =
            messages_of(&json!([{"role": "user", "content": ""}, r#"{"role":"assistant","content":"x"}"#])).unwrap();
        assert!(
            shown(rendered_sections(&[part("é", true)], &messages, None), false).contains("user, assistant\n| é\n")
        );
        assert!(shown(rendered_sections(&[], &[], None), false).contains("row 1,140"));
    }
}
