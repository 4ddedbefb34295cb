//! What the word cache keeps of a piece of text: how many tokens it has, or which.

use tokenizers::Token;

/// The encoded form of a piece of text. That of a text is the sum of its pieces'.
pub(crate) trait Pieces: Default + Send {
    /// What a cache keeps of a piece.
    type Cached: Send;

    /// Appends tokens that the model or the list of added tokens gives.
    fn push_tokens(&mut self, tokens: &[Token]);

    /// Appends one token by its id.
    fn push_id(&mut self, id: u32);

    /// Appends what a cache has kept.
    fn push_cached(&mut self, cached: &Self::Cached);

    /// What a cache keeps of this piece.
    fn to_cached(&self) -> Self::Cached;

    /// The memory that an entry takes in a cache, in units of a cached number.
    fn weight(cached: &Self::Cached) -> usize;

    /// How this differs from what the reference gives for the same text; `None` if it does not.
    fn difference(&self, reference: &Self) -> Option<String>;
}

/// The number of tokens.
impl Pieces for u32 {
    type Cached = u32;

    fn push_tokens(&mut self, tokens: &[Token]) {
        *self += tokens.len() as u32;
    }

    fn push_id(&mut self, _: u32) {
        *self += 1;
    }

    fn push_cached(&mut self, cached: &u32) {
        *self += cached;
    }

    fn to_cached(&self) -> u32 {
        *self
    }

    fn weight(_: &u32) -> usize {
        1
    }

    fn difference(&self, reference: &u32) -> Option<String> {
        (self != reference).then(|| format!("{self} tokens where tokenizers finds {reference}"))
    }
}

/// The ids of the tokens.
impl Pieces for Vec<u32> {
    type Cached = Box<[u32]>;

    fn push_tokens(&mut self, tokens: &[Token]) {
        self.extend(tokens.iter().map(|token| token.id));
    }

    fn push_id(&mut self, id: u32) {
        self.push(id);
    }

    fn push_cached(&mut self, cached: &Box<[u32]>) {
        self.extend_from_slice(cached);
    }

    fn to_cached(&self) -> Box<[u32]> {
        self.as_slice().into()
    }

    fn weight(cached: &Box<[u32]>) -> usize {
        // The allocation and its bookkeeping, in entries of 24 bytes.
        2 + cached.len() / 6
    }

    fn difference(&self, reference: &Self) -> Option<String> {
        if self == reference {
            return None;
        }
        let same = self.iter().zip(reference).take_while(|(ours, theirs)| ours == theirs).count();
        Some(format!("other ids than tokenizers from token {} on", same + 1))
    }
}
