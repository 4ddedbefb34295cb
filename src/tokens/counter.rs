//! The tokenizer that has the last word on counts, and those that count in its place because they are quicker.

use super::TokenizerFiles;
use super::config::{Config, Token};
use super::fast::Fast;
use super::words::{Splitter, Words};
use crate::error::{Error, ErrorKind, Result};
use crate::hash_map::lock;
use rayon::ThreadPool;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use tokenizers::{AddedToken, ModelWrapper, Tokenizer};

/// From how many bytes of input on `fastokens` is loaded while they are read, where words can be counted: they will most likely
/// repeat too little then. It takes up to a second to load and holds some 90 MB.
const BESIDE_WORDS: u64 = 16 << 30;
/// The same where words cannot be counted, and it makes all the difference.
const BESIDE_AUTHORITY: u64 = 128 << 20;
/// From how many bytes of text on the authority alone would take longer than `fastokens` with its loading.
const LONG_FOR_AUTHORITY: u64 = 16 << 20;

/// Something that counts a text's tokens, special tokens included.
pub(super) trait Count: Send + Sync {
    /// The number of tokens, or why there is none.
    fn count(&self, text: &str) -> Result<u32, String>;

    /// Whether it still seems quicker than loading `fastokens`.
    fn is_quick(&self) -> bool {
        true
    }
}

/// `tokenizers` with one folder's `tokenizer.json`: the authority.
pub(super) struct Authority {
    tokenizer: Tokenizer,
}

impl Authority {
    pub(super) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
}

impl Count for Authority {
    fn count(&self, text: &str) -> Result<u32, String> {
        self.tokenizer.encode_fast(text, true).map(|e| e.len() as u32).map_err(|e| e.to_string())
    }
}

/// The fast backend on its way.
enum Loading {
    /// Nobody asked for it.
    Not,
    /// A thread of the pool is at it, or will be.
    Running(Receiver<Result<Fast, String>>),
    /// It is there, or why it is not.
    Done(Result<Arc<dyn Count>, String>),
}

/// Counts tokens as transformers does. Cheap to share between threads.
pub(crate) struct Counter {
    pub(super) authority: Arc<dyn Count>,
    /// Counts word by word, where the tokenizer allows it.
    pub(super) words: Option<Arc<dyn Count>>,
    file: bytes::Bytes,
    /// What the fast backend needs besides the file, the tokens to add and the number of the post-processor's tokens; or
    /// why it cannot count for this tokenizer.
    additions: Result<(Vec<Token>, u32), String>,
    fast: Mutex<Loading>,
    info: OnceLock<String>,
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counter").finish_non_exhaustive()
    }
}

impl Counter {
    /// Loads the authority (`tokenizers`) and nothing else.
    ///
    /// # Errors
    /// Where `tokenizer.json` or the configuration cannot be read as such.
    pub(crate) fn authority(files: &TokenizerFiles) -> Result<Self> {
        Self::with_words(files, None)
    }

    /// Loads the authority, what counts word by word, and, for a large input, `fastokens` with its vocabulary beside them.
    ///
    /// On the pool: what a run waits for before it counts should have a core to itself, however much is read meanwhile.
    ///
    /// # Errors
    /// As [`Counter::authority`].
    pub(crate) fn load(files: &TokenizerFiles, input_bytes: u64, pool: &ThreadPool) -> Result<Self> {
        let splitter = Splitter::load(&files.tokenizer_json).ok();
        let large = if splitter.is_some() { BESIDE_WORDS } else { BESIDE_AUTHORITY };
        let fast = (input_bytes >= large).then(|| start_loading(&files.tokenizer_json, pool));
        let mut counter = pool.install(|| Self::with_words(files, splitter))?;
        if let Some(fast) = fast {
            counter.fast = Mutex::new(match &counter.additions {
                Err(why) => Loading::Done(Err(why.clone())),
                Ok(_) => fast,
            });
        }
        Ok(counter)
    }

    fn with_words(files: &TokenizerFiles, splitter: Option<Splitter>) -> Result<Self> {
        let config = Config::load(files)?;
        let place = files.file("tokenizer.json");
        let bad = |message: String| {
            Error::new(ErrorKind::Data, format!("the tokenizers library cannot load it: {message}"))
                .at(&place)
                .hint("give a tokenizer that transformers loads as a fast tokenizer")
        };
        let mut tokenizer = Tokenizer::from_bytes(&files.tokenizer_json).map_err(|e| bad(e.to_string()))?;
        if let ModelWrapper::BPE(model) = tokenizer.get_model()
            && model.dropout.is_some_and(|dropout| dropout > 0.0)
        {
            return Err(Error::new(
                ErrorKind::Data,
                "the model has a dropout: it would give other counts in every run",
            )
            .at(&place)
            .hint("set `dropout` to null in the file's `model`"));
        }
        tokenizer.with_truncation(None).map_err(|e| bad(e.to_string()))?;
        tokenizer.with_padding(None);
        let known: Vec<Token> = tokenizer.get_added_tokens_decoder().values().map(known).collect();
        let tokens = config.tokens_to_add(&known);
        tokenizer.add_tokens(tokens.iter().map(added)).map_err(|e| bad(e.to_string()))?;
        tokenizer.set_encode_special_tokens(config.splits_special_tokens());
        let additions = match specials(&tokenizer) {
            _ if config.splits_special_tokens() => Err("the tokenizer reads special tokens as plain text".to_owned()),
            Some(specials) => Ok((tokens, specials)),
            None => Err("the post-processor does not add the same number of tokens to every text".to_owned()),
        };
        let authority = Arc::new(Authority { tokenizer });
        let words = splitter.and_then(|splitter| {
            let (tokens, specials) = additions.as_ref().ok()?;
            Words::new(splitter, Arc::clone(&authority), tokens, *specials).ok()
        });
        Ok(Self {
            authority,
            words: words.map(|words| Arc::new(words) as Arc<dyn Count>),
            file: files.tokenizer_json.clone(),
            additions,
            fast: Mutex::new(Loading::Not),
            info: OnceLock::new(),
        })
    }

    /// Starts loading `fastokens` on the pool, where `text_bytes` to count are worth it and words cannot be counted, which are
    /// tried first. Calling it twice loads once.
    pub(crate) fn load_fast_in_background(&self, text_bytes: u64, pool: &ThreadPool) {
        if self.words.is_none() && text_bytes >= LONG_FOR_AUTHORITY {
            self.load_fast(pool);
        }
    }

    /// Starts loading `fastokens` on the pool, unless it was started.
    pub(super) fn load_fast(&self, pool: &ThreadPool) {
        let mut slot = lock(&self.fast);
        if matches!(*slot, Loading::Not) {
            *slot = match &self.additions {
                Err(why) => Loading::Done(Err(why.clone())),
                Ok(_) => start_loading(&self.file, pool),
            };
        }
    }

    /// One text's length in tokens, by the authority.
    ///
    /// # Errors
    /// Where the tokenizer cannot encode the text.
    pub(crate) fn count(&self, text: &str) -> Result<u32> {
        self.authority.count(text).map_err(|why| cannot_encode(format!("the tokenizer cannot encode a text: {why}")))
    }

    /// The fast backend, if it was asked for and loads; waits for it, so a thread of the pool must not call it.
    pub(super) fn fast(&self) -> Option<Arc<dyn Count>> {
        let mut slot = lock(&self.fast);
        if let Loading::Running(_) = *slot
            && let Loading::Running(loading) = std::mem::replace(&mut *slot, Loading::Not)
        {
            let fast = loading.recv().unwrap_or_else(|_| Err("it panicked while loading".into()));
            let fast = fast.and_then(|fast| match &self.additions {
                Ok((tokens, specials)) => fast.complete(tokens, *specials),
                Err(why) => Err(why.clone()),
            });
            *slot = Loading::Done(fast.map(|fast| Arc::new(fast) as Arc<dyn Count>));
        }
        match &*slot {
            Loading::Done(Ok(fast)) => Some(fast.clone()),
            Loading::Done(Err(why)) => {
                let _ = self.info.set(format!("fastokens does not support this tokenizer: {why}"));
                None
            }
            _ => None,
        }
    }

    /// Why the fast backend was asked for and is not there.
    pub(super) fn info(&self) -> Option<String> {
        self.info.get().cloned()
    }

    /// A counter with stand-ins for the backends.
    #[cfg(test)]
    pub(super) fn with(
        authority: Arc<dyn Count>,
        words: Option<Arc<dyn Count>>,
        fast: Result<Arc<dyn Count>, String>,
    ) -> Self {
        let fast = Mutex::new(Loading::Done(fast));
        Self { authority, words, file: bytes::Bytes::new(), additions: Err(String::new()), fast, info: OnceLock::new() }
    }
}

fn start_loading(file: &bytes::Bytes, pool: &ThreadPool) -> Loading {
    let file = file.clone();
    let (tell, told) = sync_channel(1);
    pool.spawn(move || {
        // Nobody listens where the run has ended already.
        let _ = tell.send(Fast::load(&file));
    });
    Loading::Running(told)
}

/// A text that the authority cannot encode.
pub(super) fn cannot_encode(why: String) -> Error {
    Error::new(ErrorKind::Data, why)
}

/// How many tokens the post-processor adds to a text, where that is the same for every text.
fn specials(tokenizer: &Tokenizer) -> Option<u32> {
    let added = |text: &str| {
        let with = tokenizer.encode_fast(text, true).ok()?.len();
        let without = tokenizer.encode_fast(text, false).ok()?.len();
        with.checked_sub(without)
    };
    let probes = ["", "x", "a longer text, with\nlines and 123 numbers", "<s></s>", "\u{e9}\u{4e2d}\u{1f600}"];
    let first = added(probes[0])?;
    probes.iter().all(|text| added(text) == Some(first)).then_some(first as u32)
}

fn known(token: &AddedToken) -> Token {
    Token {
        content: token.content.clone(),
        single_word: token.single_word,
        lstrip: token.lstrip,
        rstrip: token.rstrip,
        normalized: token.normalized,
        special: token.special,
    }
}

fn added(token: &Token) -> AddedToken {
    AddedToken {
        content: token.content.clone(),
        single_word: token.single_word,
        lstrip: token.lstrip,
        rstrip: token.rstrip,
        normalized: token.normalized,
        special: token.special,
    }
}
