//! Samples. Each kind is one file that knows how to parse itself, its identity, its conversation and its row. `parse` chooses
//! the kind of a source's rows, `body` dispatches to the kind of a sample.

mod body;
mod chat;
mod clean;
mod columns;
mod conversation;
mod document;
mod flags;
mod json;
mod kind;
pub(crate) mod numbers;
mod options;
mod outcome;
mod pair;
mod parse;
mod reasoning;

pub(crate) use body::{Body, Sample, row_layout};
pub(crate) use columns::Columns;
pub(crate) use conversation::Conversation;
pub(crate) use document::Document;
pub(crate) use flags::{chat_flags, has_template_token};
pub(crate) use json::{KeyBits, RowJson, RowLayout};
pub(crate) use options::ParseOptions;
pub(crate) use outcome::{BadRow, ParsedRow, RejectReason, RowError};
pub(crate) use parse::{columns, parse};
pub(crate) use reasoning::{Reasoning, TemplateProbe, written_reasoning};

#[cfg(test)]
pub(crate) use chat::Chat;
#[cfg(test)]
pub(crate) use pair::Pair;
