//! Reads a tokenizer's files from a folder, object storage, the Hugging Face hub, or the program itself.

use super::files::{TOOL_USE_TEMPLATE, TokenizerFiles};
use super::template::GivenTemplate;
use super::vocabulary;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Location, Storage, hub};
use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime, Utc};
use std::collections::BTreeMap;

/// Upper limit for the size of one tokenizer file.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Upper limit for the size of a chat template given by the user.
const MAX_TEMPLATE_BYTES: u64 = 1 << 20;

/// The date of reproducible builds, in seconds since 1970 (reproducible-builds.org).
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Where a tokenizer comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenizerModel {
    /// The tokenizer inside the program.
    Builtin,
    /// A folder, local or in object storage.
    Location(Location),
    /// A Hugging Face repository: `owner/name`, optionally with `@revision`.
    Hub(String),
}

macro_rules! builtin {
    ($name:literal) => {
        Bytes::from_static(include_bytes!(concat!("../../assets/builtin-tokenizer/", $name)))
    };
}

/// Reads all files of a tokenizer.
///
/// # Errors
/// If `tokenizer.json` is missing or a file cannot be read.
pub(crate) async fn fetch(storage: &Storage, model: &TokenizerModel) -> Result<TokenizerFiles> {
    match model {
        TokenizerModel::Builtin => Ok(builtin()),
        TokenizerModel::Location(folder) => from_folder(storage, folder).await,
        TokenizerModel::Hub(repository) => from_hub(storage, repository).await,
    }
}

/// The name of the tokenizer that the program contains: a stand-in to try things with, which belongs to no model.
pub(crate) const BUILTIN: &str = "builtin";

/// The files of the tokenizer that the program contains.
pub(crate) fn builtin() -> TokenizerFiles {
    TokenizerFiles {
        name: BUILTIN.to_owned(),
        place: "the built-in tokenizer".to_owned(),
        tokenizer_json: builtin!("tokenizer.json"),
        tokenizer_config: Some(builtin!("tokenizer_config.json")),
        chat_template_jinja: Some(builtin!("chat_template.jinja")),
        ..TokenizerFiles::default()
    }
}

async fn from_folder(storage: &Storage, folder: &Location) -> Result<TokenizerFiles> {
    let read = async |name: &str| storage.read(&folder.join(name), MAX_FILE_BYTES).await;
    let tokenizer_json = match read("tokenizer.json").await? {
        Some(tokenizer_json) => tokenizer_json,
        None => from_vocabulary(storage, folder).await?,
    };
    let (tokenizer_config, special_tokens_map, added_tokens, config) = tokio::try_join!(
        read("tokenizer_config.json"),
        read("special_tokens_map.json"),
        read("added_tokens.json"),
        read("config.json"),
    )?;
    let (chat_template_jinja, tool_use_jinja, chat_template_json) =
        tokio::try_join!(read("chat_template.jinja"), read(TOOL_USE_TEMPLATE), read("chat_template.json"))?;
    Ok(TokenizerFiles {
        name: folder.name().to_owned(),
        place: folder.to_string(),
        tokenizer_json,
        tokenizer_config,
        special_tokens_map,
        added_tokens,
        config,
        chat_template_jinja,
        tool_use_jinja,
        chat_template_json,
    })
}

/// `tokenizer.json` of a folder that has none.
///
/// # Errors
/// If there is nothing that it can be made of here; the error says how to convert what there is.
async fn from_vocabulary(storage: &Storage, folder: &Location) -> Result<Bytes> {
    let read = async |name: &str| storage.read(&folder.join(name), MAX_FILE_BYTES).await;
    let not_found = Error::new(ErrorKind::NotFound, "tokenizer.json not found").at(folder);
    let (vocabulary, merges) = tokio::try_join!(read(vocabulary::VOCABULARY), read(vocabulary::MERGES))?;
    let mut has_other = vocabulary.is_some() || merges.is_some();
    if let (Some(vocabulary), Some(merges)) = (vocabulary, merges) {
        let (tokenizer_config, config) = tokio::try_join!(read("tokenizer_config.json"), read("config.json"))?;
        let (tokenizer_config, config) = (tokenizer_config.as_deref(), config.as_deref());
        let place = folder.to_string();
        let made = vocabulary::tokenizer_json(&vocabulary, &merges, tokenizer_config, config, &place)?;
        if let Some(made) = made {
            return Ok(made.into());
        }
    }
    for name in vocabulary::FOREIGN {
        has_other = has_other || read(name).await?.is_some();
    }
    Err(match has_other {
        true => not_found.hint(vocabulary::conversion_hint(folder.name())),
        false => not_found.hint(
            "set --tokenizer-model (TOKENIZER_MODEL) to a folder or URL that contains tokenizer.json and \
             tokenizer_config.json, to a Hugging Face repository id (OWNER/NAME), or to builtin",
        ),
    })
}

async fn from_hub(storage: &Storage, repository: &str) -> Result<TokenizerFiles> {
    let snapshot = hub::fetch_tokenizer(storage, repository).await?;
    let mut files = BTreeMap::from_iter(snapshot.files);
    let Some(tokenizer_json) = files.remove("tokenizer.json") else {
        return Err(Error::new(ErrorKind::NotFound, "the repository has no tokenizer.json")
            .at(repository)
            .hint("set --tokenizer-model to a repository with a fast tokenizer, a folder, a URL, or builtin"));
    };
    Ok(TokenizerFiles {
        name: repository.to_owned(),
        place: format!("{repository} on the Hugging Face hub"),
        tokenizer_json,
        tokenizer_config: files.remove("tokenizer_config.json"),
        special_tokens_map: files.remove("special_tokens_map.json"),
        added_tokens: files.remove("added_tokens.json"),
        config: files.remove("config.json"),
        chat_template_jinja: files.remove("chat_template.jinja"),
        tool_use_jinja: files.remove(TOOL_USE_TEMPLATE),
        chat_template_json: files.remove("chat_template.json"),
    })
}

/// Reads the chat template that replaces the tokenizer's own, if one is given.
///
/// # Errors
/// If the file is missing, cannot be read, or is not UTF-8.
pub(crate) async fn given_template(storage: &Storage, location: Option<&Location>) -> Result<Option<GivenTemplate>> {
    let Some(location) = location else { return Ok(None) };
    let bytes = storage.read(location, MAX_TEMPLATE_BYTES).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "chat template not found")
            .at(location)
            .hint("set --chat-template to an existing file or URL, or omit it to use the tokenizer's own template")
    })?;
    let text = String::from_utf8(bytes.into()).map_err(|error| {
        Error::new(ErrorKind::Data, "the chat template is not valid UTF-8").at(location).caused_by(error)
    })?;
    Ok(Some(GivenTemplate { text, place: location.to_string() }))
}

/// The date that all chat templates of a run see: `SOURCE_DATE_EPOCH` if it is set, else now, in UTC.
///
/// # Errors
/// A usage error if the variable is not a whole number of seconds.
pub(crate) fn date_of_run() -> Result<NaiveDateTime> {
    let Ok(text) = std::env::var(SOURCE_DATE_EPOCH) else { return Ok(Utc::now().naive_utc()) };
    let seconds = text.trim().parse().ok();
    let date = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    date.map(|date| date.naive_utc()).ok_or_else(|| {
        let message = format!("invalid value `{text}`: expected seconds since 1970 as a whole number");
        Error::new(ErrorKind::Usage, message).at(SOURCE_DATE_EPOCH)
    })
}
