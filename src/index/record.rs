//! The fixed-size record of one sample.

use super::dictionary::Number;
use super::hash::Hash128;

/// One sample as mixing sees it. Records are in natural order: by split, then by row within the split. That position is
/// the same for any number of threads and processes, and serves for input order, first pairs and ties.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// A hash of its messages, tools and `unmask`; samples of different kinds never have the same. Zero unless the run needs it
    /// ([`crate::mixing::needs_content`]).
    pub(crate) content: Hash128,
    /// Its raw document; `None` if that is unknown.
    pub(crate) document: Option<Number>,
    /// Its outline; `None` if it has none.
    pub(crate) outline: Option<Number>,
    /// Its summary within its source and raw document; `None` if its kind has no summaries.
    pub(crate) summary: Option<Number>,
    /// Its token length; zero until it is counted.
    pub(crate) tokens: u32,
    /// The characters of its response; zero unless a filter needs them.
    pub(crate) response_chars: u32,
    /// The length of its `input_ids` in the trainer; zero until it is counted, or if the trainer's processing fails on it.
    pub(crate) train_tokens: u32,
    /// The tokens that count for the trainer's loss; zero until they are counted.
    pub(crate) loss_tokens: u32,
    /// The place of its source in the run's list of sources.
    pub(crate) source: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<Record>() <= 48, "{}", size_of::<Record>());
    }
}
