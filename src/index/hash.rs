//! Stable 128-bit hashes: the same on every machine and in every version of this program.

/// The first 16 bytes of a BLAKE3 hash. Orders and equality of hashes are those of their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Hash128(pub(crate) [u8; 16]);

impl Hash128 {
    /// The hash of one text, as `b3sum --length 16` prints it.
    pub(crate) fn of(text: &str) -> Self {
        Self::first_half(&blake3::hash(text.as_bytes()))
    }

    fn first_half(hash: &blake3::Hash) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&hash.as_bytes()[..16]);
        Self(half)
    }
}

impl AsRef<[u8]> for Hash128 {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// BLAKE3 over parts, each preceded by its length in bytes (8 bytes, little-endian): no two lists of parts hash alike by
/// shifting a border. By convention the first part is a versioned name, and a seed is 8 bytes, little-endian.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartsHasher(blake3::Hasher);

impl PartsHasher {
    /// A hasher that has taken a name.
    pub(crate) fn named(name: &str) -> Self {
        let mut hasher = Self::default();
        hasher.part(name.as_bytes());
        hasher
    }

    /// Takes a part.
    pub(crate) fn part(&mut self, part: impl AsRef<[u8]>) -> &mut Self {
        let part = part.as_ref();
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    /// The hash of the parts so far.
    pub(crate) fn finish(&self) -> Hash128 {
        Hash128::first_half(&self.0.finalize())
    }
}

/// The name and version of the hash that ranks summaries. Change the name whenever the hashed bytes change.
const RANK_HASH: &str = "km-rank-v1";

/// Hashes the summaries of one raw document of one source; what they have in common is hashed once.
///
/// A summary's hash covers `km-rank-v1`, the seed, the source's name, the raw document and the summary. Ranks ascend with it.
#[derive(Debug, Clone)]
pub(crate) struct RankHasher(PartsHasher);

impl RankHasher {
    /// For the summaries of one raw document of one source.
    pub(crate) fn new(seed: u64, source: &str, raw_document: &str) -> Self {
        let mut hasher = PartsHasher::named(RANK_HASH);
        hasher.part(seed.to_le_bytes()).part(source).part(raw_document);
        Self(hasher)
    }

    /// The hash of one summary.
    pub(crate) fn summary(&self, summary: &str) -> Hash128 {
        self.0.clone().part(summary).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(hash: Hash128) -> String {
        hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn rank_hash(seed: u64, source: &str, raw_document: &str, summary: &str) -> Hash128 {
        RankHasher::new(seed, source, raw_document).summary(summary)
    }

    #[test]
    fn rank_hashes_have_not_changed() {
        // docs/recipes.md has the same vectors; `b3sum` over the bytes described there gives them, too.
        assert_eq!(hex(rank_hash(42, "extractive_summary", "raw", "summary")), "01d1381155e91ad446df59f0bb36b77a");
        assert_eq!(hex(rank_hash(0, "", "", "")), "1407a50e5506c30e1b161e4446dfe48a");
        assert_eq!(hex(rank_hash(u64::MAX, "detailed_summary", "é\u{0}", "\n")), "05ac14f042ada9dcf98a55d987f8109a");
        assert_eq!(hex(Hash128::of("raw")), &blake3::hash(b"raw").to_hex()[..32]);
    }

    #[test]
    fn a_rank_hash_is_blake3_over_parts_preceded_by_their_lengths() {
        let mut bytes = Vec::new();
        for part in [b"km-rank-v1".as_slice(), &42u64.to_le_bytes(), b"extractive_summary", b"raw", b"summary"] {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        }
        let expected = Hash128::first_half(&blake3::hash(&bytes));
        assert_eq!(rank_hash(42, "extractive_summary", "raw", "summary"), expected);
    }

    #[test]
    fn parts_cannot_be_shifted() {
        assert_ne!(rank_hash(1, "a", "bc", "d"), rank_hash(1, "ab", "c", "d"));
        assert_ne!(rank_hash(1, "a", "b", "cd"), rank_hash(1, "a", "bc", "d"));
    }
}
