//! Loads a tokenizer and its chat template, renders conversations, counts tokens.
//!
//! A conversation's length is what transformers gives for
//! `len(tokenizer.encode(tokenizer.apply_chat_template(messages, tokenize=False)))` with the same `tokenizer.json`.

mod config;
mod count;
mod encode;
mod fetch;
mod files;
#[cfg(test)]
mod fixtures;
mod limits;
mod loaded;
mod panics;
mod rules;
mod template;
mod vocabulary;

pub(crate) use count::{Counter, TextSource};
pub(crate) use encode::{
    DocumentEncoder, DocumentTokenizer, NOT_TRAINED, TextPart, TrainingEncoder, TrainingLength, TrainingTokenizer,
    trained_parts,
};
pub(crate) use fetch::{BUILTIN, TokenizerModel, date_of_run, fetch, given_template};
pub(crate) use files::TokenizerFiles;
pub(crate) use loaded::LoadedTokenizer;
pub(crate) use template::ChatTemplate;
