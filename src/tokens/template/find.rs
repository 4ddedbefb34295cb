//! Finds a tokenizer's chat template in its files, with the precedence of transformers.

use crate::error::{Error, ErrorKind, Result};
use crate::tokens::config::{self, TokenizerConfig};
use crate::tokens::files::TokenizerFiles;
use serde_json::Value;

/// The text of a template, and where it comes from, for messages.
#[derive(Debug, Clone)]
pub(crate) struct GivenTemplate {
    /// The template itself.
    pub(crate) text: String,
    /// Its file or URL.
    pub(crate) place: String,
}

/// Finds the template in `chat_template.jinja`, `chat_template.json` or `tokenizer_config.json`.
///
/// # Errors
/// If there is none, or its file is not valid.
pub(super) fn find(files: &TokenizerFiles, config: &TokenizerConfig) -> Result<GivenTemplate> {
    if let Some(bytes) = &files.chat_template_jinja {
        let place = files.location_of("chat_template.jinja");
        return match std::str::from_utf8(bytes) {
            // As Python does when it reads a text file.
            Ok(text) => Ok(GivenTemplate { text: text.replace("\r\n", "\n").replace('\r', "\n"), place }),
            Err(error) => Err(Error::new(ErrorKind::Data, "not valid UTF-8").at(place).caused_by(error)),
        };
    }
    if let Some(bytes) = &files.chat_template_json {
        let place = files.location_of("chat_template.json");
        if let Some(value) = config::parse_object(bytes, &place)?.get("chat_template") {
            return default_template(value, place);
        }
    }
    match config.chat_template() {
        Some(value) if !value.is_null() => default_template(value, files.location_of("tokenizer_config.json")),
        _ => Err(missing(files)),
    }
}

/// `chat_template` is a text, or a list of named ones of which `default` is used.
fn default_template(value: &Value, place: String) -> Result<GivenTemplate> {
    let named: Vec<(&str, &str)> = match value {
        Value::String(text) => return Ok(GivenTemplate { text: text.clone(), place }),
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
    match named.iter().rfind(|(name, _)| *name == "default") {
        Some((_, text)) => Ok(GivenTemplate { text: String::from(*text), place }),
        None => {
            let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
            let message = format!("no chat template is named `default`: found {}", names.join(", "));
            Err(Error::new(ErrorKind::Data, message)
                .at(place)
                .hint("choose a template, save it to a file, and pass --chat-template FILE"))
        }
    }
}

fn missing(files: &TokenizerFiles) -> Error {
    let message = "the tokenizer has no chat template: no chat_template.jinja, no chat_template.json, and no \
                   `chat_template` in tokenizer_config.json";
    Error::new(ErrorKind::NotFound, message)
        .at(&files.place)
        .hint("pass --chat-template FILE, or use the tokenizer of an instruct model")
}
