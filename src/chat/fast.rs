//! `fastokens`: the same ids as `tokenizers`, ten times as fast, for the tokenizers that it supports.

use super::config::Token;
use super::counter::Count;
use fastokens::NewToken;
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

const WHOLE_WORD: &str = "a token matches only as a whole word";

/// The fast backend, loaded.
pub(super) struct Fast {
    tokenizer: fastokens::Tokenizer,
    /// Tokens that the post-processor adds to each text, which this backend leaves to its caller.
    specials: u32,
}

impl Fast {
    /// Loads `tokenizer.json`, or says why this tokenizer cannot be counted fast.
    pub(super) fn load(tokenizer_json: &[u8]) -> Result<Self, String> {
        // A library that parses what a user brings may have a panic left in it; the authority is there to take over.
        catch_unwind(AssertUnwindSafe(|| Self::build(tokenizer_json)))
            .unwrap_or_else(|_| Err("it panicked while loading".into()))
    }

    /// Adds what the authority has found out in the meantime: `tokens` that the configuration names, and how many tokens
    /// the post-processor adds to each text.
    pub(super) fn complete(mut self, tokens: &[Token], specials: u32) -> Result<Self, String> {
        if tokens.iter().any(|t| t.single_word) {
            return Err(WHOLE_WORD.into());
        }
        let tokens: Vec<NewToken> = tokens
            .iter()
            .map(|t| NewToken {
                content: t.content.clone(),
                single_word: t.single_word,
                lstrip: t.lstrip,
                rstrip: t.rstrip,
                normalized: t.normalized,
                special: t.special,
            })
            .collect();
        let added = catch_unwind(AssertUnwindSafe(|| self.tokenizer.add_tokens(&tokens).map_err(|e| e.to_string())));
        added.unwrap_or_else(|_| Err("it panicked while loading".into()))?;
        self.specials = specials;
        Ok(self)
    }

    fn build(tokenizer_json: &[u8]) -> Result<Self, String> {
        let mut json: Value = serde_json::from_slice(tokenizer_json).map_err(|e| e.to_string())?;
        let Some(object) = json.as_object_mut() else { return Err("the file holds no JSON object".into()) };
        for section in ["truncation", "padding", "post_processor", "decoder"] {
            object.shift_remove(section);
        }
        let added = object.get("added_tokens").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        // It records the flag, but matches such a token inside words as well.
        if added.iter().any(|t| t["single_word"] == Value::Bool(true)) {
            return Err(WHOLE_WORD.into());
        }
        let tokenizer = fastokens::Tokenizer::from_json(json).map_err(|e| e.to_string())?;
        Ok(Self { tokenizer, specials: 0 })
    }
}

impl Count for Fast {
    fn count(&self, text: &str) -> Result<u32, String> {
        match catch_unwind(AssertUnwindSafe(|| self.tokenizer.encode(text))) {
            Ok(Ok(ids)) => Ok((ids.len() as u32).saturating_add(self.specials)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it panicked".into()),
        }
    }
}
