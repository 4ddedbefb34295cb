//! "Did you mean …?"

/// The candidate that is most likely meant by a misspelt word.
pub(crate) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    /// Below this, words have little to do with each other. The limit that clap uses, too.
    const SIMILAR: f64 = 0.7;
    let rated = candidates.map(|candidate| (strsim::jaro(word, candidate), candidate));
    rated.filter(|(rate, _)| *rate > SIMILAR).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_words_are_suggested() {
        let words = || ["sources", "seed", "split"].into_iter();
        assert_eq!(nearest("source", words()), Some("sources"));
        assert_eq!(nearest("sed", words()), Some("seed"));
        assert_eq!(nearest("tokenizer", words()), None);
    }
}
