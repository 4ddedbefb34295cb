//! The reference for token counts and ids: the `tokenizers` library with the tokenizer's own files.

use super::backend::TextEncoder;
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::TokenizerRules;
use crate::tokens::config::{Token, TokenizerConfig};
use crate::tokens::files::TokenizerFiles;
use crate::tokens::limits;
use crate::tokens::panics::caught;
use crate::tokens::rules::{self, RuledTokenizer, TextEnds};
use crate::watchdog::Operation;
use std::sync::Arc;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, ModelWrapper, PostProcessorWrapper, Tokenizer};

/// Encodes with `tokenizers`, as transformers does.
#[derive(Debug, Clone)]
pub(super) struct ReferenceEncoder {
    tokenizer: Tokenizer,
    /// Its file, for messages.
    place: String,
    /// Whether the configuration makes special tokens within a text plain text.
    splits_special_tokens: bool,
    /// The id of the end-of-sequence token, if the configuration names one that the tokenizer has.
    eos: Option<u32>,
    encoding: Arc<Operation>,
}

/// The ids that a tokenizer puts around every text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::tokens) struct AroundText {
    pub(in crate::tokens) before: Vec<u32>,
    pub(in crate::tokens) after: Vec<u32>,
}

/// What helps if a tokenizer does not work.
const HINT: &str = "use a tokenizer that transformers loads as a fast tokenizer";

/// Texts that show what a post-processor adds.
const PROBES: [&str; 5] = ["", "x", "a longer text, with\nlines and 123 numbers", "<s></s>", "\u{e9}\u{4e2d}\u{1f600}"];

impl ReferenceEncoder {
    /// Loads a tokenizer by these rules, and adds the tokens of the configuration. Also returns what the rules made of it.
    ///
    /// # Errors
    /// If a file is not valid or exceeds a limit, or the tokenizer is not deterministic.
    pub(super) fn load(files: &TokenizerFiles, rules: TokenizerRules) -> Result<(Self, RuledTokenizer)> {
        let place = files.location_of("tokenizer.json").to_string();
        Operation::new("loading the tokenizer", place, HINT).run(|| Self::load_files(files, rules))
    }

    fn load_files(files: &TokenizerFiles, rules: TokenizerRules) -> Result<(Self, RuledTokenizer)> {
        limits::check(files)?;
        let mut config = TokenizerConfig::load(files)?;
        let ruled = rules::apply(files, &config, rules)?;
        config.add_defaults(&ruled.default_tokens);
        let place = files.location_of("tokenizer.json");
        let invalid = |message: String| {
            Error::new(ErrorKind::Data, format!("not a valid tokenizer: {message}")).at(&place).hint(HINT)
        };
        let mut tokenizer =
            caught(|| Tokenizer::from_bytes(&ruled.json).map_err(|error| error.to_string())).map_err(invalid)?;
        if let ModelWrapper::BPE(model) = tokenizer.get_model()
            && model.dropout.is_some_and(|dropout| dropout > 0.0)
        {
            return Err(Error::new(ErrorKind::Data, "the model uses dropout, so counts would differ between runs")
                .at(&place)
                .hint("set `dropout` to null in the `model` section of the file"));
        }
        caught(|| complete(&mut tokenizer, &config, ruled.ends)).map_err(invalid)?;
        let splits_special_tokens = config.splits_special_tokens();
        tokenizer.set_encode_special_tokens(splits_special_tokens);
        let eos = config.special_token("eos_token").and_then(|token| tokenizer.token_to_id(token));
        let encoding = Arc::new(Operation::new("encoding a text with the tokenizer", place.to_string(), HINT));
        Ok((Self { tokenizer, place, splits_special_tokens, eos, encoding }, ruled))
    }

    /// The encoding of one text, for the watchdog.
    pub(super) fn encoding(&self) -> &Operation {
        &self.encoding
    }

    pub(super) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Its file, for messages.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// The ids of a text, with those that the post-processor adds or without.
    fn ids(&self, text: &str, with_added: bool) -> Result<Vec<u32>, String> {
        let encode = || self.tokenizer.encode_fast(text, with_added);
        self.encoding.run(|| caught(|| encode().map(|e| e.get_ids().to_vec()).map_err(|e| e.to_string())))
    }

    /// Adds special tokens.
    ///
    /// # Errors
    /// If a token cannot be added.
    pub(super) fn add_special_tokens(&mut self, contents: &[&str]) -> Result<(), String> {
        let tokens = contents.iter().map(|content| AddedToken::from(*content, true).normalized(false));
        caught(|| self.tokenizer.add_special_tokens(tokens).map(drop).map_err(|e| e.to_string()))
    }

    pub(super) fn splits_special_tokens(&self) -> bool {
        self.splits_special_tokens
    }

    /// The number of tokens that the post-processor adds to a text, if it is the same for all texts.
    pub(super) fn tokens_per_text(&self) -> Option<u32> {
        let added = |text: &str| {
            let [with, without] = [true, false].map(|with_added| self.ids(text, with_added).map(|ids| ids.len()).ok());
            with?.checked_sub(without?)
        };
        let first = added(PROBES[0])?;
        PROBES.iter().all(|text| added(text) == Some(first)).then_some(first as u32)
    }

    /// The id of the end-of-sequence token, if there is one.
    pub(super) fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// The ids that the post-processor puts around a text, if they are the same for all texts.
    pub(super) fn around_text(&self) -> Option<AroundText> {
        let ids = |text: &str, with_added: bool| self.ids(text, with_added).ok();
        let probes: Vec<[Vec<u32>; 2]> =
            PROBES.iter().map(|text| Some([ids(text, true)?, ids(text, false)?])).collect::<Option<_>>()?;
        let added = probes[0][0].len().checked_sub(probes[0][1].len())?;
        let around = |before: usize| {
            let [with, without] = &probes[1];
            let (head, tail) = (with.get(..before)?, with.get(before + without.len()..)?);
            let fits = |[with, without]: &[Vec<u32>; 2]| [head, without, tail].concat() == *with;
            probes.iter().all(fits).then(|| AroundText { before: head.to_vec(), after: tail.to_vec() })
        };
        (0..=added).find_map(around)
    }
}

impl TextEncoder<u32> for ReferenceEncoder {
    fn encode(&self, text: &str) -> Result<u32, String> {
        let encode = || self.tokenizer.encode_fast(text, true).map(|e| e.len() as u32).map_err(|e| e.to_string());
        self.encoding.run(|| caught(encode))
    }
}

impl TextEncoder<Vec<u32>> for ReferenceEncoder {
    fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        self.ids(text, false)
    }
}

/// Adds what the configuration says to a tokenizer, and removes what concerns batches: padding and truncation.
fn complete(tokenizer: &mut Tokenizer, config: &TokenizerConfig, ends: Option<TextEnds>) -> Result<(), String> {
    tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
    tokenizer.with_padding(None);
    let known: Vec<Token> = tokenizer.get_added_tokens_decoder().values().map(from_library).collect();
    let tokens = config.tokens_to_add(&known);
    limits::check_added_tokens(&tokens)?;
    tokenizer.add_tokens(tokens.iter().map(to_library)).map_err(|error| error.to_string())?;
    if let Some(ends) = ends {
        let post_processor = post_processor(ends, config, tokenizer)?;
        tokenizer.with_post_processor(Some(post_processor));
    }
    Ok(())
}

/// Puts the tokens around each text that the configuration asks for; one that the tokenizer does not have is left out.
fn post_processor(
    ends: TextEnds,
    config: &TokenizerConfig,
    tokenizer: &Tokenizer,
) -> Result<PostProcessorWrapper, String> {
    let token = |wanted: bool, name: &str| {
        let content = config.special_token(name).filter(|_| wanted)?;
        Some((content.to_owned(), tokenizer.token_to_id(content)?))
    };
    let (bos, eos) = (token(ends.bos, "bos_token"), token(ends.eos, "eos_token"));
    let single = bos.iter().map(|(bos, _)| bos.as_str()).chain(["$A"]).chain(eos.iter().map(|(eos, _)| eos.as_str()));
    let single = single.map(str::to_owned).collect::<Vec<_>>();
    let template = TemplateProcessing::builder()
        .try_single(single)
        .map_err(|error| error.to_string())?
        .special_tokens([bos, eos].into_iter().flatten().collect::<Vec<_>>())
        .build();
    template.map(PostProcessorWrapper::Template).map_err(|error| error.to_string())
}

fn from_library(token: &AddedToken) -> Token {
    Token {
        content: token.content.clone(),
        single_word: token.single_word,
        lstrip: token.lstrip,
        rstrip: token.rstrip,
        normalized: token.normalized,
        special: token.special,
    }
}

fn to_library(token: &Token) -> AddedToken {
    AddedToken {
        content: token.content.clone(),
        single_word: token.single_word,
        lstrip: token.lstrip,
        rstrip: token.rstrip,
        normalized: token.normalized,
        special: token.special,
    }
}
