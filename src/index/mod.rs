//! The index: a fixed-size record of each sample, on which all of mixing works. Texts are known by stable content hashes, so
//! the indexes of splits that were surveyed by different processes merge into the same index.

mod dictionary;
mod hash;
mod record;
mod split;

pub(crate) use dictionary::{Dictionary, Number};
pub(crate) use hash::{Hash128, PartsHasher};
pub(crate) use record::Record;
pub(crate) use split::{SplitBuilder, SplitIndex};

#[cfg(test)]
pub(crate) use hash::RankHasher;

use crate::error::{Error, ErrorKind, Result};
use crate::recipe::Flags;
use dictionary::Merger;

/// The records of all splits in natural order, and the hashes behind their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    /// Every sample.
    pub(crate) records: Vec<Record>,
    /// The flags of each sample.
    pub(crate) flags: Vec<Flags>,
    /// The hashes behind the records' numbers.
    pub(crate) hashes: Hashes,
}

/// The hashes behind the numbers of records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hashes {
    /// Raw documents: a hash of the text.
    pub(crate) documents: Dictionary,
    /// Outlines: a hash of the text.
    pub(crate) outlines: Dictionary,
    /// Summaries: the hash that ranks them within their source and raw document.
    pub(crate) summaries: Dictionary,
}

impl Index {
    /// The index of all splits, in the order of the splits; `source` is the place of a split's source.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] for more samples than rows can be numbered.
    pub(crate) fn merge(splits: impl IntoIterator<Item = (u32, SplitIndex)>) -> Result<Self> {
        let splits: Vec<(u32, SplitIndex)> = splits.into_iter().collect();
        let samples: usize = splits.iter().map(|(_, split)| split.records.len()).sum();
        check_samples(samples)?;
        let mut records = Vec::with_capacity(samples);
        let mut flags = Vec::with_capacity(samples);
        let (mut documents, mut outlines, mut summaries) = (Merger::default(), Merger::default(), Merger::default());
        for (source, split) in splits {
            let of_documents = documents.add(&split.documents);
            let of_outlines = outlines.add(&split.outlines);
            let of_summaries = summaries.add(&split.summaries);
            let merged = |numbers: &[Number], number: Option<Number>| number.map(|number| numbers[number.place()]);
            flags.extend(split.flags);
            flags.resize(records.len() + split.records.len(), Flags::default());
            records.extend(split.records.into_iter().map(|record| Record {
                source,
                document: merged(&of_documents, record.document),
                outline: merged(&of_outlines, record.outline),
                summary: merged(&of_summaries, record.summary),
                ..record
            }));
        }
        let hashes =
            Hashes { documents: documents.finish(), outlines: outlines.finish(), summaries: summaries.finish() };
        Ok(Self { records, flags, hashes })
    }
}

/// Refuses more samples than 32 bits can number.
///
/// # Errors
/// [`ErrorKind::Data`], before anything is numbered.
pub(crate) fn check_samples(samples: usize) -> Result<()> {
    if samples < u32::MAX as usize {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Data, format!("the input has {samples} samples: at most {} are supported", u32::MAX - 1))
        .hint("split the input and mix the parts in several runs"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Interner;

    /// Two splits that share a document and a summary, however their texts are numbered.
    fn split(seed: u64, rows: &[(&str, &str)]) -> SplitIndex {
        let interner = Interner::default();
        let ids: Vec<_> =
            rows.iter().map(|(d, s)| (interner.intern(d).unwrap(), interner.intern(s).unwrap())).collect();
        let texts = interner.freeze();
        let mut builder = SplitBuilder::new(&texts, seed, "extractive_summary", ids.len());
        for (document, summary) in ids {
            let record = Record {
                document: Some(builder.document(document)),
                summary: Some(builder.summary(document, summary)),
                ..Record::default()
            };
            builder.push(record);
        }
        builder.finish()
    }

    #[test]
    fn equal_texts_of_different_splits_get_one_number() {
        let rows = [("d1", "a"), ("d1", "b"), ("d2", "a"), ("", "a"), ("d1", "a"), ("d2", "c")];
        let whole = Index::merge([(0, split(42, &rows))]).unwrap();
        let parts = Index::merge([(0, split(42, &rows[..2])), (0, split(42, &rows[2..]))]).unwrap();
        assert_eq!(whole.records, parts.records);
        assert_eq!(whole.hashes.summaries, parts.hashes.summaries);
        assert_eq!(whole.records[0].summary, whole.records[4].summary);
        // The same summary text of another raw document is another summary.
        assert_ne!(whole.records[0].summary, whole.records[2].summary);
        let number = whole.records[1].summary.unwrap();
        let expected = RankHasher::new(42, "extractive_summary", "d1").summary("b");
        assert_eq!(whole.hashes.summaries.get(number), expected);
        assert_eq!(whole.hashes.documents.get(whole.records[2].document.unwrap()), Hash128::of("d2"));
    }

    #[test]
    fn too_many_samples_are_refused() {
        assert!(check_samples(u32::MAX as usize - 1).is_ok());
        let error = check_samples(u32::MAX as usize).unwrap_err();
        insta::assert_snapshot!(error, @r"
        the input has 4294967295 samples: at most 4294967294 are supported
          hint: split the input and mix the parts in several runs
        ");
    }
}
