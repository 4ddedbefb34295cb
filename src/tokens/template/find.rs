//! Finds a tokenizer's chat templates in its files, with the precedence of transformers.

use crate::error::{Error, ErrorKind, Result};
use crate::tokens::config::{self, TokenizerConfig};
use crate::tokens::files::{TOOL_USE_TEMPLATE, TokenizerFiles};
use bytes::Bytes;
use serde_json::Value;

/// The text of a template, and where it comes from, for messages.
#[derive(Debug, Clone)]
pub(crate) struct GivenTemplate {
    /// The template itself.
    pub(crate) text: String,
    /// Its file or URL.
    pub(crate) place: String,
}

/// The templates of a tokenizer.
#[derive(Debug, Clone)]
pub(super) struct Templates {
    /// The template of conversations without tools.
    pub(super) default: GivenTemplate,
    /// The template of conversations with tools, if they have one of their own.
    pub(super) tool_use: Option<GivenTemplate>,
}

impl From<GivenTemplate> for Templates {
    fn from(default: GivenTemplate) -> Self {
        Self { default, tool_use: None }
    }
}

/// Finds the templates in `chat_template.jinja` and [`TOOL_USE_TEMPLATE`], in `tokenizer_config.json`, or in
/// `chat_template.json`.
///
/// # Errors
/// If there is none, or its file is not valid.
pub(super) fn find(files: &TokenizerFiles, config: &TokenizerConfig) -> Result<Templates> {
    if files.chat_template_jinja.is_some() || files.tool_use_jinja.is_some() {
        let file =
            |bytes: &Option<Bytes>, name| bytes.as_ref().map(|bytes| text(bytes, files.location_of(name))).transpose();
        let tool_use = file(&files.tool_use_jinja, TOOL_USE_TEMPLATE)?;
        return match file(&files.chat_template_jinja, "chat_template.jinja")? {
            Some(default) => Ok(Templates { default, tool_use }),
            None => Err(no_default("tool_use", files.location_of(TOOL_USE_TEMPLATE))),
        };
    }
    if let Some(value) = config.chat_template().filter(|value| !value.is_null()) {
        return named_templates(value, files.location_of("tokenizer_config.json"));
    }
    if let Some(bytes) = &files.chat_template_json {
        let place = files.location_of("chat_template.json");
        if let Some(value) = config::parse_object(bytes, &place)?.get("chat_template") {
            return named_templates(value, place);
        }
    }
    Err(missing(files))
}

/// The text of a template's file.
fn text(bytes: &[u8], place: String) -> Result<GivenTemplate> {
    match std::str::from_utf8(bytes) {
        // As Python does when it reads a text file.
        Ok(text) => Ok(GivenTemplate { text: text.replace("\r\n", "\n").replace('\r', "\n"), place }),
        Err(error) => Err(Error::new(ErrorKind::Data, "not valid UTF-8").at(place).caused_by(error)),
    }
}

/// `chat_template` is a text, or a list of named ones, of which `default` and `tool_use` are used.
fn named_templates(value: &Value, place: String) -> Result<Templates> {
    let named: Vec<(&str, &str)> = match value {
        Value::String(text) => return Ok(GivenTemplate { text: text.clone(), place }.into()),
        Value::Array(list) => {
            list.iter().filter_map(|t| Some((t["name"].as_str()?, t["template"].as_str()?))).collect()
        }
        Value::Object(map) => map.iter().filter_map(|(name, text)| Some((name.as_str(), text.as_str()?))).collect(),
        _ => {
            return Err(
                Error::new(ErrorKind::Data, "chat_template: expected a string or a list of templates").at(place)
            );
        }
    };
    let template = |wanted: &str| {
        let (_, text) = named.iter().rfind(|(name, _)| *name == wanted)?;
        Some(GivenTemplate { text: String::from(*text), place: place.clone() })
    };
    match template("default") {
        Some(default) => Ok(Templates { default, tool_use: template("tool_use") }),
        None => {
            let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
            Err(no_default(&names.join(", "), place))
        }
    }
}

fn no_default(found: &str, place: String) -> Error {
    Error::new(ErrorKind::Data, format!("no chat template is named `default`: found {found}"))
        .at(place)
        .hint("choose a template, save it to a file, and pass --chat-template FILE")
}

fn missing(files: &TokenizerFiles) -> Error {
    let message = "the tokenizer has no chat template: no chat_template.jinja, and no \
                   `chat_template` in tokenizer_config.json";
    Error::new(ErrorKind::NotFound, message)
        .at(&files.place)
        .hint("pass --chat-template FILE, or use the tokenizer of an instruct model")
}
