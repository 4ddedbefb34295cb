//! The environment variables that storage reads, captured once, so that tests can supply their own.

use crate::error::{Error, ErrorKind, Result};
use crate::secrets::Secrets;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Environment variables by name, without white space around their values: a file that was pasted into a secret ends with a line
/// break, which belongs to no key, token, URL or path. Cheap to clone: every request carries them for its messages.
#[derive(Clone, Default)]
pub struct Environment(Arc<Variables>);

#[derive(Default)]
struct Variables {
    values: BTreeMap<String, String>,
    /// The names of those that had white space around their values.
    trimmed: BTreeSet<String>,
    /// The names of those whose values are not valid UTF-8.
    invalid: BTreeSet<String>,
}

impl Environment {
    /// The variables of this process.
    pub(crate) fn of_process() -> Self {
        let mut variables = Variables::default();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => variables.insert(name, &value),
                Err(_) => {
                    variables.invalid.insert(name);
                }
            }
        }
        Self(Arc::new(variables))
    }

    /// The value of a variable. An empty value counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Checks the variables whose names start with one of `prefixes`, before a request is made of them. Returns warnings about values
    /// that had white space around them.
    ///
    /// # Errors
    /// A usage error that names the variable if its value is not text, or contains a character that no header or URL can carry.
    pub(crate) fn check(&self, prefixes: &[&str]) -> Result<Vec<String>> {
        let is_checked = |name: &&String| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if let Some(name) = self.0.invalid.iter().find(is_checked) {
            return Err(Error::new(ErrorKind::Usage, "the value is not valid UTF-8").at(name));
        }
        for (name, value) in self.0.values.iter().filter(|(name, _)| is_checked(name)) {
            if !is_path_or_document(name) {
                check_characters(name, value)?;
            }
        }
        let warning = |name| format!("{name}: white space around the value is ignored");
        Ok(self.0.trimmed.iter().filter(is_checked).map(warning).collect())
    }

    /// Checks a variable that a library reads from the process itself, so that its value cannot be trimmed.
    ///
    /// # Errors
    /// A usage error if there is white space around the value.
    pub(crate) fn check_untrimmed(&self, name: &str) -> Result<()> {
        if !self.0.trimmed.contains(name) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Usage, "invalid value: there is white space around it").at(name))
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
            .values
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
    /// URLs. Those of the process's own variables are redacted from every message anyway.
    pub(crate) fn redact(&self, text: &str) -> String {
        let mut secrets = Secrets::default();
        self.0.values.iter().for_each(|(name, value)| secrets.add_variable(name, value));
        secrets.redact(text).into_owned()
    }
}

impl Variables {
    fn insert(&mut self, name: String, value: &str) {
        let trimmed = value.trim();
        if trimmed.len() != value.len() {
            self.trimmed.insert(name.clone());
        }
        self.values.insert(name, trimmed.to_string());
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let mut collected = Variables::default();
        variables.into_iter().for_each(|(name, value)| collected.insert(name.into(), &value.into()));
        Self(Arc::new(collected))
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Environment({} variables)", self.0.values.len())
    }
}

/// Checks that a header can carry a value. `place` is the variable, or the file that the value was read from.
///
/// # Errors
/// A usage error, without the value: it may be a secret.
pub(crate) fn check_characters(place: &str, value: &str) -> Result<()> {
    let Some(found) = value.chars().find(|found| !matches!(found, ' '..='~')) else { return Ok(()) };
    let what = match found {
        '\n' | '\r' => "a line break",
        _ if found.is_control() => "a control character",
        _ => "a character that is not ASCII",
    };
    Err(Error::new(ErrorKind::Usage, format!("invalid value: it contains {what}, which no request can carry"))
        .at(place)
        .hint("set it again, without quotes and line breaks"))
}

/// Whether a variable holds the path of a file or a JSON document, which no header carries.
fn is_path_or_document(name: &str) -> bool {
    const NAMES: [&str; 11] = [
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "SERVICE_ACCOUNT",
        "AWS_CA_BUNDLE",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_ASSETS_CACHE",
        "HF_DATASETS_CACHE",
    ];
    NAMES.contains(&name) || name.ends_with("_FILE") || name.ends_with("_PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_values_is_ignored_and_reported() {
        let environment = Environment::from_iter([
            ("AWS_ACCESS_KEY_ID", " key\r\n"),
            ("AWS_REGION", "eu-central-1"),
            ("AZURE_CLIENT_ID", "id\n"),
        ]);
        assert_eq!(environment.get("AWS_ACCESS_KEY_ID"), Some("key"));
        let warnings = environment.check(&["AWS_"]).unwrap();
        assert_eq!(warnings, ["AWS_ACCESS_KEY_ID: white space around the value is ignored"]);
        assert_eq!(environment.redact("a key\n"), "a key\n", "too short to be a secret");
    }

    #[test]
    fn characters_that_no_header_can_carry_are_a_usage_error_without_the_value() {
        for (value, what) in
            [("hush\nhush", "a line break"), ("hush\u{7f}", "a control character"), ("hush\u{e9}", "not ASCII")]
        {
            let error = Environment::from_iter([("AWS_SESSION_TOKEN", value)]).check(&["AWS_"]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            let text = error.to_string();
            assert!(
                text.starts_with("AWS_SESSION_TOKEN: invalid value: it contains ") && text.contains(what),
                "{text}"
            );
            assert!(!text.contains("hush"), "{text}");
        }
        let others = [
            ("GOOGLE_SERVICE_ACCOUNT_KEY", "{\n}"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/caf\u{e9}"),
            ("HOME", "\n\u{e9}"),
        ];
        Environment::from_iter(others).check(&["AWS_", "GOOGLE_"]).unwrap();
    }

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
