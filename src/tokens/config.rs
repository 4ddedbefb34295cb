//! What `tokenizer_config.json` and `special_tokens_map.json` say: special tokens for the template, added tokens for
//! the encoder, the template itself. The precedence is that of transformers.

use super::TokenizerFiles;
use crate::error::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

/// The special tokens that every tokenizer can have; others are those whose key ends in `_token`.
const STANDARD: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// One token as the folder declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(crate) content: String,
    pub(crate) single_word: bool,
    pub(crate) lstrip: bool,
    pub(crate) rstrip: bool,
    pub(crate) normalized: bool,
    pub(crate) special: bool,
}

impl Token {
    /// A special token of which only the text is known.
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

    /// From a string or an object with `content`; anything else is no token.
    pub(super) fn read(value: &Value, special: bool) -> Option<Self> {
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
pub(super) struct Config {
    config: Map<String, Value>,
    /// Named special tokens in the order in which they are declared.
    named: Vec<(String, Token)>,
    /// Special tokens without a name of their own.
    extra: Vec<Token>,
}

impl Config {
    /// Parses the configuration files that are there; a file that is no JSON object is an error.
    pub(super) fn load(files: &TokenizerFiles) -> Result<Self> {
        let config = match &files.tokenizer_config {
            Some(bytes) => object(bytes, &files.file("tokenizer_config.json"))?,
            None => Map::new(),
        };
        let mut this = Self { config, named: Vec::new(), extra: Vec::new() };
        let mut declared: Vec<(String, Value)> = this.config.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        // Where the config lists its added tokens it is complete, and the older file is not read.
        if !this.config.contains_key("added_tokens_decoder")
            && let Some(bytes) = &files.special_tokens_map
        {
            for (key, value) in object(bytes, &files.file("special_tokens_map.json"))? {
                match declared.iter_mut().find(|(k, _)| *k == key) {
                    Some(slot) => slot.1 = value,
                    None => declared.push((key, value)),
                }
            }
        }
        this.collect(&declared);
        Ok(this)
    }

    fn collect(&mut self, declared: &[(String, Value)]) {
        for (key, value) in declared {
            if STANDARD.contains(&key.as_str()) || key.ends_with("_token") {
                if let Some(token) = Token::read(value, true) {
                    self.named.push((key.clone(), token));
                }
            } else if key == "extra_special_tokens" || key == "additional_special_tokens" {
                match value {
                    Value::Array(tokens) => self.extra.extend(tokens.iter().filter_map(|t| Token::read(t, true))),
                    // Newer models name their own special tokens here.
                    Value::Object(tokens) => {
                        self.named.extend(tokens.iter().filter_map(|(k, v)| Some((k.clone(), Token::read(v, true)?))))
                    }
                    _ => {}
                }
            }
        }
    }

    /// The special tokens that a template sees, by variable.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named.iter().map(|(name, token)| (name.as_str(), token.content.as_str()))
    }

    /// Whether special tokens in a text are to be read as plain text.
    pub(super) fn splits_special_tokens(&self) -> bool {
        self.config.get("split_special_tokens").and_then(Value::as_bool).unwrap_or(false)
    }

    /// The tokens to add to a tokenizer that already has `known`, in order: what transformers adds after loading.
    ///
    /// A listed token whose flags differ from the file's is added again, which changes its flags.
    pub(super) fn tokens_to_add(&self, known: &[Token]) -> Vec<Token> {
        let mut add: Vec<Token> = Vec::new();
        if let Some(Value::Object(listed)) = self.config.get("added_tokens_decoder") {
            let mut listed: Vec<(u64, Token)> = listed
                .iter()
                .filter_map(|(id, token)| Some((id.trim().parse().ok()?, Token::read(token, false)?)))
                .collect();
            listed.sort_by_key(|(id, _)| *id);
            add.extend(listed.into_iter().map(|(_, token)| token).filter(|token| !known.contains(token)));
        }
        for token in &mut add {
            token.special |= self.named.iter().any(|(_, named)| named.content == token.content);
        }
        for token in self.named.iter().map(|(_, token)| token).chain(&self.extra) {
            let is_there = |t: &Token| t.content == token.content;
            if !token.content.is_empty() && !known.iter().any(is_there) && !add.iter().any(is_there) {
                add.push(token.clone());
            }
        }
        add
    }

    /// The template that `tokenizer_config.json` brings, if any.
    pub(super) fn chat_template(&self) -> Option<&Value> {
        self.config.get("chat_template")
    }
}

/// Parses a JSON object, or says which file is none.
pub(super) fn object(bytes: &[u8], place: &str) -> Result<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Error::new(ErrorKind::Data, "expected a JSON object").at(place)),
        Err(error) => Err(Error::new(ErrorKind::Data, "not valid JSON").at(place).caused_by(error)),
    }
}
