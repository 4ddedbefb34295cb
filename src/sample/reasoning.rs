//! Where a row's teacher reasoning is, how it is read, and what of it is kept.

use super::columns::{Columns, invalid_escape, not_a_string, type_of, unescape};
use super::conversation::Conversation;
use super::outcome::{RejectReason, RowError};
use crate::recipe::{ReasoningKey, Thinking, WrittenReasoning};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// What parsing has to know of the chat template.
pub(crate) trait TemplateProbe: fmt::Debug + Send + Sync {
    /// The key under which the template reads the reasoning of an answer; `None` if it does not print it.
    fn reasoning_key(&self) -> Option<ReasoningKey>;

    /// Which of these messages' reasoning the template prints; their reasoning is under `key`. Many templates print that of the
    /// last answer only.
    fn printed_reasoning(&self, messages: &[Map<String, Value>], tools: Option<&str>, key: ReasoningKey) -> Vec<bool>;

    /// Whether the template renders these messages.
    fn renders(&self, messages: &[Map<String, Value>], tools: Option<&str>) -> bool;

    /// Why the template does not render a conversation; `None` if it does.
    fn refusal(&self, conversation: &Conversation<'_>) -> Option<String>;
}

/// How a run writes reasoning, given its setting.
pub(crate) fn written_reasoning(thinking: Thinking, template: &dyn TemplateProbe) -> WrittenReasoning {
    match thinking {
        Thinking::Never => WrittenReasoning::Nowhere,
        Thinking::Auto => template.reasoning_key().map_or(WrittenReasoning::Nowhere, WrittenReasoning::Under),
        Thinking::Always => WrittenReasoning::Everywhere,
    }
}

/// Where a row's teacher reasoning is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reasoning {
    /// In the first of [`AUTO_COLUMNS`] that the row has.
    Auto,
    /// Nowhere.
    None,
    /// In a column, or at a path into one (`response_dict.0.reasoning_content`).
    Path(Vec<String>),
}

/// The columns in which custom flows leave the teacher's reasoning, in the order in which they are tried.
const AUTO_COLUMNS: [&str; 6] = [
    "parse_response_dict_reasoning_content",
    "response_reasoning_content",
    "extract_answers_reasoning_content",
    "extract_answer_reasoning_content",
    "reasoning_content",
    "reasoning",
];

impl Reasoning {
    /// Parses `auto`, `none`, or a column or path.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "" => None,
            "auto" => Some(Self::Auto),
            "none" => Some(Self::None),
            path => {
                let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
                (!parts.iter().any(String::is_empty)).then_some(Self::Path(parts))
            }
        }
    }

    /// The columns that may hold the reasoning.
    pub(crate) fn columns(&self) -> Vec<String> {
        match self {
            Self::Auto => AUTO_COLUMNS.map(str::to_owned).to_vec(),
            Self::None => Vec::new(),
            Self::Path(parts) => parts.first().cloned().into_iter().collect(),
        }
    }

    /// The row's reasoning, empty if it has none. The last columns, from `first` on, are those of [`Self::columns`].
    pub(super) fn read<'r>(&self, columns: &Columns<'r>, first: usize) -> Result<Cow<'r, str>, RowError> {
        let Some((column, value)) = (first..columns.len())
            .filter(|column| columns.has(*column))
            .find_map(|column| columns.get(column).map(|value| (columns.name(column), value)))
        else {
            return Ok(Cow::Borrowed(""));
        };
        match self {
            Self::Path(path) if path.len() > 1 => self.read_path(&path[1..], value.get()).map(Cow::Owned),
            _ if value.get().starts_with('"') => unescape(column, value),
            _ => Err(not_a_string(column, value.get())),
        }
    }

    fn read_path(&self, path: &[String], json: &str) -> Result<String, RowError> {
        let column = self.to_string();
        let value: serde_json::Value = serde_json::from_str(json).map_err(|error| invalid_escape(&column, &error))?;
        let found = path.iter().try_fold(&value, |value, part| match value {
            serde_json::Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            _ => value.get(part),
        });
        match found {
            None | Some(serde_json::Value::Null) => Ok(String::new()),
            Some(serde_json::Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(RowError::bad(
                RejectReason::WrongType,
                format!("column `{column}`: expected a string, found {}", type_of(&other.to_string())),
            )),
        }
    }
}

impl fmt::Display for Reasoning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::Path(parts) => f.write_str(&parts.join(".")),
        }
    }
}
