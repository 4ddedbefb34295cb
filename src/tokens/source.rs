//! Rewrites a template's source where minijinja and jinja2 differ, without moving a line.
//!
//! - `{% generation %}`…`{% endgeneration %}` become `{% with %}`…`{% endwith %}`: the same text, and variables that
//!   are set inside stay inside, as in transformers.
//! - Line ends become `\n`, as jinja2's lexer makes them.
//! - `{% raw %}` keeps the line end that follows it.
//! - Operands of `~` and `+` pass through a filter that pays for them (see [`super::guard`]), and long stretches of
//!   plain text pay for themselves.

use super::guard::{PAY_ENTRIES, PAY_RAW, PAY_TEXT};
use std::fmt::Write;

/// Plain text up to this length is paid for by fuel alone.
const FREE_TEXT: usize = 256;

/// The source that minijinja gets.
pub(super) fn rewrite(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    // jinja2 takes one line end off the end of a template; so does minijinja.
    let mut out = String::with_capacity(source.len() + source.len() / 4);
    let mut rest = source.as_str();
    while let Some(at) = next_tag(rest) {
        plain(&mut out, &rest[..at]);
        rest = &rest[at..];
        let length = match rest.as_bytes()[1] {
            b'#' => rest[2..].find("#}").map(|end| end + 4),
            b'%' => match raw(&mut out, rest) {
                Some(length) => {
                    rest = &rest[length..];
                    continue;
                }
                None => tag(&mut out, rest, "%}"),
            },
            _ => tag(&mut out, rest, "}}"),
        };
        match length {
            Some(length) if rest.as_bytes()[1] == b'#' => {
                out.push_str(&rest[..length]);
                rest = &rest[length..];
            }
            Some(length) => rest = &rest[length..],
            // An end is missing: the parser finds better words for it.
            None => {
                out.push_str(rest);
                return out;
            }
        }
    }
    plain(&mut out, rest);
    out
}

/// Where the next `{{`, `{%` or `{#` starts.
fn next_tag(text: &str) -> Option<usize> {
    text.as_bytes().windows(2).position(|pair| pair[0] == b'{' && matches!(pair[1], b'{' | b'%' | b'#'))
}

/// Plain text; a long one pays at a place where no trimming can notice.
fn plain(out: &mut String, text: &str) {
    let inner = |pair: &[u8]| pair.iter().all(|b| b.is_ascii_alphanumeric());
    match text.as_bytes().windows(2).position(inner) {
        Some(at) if text.len() > FREE_TEXT => {
            out.push_str(&text[..=at]);
            // Writing to a string cannot fail.
            let _ = write!(out, "{{{{{}|{PAY_RAW}}}}}", text.len());
            out.push_str(&text[at + 1..]);
        }
        _ => out.push_str(text),
    }
}

/// A whole `{% raw %}` block; the length of what was read. `None` where `rest` starts with something else.
fn raw(out: &mut String, rest: &str) -> Option<usize> {
    let (open, _, _) = simple_tag(rest, "raw")?;
    let mut at = open;
    loop {
        at += rest[at..].find("{%")?;
        if let Some((close, _, _)) = simple_tag(&rest[at..], "endraw") {
            let opening = &rest[..open];
            match opening.strip_suffix("%}") {
                Some(head) if !head.ends_with(['-', '+']) && rest[open..].starts_with('\n') => {
                    // jinja2 does not trim after this one tag.
                    out.push_str(head);
                    out.push_str("+%}");
                }
                _ => out.push_str(opening),
            }
            out.push_str(&rest[open..at + close]);
            return Some(at + close);
        }
        at += 2;
    }
}

/// A tag that holds nothing but a name: its length, and where the name stands in it.
fn simple_tag(text: &str, name: &str) -> Option<(usize, usize, usize)> {
    let body = text.strip_prefix("{%")?;
    let body = body.strip_prefix(['-', '+']).unwrap_or(body).trim_start();
    let start = text.len() - body.len();
    let after = body.strip_prefix(name)?.trim_start();
    let after = after.strip_prefix(['-', '+']).unwrap_or(after).strip_prefix("%}")?;
    Some((text.len() - after.len(), start, start + name.len()))
}

/// What stands before the place where the lexer is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing that could be an operand.
    Operator,
    /// A literal, which cannot grow.
    Literal,
    /// A variable, an attribute, a call, a bracket that closes.
    Value,
    /// A dot or a bar: the name that follows belongs to the operand before it.
    Joint,
}

/// One tag with expressions: writes it and returns its length. `None` where it does not end.
fn tag(out: &mut String, text: &str, end: &str) -> Option<usize> {
    for (name, scope) in [("generation", "with"), ("endgeneration", "endwith")] {
        if end == "%}"
            && let Some((length, start, stop)) = simple_tag(text, name)
        {
            out.push_str(&text[..start]);
            out.push_str(scope);
            out.push_str(&text[stop..length]);
            return Some(length);
        }
    }
    let bytes = text.as_bytes();
    let mut at = if matches!(bytes.get(2), Some(b'-' | b'+')) { 3 } else { 2 };
    let mut copied = 0;
    let mut depth = 0usize;
    let mut before = Before::Operator;
    let mut last = at; // where the token before ended
    // What the operand must pay on whose right side we are, for each bracket that is open.
    let mut right: Vec<Option<&str>> = vec![None];
    while at < bytes.len() {
        let start = at;
        let byte = bytes[at];
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let signed = depth == 0 && matches!(byte, b'-' | b'+') && text[at + 1..].starts_with(end);
        let ends = depth == 0 && text[at..].starts_with(end);
        let (kind, joint) = match byte {
            _ if signed || ends => (Before::Operator, false),
            b'"' | b'\'' => {
                at = string_end(bytes, at)?;
                (Before::Literal, false)
            }
            b'0'..=b'9' => {
                at += bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
                // The number after a dot is an index.
                (if before == Before::Joint { Before::Value } else { Before::Literal }, before == Before::Joint)
            }
            b if b.is_ascii_alphabetic() || b == b'_' || !b.is_ascii() => {
                let name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || !b.is_ascii();
                at += bytes[at..].iter().take_while(|b| name(b)).count();
                let word = &text[start..at];
                let keyword = matches!(word, "and" | "or" | "not" | "in" | "is" | "if" | "else");
                match before {
                    Before::Joint => (Before::Value, true),
                    _ if keyword => (Before::Operator, false),
                    _ => (Before::Value, false),
                }
            }
            b'.' | b'|' => {
                at += 1;
                (Before::Joint, true)
            }
            b'(' | b'[' | b'{' => {
                at += 1;
                (Before::Operator, matches!(before, Before::Value | Before::Literal) && byte != b'{')
            }
            b')' | b']' | b'}' => {
                at += 1;
                (Before::Value, false)
            }
            _ => {
                at += 1;
                (Before::Operator, false)
            }
        };
        let operator = match byte {
            _ if signed || ends => None,
            b'~' => Some(PAY_TEXT),
            b'+' => Some(PAY_ENTRIES),
            _ => None,
        };
        // An operand that ends here, left or right of an operator, pays.
        if !joint && matches!(before, Before::Value | Before::Literal) {
            let pending = right.last_mut().and_then(Option::take);
            if let Some(filter) = operator.into_iter().chain(pending).max()
                && before == Before::Value
            {
                out.push_str(&text[copied..last]);
                out.push('|');
                out.push_str(filter);
                copied = last;
            }
        }
        if signed || ends {
            let length = start + end.len() + usize::from(signed);
            out.push_str(&text[copied..length]);
            return Some(length);
        }
        match byte {
            b'(' | b'[' | b'{' => {
                depth += 1;
                right.push(None);
            }
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                right.pop();
            }
            _ => {}
        }
        if operator.is_some()
            && before != Before::Operator
            && let Some(slot) = right.last_mut()
        {
            *slot = operator;
        }
        before = kind;
        last = at;
    }
    None
}

/// Where a string ends that starts at `at`.
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
