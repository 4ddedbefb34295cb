//! How numbers and foreign texts are written for people.

/// A whole number with its thousands set apart: `12,345,678`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole with one decimal: `12.3%`; `<0.1%` for a part that is there and would round to nothing, `-` where
/// the whole is nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    // Whole numbers only, so that no machine rounds otherwise.
    let permille = (u128::from(part) * 2000 + u128::from(whole)) / (u128::from(whole) * 2);
    match permille {
        0 if part > 0 => "<0.1%".to_owned(),
        _ => format!("{}.{}%", permille / 10, permille % 10),
    }
}

/// One of something, or several: `1 sample`, `2,000 samples`.
pub(crate) fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { several })
}

/// A number of bytes in the unit that fits: `1.2 MB` (powers of ten).
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return counted(bytes, "byte", "bytes");
    }
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = 0;
    tenths = (tenths + 500) / 1000;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths = (tenths + 500) / 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A foreign text as one line without control characters: an escape sequence in a file's name or a column must not
/// reach a terminal, and no text may break a table's lines.
pub(crate) fn line(text: &str) -> String {
    let visible = text.chars().map(|c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() || is_direction(c) => '\u{fffd}',
        c => c,
    });
    visible.collect::<String>().trim().to_owned()
}

/// The same, at most `max` characters long, the last of them an ellipsis where something is left out.
pub(crate) fn short(text: &str, max: usize) -> String {
    // A text may be a whole document: look at no more of it than can be shown.
    let mut rest = text.trim_start().chars();
    let head: String = rest.by_ref().take(max).collect();
    if rest.next().is_none() {
        return line(&head);
    }
    let kept: String = head.chars().take(max.saturating_sub(1)).collect();
    format!("{}…", line(&kept))
}

/// Marks that turn the direction of the text after them, by which one text could be shown as another.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let written = [0, 7, 999, 1000, 12_345, 1_234_567, u64::MAX].map(thousands);
        assert_eq!(written, ["0", "7", "999", "1,000", "12,345", "1,234,567", "18,446,744,073,709,551,615"]);
        let parts = [(0, 0), (0, 5), (1, 3), (1, 1), (1, 100_000), (1999, 2000), (u64::MAX, u64::MAX)];
        let parts = parts.map(|(part, whole)| percent(part, whole));
        assert_eq!(parts, ["-", "0.0%", "33.3%", "100.0%", "<0.1%", "100.0%", "100.0%"]);
        let sizes = [0, 1, 999, 1000, 1_250_000, 999_999, 2_500_000_000].map(size);
        assert_eq!(sizes, ["0 bytes", "1 byte", "999 bytes", "1.0 kB", "1.3 MB", "1.0 MB", "2.5 GB"]);
    }

    #[test]
    fn foreign_texts_stay_on_their_line() {
        assert_eq!(line("a\u{1b}[31mred\r\nb\u{202e}c "), "a\u{fffd}[31mred  b\u{fffd}c");
        assert_eq!(short("gräßlich", 8), "gräßlich");
        assert_eq!(short("gräßlicher", 8), "gräßlic…");
        assert_eq!(short("", 8), "");
    }
}
