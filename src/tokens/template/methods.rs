//! Python's methods of texts, lists and maps: those of minijinja-contrib, within the render's budget if they can build long texts, and
//! what it lacks.

use super::budget::RenderBudget;
use super::values::{bind, escaped, is_space, replaced, string, text};
use minijinja::value::{Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// Upper limit for a width: it can make a long text from nothing.
const MAX_WIDTH: usize = 9999;

fn failure(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// Calls the method of a value that has none of its own.
pub(super) fn call(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let result = match value.kind() {
        ValueKind::String => of_text(state, value, name, args)?,
        ValueKind::Map if name == "copy" && args.is_empty() => Some(value.clone()),
        ValueKind::Seq if name == "index" => {
            let [wanted] = bind(args, ["value"])?;
            let at = value.try_iter()?.position(|entry| Some(&entry) == wanted.as_ref());
            Some(at.map(Value::from).ok_or_else(|| failure("the list does not contain the value"))?)
        }
        _ => None,
    };
    let result = match result {
        Some(result) => result,
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args)?,
    };
    Ok(match result.as_str() {
        Some(text) if value.is_safe() && !result.is_safe() => Value::from_safe_string(text.to_owned()),
        _ => result,
    })
}

/// `None` leaves the call to minijinja-contrib.
fn of_text(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let receiver = value.as_str().unwrap_or_default();
    Ok(Some(match name {
        "replace" => {
            let [old, new, count] = bind(args, ["old", "new", "count"])?;
            let (old, new) = (required(old)?, required(new)?);
            let new = if value.is_safe() { escaped(&new, text(&new)?) } else { text(&new)? };
            let count = count.map(i64::try_from).transpose()?;
            replaced(receiver, as_text(&old)?, &new, count)?
        }
        "join" => join(value, receiver, args)?,
        "format" => return format(state, value, receiver, args).map(|()| None),
        "removeprefix" | "removesuffix" => {
            let [part] = bind(args, ["part"])?;
            let part = required(part)?;
            let part = as_text(&part)?;
            let rest = if name == "removeprefix" { receiver.strip_prefix(part) } else { receiver.strip_suffix(part) };
            Value::from(rest.unwrap_or(receiver))
        }
        "partition" | "rpartition" => partition(receiver, name, args)?,
        "split" | "rsplit" => split(receiver, name == "rsplit", args)?,
        "splitlines" => splitlines(receiver, args)?,
        "startswith" | "endswith" => {
            let [affix, start, end] = bind(args, ["affix", "start", "end"])?;
            let part = window(receiver, start, end)?;
            Value::from(has_affix(part.map(|(_, part)| part), name == "startswith", &required(affix)?)?)
        }
        "find" | "rfind" | "index" | "rindex" | "count" => find(receiver, name, args)?,
        "zfill" | "center" | "ljust" | "rjust" => fill(receiver, name, args)?,
        "swapcase" => {
            let swapped = receiver.chars().map(|c| match c.is_uppercase() {
                true => c.to_lowercase().to_string(),
                false => c.to_uppercase().to_string(),
            });
            Value::from(swapped.collect::<String>())
        }
        "title" => Value::from(title(receiver)),
        "expandtabs" => {
            let [size] = bind(args, ["tabsize"])?;
            expandtabs(receiver, size.map_or(Ok(8), usize::try_from)?)?
        }
        "isspace" => {
            let [] = bind(args, [])?;
            Value::from(!receiver.is_empty() && receiver.chars().all(is_space))
        }
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = bind(args, ["chars"])?;
            strip(receiver, name, chars.filter(|chars| !chars.is_none()))?
        }
        _ => return Ok(None),
    }))
}

/// Each letter after something else is upper case, an apostrophe included.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for c in text.chars() {
        match in_word {
            true => out.extend(c.to_lowercase()),
            false => out.extend(c.to_uppercase()),
        }
        in_word = c.is_alphabetic();
    }
    out
}

fn required(value: Option<Value>) -> Result<Value, Error> {
    value.ok_or_else(|| Error::from(ErrorKind::MissingArgument))
}

fn as_text(value: &Value) -> Result<&str, Error> {
    value.as_str().ok_or_else(|| failure("the argument is not a text"))
}

fn strip(receiver: &str, name: &str, chars: Option<Value>) -> Result<Value, Error> {
    let chars = chars.as_ref().map(as_text).transpose()?;
    let is_stripped = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    Ok(Value::from(match name {
        "strip" => receiver.trim_matches(is_stripped),
        "lstrip" => receiver.trim_start_matches(is_stripped),
        _ => receiver.trim_end_matches(is_stripped),
    }))
}

/// Items have to be texts.
fn join(value: &Value, receiver: &str, args: &[Value]) -> Result<Value, Error> {
    let [items] = bind(args, ["iterable"])?;
    let mut out = String::new();
    for (index, item) in required(items)?.try_iter()?.enumerate() {
        let item_text = item.as_str().ok_or_else(|| failure("join: expected texts"))?;
        RenderBudget::spend((receiver.len() + item_text.len()) as u64)?;
        if index > 0 {
            out.push_str(receiver);
        }
        out.push_str(&if value.is_safe() { escaped(&item, item_text.into()) } else { item_text.into() });
    }
    Ok(string(out, value.is_safe()))
}

/// Checks and spends what `str.format` needs.
fn format(_: &mut State<'_, '_>, value: &Value, receiver: &str, args: &[Value]) -> Result<(), Error> {
    let mut digits = 0;
    for byte in receiver.bytes() {
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        if digits > 4 && receiver.contains('{') {
            return Err(failure("width or precision above 9999 in a format"));
        }
    }
    if value.is_safe() && args.iter().any(|arg| text(arg).is_ok_and(|text| text.contains(['&', '<', '>', '\'', '"']))) {
        return Err(failure("format: cannot escape values for a text that is marked as safe"));
    }
    RenderBudget::spend(receiver.len() as u64)?;
    args.iter().try_for_each(|arg| RenderBudget::spend(text(arg)?.len() as u64))
}

fn partition(receiver: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let [separator] = bind(args, ["sep"])?;
    let separator = required(separator)?;
    let part = as_text(&separator)?;
    if part.is_empty() {
        return Err(failure("empty separator"));
    }
    let split = if name == "partition" { receiver.split_once(part) } else { receiver.rsplit_once(part) };
    let parts = match (split, name) {
        (Some((before, after)), _) => [before, part, after],
        (None, "partition") => [receiver, "", ""],
        (None, _) => ["", "", receiver],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from))))
}

fn split(receiver: &str, from_end: bool, args: &[Value]) -> Result<Value, Error> {
    let [separator, limit] = bind(args, ["sep", "maxsplit"])?;
    let limit = limit.map(i64::try_from).transpose()?.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(usize::MAX - 1);
    let separator = separator.filter(|separator| !separator.is_none());
    let mut parts: Vec<&str> = match &separator {
        Some(separator) => {
            let separator = as_text(separator)?;
            if separator.is_empty() {
                return Err(failure("empty separator"));
            }
            match from_end {
                false => receiver.splitn(limit + 1, separator).collect(),
                true => receiver.rsplitn(limit + 1, separator).collect(),
            }
        }
        None => words(receiver, from_end, limit),
    };
    if from_end {
        parts.reverse();
    }
    Ok(Value::from_iter(parts))
}

/// The words of a text, at most `limit` of them and the rest; from the end, the last one comes first.
fn words(text: &str, from_end: bool, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = if from_end { text.trim_end_matches(is_space) } else { text.trim_start_matches(is_space) };
    while !rest.is_empty() {
        if parts.len() == limit {
            parts.push(rest);
            break;
        }
        if from_end {
            let start = rest.rfind(is_space).map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8));
            parts.push(&rest[start..]);
            rest = rest[..start].trim_end_matches(is_space);
        } else {
            let end = rest.find(is_space).unwrap_or(rest.len());
            parts.push(&rest[..end]);
            rest = rest[end..].trim_start_matches(is_space);
        }
    }
    parts
}

fn splitlines(receiver: &str, args: &[Value]) -> Result<Value, Error> {
    let [keepends] = bind(args, ["keepends"])?;
    let keepends = keepends.is_some_and(|keepends| keepends.is_true());
    let is_end = |c: char| matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut lines = Vec::new();
    let mut rest = receiver;
    while !rest.is_empty() {
        let end = rest.find(is_end).unwrap_or(rest.len());
        let after = match &rest[end..] {
            tail if tail.starts_with("\r\n") => end + 2,
            tail => end + tail.chars().next().map_or(0, char::len_utf8),
        };
        lines.push(Value::from(&rest[..if keepends { after } else { end }]));
        rest = &rest[after..];
    }
    Ok(Value::from(lines))
}

/// The part of a text between two positions in characters, with its position; `None` if it starts after the end.
fn window(text: &str, start: Option<Value>, end: Option<Value>) -> Result<Option<(usize, &str)>, Error> {
    if start.is_none() && end.is_none() {
        return Ok(Some((0, text)));
    }
    let length = text.chars().count();
    let position = |value: Option<Value>, default: usize| -> Result<usize, Error> {
        let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(default) };
        let value = i64::try_from(value)?;
        Ok(if value < 0 { length.saturating_sub(value.unsigned_abs() as usize) } else { value as usize })
    };
    let (start, end) = (position(start, 0)?, position(end, length)?.min(length));
    if start > end {
        return Ok(None);
    }
    let byte = |position: usize| text.char_indices().nth(position).map_or(text.len(), |(at, _)| at);
    Ok(Some((start, &text[byte(start)..byte(end)])))
}

fn has_affix(part: Option<&str>, is_prefix: bool, affix: &Value) -> Result<bool, Error> {
    let matches = |affix: &Value| -> Result<bool, Error> {
        let affix = as_text(affix)?;
        Ok(part.is_some_and(|part| if is_prefix { part.starts_with(affix) } else { part.ends_with(affix) }))
    };
    if !affix.is_tuple() {
        return matches(affix);
    }
    for affix in affix.try_iter()? {
        if matches(&affix)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn find(receiver: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let [wanted, start, end] = bind(args, ["sub", "start", "end"])?;
    let wanted = required(wanted)?;
    let wanted = as_text(&wanted)?;
    let part = window(receiver, start, end)?;
    if name == "count" {
        return Ok(Value::from(part.map_or(0, |(_, part)| part.matches(wanted).count())));
    }
    let found = part.and_then(|(start, part)| {
        let at = if name.starts_with('r') { part.rfind(wanted) } else { part.find(wanted) }?;
        Some(start + part[..at].chars().count())
    });
    match found {
        Some(at) => Ok(Value::from(at)),
        None if name.ends_with("find") => Ok(Value::from(-1)),
        None => Err(failure("the text does not contain the part")),
    }
}

fn fill(receiver: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let [width, with] = bind(args, ["width", "fillchar"])?;
    let width = usize::try_from(required(width)?)?;
    if width > MAX_WIDTH {
        return Err(failure("width above 9999"));
    }
    let with = with.map_or_else(|| " ".to_owned(), |with| with.to_string());
    let missing = width.saturating_sub(receiver.chars().count());
    RenderBudget::spend((receiver.len() + missing * with.len()) as u64)?;
    Ok(Value::from(match name {
        "zfill" => {
            let digits = receiver.strip_prefix(['+', '-']).unwrap_or(receiver);
            format!("{}{}{digits}", &receiver[..receiver.len() - digits.len()], "0".repeat(missing))
        }
        "ljust" => format!("{receiver}{}", with.repeat(missing)),
        "rjust" => format!("{}{receiver}", with.repeat(missing)),
        _ => {
            // Python puts the odd one on the left if the width is odd.
            let left = missing / 2 + (missing & width & 1);
            format!("{}{receiver}{}", with.repeat(left), with.repeat(missing - left))
        }
    }))
}

fn expandtabs(receiver: &str, size: usize) -> Result<Value, Error> {
    if size > MAX_WIDTH {
        return Err(failure("width above 9999"));
    }
    let mut out = String::new();
    let mut column = 0;
    for c in receiver.chars() {
        match c {
            '\t' if size == 0 => {}
            '\t' => {
                let spaces = size - column % size;
                RenderBudget::spend(spaces as u64)?;
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            _ => {
                out.push(c);
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    Ok(Value::from(out))
}
