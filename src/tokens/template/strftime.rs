//! Formats dates as Python's `strftime` does.

use chrono::{Datelike, NaiveDateTime, Timelike};

/// Formats a date as `datetime.strftime` does in the C locale. An unknown conversion is copied unchanged.
pub(super) fn strftime(date: NaiveDateTime, format: &str) -> String {
    let mut out = String::with_capacity(format.len() + 16);
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let spec = &rest[at..];
        let flag = spec[1..].chars().next().filter(|c| matches!(c, '-' | '_' | '0' | '^' | '#'));
        let body = &spec[1 + flag.map_or(0, char::len_utf8)..];
        match body.chars().next() {
            Some(code) if conversion(&mut out, date, flag, code) => rest = &body[code.len_utf8()..],
            _ => {
                out.push('%');
                rest = &spec[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Writes one conversion; `false` if `code` names none.
fn conversion(out: &mut String, date: NaiveDateTime, flag: Option<char>, code: char) -> bool {
    // (value, width, fill character unless a flag sets another)
    let number = |value: i64, width: usize, fill: char| {
        let fill = match flag {
            Some('-') => None,
            Some('_') => Some(' '),
            Some('0') => Some('0'),
            _ => Some(fill),
        };
        match fill {
            None => value.to_string(),
            Some('0') => format!("{value:0width$}"),
            Some(_) => format!("{value:width$}"),
        }
    };
    let hour12 = |hour: u32| i64::from((hour + 11) % 12 + 1);
    let text = match code {
        'Y' => number(i64::from(date.year()), 0, '0'),
        'm' => number(i64::from(date.month()), 2, '0'),
        'd' => number(i64::from(date.day()), 2, '0'),
        'e' => number(i64::from(date.day()), 2, ' '),
        'H' => number(i64::from(date.hour()), 2, '0'),
        'k' => number(i64::from(date.hour()), 2, ' '),
        'I' => number(hour12(date.hour()), 2, '0'),
        'l' => number(hour12(date.hour()), 2, ' '),
        'M' => number(i64::from(date.minute()), 2, '0'),
        'S' => number(i64::from(date.second()), 2, '0'),
        'j' => number(i64::from(date.ordinal()), 3, '0'),
        'y' => number(i64::from(date.year().rem_euclid(100)), 2, '0'),
        'C' => number(i64::from(date.year().div_euclid(100)), 2, '0'),
        'G' => number(i64::from(date.iso_week().year()), 0, '0'),
        'g' => number(i64::from(date.iso_week().year().rem_euclid(100)), 2, '0'),
        'V' => number(i64::from(date.iso_week().week()), 2, '0'),
        'U' => number(i64::from((date.ordinal() + 6 - date.weekday().num_days_from_sunday()) / 7), 2, '0'),
        'W' => number(i64::from((date.ordinal() + 6 - date.weekday().num_days_from_monday()) / 7), 2, '0'),
        'u' => number(i64::from(date.weekday().number_from_monday()), 1, '0'),
        'w' => number(i64::from(date.weekday().num_days_from_sunday()), 1, '0'),
        // Microseconds are Python's addition.
        'f' if flag.is_none() => format!("{:06}", date.nanosecond() / 1000),
        's' => date.and_utc().timestamp().to_string(),
        'A' => date.format("%A").to_string(),
        'a' => date.format("%a").to_string(),
        'B' => date.format("%B").to_string(),
        'b' | 'h' => date.format("%b").to_string(),
        'p' => if date.hour() < 12 { "AM" } else { "PM" }.to_owned(),
        'P' => if date.hour() < 12 { "am" } else { "pm" }.to_owned(),
        'c' => strftime(date, "%a %b %e %H:%M:%S %Y"),
        'D' | 'x' => strftime(date, "%m/%d/%y"),
        'F' => strftime(date, "%Y-%m-%d"),
        'T' | 'X' => strftime(date, "%H:%M:%S"),
        'R' => strftime(date, "%H:%M"),
        'r' => strftime(date, "%I:%M:%S %p"),
        // The date has no time zone, so neither a name nor an offset.
        'z' | 'Z' if flag.is_none() => String::new(),
        'n' => "\n".into(),
        't' => "\t".into(),
        '%' => "%".into(),
        _ => return false,
    };
    match flag {
        Some('^') => out.push_str(&text.to_uppercase()),
        // C's "opposite case" is upper case, except for AM and PM.
        Some('#') if code == 'p' || code == 'Z' => out.push_str(&text.to_lowercase()),
        Some('#') => out.push_str(&text.to_uppercase()),
        _ => out.push_str(&text),
    }
    true
}
