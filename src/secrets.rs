//! Secrets, and texts without them: the one mechanism that keeps them out of messages.
//!
//! What holds a secret is registered when the program gets to know it: variables by their names, users, passwords and queries of URLs
//! wherever they occur, files of credentials. A message is redacted when it is made, before it is cut or escaped. Any
//! [`WINDOW`] consecutive bytes of a secret are found, also percent-encoded, in Base64 or as part of a longer text.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::RwLock;

/// The length of the parts of a secret that are looked for, in bytes.
const WINDOW: usize = 8;

/// The smallest length of a secret: a shorter one would make messages unreadable, and protects nothing.
const MIN_SECRET: usize = 6;

/// What a secret is replaced by.
const MASK: &str = "***";

/// The secrets of this process.
static KNOWN: RwLock<Option<Secrets>> = RwLock::new(None);

/// Values that no message may hold.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    windows: HashSet<[u8; WINDOW]>,
    /// Those that are shorter than a window.
    short: HashSet<String>,
}

/// Registers what `add` adds, for all messages of this process.
pub(crate) fn protect(add: impl FnOnce(&mut Secrets)) {
    let mut known = KNOWN.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    add(known.get_or_insert_default());
}

/// The text without the secrets of this process, and without the users, passwords, queries and tokens that it shows itself.
pub(crate) fn redact(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    match &*known {
        Some(known) => known.redact(text),
        None => without_visible_secrets(text),
    }
}

impl Secrets {
    /// Adds a variable: its value if its name is that of a secret, and the secrets of a URL in any value.
    pub(crate) fn add_variable(&mut self, name: &str, value: &str) {
        if is_secret(name) {
            self.add_credentials(value);
        }
        self.add_urls(value);
    }

    /// Adds the content of a file of credentials, or of a variable with one: of a JSON document, only what its keys call a secret.
    pub(crate) fn add_credentials(&mut self, text: &str) {
        match serde_json::from_str::<Value>(text) {
            Ok(document) if document.is_object() => self.add_document(&document),
            _ => self.add(text.trim()),
        }
    }

    fn add_document(&mut self, document: &Value) {
        for (key, value) in document.as_object().into_iter().flatten() {
            match value {
                Value::String(text) if is_secret(key) => self.add(text),
                value => self.add_document(value),
            }
        }
    }

    /// Adds the users, passwords and queries of all URLs in a text.
    pub(crate) fn add_urls(&mut self, text: &str) {
        // As Go writes JSON.
        let text = text.replace("\\u0026", "&");
        for url in urls(&text) {
            // `user:password`, each of which may have an equals sign in it.
            let user = url.user.into_iter().flat_map(|at| text[at].split(':'));
            // Of a parameter, only the value is secret.
            let parameters = url.query.into_iter().flat_map(|at| text[at].split('&'));
            let values = parameters.map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
            for value in user.chain(values) {
                self.add(value);
                self.add(&percent_decode_str(value).decode_utf8_lossy());
            }
        }
    }

    /// Adds a value, in all its forms.
    fn add(&mut self, value: &str) {
        if value.len() < MIN_SECRET {
            return;
        }
        if value.len() < WINDOW {
            self.short.insert(value.to_owned());
        } else {
            self.add_windows(value.as_bytes());
        }
        let encoded = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        if encoded != value {
            self.add_windows(encoded.as_bytes());
            self.add_windows(encoded.to_ascii_lowercase().as_bytes());
        }
        // In a longer text, Base64 begins at any of three places.
        for skipped in 0..3 {
            let bytes = &value.as_bytes()[skipped..];
            let whole = &bytes[..bytes.len() - bytes.len() % 3];
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                self.add_windows(engine.encode(whole).as_bytes());
            }
        }
        self.add_windows(STANDARD.encode(value).as_bytes());
    }

    fn add_windows(&mut self, bytes: &[u8]) {
        self.windows.extend(bytes.windows(WINDOW).filter_map(|window| <[u8; WINDOW]>::try_from(window).ok()));
    }

    /// The text without these secrets, and without those that it shows itself.
    pub(crate) fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut found = Vec::new();
        if !self.windows.is_empty() {
            for (at, window) in text.as_bytes().windows(WINDOW).enumerate() {
                if <[u8; WINDOW]>::try_from(window).is_ok_and(|window| self.windows.contains(&window)) {
                    found.push((at..at + WINDOW, MASK));
                }
            }
        }
        for short in &self.short {
            found.extend(text.match_indices(short.as_str()).map(|(at, text)| (at..at + text.len(), MASK)));
        }
        match replaced(text, found) {
            Cow::Borrowed(text) => without_visible_secrets(text),
            Cow::Owned(text) => Cow::Owned(without_visible_secrets(&text).into_owned()),
        }
    }
}

/// The text with another one in place of each of these ranges. Of ranges that overlap or touch, that of the first is in place of all.
fn replaced<'t>(text: &'t str, mut ranges: Vec<(Range<usize>, &str)>) -> Cow<'t, str> {
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    ranges.sort_by_key(|(range, _)| range.start);
    let mut replaced = String::with_capacity(text.len());
    let mut end = None;
    for (range, other) in ranges {
        let before = end.unwrap_or(0);
        if end.is_none_or(|end| range.start > end) {
            // Half a character is replaced as a whole.
            let start = text.floor_char_boundary(range.start).max(before);
            replaced.push_str(&text[before..start]);
            replaced.push_str(other);
        }
        end = Some(text.ceil_char_boundary(range.end).max(before));
    }
    replaced.push_str(&text[end.unwrap_or(0)..]);
    Cow::Owned(replaced)
}

/// Whether a variable or a key of this name holds a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let is_location = name == "GOOGLE_APPLICATION_CREDENTIALS"
        || ["_FILE", "_PATH", "_URI", "_URL", "_HOST", "_ENDPOINT"].iter().any(|end| name.ends_with(end));
    // Whole words: MAX_TOKENS and TOKENIZER_MODEL are none.
    let is_word = |word: &str| matches!(word, "KEY" | "TOKEN" | "SAS" | "APIKEY" | "ACCESSKEY" | "AUTH");
    let contains = ["SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "SIGNATURE", "BEARER"];
    !is_location && (name.split('_').any(is_word) || contains.iter().any(|word| name.contains(word)))
}

/// A URL in a text that holds a secret.
struct FoundUrl {
    /// Where its user and password are.
    user: Option<Range<usize>>,
    /// Where its query is.
    query: Option<Range<usize>>,
}

/// The URLs of a text that hold a user, a password or a query. A path that was made of a URL has only one slash (`https:/`).
fn urls(text: &str) -> Vec<FoundUrl> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(":/").map(|at| from + at) {
        let start = at + 1 + text[at + 1..].bytes().take_while(|byte| *byte == b'/').count();
        let is_end = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '`' | ')' | '<' | '>');
        let end = text[start..].find(is_end).map_or(text.len(), |length| start + length);
        let url = &text[start..end];
        // Azure names the container of an account where others have a user.
        let is_azure = text[..at].to_ascii_lowercase().ends_with("abfss");
        let user = end_of_user(url).filter(|user| !is_azure || url[..*user].contains(':'));
        let query = url.find('?').filter(|query| url[*query..].contains(['=', '@']));
        if user.is_some() || query.is_some() {
            let (user, query) = (user.map(|user| start..start + user), query.map(|query| start + query + 1..end));
            found.push(FoundUrl { user, query });
        }
        from = end.max(at + 2);
    }
    found
}

/// Where the user and the password of a URL end, if it has one. A password that is not encoded may have a slash in it.
fn end_of_user(url: &str) -> Option<usize> {
    let authority = url.find(['/', '?', '#']).unwrap_or(url.len());
    if let Some(user) = url[..authority].rfind('@') {
        return Some(user);
    }
    let (_, password) = url[..authority].split_once(':')?;
    let is_port = !password.is_empty() && password.bytes().all(|byte| byte.is_ascii_digit());
    if is_port { None } else { url[..url.find('?').unwrap_or(url.len())].rfind('@') }
}

/// The text without what shows itself to be a secret: users, passwords and queries of URLs, parameters that sign a request, and tokens
/// of well-known forms.
fn without_visible_secrets(text: &str) -> Cow<'_, str> {
    let mut left_out: Vec<(Range<usize>, &str)> = Vec::new();
    for url in urls(text) {
        // With the sign that separates it from the host.
        left_out.extend(url.user.map(|user| (user.start..user.end + 1, "")));
        left_out.extend(url.query.map(|query| (query, MASK)));
    }
    left_out.extend(signatures(text).chain(tokens(text)).map(|range| (range, MASK)));
    replaced(text, left_out)
}

/// The values of parameters that sign a request, wherever they occur: the path that an engine makes of a URL still has its query.
fn signatures(text: &str) -> impl Iterator<Item = Range<usize>> {
    const NAMES: [&str; 7] =
        ["Signature=", "Credential=", "Security-Token=", "AccessKeyId=", "?sig=", "&sig=", "AccountKey="];
    NAMES.into_iter().flat_map(move |name| {
        text.match_indices(name).map(move |(at, _)| {
            let start = at + name.len();
            let is_end = |c: char| c.is_whitespace() || matches!(c, '&' | '"' | '\'' | '`' | ')' | '<' | '>' | ';');
            start..text[start..].find(is_end).map_or(text.len(), |length| start + length)
        })
    })
}

/// Tokens and keys whose form says what they are.
fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> {
    const PREFIXES: [&str; 12] =
        ["hf_", "AKIA", "ASIA", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "sk-", "xoxb-", "AIza", "eyJ"];
    const MIN_REST: usize = 12;
    PREFIXES.into_iter().flat_map(move |prefix| {
        text.match_indices(prefix).filter_map(move |(at, _)| {
            let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
            let rest = text.as_bytes()[at + prefix.len()..].iter().take_while(|byte| is_part(byte)).count();
            let is_within_word = text[..at].ends_with(|c: char| c.is_alphanumeric());
            (rest >= MIN_REST && !is_within_word).then_some(at..at + prefix.len() + rest)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(variables: &[(&str, &str)]) -> Secrets {
        let mut secrets = Secrets::default();
        variables.iter().for_each(|(name, value)| secrets.add_variable(name, value));
        secrets
    }

    #[test]
    fn names_tell_which_variables_hold_secrets() {
        for name in ["AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "AZURE_STORAGE_SAS_TOKEN", "PGPASSWORD", "private_key_id"] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "KNOWLEDGE_MIXING_MAX_TOKENS",
            "TOKENIZER_MODEL",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn urls_lose_users_passwords_and_queries() {
        let secrets = of(&[
            ("HTTPS_PROXY", "http://me:hush-hush@proxy:3128"),
            ("X", "https://h/p?a=1&sig=s%2Bcret%3D"),
            ("Y", "s3://me:pass=word+1@b"),
        ]);
        for (text, redacted) in [
            ("GET (https://me:hush@host/a?sig=hush&x=1) failed", "GET (https://host/a?***) failed"),
            ("https:/user:pass@host/a?X-Amz-Signature=abc", "https:/host/a?***"),
            ("s3://me:a/b@bucket/c and http://host:80/a@b", "s3://bucket/c and http://host:80/a@b"),
            ("/s3/bucket/a?X-Amz-Signature=abc&b=c", "/s3/bucket/a?X-Amz-Signature=***&b=c"),
            ("abfss://c@account.dfs.core.windows.net/p", "abfss://c@account.dfs.core.windows.net/p"),
            ("s3://bucket/what?.jsonl", "s3://bucket/what?.jsonl"),
            ("http://host?sig=a@hush", "http://host?***"),
            ("the proxy wants hush-hush, the bucket pass=word", "the proxy wants ***, the bucket ***"),
            ("s+cret= and s%2Bcret%3D and s%2bcret%3d", "*** and *** and ***"),
        ] {
            assert_eq!(secrets.redact(text), redacted);
        }
    }

    #[test]
    fn of_a_document_only_secrets_are_masked() {
        let key = r#"{"type": "service_account", "private_key": "-----BEGIN\nhushhush", "token_uri": "https://oauth2.googleapis.com/token"}"#;
        let secrets = of(&[("GOOGLE_SERVICE_ACCOUNT_KEY", key)]);
        let text = "a service_account at https://oauth2.googleapis.com/token";
        assert_eq!(secrets.redact(text), text);
        assert_eq!(secrets.redact("of hushhush"), "of ***");
    }

    #[test]
    fn tokens_are_known_by_their_form() {
        let text = "unknown key `hf_abcdefghijklmnop`, AKIAIOSFODNN7EXAMPLE; task-shift_abcdefghijklmnop stays";
        assert_eq!(redact(text), "unknown key `***`, ***; task-shift_abcdefghijklmnop stays");
    }

    proptest! {
        #[test]
        fn no_eight_bytes_of_a_secret_remain(
            secret in "[!-~]{8,40}", before in "(?s).{0,12}", after in "(?s).{0,12}", from in 0..30usize, form in 0..4usize
        ) {
            let secrets = of(&[("API_KEY", &secret)]);
            let form = match form {
                0 => secret.clone(),
                1 => utf8_percent_encode(&secret, NON_ALPHANUMERIC).to_string(),
                2 => STANDARD.encode(format!("u:{secret}")),
                _ => URL_SAFE_NO_PAD.encode(&secret),
            };
            let cut = &form[from.min(form.len())..];
            let redacted = secrets.redact(&format!("{before}{cut}{after}")).into_owned();
            for window in secret.as_bytes().windows(WINDOW) {
                prop_assert!(!redacted.as_bytes().windows(WINDOW).any(|found| found == window), "{}", redacted);
            }
            if cut.len() >= WINDOW + 6 {
                prop_assert!(redacted.len() < before.len() + cut.len() + after.len());
            }
        }
    }
}
