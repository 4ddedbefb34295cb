//! Finds out from the beginning of a text file how its rows are separated.

/// How the rows of a text file are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One row per line; lines end in `\n` or `\r\n`.
    Lines,
    /// One row per line; lines end in `\r`.
    CarriageReturns,
    /// One array, whose elements are the rows.
    Array,
    /// Objects of several lines each, one after another.
    Objects,
}

/// The layout of a file whose first character that is no white space is the first of `text`, which ends the file if `is_end`. `None` if
/// more of it is needed; then `scanned` is where the search goes on.
///
/// With `may_be_array`, any `[` opens an array. In a file of lines, only one that is followed by an object or by the line's end does: a
/// line that is a list is a row, though not a valid one.
pub(super) fn layout(text: &[u8], may_be_array: bool, is_end: bool, scanned: &mut usize) -> Option<Layout> {
    if *scanned == 0
        && let [opening @ (b'{' | b'['), rest @ ..] = text
    {
        if *opening == b'[' && may_be_array {
            return Some(Layout::Array);
        }
        match rest.iter().find(|byte| !matches!(byte, b' ' | b'\t')) {
            None if !is_end => return None,
            Some(b'\n' | b'\r') if *opening == b'{' => return Some(Layout::Objects),
            Some(b'\n' | b'\r' | b'{') if *opening == b'[' => return Some(Layout::Array),
            _ => {}
        }
    }
    while let Some(found) = memchr::memchr2(b'\n', b'\r', &text[*scanned..]) {
        let end = *scanned + found;
        let after = text[end..].iter().position(|byte| !matches!(byte, b'\r' | b' ' | b'\t'));
        match after.map(|after| (end + after, text[end + after])) {
            // It may be a line end of both characters.
            None if !is_end => {
                *scanned = end;
                return None;
            }
            Some((_, b'{')) if text[..end].trim_ascii_end().ends_with(b"}") => return Some(Layout::CarriageReturns),
            // White space within a row.
            Some((next, byte)) if byte != b'\n' => *scanned = next,
            _ => return Some(Layout::Lines),
        }
    }
    *scanned = text.len();
    is_end.then_some(Layout::Lines)
}
