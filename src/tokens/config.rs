//! `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`: special tokens for the template, added tokens for
//! the encoder, and the template itself. The precedence is that of transformers.

use super::files::TokenizerFiles;
use crate::error::{Error, ErrorKind, Result};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};

/// The special tokens that any tokenizer can have. Others are recognized by a key that ends in `_token`.
const STANDARD_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// A token as the tokenizer's files declare it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Token {
    pub(super) content: String,
    pub(super) single_word: bool,
    pub(super) lstrip: bool,
    pub(super) rstrip: bool,
    pub(super) normalized: bool,
    pub(super) special: bool,
}

impl Token {
    /// A special token that is declared by its text alone.
    fn special(content: &str) -> Self {
        Self {
            content: content.to_owned(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: true,
        }
    }

    /// Parses a string or an object with `content`; `None` for anything else.
    pub(super) fn parse(value: &Value, special: bool) -> Option<Self> {
        match value {
            Value::String(content) => Some(Self { special, normalized: !special, ..Self::special(content) }),
            Value::Object(object) => {
                let flag = |name: &str| object.get(name).and_then(Value::as_bool);
                let special = special || flag("special").unwrap_or(false);
                Some(Self {
                    content: object.get("content")?.as_str()?.to_owned(),
                    single_word: flag("single_word").unwrap_or(false),
                    lstrip: flag("lstrip").unwrap_or(false),
                    rstrip: flag("rstrip").unwrap_or(false),
                    normalized: flag("normalized").unwrap_or(!special),
                    special,
                })
            }
            _ => None,
        }
    }
}

/// The two configuration files, parsed.
#[derive(Debug, Default)]
pub(super) struct TokenizerConfig {
    config: Map<String, Value>,
    /// Special tokens with a name of their own, in the order of their declaration.
    named: Vec<(String, Token)>,
    /// Special tokens without a name.
    extra: Vec<Token>,
    /// The tokens of `added_tokens.json`, by id.
    added: BTreeMap<u64, String>,
}

impl TokenizerConfig {
    /// Parses the configuration files that exist.
    ///
    /// # Errors
    /// If one of them is not a JSON object.
    pub(super) fn load(files: &TokenizerFiles) -> Result<Self> {
        let config = match &files.tokenizer_config {
            Some(bytes) => parse_object(bytes, &files.location_of("tokenizer_config.json"))?,
            None => Map::new(),
        };
        let mut this = Self { config, ..Self::default() };
        let mut declared = this.config.clone();
        // A config that lists its added tokens is complete; transformers ignores the older files then.
        if !this.config.contains_key("added_tokens_decoder") {
            if let Some(bytes) = &files.special_tokens_map {
                declared.extend(parse_object(bytes, &files.location_of("special_tokens_map.json"))?);
            }
            if let Some(bytes) = &files.added_tokens {
                let tokens = parse_object(bytes, &files.location_of("added_tokens.json"))?;
                this.added = tokens.into_iter().filter_map(|(text, id)| Some((id.as_u64()?, text))).collect();
            }
        }
        this.collect(&declared);
        Ok(this)
    }

    fn collect(&mut self, declared: &Map<String, Value>) {
        for (key, value) in declared {
            if STANDARD_TOKENS.contains(&key.as_str()) || key.ends_with("_token") {
                if let Some(token) = Token::parse(value, true) {
                    self.named.push((key.clone(), token));
                }
            } else if key == "extra_special_tokens" || key == "additional_special_tokens" {
                match value {
                    Value::Array(tokens) => self.extra.extend(tokens.iter().filter_map(|t| Token::parse(t, true))),
                    // Newer models declare special tokens with names of their own here.
                    Value::Object(tokens) => {
                        self.named.extend(tokens.iter().filter_map(|(k, v)| Some((k.clone(), Token::parse(v, true)?))))
                    }
                    _ => {}
                }
            }
        }
    }

    /// The special tokens that a template can use: (variable, text).
    pub(super) fn template_variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named.iter().map(|(name, token)| (name.as_str(), token.content.as_str()))
    }

    /// The text of a special token, if it has one.
    pub(super) fn special_token(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(key, _)| key == name).map(|(_, token)| token.content.as_str())
    }

    /// Whether the configuration has a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.config.contains_key(key)
    }

    /// The value of a switch, if it is `true` or `false`.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.config.get(key).and_then(Value::as_bool)
    }

    /// The value of a key, if it is a text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.config.get(key).and_then(Value::as_str)
    }

    /// Adds special tokens that the configuration does not mention; one that it sets to null stays undefined.
    pub(super) fn add_defaults(&mut self, tokens: &[(&str, &str)]) {
        for (name, content) in tokens {
            if !self.has(name) && self.special_token(name).is_none() {
                self.named.push(((*name).to_owned(), Token::special(content)));
            }
        }
    }

    /// Whether special tokens within a text are encoded as plain text.
    pub(super) fn splits_special_tokens(&self) -> bool {
        self.config.get("split_special_tokens").and_then(Value::as_bool).unwrap_or(false)
    }

    /// The tokens that transformers adds, in order, to a tokenizer whose `tokenizer.json` has the added tokens `known`.
    ///
    /// A token whose flags differ from those in `tokenizer.json` is added again, which changes its flags.
    pub(super) fn tokens_to_add(&self, known: &[Token]) -> Vec<Token> {
        let known_tokens: HashSet<&Token> = known.iter().collect();
        let mut present: HashSet<&str> = known.iter().map(|token| token.content.as_str()).collect();
        let named: HashSet<&str> = self.named.iter().map(|(_, token)| token.content.as_str()).collect();
        let special: HashSet<&str> =
            named.iter().copied().chain(self.extra.iter().map(|t| t.content.as_str())).collect();
        let mut add: Vec<Token> = Vec::new();
        if let Some(Value::Object(listed)) = self.config.get("added_tokens_decoder") {
            let mut listed: Vec<(u64, Token)> = listed
                .iter()
                .filter_map(|(id, token)| Some((id.trim().parse().ok()?, Token::parse(token, false)?)))
                .collect();
            listed.sort_by_key(|(id, _)| *id);
            add.extend(listed.into_iter().map(|(_, token)| token).filter(|token| !known_tokens.contains(token)));
        }
        let of_file = self.added.values().filter(|text| !present.contains(text.as_str()));
        // A token of `added_tokens.json` says only its text: it is special if the configuration lists it among special tokens.
        add.extend(of_file.map(|text| {
            let special = special.contains(text.as_str());
            Token { special, normalized: !special, ..Token::special(text) }
        }));
        for token in &mut add {
            token.special |= named.contains(token.content.as_str());
        }
        let added: HashSet<String> = add.iter().map(|token| token.content.clone()).collect();
        for token in self.named.iter().map(|(_, token)| token).chain(&self.extra) {
            if !token.content.is_empty() && !added.contains(&token.content) && present.insert(&token.content) {
                add.push(token.clone());
            }
        }
        add
    }

    /// `chat_template` of `tokenizer_config.json`, if present.
    pub(super) fn chat_template(&self) -> Option<&Value> {
        self.config.get("chat_template")
    }
}

/// Parses a file that must be a JSON object.
///
/// # Errors
/// If it is not; the error names `place`.
pub(super) fn parse_object(bytes: &[u8], place: &str) -> Result<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Error::new(ErrorKind::Data, "not a JSON object").at(place)),
        Err(error) => Err(Error::new(ErrorKind::Data, "not valid JSON").at(place).caused_by(error)),
    }
}
