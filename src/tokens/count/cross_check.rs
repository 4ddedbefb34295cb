//! Compares the word cache with the reference on a sample of a run's texts.

use super::backend::TextEncoder;
use super::pieces::Pieces;
use super::texts::TextSource;
use crate::error::Result;
use rayon::prelude::*;

/// Number of texts at the start of a run that are compared.
const FIRST: usize = 16;
/// After these, one text in this many is compared. The reference takes some ten times as long for a text.
const EVERY: usize = 256;
/// At most about this many texts are compared.
const MAX_TEXTS: usize = 1024;
/// Of each text, at most this many bytes are compared: `tokenizers` needs 120 MB of memory for 1 MB of text.
const MAX_BYTES: usize = 64 << 10;

/// The first difference from the reference, by index, if there is one. Runs on the calling thread's pool.
///
/// # Errors
/// Those of the caller's text and check.
pub(super) fn first_difference<E: Pieces>(
    reference: &dyn TextEncoder<E>,
    cache: &dyn TextEncoder<E>,
    texts: &TextSource<'_>,
) -> Result<Option<String>> {
    let differences: Vec<Option<String>> = sample(texts.count)
        .par_iter()
        .with_max_len(1)
        .map_init(String::new, |buffer, &index| {
            (texts.check)()?;
            let text = texts.get(index, buffer)?;
            // The start of a text is a text, on which both must agree as well.
            let start = &text[..text.floor_char_boundary(MAX_BYTES)];
            Ok(difference(reference, cache, index, start))
        })
        .collect::<Result<_>>()?;
    Ok(differences.into_iter().flatten().next())
}

/// The indices of the texts to compare: the first ones, then evenly spread ones.
fn sample(count: usize) -> Vec<usize> {
    let every = EVERY.max(count.div_ceil(MAX_TEXTS));
    (0..count.min(FIRST)).chain((FIRST..count).step_by(every)).collect()
}

fn difference<E: Pieces>(
    reference: &dyn TextEncoder<E>,
    cache: &dyn TextEncoder<E>,
    index: usize,
    text: &str,
) -> Option<String> {
    match (reference.encode(text), cache.encode(text)) {
        (Ok(expected), Ok(actual)) => {
            Some(format!("the word cache finds {} in text {index}", actual.difference(&expected)?))
        }
        (Ok(_), Err(why)) => Some(format!("the word cache cannot encode text {index}: {why}")),
        // The reference fails again when it encodes everything.
        (Err(why), _) => Some(format!("tokenizers cannot encode text {index}: {why}")),
    }
}
