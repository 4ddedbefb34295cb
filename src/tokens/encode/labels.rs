//! Labels: which tokens of an encoded conversation are trained.
//!
//! The rules are those of `unmask_messages` in `instructlab.training.data_process` (0.16.2), whose markers the ids contain:
//! regions between markers are trained, and after an assistant's region everything up to the next end-of-sequence token. A
//! message's reasoning and content are one region if they are neighbours, with what the template prints between them.

/// The label of a token that is not trained, as PyTorch's cross entropy ignores it.
pub(crate) const NOT_TRAINED: i32 = -100;

/// The ids of the markers around what is trained.
#[derive(Debug, Clone, Copy)]
pub(super) struct MarkerIds {
    pub(super) content: [u32; 2],
    pub(super) reasoning: [u32; 2],
}

impl MarkerIds {
    fn contain(self, id: u32) -> bool {
        self.content.contains(&id) || self.reasoning.contains(&id)
    }

    /// The kind of region that a marker begins, and its end marker.
    fn begun_by(self, id: u32) -> Option<(RegionKind, u32)> {
        match id {
            _ if id == self.content[0] => Some((RegionKind::Content, self.content[1])),
            _ if id == self.reasoning[0] => Some((RegionKind::Reasoning, self.reasoning[1])),
            _ => None,
        }
    }
}

/// A message of which something is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TrainedMessage {
    pub(super) is_assistant: bool,
    pub(super) has_reasoning: bool,
    pub(super) has_content: bool,
}

/// A conversation as the trainer gets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TrainingTokens {
    /// The ids of all tokens.
    pub(crate) input_ids: Vec<u32>,
    /// Whether each of them is trained.
    pub(crate) is_trained: Vec<bool>,
}

impl TrainingTokens {
    /// The number of tokens that count for the loss: the first token of a sequence is never predicted
    /// (`num_loss_counted_tokens` of mini-trainer).
    pub(crate) fn loss_tokens(&self) -> usize {
        self.is_trained.iter().skip(1).filter(|&&trained| trained).count()
    }
}

/// The markers of a conversation do not match: the text contains a marker itself, or the template tears contents apart. The
/// trainer's own processing fails on such a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnbalancedMarkers;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RegionKind {
    Content,
    Reasoning,
}

/// What stands between two markers, which are at `begin` and `end`.
#[derive(Debug, Clone, Copy)]
struct Region {
    begin: usize,
    end: usize,
    kind: RegionKind,
    /// The message that it belongs to.
    message: Option<usize>,
}

/// Removes the markers from `ids` and finds out which of the other tokens are trained. `messages` are those around whose
/// contents markers were put, in order.
///
/// # Errors
/// [`UnbalancedMarkers`]
pub(super) fn label(
    ids: &[u32],
    markers: MarkerIds,
    eos: Option<u32>,
    messages: &[TrainedMessage],
) -> Result<TrainingTokens, UnbalancedMarkers> {
    let mut regions = find_regions(ids, markers)?;
    assign_messages(&mut regions, messages);
    let mut trained = vec![false; ids.len()];
    for Region { begin, end, message, .. } in merge_neighbours(&regions) {
        trained[begin + 1..end].fill(true);
        if message.is_some_and(|message| messages[message].is_assistant)
            && let Some(eos) = eos
        {
            train_up_to_eos(&mut trained, ids, end + 1, markers, eos);
        }
    }
    let mut tokens = TrainingTokens::default();
    for (&id, &is_trained) in ids.iter().zip(&trained).filter(|(id, _)| !markers.contain(**id)) {
        tokens.input_ids.push(id);
        tokens.is_trained.push(is_trained);
    }
    Ok(tokens)
}

/// The regions between markers. A region ends at the first end marker of its kind; markers of the other kind inside it are
/// passed over.
fn find_regions(ids: &[u32], markers: MarkerIds) -> Result<Vec<Region>, UnbalancedMarkers> {
    let mut regions = Vec::new();
    let mut at = 0;
    while at < ids.len() {
        if let Some((kind, end_marker)) = markers.begun_by(ids[at]) {
            let length = ids[at + 1..].iter().position(|&id| id == end_marker).ok_or(UnbalancedMarkers)?;
            let end = at + 1 + length;
            if ids[at + 1..end].contains(&ids[at]) {
                return Err(UnbalancedMarkers);
            }
            regions.push(Region { begin: at, end, kind, message: None });
            at = end;
        } else if markers.contain(ids[at]) {
            return Err(UnbalancedMarkers);
        }
        at += 1;
    }
    Ok(regions)
}

/// Gives each message the next regions of the kinds that it should have: its reasoning, then its content. Regions of other kinds
/// in between belong to no message; a message whose region the template does not print takes that of a later one.
fn assign_messages(regions: &mut [Region], messages: &[TrainedMessage]) {
    let mut rest = regions.iter_mut();
    for (number, message) in messages.iter().enumerate() {
        let expected = [(RegionKind::Reasoning, message.has_reasoning), (RegionKind::Content, message.has_content)];
        for (kind, _) in expected.into_iter().filter(|(_, expected)| *expected) {
            if let Some(region) = rest.find(|region| region.kind == kind) {
                region.message = Some(number);
            }
        }
    }
}

/// Makes one region of two neighbours that belong to the same message.
fn merge_neighbours(regions: &[Region]) -> Vec<Region> {
    let mut merged: Vec<Region> = Vec::with_capacity(regions.len());
    let mut rest = regions.iter().copied().peekable();
    while let Some(mut region) = rest.next() {
        if let Some(next) = rest.next_if(|next| region.message.is_some() && next.message == region.message) {
            region.end = next.end;
        }
        merged.push(region);
    }
    merged
}

/// Trains the tokens from `start` up to the first end-of-sequence token, if it comes before the next region.
fn train_up_to_eos(trained: &mut [bool], ids: &[u32], start: usize, markers: MarkerIds, eos: u32) {
    let stop = ids[start..].iter().position(|&id| id == eos || markers.begun_by(id).is_some());
    if let Some(length) = stop
        && ids[start + length] == eos
    {
        trained[start..=start + length].fill(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKERS: MarkerIds = MarkerIds { content: [90, 91], reasoning: [92, 93] };
    const EOS: u32 = 99;
    const USER: TrainedMessage = TrainedMessage { is_assistant: false, has_reasoning: false, has_content: true };
    const ASSISTANT: TrainedMessage = TrainedMessage { is_assistant: true, ..USER };
    const REASONING: TrainedMessage = TrainedMessage { has_reasoning: true, ..ASSISTANT };

    /// The tokens; those that are not trained in parentheses.
    fn labelled(ids: &[u32], messages: &[TrainedMessage]) -> String {
        match label(ids, MARKERS, Some(EOS), messages) {
            Ok(tokens) => {
                let shown = tokens.input_ids.iter().zip(&tokens.is_trained);
                let shown = shown.map(|(id, trained)| if *trained { id.to_string() } else { format!("({id})") });
                format!("{} loss {}", shown.collect::<Vec<_>>().join(" "), tokens.loss_tokens())
            }
            Err(UnbalancedMarkers) => "unbalanced".to_owned(),
        }
    }

    #[test]
    fn contents_are_trained_and_headers_are_not() {
        let pair = [1, 90, 2, 3, 91, EOS, 4, 90, 5, 91, 6, EOS, 7];
        assert_eq!(labelled(&pair, &[USER, ASSISTANT]), "(1) 2 3 (99) (4) 5 6 99 (7) loss 5");
        assert_eq!(labelled(&[1, 2, EOS, 4, 90, 5, 91, 6, EOS], &[ASSISTANT]), "(1) (2) (99) (4) 5 6 99 loss 3");
    }

    #[test]
    fn the_first_token_never_counts_for_the_loss() {
        assert_eq!(labelled(&[90, 5, 6, 91], &[USER]), "5 6 loss 1");
        assert_eq!(labelled(&[90, 91], &[USER]), " loss 0");
        assert_eq!(labelled(&[], &[]), " loss 0");
    }

    #[test]
    fn eos_is_trained_only_before_the_next_region() {
        let turns = [90, 5, 91, 8, 90, 6, 91, 7, EOS];
        assert_eq!(labelled(&turns, &[ASSISTANT, ASSISTANT]), "5 (8) 6 7 99 loss 3");
        assert_eq!(labelled(&[90, 5, 91, 8], &[ASSISTANT]), "5 (8) loss 0");
        // An empty answer is a region, too.
        assert_eq!(labelled(&[1, 90, 91, EOS], &[ASSISTANT]), "(1) 99 loss 1");
    }

    #[test]
    fn reasoning_and_content_are_one_region_with_what_is_between() {
        let ids = [1, 92, 5, 93, 2, 90, 6, 91, EOS];
        assert_eq!(labelled(&ids, &[REASONING]), "(1) 5 2 6 99 loss 4");
        // Not if the template prints the content first: the trainer expects the reasoning there.
        let swapped = [1, 90, 6, 91, 2, 92, 5, 93, EOS];
        assert_eq!(labelled(&swapped, &[REASONING]), "(1) 6 (2) 5 99 loss 3");
    }

    /// The defect that a `"thinking": ""` causes: the trainer expects a region that the template does not print.
    #[test]
    fn reasoning_that_is_not_printed_costs_the_end_of_sequence() {
        assert_eq!(labelled(&[1, 90, 5, 91, EOS], &[REASONING]), "(1) 5 (99) loss 1");
    }

    #[test]
    fn torn_markers_are_an_error() {
        for ids in [&[90, 5][..], &[5, 91], &[5, 93], &[90, 90, 5, 91], &[92, 92, 93], &[92, 5, 90, 91]] {
            assert_eq!(labelled(ids, &[ASSISTANT]), "unbalanced", "{ids:?}");
        }
        // The other kind of marker is passed over within a region.
        assert_eq!(labelled(&[90, 92, 5, 91], &[ASSISTANT]), "5 loss 0");
    }
}
