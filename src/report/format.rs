//! Numbers and untrusted text, formatted for people.

/// A whole number with separated thousands: `12,345,678`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A percentage with one decimal: `12.3%`; `<0.1%` for a part that would round to zero, `-` if the total is zero.
pub(crate) fn percent(part: u64, total: u64) -> String {
    if total == 0 {
        return "-".to_owned();
    }
    // Integers round the same way on every machine.
    let permille = (u128::from(part) * 2000 + u128::from(total)) / (u128::from(total) * 2);
    match permille {
        0 if part > 0 => "<0.1%".to_owned(),
        _ => format!("{}.{}%", permille / 10, permille % 10),
    }
}

/// A number with its noun: `1 sample`, `2,000 samples`.
pub(crate) fn counted(number: u64, singular: &str, plural: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { singular } else { plural })
}

/// The name of a cut: `5x`
pub(crate) fn cut_name(cut: u32) -> String {
    format!("{cut}x")
}

/// A number of bytes in the largest unit that fits: `1.2 MB` (powers of ten).
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

/// Untrusted text as one line without control characters: an escape sequence in a file name or a column must not reach a
/// terminal, and no text may break the lines of a table.
pub(crate) fn line(text: &str) -> String {
    let visible = text.chars().map(|c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() || is_direction(c) => '\u{fffd}',
        c => c,
    });
    visible.collect::<String>().trim().to_owned()
}

/// Like [`line`], cut to at most `max` characters. The last one is an ellipsis if characters are left out.
pub(crate) fn short(text: &str, max: usize) -> String {
    // The text may be an entire document: read only the part that is shown.
    let mut rest = text.trim_start().chars();
    let head: String = rest.by_ref().take(max).collect();
    if rest.next().is_none() {
        return line(&head);
    }
    let kept: String = head.chars().take(max.saturating_sub(1)).collect();
    format!("{}…", line(&kept))
}

/// Untrusted text with symbols in place of what a terminal or a browser would obey or hide; lines and tabs stay.
pub(crate) fn visible(text: &str) -> String {
    let shown = text.chars().map(|c| match c {
        '\n' | '\t' => c,
        // Unicode has a picture for every ASCII control character.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        c if c.is_control() || is_direction(c) => '\u{fffd}',
        c => c,
    });
    shown.collect()
}

/// Marks that change the direction of the text after them, which can make a text look like another one.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_rounded_and_have_units() {
        let grouped = [0, 7, 999, 1000, 12_345, 1_234_567, u64::MAX].map(thousands);
        assert_eq!(grouped, ["0", "7", "999", "1,000", "12,345", "1,234,567", "18,446,744,073,709,551,615"]);
        let parts = [(0, 0), (0, 5), (1, 3), (1, 1), (1, 100_000), (1999, 2000), (u64::MAX, u64::MAX)];
        let parts = parts.map(|(part, total)| percent(part, total));
        assert_eq!(parts, ["-", "0.0%", "33.3%", "100.0%", "<0.1%", "100.0%", "100.0%"]);
        let sizes = [0, 1, 999, 1000, 1_250_000, 999_999, 2_500_000_000].map(size);
        assert_eq!(sizes, ["0 bytes", "1 byte", "999 bytes", "1.0 kB", "1.3 MB", "1.0 MB", "2.5 GB"]);
    }

    #[test]
    fn untrusted_text_stays_on_one_line() {
        assert_eq!(line("a\u{1b}[31mred\r\nb\u{202e}c "), "a\u{fffd}[31mred  b\u{fffd}c");
        assert_eq!(short("gräßlich", 8), "gräßlich");
        assert_eq!(short("gräßlicher", 8), "gräßlic…");
        assert_eq!(short("", 8), "");
    }
}
