//! What a trainer will do with a mix: what it drops, and how many steps it takes.
//!
//! The trainers are training_hub's: instructlab-training 0.16.2 (`sft`) and mini-trainer 0.9.0 (`osft`). Both shuffle the samples of
//! each epoch, take `effective_batch_size` of them at a time, drop those longer than `max_tokens_per_gpu`, and pack the rest into
//! micro-batches of at most that many tokens for each GPU, longest first, each onto the GPU with the least
//! (`EpochSampler`, `MaxTokensPerRankCollator`, `batch_packer.py`).

use super::left_out::{LeftOut, Reader};
use super::plan::CutPlan;
use super::row::Row;
use crate::manifest::{MixKind, Preflight};
use std::collections::BTreeMap;

/// The reason for samples that are dropped from their batch.
pub(crate) const OVER_MAX_TOKENS_PER_GPU: &str = "over_max_tokens_per_gpu";

/// How a mix will be trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PreflightOptions {
    /// The sequence length at which samples are dropped.
    pub(crate) max_seq_len: Option<u32>,
    /// The tokens that a GPU takes at a time.
    pub(crate) max_tokens_per_gpu: Option<u32>,
    /// The samples of a step.
    pub(crate) effective_batch_size: Option<u32>,
    /// The number of GPUs.
    pub(crate) gpus: Option<u32>,
    /// The number of epochs.
    pub(crate) epochs: Option<u32>,
    /// The tokens of a block in which documents are read.
    pub(crate) block_size: Option<u32>,
}

impl PreflightOptions {
    /// Whether anything is given that says how a mix of this kind is trained.
    pub(crate) fn is_requested(&self, mix: MixKind) -> bool {
        match mix {
            MixKind::Chat => Self { block_size: None, ..*self } != Self::default(),
            MixKind::Document => Self { max_seq_len: None, ..*self } != Self::default(),
        }
    }
}

/// What a trainer will do with the mix of a cut. Needs rows whose training tokens are counted.
pub(crate) fn preflight(plan: &CutPlan, rows: &[Row], options: &PreflightOptions) -> Preflight {
    let reader = Reader { mix: plan.mix, max_seq_len: options.max_seq_len };
    let lengths = rows.iter().enumerate().map(|(at, row)| {
        let left_out = reader.left_out(&row.record).map(LeftOut::reason);
        let copies = u64::from(plan.copies(at, row.record.source));
        SampleLength { tokens: row.record.train_tokens, loss_tokens: row.record.loss_tokens, copies, left_out }
    });
    of_lengths(lengths, options)
}

/// What a trainer will do with the document mix of a cut.
///
/// It reads the documents one after the other and cuts their tokens into blocks of `block_size`, the last of which it pads
/// (`PretrainingBlockDataset` in `instructlab.training.sampler`). These blocks are its samples. The first token of a block is never
/// predicted.
pub(crate) fn document_preflight(plan: &CutPlan, options: &PreflightOptions) -> Preflight {
    let size = plan.actual();
    preflight_of_documents(size.samples, size.tokens, options)
}

/// What a trainer will do with the documents of a mix, given their number and tokens.
pub(crate) fn preflight_of_documents(samples: u64, tokens: u64, options: &PreflightOptions) -> Preflight {
    let block_size = options.block_size.map(u64::from);
    let blocks = block_size.map(|size| tokens.div_ceil(size));
    let mut preflight = Preflight {
        samples,
        tokens,
        loss_tokens: tokens - blocks.unwrap_or(0).min(tokens),
        blocks,
        ..Preflight::default()
    };
    let (Some(block_size), Some(blocks)) = (block_size, blocks) else { return preflight };
    if options.max_tokens_per_gpu.is_some_and(|most| u64::from(most) < block_size) {
        // Every block is longer than what a GPU takes: nothing is left to train on.
        preflight.dropped.insert(OVER_MAX_TOKENS_PER_GPU.to_owned(), samples);
        (preflight.samples, preflight.tokens, preflight.loss_tokens) = (0, 0, 0);
    }
    let steps = options.effective_batch_size.map(|batch| steps_per_epoch(preflight.samples, blocks, batch));
    preflight.steps_per_epoch = steps;
    preflight.steps = steps.map(|steps| steps * u64::from(options.epochs.unwrap_or(1)));
    preflight.tokens_per_step = steps.filter(|steps| *steps > 0).map(|steps| preflight.tokens / steps);
    if preflight.dropped.is_empty() {
        let capacity = |most: u32| u64::from(most) * u64::from(options.gpus.unwrap_or(1));
        let bounds = steps.zip(options.max_tokens_per_gpu);
        preflight.micro_batches =
            bounds.map(|(steps, most)| micro_batches(steps, blocks, blocks * block_size, capacity(most)));
        preflight.balance_percent =
            preflight.micro_batches.zip(options.max_tokens_per_gpu).map(|([_, at_most], most)| {
                (blocks * block_size * 100).checked_div(at_most * capacity(most)).unwrap_or(100).min(100)
            });
    }
    preflight
}

/// A sample, as far as preflight is concerned.
#[derive(Debug, Clone, Copy)]
struct SampleLength {
    tokens: u32,
    loss_tokens: u32,
    copies: u64,
    left_out: Option<&'static str>,
}

/// The samples of a mix that a trainer does not leave out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PreflightSums {
    /// Those that fit into a GPU.
    pub(crate) samples: u64,
    /// Their tokens.
    pub(crate) tokens: u64,
    /// Those of them that count for the loss.
    pub(crate) loss_tokens: u64,
    /// Those that do not fit into a GPU.
    pub(crate) over: u64,
}

fn of_lengths(lengths: impl Iterator<Item = SampleLength>, options: &PreflightOptions) -> Preflight {
    let mut sums = PreflightSums::default();
    let mut dropped: BTreeMap<String, u64> = BTreeMap::new();
    for length in lengths.filter(|length| length.copies > 0) {
        if let Some(reason) = length.left_out {
            *dropped.entry(reason.to_owned()).or_default() += length.copies;
        } else if options.max_tokens_per_gpu.is_some_and(|most| length.tokens > most) {
            sums.over += length.copies;
        } else {
            sums.samples += length.copies;
            sums.tokens += u64::from(length.tokens) * length.copies;
            sums.loss_tokens += u64::from(length.loss_tokens) * length.copies;
        }
    }
    preflight_of_sums(sums, dropped, options)
}

/// What a trainer will do with samples, given their sums and those that it leaves out, by reason.
pub(crate) fn preflight_of_sums(
    sums: PreflightSums,
    mut dropped: BTreeMap<String, u64>,
    options: &PreflightOptions,
) -> Preflight {
    let PreflightSums { samples, tokens, loss_tokens, over } = sums;
    if over > 0 {
        dropped.insert(OVER_MAX_TOKENS_PER_GPU.to_owned(), over);
    }
    // A sample that is dropped from its batch still takes a place in it.
    let steps_per_epoch = options.effective_batch_size.map(|batch| steps_per_epoch(samples, samples + over, batch));
    let micro_batches = steps_per_epoch.zip(options.max_tokens_per_gpu).map(|(steps, most)| {
        micro_batches(steps, samples, tokens, u64::from(most) * u64::from(options.gpus.unwrap_or(1)))
    });
    Preflight {
        samples,
        tokens,
        loss_tokens,
        dropped,
        steps_per_epoch,
        steps: steps_per_epoch.map(|steps| steps * u64::from(options.epochs.unwrap_or(1))),
        tokens_per_step: steps_per_epoch.filter(|steps| *steps > 0).map(|steps| tokens / steps),
        micro_batches,
        blocks: None,
        balance_percent: micro_batches.zip(options.max_tokens_per_gpu).map(|([_, most], per_gpu)| {
            let capacity = most * u64::from(per_gpu) * u64::from(options.gpus.unwrap_or(1));
            (tokens * 100).checked_div(capacity).unwrap_or(100)
        }),
    }
}

/// The steps of an epoch in which batches are made of `placed` samples or blocks. If none of these is left to train on, there is no
/// step: the trainer ends with an error at its first batch, which is empty (`BatchLossManager.process_batch` reads `batch[0]`).
fn steps_per_epoch(trained: u64, placed: u64, batch: u32) -> u64 {
    if trained == 0 { 0 } else { placed.div_ceil(batch.into()) }
}

/// Bounds of the number of micro-batches of each GPU in an epoch, whatever the order of samples; `capacity` is what all GPUs take
/// in one micro-batch.
///
/// At least one for each step, and enough for all tokens. At most: all micro-batches of a step but its last hold more than half of
/// the capacity. For a sample did not fit into any GPU; if it has at most half of what a GPU takes, every GPU holds more than the
/// other half, and if it has more, every GPU holds a sample that is no shorter.
fn micro_batches(steps: u64, samples: u64, tokens: u64, capacity: u64) -> [u64; 2] {
    let at_least = steps.max(tokens.div_ceil(capacity));
    let at_most = steps + tokens.saturating_mul(2) / capacity;
    [at_least, at_most.min(steps + samples).max(at_least)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Packs one batch as the trainers do; returns what each GPU has in each micro-batch.
    fn pack(mut lengths: Vec<u64>, per_gpu: u64, gpus: usize) -> Vec<Vec<u64>> {
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        let mut micro_batches = vec![vec![0; gpus]];
        for length in lengths {
            let loads = micro_batches.last_mut().unwrap();
            let least = (0..gpus).min_by_key(|gpu| loads[*gpu]).unwrap();
            if loads[least] + length > per_gpu {
                micro_batches.push(vec![0; gpus]);
            }
            let loads = micro_batches.last_mut().unwrap();
            let least = (0..gpus).min_by_key(|gpu| loads[*gpu]).unwrap();
            loads[least] += length;
        }
        micro_batches
    }

    fn sample((tokens, loss_tokens, copies): (u32, u32, u64)) -> SampleLength {
        SampleLength { tokens, loss_tokens, copies, left_out: (tokens < 20).then_some("too_short") }
    }

    #[test]
    fn what_is_dropped_from_its_batch_still_takes_a_place() {
        let options = PreflightOptions {
            max_tokens_per_gpu: Some(100),
            effective_batch_size: Some(2),
            gpus: Some(2),
            epochs: Some(3),
            ..PreflightOptions::default()
        };
        let lengths = [(10, 1, 1), (50, 5, 2), (101, 9, 1), (100, 10, 2)].map(sample);
        let made = of_lengths(lengths.into_iter(), &options);
        assert_eq!((made.samples, made.tokens, made.loss_tokens), (4, 300, 30));
        assert_eq!(made.dropped, [("too_short".into(), 1), ("over_max_tokens_per_gpu".into(), 1)].into());
        assert_eq!((made.steps_per_epoch, made.steps, made.tokens_per_step), (Some(3), Some(9), Some(100)));
        assert_eq!(made.micro_batches, Some([3, 6]));
        assert_eq!(made.balance_percent, Some(25));
        let nothing = of_lengths(std::iter::empty(), &options);
        assert_eq!((nothing.steps, nothing.tokens_per_step, nothing.balance_percent), (Some(0), None, Some(100)));
    }

    #[test]
    fn documents_are_read_in_blocks() {
        let options = PreflightOptions {
            block_size: Some(100),
            effective_batch_size: Some(4),
            epochs: Some(2),
            ..PreflightOptions::default()
        };
        let made = preflight_of_documents(7, 1001, &options);
        assert_eq!((made.samples, made.tokens, made.blocks, made.loss_tokens), (7, 1001, Some(11), 990));
        assert_eq!((made.steps_per_epoch, made.steps, made.tokens_per_step), (Some(3), Some(6), Some(333)));
        assert_eq!(preflight_of_documents(7, 1000, &options).blocks, Some(10));
        let too_small = PreflightOptions { max_tokens_per_gpu: Some(99), ..options };
        let made = preflight_of_documents(7, 1001, &too_small);
        assert_eq!((made.samples, made.tokens), (0, 0));
        assert_eq!(made.dropped, [(OVER_MAX_TOKENS_PER_GPU.to_owned(), 7)].into());
        assert_eq!(
            (made.blocks, made.steps_per_epoch, made.steps, made.tokens_per_step),
            (Some(11), Some(0), Some(0), None)
        );
        assert_eq!(preflight_of_documents(7, 1001, &PreflightOptions::default()).blocks, None);
    }

    proptest! {
        /// Whatever the order of samples, the trainers' packing stays within the bounds.
        #[test]
        fn packing_stays_within_the_bounds(
            lengths in prop::collection::vec((20u32..400, 0u32..20, 1u64..3), 1..60),
            per_gpu in 100u32..500,
            batch in 1u32..20,
            gpus in 1u32..6,
            seed in any::<u64>(),
        ) {
            let options = PreflightOptions {
                max_tokens_per_gpu: Some(per_gpu),
                effective_batch_size: Some(batch),
                gpus: Some(gpus),
                ..PreflightOptions::default()
            };
            let made = of_lengths(lengths.iter().copied().map(sample), &options);
            let mut all: Vec<u64> =
                lengths.iter().flat_map(|(tokens, _, copies)| (0..*copies).map(|_| u64::from(*tokens))).collect();
            let mut state = seed;
            all.sort_by_cached_key(|length| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(*length);
                state
            });
            let (mut steps, mut micro_batches, mut longest) = (0, 0, 0);
            for batch in all.chunks(batch as usize) {
                let kept = batch.iter().copied().filter(|length| *length <= per_gpu.into()).collect();
                let packed = pack(kept, per_gpu.into(), gpus as usize);
                steps += 1;
                micro_batches += packed.len() as u64;
                longest += packed.iter().map(|loads| loads.iter().max().unwrap()).sum::<u64>();
            }
            if made.samples == 0 {
                prop_assert_eq!(made.steps_per_epoch, Some(0));
                return Ok(());
            }
            prop_assert_eq!(made.steps_per_epoch, Some(steps));
            let [at_least, at_most] = made.micro_batches.unwrap();
            prop_assert!((at_least..=at_most).contains(&micro_batches), "{micro_batches} {at_least} {at_most}");
            if longest > 0 {
                let balance = made.tokens * 100 / (longest * u64::from(gpus));
                prop_assert!(balance >= made.balance_percent.unwrap());
            }
        }
    }
}
