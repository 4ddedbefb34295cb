//! The environment variables that storage reads, captured once, so that tests can supply their own.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Environment variables by name. Cheap to clone: every request carries them for its messages.
#[derive(Clone, Default)]
pub struct Environment(Arc<BTreeMap<String, String>>);

impl Environment {
    /// The variables of this process. Values that are not valid UTF-8 are left out.
    pub(crate) fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of a variable. An empty value counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of the first of these variables that is set.
    pub(crate) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// Whether a variable is set to `1`, `true`, `yes` or `on`.
    pub(crate) fn is_enabled(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on"))
    }

    /// All variables whose names start with `prefix`.
    pub(crate) fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter(move |(name, value)| name.starts_with(prefix) && !value.is_empty())
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether any credentials for an object store are set.
    pub(crate) fn has_credentials(&self) -> bool {
        self.first(&[
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "MINIO_ACCESS_KEY",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_SERVICE_ACCOUNT",
            "GOOGLE_SERVICE_ACCOUNT_PATH",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            "GOOGLE_BEARER_TOKEN",
            "SERVICE_ACCOUNT",
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_ACCESS_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_STORAGE_SAS_KEY",
            "AZURE_STORAGE_TOKEN",
            "AZURE_CLIENT_ID",
            "AZURE_STORAGE_CLIENT_ID",
        ])
        .is_some()
    }

    /// The text without the values of variables that hold secrets, and without the users, passwords and queries of its
    /// URLs.
    pub(crate) fn redact(&self, text: &str) -> String {
        let mut redacted = without_url_secrets(text);
        for (name, value) in self.0.iter() {
            if is_secret(name) && value.len() >= 4 && redacted.contains(value.as_str()) {
                redacted = redacted.replace(value.as_str(), "***");
            }
        }
        redacted
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(Arc::new(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect()))
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let is_location = ["_FILE", "_PATH", "_URI", "_URL", "_HOST", "_ENDPOINT"].iter().any(|end| name.ends_with(end));
    !is_location
        && ["KEY", "SECRET", "TOKEN", "PASSWORD", "PASSWD", "SAS", "CREDENTIAL", "SIGNATURE"]
            .iter()
            .any(|word| name.contains(word))
}

/// Removes `user:password@` and masks `?query` in every URL of a text.
fn without_url_secrets(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        redacted.push_str(before);
        let end =
            after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | '<' | '>')).unwrap_or(after.len());
        let (url, tail) = after.split_at(end);
        let authority = url.find(['/', '?']).unwrap_or(url.len());
        let host = url[..authority].rfind('@').map_or(0, |at| at + 1);
        let visible = &url[host..];
        match visible.split_once('?') {
            Some((path, _)) => {
                redacted.push_str(path);
                redacted.push_str("?***");
            }
            None => redacted.push_str(visible),
        }
        rest = tail;
    }
    redacted.push_str(rest);
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_redacted() {
        let environment = Environment::from_iter([
            ("AWS_SECRET_ACCESS_KEY", "hush-hush"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"),
            ("HF_TOKEN", "hf_hush"),
        ]);
        let text = "GET (https://me:hush@host/a/b?sig=hush&x=1) with hush-hush and hf_hush from /var/run/token";
        assert_eq!(environment.redact(text), "GET (https://host/a/b?***) with *** and *** from /var/run/token");
        assert_eq!(environment.redact("http://user@x and s3://b/k"), "http://x and s3://b/k");
        assert_eq!(environment.redact("http://host?sig=a@hush"), "http://host?***");
    }
}
