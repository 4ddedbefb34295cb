//! Exact decimal numbers: `0.3` is three tenths, not the nearest float.

use crate::message::invalid_value;
use std::fmt;
use std::str::FromStr;

/// A non-negative decimal with at most six decimal places: `2.5`, `0.02`, `3`.
///
/// Shares and repeats are computed with these, so that `0.3` of ten samples is three on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Decimal(u64);

impl Decimal {
    /// The number of millionths in one.
    pub(crate) const ONE_IN_MILLIONTHS: u64 = 1_000_000;
    /// 0
    pub(crate) const ZERO: Self = Self(0);
    /// 1
    pub(crate) const ONE: Self = Self(Self::ONE_IN_MILLIONTHS);

    /// A decimal from its millionths.
    pub(crate) const fn from_millionths(millionths: u64) -> Self {
        Self(millionths)
    }

    /// The value in millionths.
    pub(crate) const fn millionths(self) -> u64 {
        self.0
    }

    /// The whole part: 2 of 2.5.
    pub(crate) const fn whole(self) -> u64 {
        self.0 / Self::ONE_IN_MILLIONTHS
    }

    /// The fractional part: 0.5 of 2.5.
    pub(crate) const fn part(self) -> Self {
        Self(self.0 % Self::ONE_IN_MILLIONTHS)
    }

    /// `self * number`, rounded to the nearest integer (halves up) and capped at `u64::MAX`.
    pub(crate) fn of(self, number: u64) -> u64 {
        let one = u128::from(Self::ONE_IN_MILLIONTHS);
        let product = u128::from(self.0) * u128::from(number);
        u64::try_from((product + one / 2) / one).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:06}", self.whole(), self.part().0);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl FromStr for Decimal {
    type Err = String;

    /// Parses `2`, `2.5`, `.5` or `1e-3`. The error is a complete message.
    fn from_str(text: &str) -> Result<Self, String> {
        exact(text, 6).and_then(|n| u64::try_from(n).ok()).map(Self).ok_or_else(|| {
            format!(
                "{}: expected a number from 0 to 1000000000000 with at most six decimal places, such as 2.5 or 0.02",
                invalid_value(text)
            )
        })
    }
}

/// A decimal number in units of 10^-`places`; `None` if it is not an exact multiple, not a number, or above 10^12.
pub(super) fn exact(text: &str, places: i32) -> Option<u128> {
    let text = text.trim();
    let text = text.strip_prefix('+').unwrap_or(text);
    let (digits, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok().filter(|e| e.abs() <= 40)?),
        None => (text, 0),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all = || whole.bytes().chain(part.bytes());
    if all().next().is_none() || !all().all(|b| b.is_ascii_digit()) || part.len() > 40 {
        return None;
    }
    let mut number = 0u128;
    for digit in all() {
        number = number.checked_mul(10)?.checked_add(u128::from(digit - b'0'))?;
    }
    let mut shift = exponent - i32::try_from(part.len()).ok()? + places;
    while shift < 0 {
        if !number.is_multiple_of(10) {
            return None;
        }
        number /= 10;
        shift += 1;
    }
    if number != 0 {
        number = number.checked_mul(10u128.checked_pow(u32::try_from(shift).ok()?)?)?;
    }
    (number <= 10u128.pow(12) * 10u128.pow(u32::try_from(places).ok()?)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, millionths, shown) in [
            ("2.5", 2_500_000, "2.5"),
            ("0.3", 300_000, "0.3"),
            (".02", 20_000, "0.02"),
            ("3", 3_000_000, "3"),
            ("3.0", 3_000_000, "3"),
            ("1e-3", 1_000, "0.001"),
            ("2E2", 200_000_000, "200"),
            ("0", 0, "0"),
            ("0.1000000000", 100_000, "0.1"),
            ("1000000000000", 1_000_000_000_000_000_000, "1000000000000"),
        ] {
            let decimal: Decimal = text.parse().unwrap();
            assert_eq!(decimal.millionths(), millionths, "{text}");
            assert_eq!(decimal.to_string(), shown);
        }
        for text in ["", ".", "-1", "1,5", "x", "0.0000001", "1e99", "1000000000001", "1_000", "NaN", "inf", "0x10"] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_fraction_of_a_number_is_rounded_to_the_nearest_integer() {
        let of = |text: &str, n| text.parse::<Decimal>().unwrap().of(n);
        assert_eq!(of("0.3", 10), 3);
        assert_eq!(of("0.5", 5), 3);
        assert_eq!(of("0.5", 1), 1);
        assert_eq!(of("0.3", 1), 0);
        assert_eq!(of("2.5", 7), 18);
        assert_eq!(of("1000000000000", u64::MAX), u64::MAX);
    }
}
