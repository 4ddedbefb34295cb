//! Whether a training step can read the file that it gets.

use crate::recipe::{Compression, Format};

/// A warning if training_hub refuses the file of the selected cut: it reads only plain files whose names end in `.jsonl`.
/// `is_plain` says that the step gets the file decompressed.
pub(crate) fn trainer_warning(format: Format, compression: Compression, is_plain: bool) -> Option<String> {
    let (what, instead) = if format.is_parquet() {
        ("a Parquet file", "pass --select-format messages or tokens")
    } else if compression != Compression::None && !is_plain {
        ("a compressed file", "pass --compression none")
    } else {
        return None;
    };
    Some(format!(
        "the next step gets {what}, but training_hub reads only plain .jsonl files; {instead} if it trains on this file"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_training_hub_refuses_are_warned_of() {
        let warning =
            |format, compression, is_plain| trainer_warning(format, compression, is_plain).unwrap_or_default();
        assert_eq!(warning(Format::Messages, Compression::None, false), "");
        assert_eq!(warning(Format::Tokens, Compression::Zstd, true), "");
        assert!(warning(Format::Tokens, Compression::Gzip, false).contains("--compression none"));
        // Parquet compresses its columns, and is Parquet in any case.
        assert!(warning(Format::TokensParquet, Compression::None, true).contains("--select-format"));
    }
}
