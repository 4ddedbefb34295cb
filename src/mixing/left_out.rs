//! Which samples a trainer does not train on. They are in messages files, but not in tokens files.

use super::row::Row;
use crate::index::Record;
use crate::manifest::MixKind;
use std::collections::BTreeMap;

/// The trainer drops shorter samples (`filter_samples_by_length` in `instructlab.training.data_process`).
pub(crate) const MIN_TRAIN_TOKENS: u32 = 20;

/// Why a trainer does not train on a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LeftOut {
    /// It has fewer than [`MIN_TRAIN_TOKENS`] tokens.
    TooShort,
    /// It has `max_seq_len` tokens or more.
    TooLong,
    /// None of its tokens counts for the loss.
    NoLossTokens,
    /// The trainer's processing fails on it: its text contains one of the trainer's markers, or the chat template tears contents
    /// apart.
    UnbalancedMarkers,
}

impl LeftOut {
    /// The reason in manifest and metrics.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::NoLossTokens => "no_loss_tokens",
            Self::UnbalancedMarkers => "unbalanced_markers",
        }
    }
}

/// How a trainer reads the samples of a mix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    /// What the samples are.
    pub(crate) mix: MixKind,
    /// The sequence length at which conversations are dropped.
    pub(crate) max_seq_len: Option<u32>,
}

impl Reader {
    /// Why the trainer leaves out a sample whose tokens are counted; `None` if it trains on it. Of documents, which are divided into
    /// blocks, it leaves out nothing.
    pub(crate) fn left_out(self, record: &Record) -> Option<LeftOut> {
        match record.train_tokens {
            _ if self.mix == MixKind::Document => None,
            0 => Some(LeftOut::UnbalancedMarkers),
            length if length < MIN_TRAIN_TOKENS => Some(LeftOut::TooShort),
            length if self.max_seq_len.is_some_and(|most| length >= most) => Some(LeftOut::TooLong),
            _ if record.loss_tokens == 0 => Some(LeftOut::NoLossTokens),
            _ => None,
        }
    }
}

/// What a trainer gets of one source of one file, copies counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TrainedSize {
    /// Samples that it trains on.
    pub(crate) samples: u64,
    /// Their tokens.
    pub(crate) tokens: u64,
    /// Those of them that count for the loss.
    pub(crate) loss_tokens: u64,
    /// Samples that it leaves out, by reason.
    pub(crate) left_out: BTreeMap<LeftOut, u64>,
}

impl std::iter::Sum for TrainedSize {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), |mut sum, size| {
            sum.samples += size.samples;
            sum.tokens += size.tokens;
            sum.loss_tokens += size.loss_tokens;
            size.left_out.iter().for_each(|(reason, samples)| *sum.left_out.entry(*reason).or_default() += samples);
            sum
        })
    }
}

/// What a trainer gets of each of `sources` sources of a file that holds each row `copies` times.
pub(crate) fn trained_sizes(
    rows: &[Row],
    sources: usize,
    reader: Reader,
    copies: impl Fn(usize, u32) -> u32,
) -> Vec<TrainedSize> {
    let mut sizes = vec![TrainedSize::default(); sources];
    for (at, Row { record, .. }) in rows.iter().enumerate() {
        let copies = u64::from(copies(at, record.source));
        let size = &mut sizes[record.source as usize];
        if copies == 0 {
            continue;
        }
        match reader.left_out(record) {
            Some(reason) => *size.left_out.entry(reason).or_default() += copies,
            None => {
                size.samples += copies;
                size.tokens += copies * u64::from(record.train_tokens);
                size.loss_tokens += copies * u64::from(record.loss_tokens);
            }
        }
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_trainer() {
        let chats = |max_seq_len| Reader { mix: MixKind::Chat, max_seq_len };
        let reason = |train_tokens, loss_tokens| {
            let record = Record { train_tokens, loss_tokens, ..Record::default() };
            chats(Some(100)).left_out(&record).map(LeftOut::reason)
        };
        assert_eq!(reason(19, 5), Some("too_short"));
        assert_eq!(reason(20, 5), None);
        assert_eq!(reason(99, 5), None);
        assert_eq!(reason(100, 5), Some("too_long"));
        assert_eq!(reason(50, 0), Some("no_loss_tokens"));
        assert_eq!(reason(0, 0), Some("unbalanced_markers"));
        let long = Record { train_tokens: u32::MAX, loss_tokens: 1, ..Record::default() };
        assert_eq!(chats(None).left_out(&long), None);
        let short = Record { train_tokens: 2, loss_tokens: 2, ..Record::default() };
        assert_eq!(Reader { mix: MixKind::Document, max_seq_len: Some(1) }.left_out(&short), None);
    }
}
