//! What the options of all stores have in common.

use crate::error::{Error, ErrorKind, Result};
use crate::storage::options::StorageOptions;
use object_store::RetryConfig;
use reqwest::Url;
use std::fmt::Display;

/// Disables the retries of `object_store`: `storage::retry` retries.
pub(super) fn no_retries(options: &StorageOptions) -> RetryConfig {
    RetryConfig { max_retries: 0, retry_timeout: options.retry_timeout, ..RetryConfig::default() }
}

/// Checks the URL of an endpoint.
///
/// # Errors
/// A usage error that names the variable, without the URL: it may contain a password.
pub(super) fn check_endpoint(variable: &str, url: &str) -> Result<()> {
    let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    if !url.contains(char::is_whitespace) && Url::parse(url).is_ok_and(|url| is_http(&url)) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, "invalid endpoint: expected an http:// or https:// URL").at(variable))
}

/// The warning about a variable without effect. `hint` says what to use instead.
pub(super) fn without_effect(variable: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{variable} is set but has no effect: {hint}"),
        None => format!("{variable} is set but has no effect"),
    }
}

/// The error of a store's builder. Builders quote option names and URLs, but some parse errors quote a value, which may
/// be a secret: only the text before it is kept.
pub(super) fn invalid_option(place: impl Display, error: &object_store::Error) -> Error {
    let cause = match error {
        object_store::Error::UnknownConfigurationKey { key, .. } => format!("unknown option {key}"),
        object_store::Error::Generic { source, .. } => before_first_value(&source.to_string()),
        _ => "the environment variables for this store contradict each other".to_string(),
    };
    Error::new(ErrorKind::Usage, format!("cannot open the store: {cause}")).at(place)
}

/// A message up to the first value that it quotes.
fn before_first_value(text: &str) -> String {
    text.split(['"', '\'', '`', ':']).next().unwrap_or_default().trim().to_string()
}
