//! Rewrites a template's source where minijinja and jinja2 differ. Lines keep their numbers.
//!
//! - `{% generation %}`…`{% endgeneration %}` become `{% with %}`…`{% endwith %}`: the same text, and variables that
//!   are set inside stay inside, as in transformers.
//! - Line ends become `\n`, as in jinja2's lexer.
//! - `{% raw %}` keeps the line end that follows it.
//! - Operators become filters (see [`super::expression`]).

use super::expression;

/// Rewrites `source` for minijinja.
pub(super) fn rewrite(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    // Both engines drop one line end at the end of a template.
    let mut out = String::with_capacity(source.len() + source.len() / 4);
    let mut rest = source.as_str();
    while let Some(at) = next_tag(rest) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let start = out.len();
        let length = match rest.as_bytes()[1] {
            b'#' => push_comment(&mut out, rest),
            b'%' => push_raw(&mut out, rest)
                .or_else(|| push_scope(&mut out, rest))
                .or_else(|| expression::push_tag(&mut out, rest, "%}")),
            _ => expression::push_tag(&mut out, rest, "}}"),
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
    out.push_str(rest);
    out
}

/// The position of the next `{{`, `{%` or `{#`.
fn next_tag(text: &str) -> Option<usize> {
    text.as_bytes().windows(2).position(|pair| pair[0] == b'{' && matches!(pair[1], b'{' | b'%' | b'#'))
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
