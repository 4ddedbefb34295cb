//! Formats with `%`, as Python's strings do.

use super::budget::RenderBudget;
use super::python::{self, Number};
use super::values::{escaped, string};
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};
use std::fmt::Write;

/// Upper limit for a width or precision: it can make a long text from nothing.
const MAX_WIDTH: usize = 9999;

fn failure(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("cannot format: {}", message.into()))
}

/// One conversion: `%(key)-08.3f`.
#[derive(Debug, Default)]
struct Conversion<'p> {
    key: Option<&'p str>,
    flags: &'p str,
    width: usize,
    precision: Option<usize>,
}

impl Conversion<'_> {
    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    /// Fills a text, of which the first `sign` bytes are a sign or prefix, to the width.
    fn pad(&self, out: &mut String, text: &str, sign: usize, is_number: bool) {
        let fill = self.width.saturating_sub(text.chars().count());
        if self.has('-') {
            out.push_str(text);
            out.extend(std::iter::repeat_n(' ', fill));
        } else if self.has('0') && is_number {
            out.push_str(&text[..sign]);
            out.extend(std::iter::repeat_n('0', fill));
            out.push_str(&text[sign..]);
        } else {
            out.extend(std::iter::repeat_n(' ', fill));
            out.push_str(text);
        }
    }
}

/// `pattern % values`; `template` is the pattern's value. Text that is marked as safe escapes what it takes in.
pub(super) fn format(template: &Value, pattern: &str, values: &Value) -> Result<Value, Error> {
    let mut positional = match values.is_tuple() {
        true => values.try_iter()?.collect(),
        false => vec![values.clone()],
    }
    .into_iter();
    let is_map = values.kind() == ValueKind::Map;
    let mut is_used = values.is_tuple() && values.len() == Some(0);
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (conversion, code, after) = parse(&rest[at + 1..], &mut positional)?;
        rest = after;
        if code == '%' {
            out.push('%');
            continue;
        }
        let value = match conversion.key {
            Some(_) if !is_map => return Err(failure("a key needs a map")),
            Some(key) => {
                is_used = true;
                let value = values.get_item(&Value::from(key))?;
                if value.is_undefined() {
                    return Err(failure(format!("key `{key}` not found")));
                }
                value
            }
            None => positional.next().ok_or_else(|| failure("not enough values for the pattern"))?,
        };
        let start = out.len();
        push(&mut out, &conversion, code, &value, template.is_safe())?;
        RenderBudget::spend((out.len() - start) as u64)?;
    }
    out.push_str(rest);
    if positional.next().is_some() && !is_used && !is_map {
        return Err(failure("more values than the pattern takes"));
    }
    RenderBudget::spend(pattern.len() as u64)?;
    Ok(string(out, template.is_safe()))
}

/// Parses what follows a `%`: the conversion, its letter and the rest of the pattern.
fn parse<'p>(
    text: &'p str,
    values: &mut impl Iterator<Item = Value>,
) -> Result<(Conversion<'p>, char, &'p str), Error> {
    let mut conversion = Conversion::default();
    let mut rest = text;
    if let Some(keyed) = rest.strip_prefix('(') {
        let end = keyed.find(')').ok_or_else(|| failure("a key does not end"))?;
        conversion.key = Some(&keyed[..end]);
        rest = &keyed[end + 1..];
    }
    let after = rest.trim_start_matches(['-', '+', ' ', '0', '#']);
    conversion.flags = &rest[..rest.len() - after.len()];
    rest = after;
    let mut number = |rest: &mut &'p str| -> Result<usize, Error> {
        let number = if let Some(after) = rest.strip_prefix('*') {
            *rest = after;
            values.next().and_then(|value| usize::try_from(value).ok())
        } else {
            let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let digits = &rest[..rest.len() - after.len()];
            *rest = after;
            if digits.is_empty() { Some(0) } else { digits.parse().ok() }
        };
        number.filter(|number| *number <= MAX_WIDTH).ok_or_else(|| failure("width or precision above 9999"))
    };
    conversion.width = number(&mut rest)?;
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        conversion.precision = Some(number(&mut rest)?);
    }
    rest = rest.trim_start_matches(['h', 'l', 'L']);
    let code = rest.chars().next().ok_or_else(|| failure("incomplete pattern"))?;
    Ok((conversion, code, &rest[code.len_utf8()..]))
}

fn push(out: &mut String, conversion: &Conversion<'_>, code: char, value: &Value, is_safe: bool) -> Result<(), Error> {
    match code {
        's' | 'r' | 'a' => {
            let mut text = String::new();
            match code {
                's' => RenderBudget::write(&mut text, value)?,
                _ => python::repr(&mut text, value, 0).map_err(|_| failure("the value is nested too deeply"))?,
            }
            if is_safe {
                text = escaped(value, text.into()).into_owned();
            }
            if let Some(precision) = conversion.precision {
                text = text.chars().take(precision).collect();
            }
            conversion.pad(out, &text, 0, false);
        }
        'c' => {
            let code = u32::try_from(value.clone()).ok().and_then(char::from_u32);
            let one = value.as_str().and_then(|text| text.chars().next().filter(|c| c.len_utf8() == text.len()));
            let c = one.or(code).ok_or_else(|| failure("`%c` needs one character"))?;
            conversion.pad(out, &c.to_string(), 0, false);
        }
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' => integer(out, conversion, code, value)?,
        'f' | 'F' | 'e' | 'E' | 'g' | 'G' => float(out, conversion, code, value)?,
        _ => return Err(failure(format!("unknown conversion `%{code}`"))),
    }
    Ok(())
}

fn signed(conversion: &Conversion<'_>, is_negative: bool, digits: &str) -> (String, usize) {
    let sign = match is_negative {
        true => "-",
        false if conversion.has('+') => "+",
        false if conversion.has(' ') => " ",
        false => "",
    };
    (format!("{sign}{digits}"), sign.len())
}

fn integer(out: &mut String, conversion: &Conversion<'_>, code: char, value: &Value) -> Result<(), Error> {
    let number = match (Number::of(value), code) {
        (Some(Number::Integer(number)), _) => number,
        (Some(Number::Float(number)), 'd' | 'i' | 'u') if number.is_finite() => number.trunc() as i128,
        _ => return Err(failure(format!("`%{code}` needs a number, found {}", python::type_name(value)))),
    };
    let magnitude = number.unsigned_abs();
    let (prefix, mut digits) = match code {
        'x' => ("0x", format!("{magnitude:x}")),
        'X' => ("0X", format!("{magnitude:X}")),
        'o' => ("0o", format!("{magnitude:o}")),
        _ => ("", magnitude.to_string()),
    };
    if let Some(precision) = conversion.precision {
        digits = format!("{digits:0>precision$}");
    }
    let prefix = if conversion.has('#') { prefix } else { "" };
    let (text, sign) = signed(conversion, number < 0, &format!("{prefix}{digits}"));
    conversion.pad(out, &text, sign + prefix.len(), true);
    Ok(())
}

fn float(out: &mut String, conversion: &Conversion<'_>, code: char, value: &Value) -> Result<(), Error> {
    let Some(number) = Number::of(value).map(Number::float) else {
        return Err(failure(format!("`%{code}` needs a number, found {}", python::type_name(value))));
    };
    let magnitude = number.abs();
    let precision = conversion.precision.unwrap_or(6);
    let mut digits = match code.to_ascii_lowercase() {
        _ if !number.is_finite() => if number.is_nan() { "nan" } else { "inf" }.to_owned(),
        'f' => format!("{magnitude:.precision$}"),
        'e' => exponential(magnitude, precision),
        _ => general(magnitude, precision.max(1), conversion.has('#')),
    };
    if code.is_ascii_uppercase() {
        digits.make_ascii_uppercase();
    }
    let (text, sign) = signed(conversion, number.is_sign_negative() && !number.is_nan(), &digits);
    conversion.pad(out, &text, sign, number.is_finite());
    Ok(())
}

/// With an exponent of at least two digits, as C prints it.
fn exponential(magnitude: f64, precision: usize) -> String {
    let text = format!("{magnitude:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    let mut out = digits.to_owned();
    // Writing to a string cannot fail.
    let _ = write!(out, "e{sign}{exponent:0>2}");
    out
}

/// The shorter of both forms with so many significant digits.
fn general(magnitude: f64, precision: usize, keeps_zeros: bool) -> String {
    let scientific = exponential(magnitude, precision - 1);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') && !keeps_zeros {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= precision as i32 {
        let tail = scientific.split_once('e').map_or("", |(_, tail)| tail);
        return format!("{}e{tail}", trimmed(digits));
    }
    let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{magnitude:.decimals$}"))
}
