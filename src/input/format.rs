//! The format of a file, by its name.

use crate::codec::Codec;

/// How a file stores rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    /// One JSON object per line (`.jsonl`, `.ndjson`).
    Lines,
    /// Lines, or one array of objects (`.json`).
    LinesOrArray,
    /// Parquet.
    Parquet,
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileFormat {
    /// How it stores rows.
    pub(crate) container: Container,
    /// How it is compressed.
    pub(crate) codec: Codec,
}

impl FileFormat {
    /// The format of a file by the extensions of its name, in any case. `None`: not a file with rows.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (stem, codec) = Codec::split_name(&name);
        let container = match stem.rsplit_once('.')?.1 {
            "jsonl" | "ndjson" => Container::Lines,
            "json" => Container::LinesOrArray,
            "parquet" => Container::Parquet,
            _ => return None,
        };
        Some(Self { container, codec })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_determine_the_format() {
        let of = |name| FileFormat::of_name(name).map(|f| (f.container, f.codec));
        assert_eq!(of("gen.jsonl"), Some((Container::Lines, Codec::None)));
        assert_eq!(of("gen.NDJSON.gz"), Some((Container::Lines, Codec::Gzip)));
        assert_eq!(of("part.0.json.zst"), Some((Container::LinesOrArray, Codec::Zstd)));
        assert_eq!(of("a.parquet"), Some((Container::Parquet, Codec::None)));
        assert_eq!(of("a.csv"), None);
        assert_eq!(of("README"), None);
        assert_eq!(of("a.gz"), None);
    }
}
