//! The tokenizer's files, from wherever they are.

use crate::error::{Error, ErrorKind, Result};
use crate::settings::TokenizerModel;
use crate::storage::{Location, Storage, hub};
use crate::tokens::{ChatTemplate, Counter, GivenTemplate, LoadedTokenizer, TokenizerFiles};
use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime, Utc};
use std::sync::Arc;
use tokio::sync::oneshot;

/// No file of a tokenizer is larger than this.
const MAX_BYTES: u64 = 512 << 20;

/// No chat template is larger than this.
const MAX_TEMPLATE_BYTES: u64 = 1 << 20;

/// The variable that sets the date of reproducible builds, in seconds since 1970 (reproducible-builds.org).
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

macro_rules! builtin {
    ($name:literal) => {
        Bytes::from_static(include_bytes!(concat!("../../assets/builtin-tokenizer/", $name)))
    };
}

/// Fetches a tokenizer, and loads it as soon as the size of the input is known.
pub(crate) async fn load(
    model: TokenizerModel,
    chat_template: Option<Location>,
    storage: Storage,
    pool: Arc<rayon::ThreadPool>,
    size: oneshot::Receiver<u64>,
) -> Result<LoadedTokenizer> {
    let date = date_of_run()?;
    let files = fetch(&storage, &model).await?;
    let given = given_template(&storage, chat_template.as_ref()).await?;
    let bytes = size.await.unwrap_or(0);
    let load = move || {
        let template = ChatTemplate::load(&files, given, date)?;
        let counter = Counter::load(&files, bytes, &pool)?;
        let digest = blake3::hash(&files.tokenizer_json).to_hex().to_string();
        Ok(LoadedTokenizer { name: files.name, digest, template, counter })
    };
    tokio::task::spawn_blocking(load).await.map_err(|_| Error::new(ErrorKind::Bug, "loading the tokenizer panicked"))?
}

/// Fetches a tokenizer's files.
///
/// # Errors
/// Where the folder, the repository or `tokenizer.json` is not there; what storage says.
pub(crate) async fn fetch(storage: &Storage, model: &TokenizerModel) -> Result<TokenizerFiles> {
    match model {
        TokenizerModel::Builtin => Ok(TokenizerFiles {
            name: "builtin".to_owned(),
            place: "the built-in tokenizer".to_owned(),
            tokenizer_json: builtin!("tokenizer.json"),
            tokenizer_config: Some(builtin!("tokenizer_config.json")),
            special_tokens_map: None,
            chat_template_jinja: Some(builtin!("chat_template.jinja")),
            chat_template_json: None,
        }),
        TokenizerModel::Location(folder) => from_folder(storage, folder).await,
        TokenizerModel::Hub(repository) => from_hub(storage, repository).await,
    }
}

async fn from_folder(storage: &Storage, folder: &Location) -> Result<TokenizerFiles> {
    let read = async |name: &str| storage.read(&folder.join(name), MAX_BYTES).await;
    let Some(tokenizer_json) = read("tokenizer.json").await? else {
        return Err(Error::new(ErrorKind::NotFound, "no tokenizer.json there")
            .at(folder)
            .hint("give --tokenizer-model (TOKENIZER_MODEL) a folder or URL that holds tokenizer.json and tokenizer_config.json, a Hugging Face repository id (OWNER/NAME), or builtin"));
    };
    Ok(TokenizerFiles {
        name: folder.name().to_owned(),
        place: folder.to_string(),
        tokenizer_json,
        tokenizer_config: read("tokenizer_config.json").await?,
        special_tokens_map: read("special_tokens_map.json").await?,
        chat_template_jinja: read("chat_template.jinja").await?,
        chat_template_json: read("chat_template.json").await?,
    })
}

async fn from_hub(storage: &Storage, repository: &str) -> Result<TokenizerFiles> {
    let snapshot = hub::fetch_tokenizer(storage, repository).await?;
    let mut files = std::collections::BTreeMap::from_iter(snapshot.files);
    let Some(tokenizer_json) = files.remove("tokenizer.json") else {
        return Err(Error::new(ErrorKind::NotFound, "the repository has no tokenizer.json")
            .at(repository)
            .hint("give --tokenizer-model a repository with a fast tokenizer, a folder, a URL, or builtin"));
    };
    Ok(TokenizerFiles {
        name: repository.to_owned(),
        place: format!("{repository} on the Hugging Face hub"),
        tokenizer_json,
        tokenizer_config: files.remove("tokenizer_config.json"),
        special_tokens_map: files.remove("special_tokens_map.json"),
        chat_template_jinja: files.remove("chat_template.jinja"),
        chat_template_json: files.remove("chat_template.json"),
    })
}

/// The chat template that was given instead of the tokenizer's own.
///
/// # Errors
/// Where it is not there or no text.
pub(crate) async fn given_template(storage: &Storage, location: Option<&Location>) -> Result<Option<GivenTemplate>> {
    let Some(location) = location else { return Ok(None) };
    let bytes = storage.read(location, MAX_TEMPLATE_BYTES).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "no chat template there")
            .at(location)
            .hint("give --chat-template a file or URL, or leave it out to use the tokenizer's own")
    })?;
    let text = String::from_utf8(bytes.into())
        .map_err(|error| Error::new(ErrorKind::Data, "the chat template is not UTF-8").at(location).caused_by(error))?;
    Ok(Some(GivenTemplate { text, place: location.to_string() }))
}

/// The one date of a run, for templates that ask: `SOURCE_DATE_EPOCH`, or now, in UTC.
///
/// # Errors
/// A usage error where the variable holds no number of seconds.
pub(crate) fn date_of_run() -> Result<NaiveDateTime> {
    let Ok(text) = std::env::var(SOURCE_DATE_EPOCH) else { return Ok(Utc::now().naive_utc()) };
    let seconds = text.trim().parse().ok();
    let date = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    date.map(|date| date.naive_utc()).ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("`{text}` is not accepted: give seconds since 1970 as a whole number"))
            .at(SOURCE_DATE_EPOCH)
    })
}
