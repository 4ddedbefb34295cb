//! Rewrites a template's source where minijinja and jinja2 differ. Lines keep their numbers.
//!
//! - `{% generation %}`…`{% endgeneration %}` become `{% with %}`…`{% endwith %}`: the same text, and variables that
//!   are set inside stay inside, as in transformers.
//! - Line ends become `\n`, as in jinja2's lexer.
//! - `{% raw %}` keeps the line end that follows it.
//! - Operands of `~` and `+` pass through a filter that spends from the render's budget (see [`super::budget`]), and long
//!   pieces of plain text spend their own length.

use super::budget::{SPEND_ENTRIES, SPEND_PLAIN, SPEND_TEXT};
use std::fmt::Write;

/// Length of plain text, in bytes, up to which fuel is limit enough.
const FREE_TEXT: usize = 256;

/// Rewrites `source` for minijinja.
pub(super) fn rewrite(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    // Both engines drop one line end at the end of a template.
    let mut out = String::with_capacity(source.len() + source.len() / 4);
    let mut rest = source.as_str();
    while let Some(at) = next_tag(rest) {
        push_plain(&mut out, &rest[..at]);
        rest = &rest[at..];
        let start = out.len();
        let length = match rest.as_bytes()[1] {
            b'#' => push_comment(&mut out, rest),
            b'%' => push_raw(&mut out, rest)
                .or_else(|| push_scope(&mut out, rest))
                .or_else(|| TagRewriter::new(rest, "%}").push(&mut out)),
            _ => TagRewriter::new(rest, "}}").push(&mut out),
        };
        match length {
            Some(length) => rest = &rest[length..],
            // The tag does not end: the parser reports it.
            None => {
                out.truncate(start);
                out.push_str(rest);
                return out;
            }
        }
    }
    push_plain(&mut out, rest);
    out
}

/// The position of the next `{{`, `{%` or `{#`.
fn next_tag(text: &str) -> Option<usize> {
    text.as_bytes().windows(2).position(|pair| pair[0] == b'{' && matches!(pair[1], b'{' | b'%' | b'#'))
}

/// Copies plain text. A long one spends its length, in the middle of a word, where no trimming applies.
fn push_plain(out: &mut String, text: &str) {
    let within_word = |pair: &[u8]| pair.iter().all(|b| b.is_ascii_alphanumeric());
    match text.as_bytes().windows(2).position(within_word) {
        Some(at) if text.len() > FREE_TEXT => {
            out.push_str(&text[..=at]);
            // Writing to a string cannot fail.
            let _ = write!(out, "{{{{{}|{SPEND_PLAIN}}}}}", text.len());
            out.push_str(&text[at + 1..]);
        }
        _ => out.push_str(text),
    }
}

/// Copies a comment and returns its length; `None` if it does not end.
fn push_comment(out: &mut String, text: &str) -> Option<usize> {
    let length = text[2..].find("#}")? + 4;
    out.push_str(&text[..length]);
    Some(length)
}

/// Copies a `{% raw %}` block and returns its length; `None` if `text` starts with something else or the block does not end.
fn push_raw(out: &mut String, text: &str) -> Option<usize> {
    let (open, _, _) = simple_tag(text, "raw")?;
    let mut at = open;
    loop {
        at += text[at..].find("{%")?;
        if let Some((close, _, _)) = simple_tag(&text[at..], "endraw") {
            let opening = &text[..open];
            match opening.strip_suffix("%}") {
                Some(head) if !head.ends_with(['-', '+']) && text[open..].starts_with('\n') => {
                    // `raw` is the only tag after which jinja2 does not trim.
                    out.push_str(head);
                    out.push_str("+%}");
                }
                _ => out.push_str(opening),
            }
            out.push_str(&text[open..at + close]);
            return Some(at + close);
        }
        at += 2;
    }
}

/// Writes `with` for `generation` and `endwith` for `endgeneration`, and returns the tag's length; `None` for another tag.
fn push_scope(out: &mut String, text: &str) -> Option<usize> {
    let (tag, scope) = [("generation", "with"), ("endgeneration", "endwith")]
        .into_iter()
        .find_map(|(name, scope)| Some((simple_tag(text, name)?, scope)))?;
    let (length, start, end) = tag;
    out.push_str(&text[..start]);
    out.push_str(scope);
    out.push_str(&text[end..length]);
    Some(length)
}

/// A tag that contains only `name`: its length, and the range of the name in it.
fn simple_tag(text: &str, name: &str) -> Option<(usize, usize, usize)> {
    let body = text.strip_prefix("{%")?;
    let body = body.strip_prefix(['-', '+']).unwrap_or(body).trim_start();
    let start = text.len() - body.len();
    let after = body.strip_prefix(name)?.trim_start();
    let after = after.strip_prefix(['-', '+']).unwrap_or(after).strip_prefix("%}")?;
    Some((text.len() - after.len(), start, start + name.len()))
}

/// The kind of a token, as far as operands matter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenKind {
    /// Not the end of an operand: an operator, a keyword, an opening bracket.
    Operator,
    /// A literal, whose length is fixed.
    Literal,
    /// The end of an operand of unknown length: a name, a closing bracket.
    Value,
    /// A dot or a bar: the name after it belongs to the operand before it.
    Joint,
}

/// Rewrites the expressions of one tag.
struct TagRewriter<'t> {
    text: &'t str,
    /// What ends the tag.
    end: &'static str,
    /// The end of the token that was read last.
    at: usize,
    /// The start of what is not written yet.
    pending: usize,
    /// The kind of the token that was read last.
    last: TokenKind,
    /// For each open bracket: the filter for an operand on the right side of an operator.
    right: Vec<Option<&'static str>>,
}

impl<'t> TagRewriter<'t> {
    /// `text` starts with the tag.
    fn new(text: &'t str, end: &'static str) -> Self {
        let at = if matches!(text.as_bytes().get(2), Some(b'-' | b'+')) { 3 } else { 2 };
        Self { text, end, at, pending: 0, last: TokenKind::Operator, right: vec![None] }
    }

    /// Writes the tag and returns its length; `None` if it does not end.
    fn push(mut self, out: &mut String) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        loop {
            at += bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
            let byte = *bytes.get(at)?;
            if let Some(length) = self.end_at(at) {
                self.end_operand(out, None);
                out.push_str(&self.text[self.pending..length]);
                return Some(length);
            }
            let (end, kind, continues) = self.token(at)?;
            let operator = match byte {
                b'~' => Some(SPEND_TEXT),
                b'+' => Some(SPEND_ENTRIES),
                _ => None,
            };
            if !continues {
                self.end_operand(out, operator);
            }
            match byte {
                b'(' | b'[' | b'{' => self.right.push(None),
                b')' | b']' | b'}' => {
                    self.right.pop();
                    // A closing bracket without an opening one: the parser reports it.
                    self.right.last()?;
                }
                _ => {}
            }
            if operator.is_some()
                && self.last != TokenKind::Operator
                && let Some(slot) = self.right.last_mut()
            {
                *slot = operator;
            }
            self.last = kind;
            self.at = end;
            at = end;
        }
    }

    /// The tag's length if it ends at `at`. Within brackets, `}}` closes two of them.
    fn end_at(&self, at: usize) -> Option<usize> {
        let rest = &self.text[at..];
        let after = rest.strip_prefix(['-', '+']).filter(|after| after.starts_with(self.end)).unwrap_or(rest);
        let ends = self.right.len() == 1 && after.starts_with(self.end);
        ends.then(|| self.text.len() - after.len() + self.end.len())
    }

    /// Reads the token at `at`: its end, its kind, and whether it continues the operand before it. `None` if it does not end.
    fn token(&self, at: usize) -> Option<(usize, TokenKind, bool)> {
        let bytes = self.text.as_bytes();
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || !b.is_ascii();
        let after_joint = self.last == TokenKind::Joint;
        Some(match bytes[at] {
            b'"' | b'\'' => (string_end(bytes, at)?, TokenKind::Literal, false),
            b'0'..=b'9' => {
                let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
                let end = at + bytes[at..].iter().take_while(|b| word(b)).count();
                // A number after a dot is an index.
                (end, if after_joint { TokenKind::Value } else { TokenKind::Literal }, after_joint)
            }
            byte if is_name(&byte) => {
                let end = at + bytes[at..].iter().take_while(|b| is_name(b)).count();
                let keyword = matches!(&self.text[at..end], "and" | "or" | "not" | "in" | "is" | "if" | "else");
                let kind = if keyword && !after_joint { TokenKind::Operator } else { TokenKind::Value };
                (end, kind, after_joint)
            }
            b'.' | b'|' => (at + 1, TokenKind::Joint, true),
            // A call or an index continues its operand; a brace starts a map.
            b'(' | b'[' => (at + 1, TokenKind::Operator, self.is_after_operand()),
            b')' | b']' | b'}' => (at + 1, TokenKind::Value, false),
            _ => (at + 1, TokenKind::Operator, false),
        })
    }

    fn is_after_operand(&self) -> bool {
        matches!(self.last, TokenKind::Value | TokenKind::Literal)
    }

    /// Ends the operand before the current token: it spends if it is on the left side of `operator` or on the right side of
    /// the operator before it.
    fn end_operand(&mut self, out: &mut String, operator: Option<&'static str>) {
        if !self.is_after_operand() {
            return;
        }
        let right = self.right.last_mut().and_then(Option::take);
        if let Some(filter) = operator.into_iter().chain(right).max()
            && self.last == TokenKind::Value
        {
            out.push_str(&self.text[self.pending..self.at]);
            out.push('|');
            out.push_str(filter);
            self.pending = self.at;
        }
    }
}

/// The end of the string literal that starts at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 1;
    loop {
        match *bytes.get(end)? {
            b'\\' => end += 2,
            byte if byte == bytes[at] => return Some(end + 1),
            _ => end += 1,
        }
    }
}
