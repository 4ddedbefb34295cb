//! Values as people and engines write them.

/// The largest seed: Kubeflow carries integers as doubles.
pub(crate) const MAX_SEED: u64 = (1 << 53) - 1;

/// The largest cut size; nobody has a million summaries of one document.
const MAX_CUT: u64 = 1_000_000;

/// What went wrong is said by what is accepted instead.
type Parsed<T> = Result<T, String>;

/// Cut sizes: `5,50`, or a JSON list (`[5, 50]`, `[5.0, 50.0]`); ascending, each once.
pub(crate) fn parse_cut_sizes(text: &str) -> Parsed<Vec<u32>> {
    const ACCEPTED: &str =
        "give whole numbers from 1 to 1000000, separated by commas (5,50), or a JSON list of them ([5, 50])";
    let parts: Vec<String> = if text.starts_with('[') {
        let list: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|_| ACCEPTED.to_owned())?;
        list.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
    } else {
        text.split(',').map(str::to_owned).collect()
    };
    let mut sizes: Vec<u32> = parts
        .iter()
        .map(|part| {
            whole(part.trim()).filter(|size| (1..=MAX_CUT).contains(size)).and_then(|size| size.try_into().ok())
        })
        .collect::<Option<_>>()
        .filter(|sizes: &Vec<u32>| !sizes.is_empty())
        .ok_or(ACCEPTED)?;
    sizes.sort_unstable();
    sizes.dedup();
    Ok(sizes)
}

/// A whole number within bounds.
pub(crate) fn parse_natural(text: &str, least: u64, most: u64) -> Parsed<u64> {
    whole(text)
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("give a whole number from {least} to {most}"))
}

/// A seed.
pub(crate) fn parse_seed(text: &str) -> Parsed<u64> {
    parse_natural(text, 0, MAX_SEED)
}

/// `true` or `false` in any case, `1` or `0`.
pub(crate) fn parse_bool(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("give true or false".to_owned()),
    }
}

/// A whole number; engines that carry numbers as doubles write `5.0`.
fn whole(text: &str) -> Option<u64> {
    let digits = match text.split_once('.') {
        Some((digits, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => digits,
        _ => text,
    };
    // `parse` alone would take `+5`.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_sizes_are_lists_of_whole_numbers() {
        for (text, sizes) in [
            ("5,50", vec![5, 50]),
            (" 50 , 5,5", vec![5, 50]),
            ("[5, 50]", vec![5, 50]),
            ("[5.0, 50.0]", vec![5, 50]),
            ("[\"7\"]", vec![7]),
            ("1", vec![1]),
        ] {
            assert_eq!(parse_cut_sizes(text.trim()), Ok(sizes), "{text}");
        }
        for text in
            ["0", "-1", "x", "", "5,,6", "5,", "5.5", "[]", "[5", "[null]", "+5", "1000001", "4294967296", "1e2"]
        {
            assert!(parse_cut_sizes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seeds_fit_a_double() {
        assert_eq!(parse_seed("9007199254740991"), Ok(MAX_SEED));
        assert_eq!(parse_seed("42.0"), Ok(42));
        for text in ["9007199254740992", "-1", "x", "", "1.5", "18446744073709551616"] {
            assert!(parse_seed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn booleans_come_in_any_case() {
        for (text, value) in [("true", true), ("FALSE", false), ("True", true), ("1", true), ("0", false)] {
            assert_eq!(parse_bool(text), Ok(value));
        }
        assert!(parse_bool("yes").is_err());
        assert!(parse_bool("").is_err());
    }
}
