//! The conversations that reports show: the shortest, the median and the longest of each source, and some that are flagged.

use super::count::SampleCounter;
use super::plan::MixPlan;
use crate::error::Result;
use crate::mixing::{Row, source_ranges};
use crate::recipe::{Flag, Flags};
use crate::report::example::{Example, Message, Role, Why, parts};
use crate::report::format::short;
use crate::report::statistics::{FlagStatistics, FlaggedPair};
use crate::sample::Conversation;
use crate::tokens::{TextPart, trained_parts};
use std::ops::Range;

/// The number of conversations shown of all sources together, if each has its minimum.
const EXAMPLES: usize = 40;

/// The number of flagged conversations shown of each source.
const FLAGGED_EXAMPLES: usize = 2;

/// The number of pairs listed for each flag, and the characters of their texts.
const FLAGGED_PAIRS: usize = 3;
const PAIR_SHOWN: usize = 240;

/// The conversations of the largest mix that reports show, by source.
///
/// # Errors
/// If one cannot be rendered.
pub(super) fn examples(samples: &SampleCounter<'_>, plan: &MixPlan, eos: Option<&str>) -> Result<Vec<Example>> {
    let Some(largest) = plan.plans.last() else { return Ok(Vec::new()) };
    let ranges = source_ranges(&plan.rows);
    let most = (EXAMPLES / ranges.len().max(1)).clamp(1, 3 + FLAGGED_EXAMPLES);
    let mut examples = Vec::new();
    for range in ranges {
        let documents = plan.document_plans.last();
        let is_held = |at: usize, source: u32| {
            largest.copies(at, source) > 0 || documents.is_some_and(|documents| documents.copies(at, source) > 0)
        };
        for (at, why) in chosen(range, is_held, &plan.rows, most) {
            examples.push(example(samples, plan, at, why, eos)?);
        }
    }
    Ok(examples)
}

/// The rows of one source that are shown, and why; at most `most`.
fn chosen(range: Range<usize>, is_held: impl Fn(usize, u32) -> bool, rows: &[Row], most: usize) -> Vec<(usize, Why)> {
    let Some(first) = rows.get(range.start) else { return Vec::new() };
    let source = first.record.source;
    let mut held: Vec<usize> = range.filter(|at| is_held(*at, source)).collect();
    if held.is_empty() {
        return Vec::new();
    }
    // Ties by position, so that the choice is the same on every machine.
    let length = |at: &usize| (rows[*at].record.tokens, *at);
    let middle = (held.len() - 1) / 2;
    let mut by_length = held.clone();
    by_length.select_nth_unstable_by_key(middle, length);
    let median = by_length[middle];
    let (shortest, longest) = (held.iter().copied().min_by_key(length), held.iter().copied().max_by_key(length));
    let mut chosen = vec![(median, Why::Median)];
    let mut add = |at: Option<usize>, why: Why| {
        if let Some(at) = at.filter(|at| chosen.len() < most && chosen.iter().all(|(known, _)| known != at)) {
            chosen.push((at, why));
        }
    };
    held.retain(|at| !rows[*at].flags.is_empty());
    let first = held.first().copied();
    add(first, Why::Flagged);
    let known = first.map_or_else(Flags::default, |at| rows[at].flags);
    // Rather another kind of fault than the same one again.
    let other = held.iter().copied().skip(1).find(|at| rows[*at].flags != known).or_else(|| held.get(1).copied());
    add(shortest, Why::Shortest);
    add(longest, Why::Longest);
    add(other, Why::Flagged);
    chosen.sort_by_key(|(_, why)| *why);
    chosen
}

fn example(samples: &SampleCounter<'_>, plan: &MixPlan, at: usize, why: Why, eos: Option<&str>) -> Result<Example> {
    let (row, sample) = (&plan.rows[at], &samples.samples[at]);
    let (source, kind) = (&samples.sources[sample.source as usize], sample.body.kind());
    let conversation = kind.conversation(source, samples.texts);
    let rendered = match conversation {
        // A trainer learns from all of it.
        Conversation::Document(text) => vec![TextPart { text: text.to_owned(), is_trained: true }],
        _ => trained_parts(samples.template, eos, &conversation, kind.is_unmasked(source))?,
    };
    let turns = conversation.turns();
    let question = kind.question(samples.texts);
    let mut messages = Vec::new();
    for (role, text) in &turns {
        let role = Role::of(role);
        let context = match (question, &conversation) {
            (Some(question), _) if role == Role::User => text.len() - question.len(),
            (_, Conversation::Document(_)) => text.len(),
            _ => 0,
        };
        messages.push(Message { role, text, context });
    }
    Ok(Example {
        source: source.name.clone(),
        why,
        tokens: row.record.tokens,
        loss_tokens: plan.trained.is_some().then_some(row.record.loss_tokens),
        flags: row.flags,
        parts: parts(&rendered, &messages),
    })
}

/// The samples with each flag that occurs, whether or not a cut holds them, of the sources that are judged.
pub(super) fn flag_statistics(
    samples: &SampleCounter<'_>,
    rows: &[Row],
    is_judged: &dyn Fn(u32) -> bool,
) -> Vec<FlagStatistics> {
    // Few rows have any flag: all of them are looked at once.
    let any: Vec<usize> =
        (0..rows.len()).filter(|at| !rows[*at].flags.is_empty() && is_judged(rows[*at].record.source)).collect();
    let of_flag = |flag: Flag| {
        let flagged = || any.iter().copied().filter(|at| rows[*at].flags.contains(flag));
        let pairs = flagged().take(FLAGGED_PAIRS).map(|at| flagged_pair(samples, at));
        let statistics = FlagStatistics {
            flag,
            samples: flagged().count() as u64,
            dropped: flagged().filter(|at| !rows[*at].is_kept()).count() as u64,
            examples: pairs.collect(),
        };
        (statistics.samples > 0).then_some(statistics)
    };
    Flag::ALL.into_iter().filter_map(of_flag).collect()
}

fn flagged_pair(samples: &SampleCounter<'_>, at: usize) -> FlaggedPair {
    let sample = &samples.samples[at];
    let (source, kind) = (&samples.sources[sample.source as usize], sample.body.kind());
    let turns = kind.conversation(source, samples.texts).turns();
    let said = |role: &str| turns.iter().find(|(by, _)| by == role).map_or("", |(_, text)| text.as_str());
    // Reasoning comes before the answer.
    let answer = turns.iter().rev().find(|(by, _)| by == "assistant").map_or("", |(_, text)| text.as_str());
    FlaggedPair {
        source: source.name.clone(),
        question: short(kind.question(samples.texts).unwrap_or_else(|| said("user")), PAIR_SHOWN),
        answer: short(answer, PAIR_SHOWN),
    }
}
