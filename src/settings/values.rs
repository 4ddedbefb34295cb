//! Values of settings: from text to types.

use crate::error::{Error, ErrorKind, Result};
use crate::message::invalid_value;
use crate::progress::LogFormat;
use crate::recipe::{Choice, Decimal, Word};
use crate::sample::Reasoning;
use crate::storage::Location;
use std::path::PathBuf;
use std::time::Duration;

/// The form of a setting's value, as text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Free text.
    Text,
    /// Free texts: a flag that may be repeated, a list in a recipe.
    Texts,
    /// `true` or `false`; a flag without a value means `true`.
    Switch,
    /// One of these words, of which the first two are `false` and `true`; a flag without a value means `true`.
    SwitchOr(&'static [Word]),
    /// A whole number.
    Number {
        /// The smallest accepted number.
        min: u64,
        /// The largest accepted number.
        max: u64,
    },
    /// Whole numbers: separated by commas, or a JSON list.
    Numbers {
        /// The smallest accepted number.
        min: u64,
        /// The largest accepted number.
        max: u64,
    },
    /// One of these words.
    Choice(&'static [Word]),
    /// Some of these words: separated by commas, or a JSON list.
    Choices(&'static [Word]),
}

/// A type of settings.
pub(crate) trait Value: Sized {
    /// Parses the texts that were given: one, or several for a list.
    ///
    /// # Errors
    /// A usage error that names the value and what was expected.
    fn parse(texts: &[String], kind: Kind) -> Result<Self>;

    /// The value of a setting that is neither given nor has a default; `None` if such a setting needs one.
    fn absent() -> Option<Self> {
        None
    }
}

/// The error for a value that is not valid.
pub(super) fn invalid(value: &str, expected: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Usage, format!("{}: expected {expected}", invalid_value(value)))
}

/// The only text, trimmed.
fn single(texts: &[String]) -> Result<&str> {
    match texts {
        [text] => Ok(text.trim()),
        _ => Err(invalid(&texts.join(", "), "a single value")),
    }
}

impl<T: Value> Value for Option<T> {
    fn parse(texts: &[String], kind: Kind) -> Result<Self> {
        T::parse(texts, kind).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Value for String {
    fn parse(texts: &[String], _: Kind) -> Result<Self> {
        single(texts)?;
        Ok(texts.concat())
    }
}

impl Value for bool {
    fn parse(texts: &[String], _: Kind) -> Result<Self> {
        let text = single(texts)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(invalid(text, "true or false")),
        }
    }
}

/// A choice is one of its words; as a switch, `false` and `true` are its first and second value.
impl<T: Choice> Value for T {
    fn parse(texts: &[String], kind: Kind) -> Result<Self> {
        let text = single(texts)?;
        let named = |text: &str| T::WORDS.iter().position(|word| word.name == text);
        let at = match kind {
            Kind::Switch => Some(usize::from(bool::parse(texts, kind)?)),
            Kind::SwitchOr(_) => bool::parse(texts, kind).ok().map(usize::from).or_else(|| named(text)),
            _ => named(text),
        };
        at.and_then(|at| T::VALUES.get(at).copied()).ok_or_else(|| {
            let words: Vec<&str> = T::WORDS.iter().map(|word| word.name).collect();
            invalid(text, words.join(" or "))
        })
    }
}

/// In the order given, without duplicates.
impl<T: Choice + PartialEq> Value for Vec<T> {
    fn parse(texts: &[String], _: Kind) -> Result<Self> {
        let mut values = Self::new();
        for part in texts.iter().flat_map(|text| parts(text.trim())) {
            let text = part.trim().to_owned();
            let value = <T as Value>::parse(&[text], Kind::Choice(T::WORDS))?;
            if !values.contains(&value) {
                values.push(value);
            }
        }
        if values.is_empty() {
            let words: Vec<&str> = T::WORDS.iter().map(|word| word.name).collect();
            return Err(Error::new(ErrorKind::Usage, format!("empty list: expected any of {}", words.join(", "))));
        }
        Ok(values)
    }
}

impl Choice for LogFormat {
    const VALUES: &'static [Self] = &[Self::Text, Self::Json];
    const WORDS: &'static [Word] =
        &[Word { name: "text", help: "Lines for people." }, Word { name: "json", help: "One JSON object per line." }];
}

impl Value for u64 {
    fn parse(texts: &[String], kind: Kind) -> Result<Self> {
        let text = single(texts)?;
        let (min, max) = match kind {
            Kind::Number { min, max } | Kind::Numbers { min, max } => (min, max),
            _ => (0, Self::MAX),
        };
        whole(text)
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| invalid(text, format_args!("a whole number from {min} to {max}")))
    }
}

impl Value for u32 {
    fn parse(texts: &[String], kind: Kind) -> Result<Self> {
        narrow(u64::parse(texts, kind)?)
    }
}

impl Value for usize {
    fn parse(texts: &[String], kind: Kind) -> Result<Self> {
        narrow(u64::parse(texts, kind)?)
    }
}

fn narrow<T: TryFrom<u64>>(number: u64) -> Result<T> {
    T::try_from(number).map_err(|_| invalid(&number.to_string(), "a smaller number"))
}

/// In seconds.
impl Value for Duration {
    fn parse(texts: &[String], kind: Kind) -> Result<Self> {
        u64::parse(texts, kind).map(Self::from_secs)
    }
}

/// A size of memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemorySize(pub(crate) u64);

/// The program itself and its threads need some memory to end in good order. `bytesize` makes the largest number of what is too large.
const MEMORY_SIZES: std::ops::Range<u64> = 64 << 20..1 << 60;

/// With a unit as people (`900MB`, `4 GiB`) and Kubernetes (`4Gi`) write it.
impl Value for MemorySize {
    fn parse(texts: &[String], _: Kind) -> Result<Self> {
        let text = single(texts)?;
        let size = text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64());
        size.filter(|size| MEMORY_SIZES.contains(size))
            .map(Self)
            .ok_or_else(|| invalid(text, "a size of at least 64MiB, such as 900MB or 4GiB"))
    }
}

/// Ascending, without duplicates.
impl Value for Vec<u32> {
    fn parse(texts: &[String], kind: Kind) -> Result<Self> {
        let (min, max) = match kind {
            Kind::Number { min, max } | Kind::Numbers { min, max } => (min, max),
            _ => (0, u32::MAX.into()),
        };
        let refused = || {
            let expected =
                format!("whole numbers from {min} to {max}, separated by commas (5,50) or as a JSON list ([5, 50])");
            match texts {
                [] => Error::new(ErrorKind::Usage, format!("empty list: expected {expected}")),
                texts => invalid(&texts.join(", "), expected),
            }
        };
        let mut numbers = Vec::new();
        for part in texts.iter().flat_map(|text| parts(text.trim())) {
            let number = whole(part.trim()).filter(|number| (min..=max).contains(number));
            numbers.push(number.and_then(|number| u32::try_from(number).ok()).ok_or_else(refused)?);
        }
        if numbers.is_empty() {
            return Err(refused());
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }
}

/// The items of a comma-separated or JSON list; a list that is not valid becomes an item that is not either.
fn parts(text: &str) -> Vec<String> {
    if text.starts_with('[') {
        return match serde_json::from_str::<Vec<serde_json::Value>>(text) {
            Ok(items) => items.iter().map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned)).collect(),
            Err(_) => vec![text.to_owned()],
        };
    }
    text.split(',').map(str::to_owned).collect()
}

/// A whole number. Engines that pass numbers as doubles write `5.0`.
fn whole(text: &str) -> Option<u64> {
    let digits = match text.split_once('.') {
        Some((digits, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => digits,
        _ => text,
    };
    // `parse` alone accepts `+5`.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

impl Value for Location {
    fn parse(texts: &[String], _: Kind) -> Result<Self> {
        single(texts)?;
        Self::parse(&texts.concat())
    }
}

impl Value for Vec<Location> {
    fn parse(texts: &[String], _: Kind) -> Result<Self> {
        match texts {
            [] => Err(Error::new(ErrorKind::Usage, "empty list: expected at least one folder or URL")),
            texts => texts.iter().map(|text| Location::parse(text)).collect(),
        }
    }
}

/// Pairs of a source's name and a location: `SOURCE=LOCATION`.
impl Value for Vec<(String, Location)> {
    fn parse(texts: &[String], _: Kind) -> Result<Self> {
        let pair = |text: &String| {
            let (name, location) = text
                .split_once('=')
                .filter(|(name, location)| !name.is_empty() && !location.is_empty())
                .ok_or_else(|| invalid(text, "SOURCE=LOCATION"))?;
            Ok((name.to_owned(), Location::parse(location)?))
        };
        texts.iter().map(pair).collect()
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

/// A figure and the highest value that it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailOn {
    /// The figure's name in metrics.json, or the part of it after `cut_N.preflight.`.
    pub(crate) name: String,
    /// The highest value.
    pub(crate) limit: Limit,
}

/// The highest value that a figure may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// This number.
    Number(u64),
    /// This percentage of what contains it: the mix, or the rows read.
    Percent(Decimal),
}

impl std::fmt::Display for FailOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.limit {
            Limit::Number(number) => write!(f, "{}={number}", self.name),
            Limit::Percent(percent) => write!(f, "{}={percent}%", self.name),
        }
    }
}

/// `NAME=LIMIT`; one text can have several, separated by commas or as a JSON list.
impl Value for Vec<FailOn> {
    fn parse(texts: &[String], _: Kind) -> Result<Self> {
        let one = |text: String| {
            let expected = || invalid(&text, "NAME=LIMIT, such as dropped=1% or steps=1000");
            let (name, limit) = text.split_once('=').ok_or_else(expected)?;
            let limit = match limit.trim().strip_suffix('%') {
                Some(percent) => percent.trim().parse().ok().map(Limit::Percent),
                None => whole(limit.trim()).map(Limit::Number),
            };
            let name = name.trim().to_owned();
            Ok(FailOn { name, limit: limit.ok_or_else(expected)? })
        };
        texts.iter().flat_map(|text| parts(text.trim())).map(one).collect()
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

/// A folder on this machine.
impl Value for PathBuf {
    fn parse(texts: &[String], _: Kind) -> Result<Self> {
        let text = single(texts)?;
        if text.contains("://") {
            return Err(invalid(text, "a local folder"));
        }
        Ok(text.into())
    }
}

impl Value for Reasoning {
    fn parse(texts: &[String], _: Kind) -> Result<Self> {
        let text = single(texts)?;
        let column = (!text.contains("://")).then_some(text);
        column
            .and_then(Self::parse)
            .ok_or_else(|| invalid(text, "auto, none, a column, or a path into a column (`a.0.b`)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: Value>(text: &str, kind: Kind) -> Option<T> {
        T::parse(&[text.to_owned()], kind).ok()
    }

    #[test]
    fn cut_sizes_are_lists_of_whole_numbers() {
        let kind = Kind::Numbers { min: 1, max: 1_000_000 };
        for (text, sizes) in [
            ("5,50", vec![5, 50]),
            (" 50 , 5,5", vec![5, 50]),
            ("[5, 50]", vec![5, 50]),
            ("[5.0, 50.0]", vec![5, 50]),
            ("[\"7\"]", vec![7]),
            ("1", vec![1]),
        ] {
            assert_eq!(parse(text, kind), Some(sizes), "{text}");
        }
        for text in
            ["0", "-1", "x", "", "5,,6", "5,", "5.5", "[]", "[5", "[null]", "+5", "1000001", "4294967296", "1e2"]
        {
            assert_eq!(parse::<Vec<u32>>(text, kind), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_whole_and_within_their_range() {
        let kind = Kind::Number { min: 0, max: (1 << 53) - 1 };
        assert_eq!(parse("9007199254740991", kind), Some((1u64 << 53) - 1));
        assert_eq!(parse("42.0", kind), Some(42u64));
        for text in ["9007199254740992", "-1", "x", "", "1.5", "18446744073709551616"] {
            assert_eq!(parse::<u64>(text, kind), None, "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, size) in
            [("4GiB", 4 << 30), ("4 GiB", 4 << 30), ("4Gi", 4 << 30), ("900MB", 900_000_000), ("67108864", 64 << 20)]
        {
            assert_eq!(parse(text, Kind::Text), Some(MemorySize(size)), "{text}");
        }
        for text in ["", "1", "63MiB", "-4GiB", "GiB", "4 pods", "99999999999999999999GiB"] {
            assert_eq!(parse::<MemorySize>(text, Kind::Text), None, "{text}");
        }
    }

    #[test]
    fn booleans_are_accepted_in_any_case() {
        for (text, value) in [("true", true), ("FALSE", false), ("True", true), ("1", true), ("0", false)] {
            assert_eq!(parse(text, Kind::Switch), Some(value));
        }
        assert_eq!(parse::<bool>("yes", Kind::Switch), None);
        assert_eq!(parse::<bool>("", Kind::Switch), None);
    }
}
