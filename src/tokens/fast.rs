//! `fastokens`: the same ids as `tokenizers`, ten times as fast, for the tokenizers that it supports.

use super::config::Token;
use super::counter::Count;
use fastokens::NewToken;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The sections of `tokenizer.json` that counting does without; this library supports fewer kinds of them than there are.
const UNUSED: [&str; 4] = ["truncation", "padding", "post_processor", "decoder"];

/// A library that parses what a user brings may have a panic left in it; the authority is there to take over.
pub(super) fn caught<T>(when: &str, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(format!("it panicked{when}")))
}

/// This library records the flag, but matches such a token inside words as well.
fn refuse_whole_words(single_word: bool) -> Result<(), String> {
    if single_word { Err("a token matches only as a whole word".into()) } else { Ok(()) }
}

/// Adds `tokens` that the configuration names to those of `tokenizer.json`.
pub(super) fn add_tokens(tokenizer: &mut fastokens::Tokenizer, tokens: &[Token]) -> Result<(), String> {
    refuse_whole_words(tokens.iter().any(|token| token.single_word))?;
    let new = |token: &Token| NewToken {
        content: token.content.clone(),
        single_word: token.single_word,
        lstrip: token.lstrip,
        rstrip: token.rstrip,
        normalized: token.normalized,
        special: token.special,
    };
    let tokens: Vec<NewToken> = tokens.iter().map(new).collect();
    caught(WHILE_LOADING, || tokenizer.add_tokens(&tokens).map(drop).map_err(|e| e.to_string()))
}

pub(super) const WHILE_LOADING: &str = " while loading";

/// The fast backend, loaded.
pub(super) struct Fast {
    tokenizer: fastokens::Tokenizer,
    /// Tokens that the post-processor adds to each text, which this backend leaves to its caller.
    specials: u32,
}

impl Fast {
    /// Loads `tokenizer.json`, or says why this tokenizer cannot be counted fast.
    pub(super) fn load(tokenizer_json: &[u8]) -> Result<Self, String> {
        caught(WHILE_LOADING, || Self::build(tokenizer_json))
    }

    /// Adds what the authority has found out in the meantime: `tokens` that the configuration names, and how many tokens
    /// the post-processor adds to each text.
    pub(super) fn complete(mut self, tokens: &[Token], specials: u32) -> Result<Self, String> {
        add_tokens(&mut self.tokenizer, tokens)?;
        self.specials = specials;
        Ok(self)
    }

    fn build(tokenizer_json: &[u8]) -> Result<Self, String> {
        // Each section as the bytes that it is: all but the needed ones are left out, none is built twice.
        let mut sections: BTreeMap<String, &RawValue> =
            serde_json::from_slice(tokenizer_json).map_err(|e| e.to_string())?;
        sections.retain(|name, _| !UNUSED.contains(&name.as_str()));
        let added = sections.get("added_tokens").map_or("[]", |section| section.get());
        let added: Value = serde_json::from_str(added).map_err(|e| e.to_string())?;
        refuse_whole_words(added.as_array().into_iter().flatten().any(|token| token["single_word"] == true))?;
        let needed = serde_json::to_string(&sections).map_err(|e| e.to_string())?;
        let tokenizer = from_text(&needed).map_err(|e| e.to_string())?;
        // Its first text builds a table of the whole vocabulary, for which all threads would wait.
        tokenizer.encode("the first text").map_err(|e| e.to_string())?;
        Ok(Self { tokenizer, specials: 0 })
    }
}

/// The library loads a file sooner than a parsed value, which costs it a tree of a hundred thousand strings first; so it gets a
/// file: one that lies in memory, since a container may have no place to write to.
fn from_text(tokenizer_json: &str) -> Result<fastokens::Tokenizer, fastokens::Error> {
    #[cfg(target_os = "linux")]
    if let Ok(file) = memory_file(tokenizer_json) {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        match fastokens::Tokenizer::from_file(path.as_ref()) {
            // There is no /proc here.
            Err(fastokens::Error::Io(_)) => {}
            loaded => return loaded,
        }
    }
    fastokens::Tokenizer::from_json(serde_json::from_str(tokenizer_json)?)
}

#[cfg(target_os = "linux")]
fn memory_file(text: &str) -> std::io::Result<std::fs::File> {
    use std::io::Write;
    let mut file = std::fs::File::from(rustix::fs::memfd_create("tokenizer.json", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    Ok(file)
}

impl Count for Fast {
    fn count(&self, text: &str) -> Result<u32, String> {
        let ids = caught("", || self.tokenizer.encode(text).map_err(|e| e.to_string()))?;
        Ok((ids.len() as u32).saturating_add(self.specials))
    }
}
