//! The chat template: found, compiled once, rendered many times from any thread.

use super::config::{self, Config};
use super::{TokenizerFiles, filters, guard, source};
use crate::error::{Error, ErrorKind, Result};
use crate::sample::Conversation;
use chrono::NaiveDateTime;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, context};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// No template is longer; the longest that models come with have some 20 KB.
const LONGEST: usize = 128 << 10;

/// What a byte of a template may cost on the stack where every byte nests. Only what is used is taken from the system.
const STACK_PER_BYTE: usize = 4 << 10;
const LEAST_STACK: usize = 2 << 20;

/// The name under which the one template is known to its environment.
const NAME: &str = "chat_template";
/// Steps that any render may take; a real template takes some hundred for a pair.
const FUEL: u64 = 4_000_000;
/// A conversation of this size gets as much fuel again, and so on.
const FUEL_BYTES: usize = 1 << 20;

/// A template that the user gave (`--chat-template FILE`); it wins over all that the folder holds.
#[derive(Debug, Clone)]
pub(crate) struct GivenTemplate {
    /// The template itself.
    pub(crate) text: String,
    /// Where it came from, for messages.
    pub(crate) place: String,
}

/// A compiled chat template with the special tokens of its folder.
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    place: String,
    digest: String,
    date: NaiveDateTime,
    date_used: Arc<AtomicBool>,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate").field("place", &self.place).field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// Finds the template of a tokenizer folder (or takes the given one) and compiles it.
    ///
    /// `now` is the date that a template gets from `strftime_now`.
    ///
    /// # Errors
    /// Where there is no template, a configuration file is no JSON, or the template does not parse.
    pub(crate) fn load(files: &TokenizerFiles, given: Option<GivenTemplate>, now: NaiveDateTime) -> Result<Self> {
        let config = Config::load(files)?;
        let (text, place) = match given {
            Some(given) => (given.text, given.place),
            None => find(files, &config)?,
        };
        let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
        let date_used = Arc::new(AtomicBool::new(false));
        let mut environment = environment(now, date_used.clone());
        for (name, content) in config.variables() {
            environment.add_global(name.to_owned(), Value::from(content));
        }
        if text.len() > LONGEST {
            return Err(failed(&format!("the chat template is longer than {LONGEST} bytes"), &place));
        }
        // The engine parses by recursion, and a template may nest as deeply as it is long: it gets a stack to match.
        let mut parse = || environment.add_template_owned(NAME, source::rewrite(&text));
        let parsed = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size((text.len() * STACK_PER_BYTE).max(LEAST_STACK));
            thread.spawn_scoped(scope, || catch_unwind(AssertUnwindSafe(&mut parse))).map(|thread| thread.join())
        });
        match parsed {
            Ok(Ok(Ok(added))) => added.map_err(|error| explain(&error, &place))?,
            _ => return Err(failed("the template engine cannot parse it", &place)),
        }
        Ok(Self { environment, place, digest, date: now, date_used })
    }

    /// Renders a conversation to the text whose tokens are counted.
    ///
    /// # Errors
    /// Where the messages are no JSON, or the template fails (`raise_exception` included).
    pub(crate) fn render(&self, conversation: &Conversation<'_>) -> Result<String> {
        let (context, size) = match conversation {
            Conversation::Pair { user, assistant, thinking } => {
                let reasoning = Value::from(*thinking);
                let messages = vec![
                    context! { role => "user", content => user.as_ref() },
                    context! {
                        thinking => reasoning.clone(),
                        role => "assistant",
                        content => *assistant,
                        reasoning_content => reasoning,
                    },
                ];
                (context! { messages => messages }, user.len() + assistant.len() + thinking.len())
            }
            Conversation::Messages { messages, tools } => {
                let size = messages.len() + tools.map_or(0, str::len);
                let messages = as_handed_over(&json(messages, "messages")?)?;
                let context = match tools {
                    Some(tools) => context! { messages => messages, tools => json(tools, "tools")? },
                    None => context! { messages => messages },
                };
                (context, size)
            }
        };
        guard::start(size);
        let larger;
        let environment = match size / FUEL_BYTES {
            0 => &self.environment,
            more => {
                larger = {
                    let mut environment = self.environment.clone();
                    environment.set_fuel(Some(FUEL.saturating_mul(more as u64 + 1)));
                    environment
                };
                &larger
            }
        };
        let template = environment.get_template(NAME).map_err(|error| explain(&error, &self.place))?;
        // minijinja panics on some odd templates (a `break` inside a `with`): that is the template's fault as well.
        match catch_unwind(AssertUnwindSafe(|| template.render(context))) {
            Ok(text) => text.map_err(|error| explain(&error, &self.place)),
            Err(_) => {
                Err(failed("the template engine cannot run it (a `break` or `continue` inside a `with`?)", &self.place))
            }
        }
    }

    /// Renders a conversation at the end of `out`; on an error `out` is as it was.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub(crate) fn render_into(&self, conversation: &Conversation<'_>, out: &mut String) -> Result<()> {
        let text = self.render(conversation)?;
        if out.is_empty() {
            *out = text;
        } else {
            out.push_str(&text);
        }
        Ok(())
    }

    /// The BLAKE3 digest of the template's text, in hex.
    pub(crate) fn digest(&self) -> String {
        self.digest.clone()
    }

    /// Where the template came from, for messages.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// The date that the template put into texts (`YYYY-MM-DD`), if any render so far asked for it.
    pub(crate) fn date_used(&self) -> Option<String> {
        self.date_used.load(Ordering::Relaxed).then(|| self.date.format("%Y-%m-%d").to_string())
    }
}

/// minijinja set up as transformers sets up jinja2.
fn environment(now: NaiveDateTime, date_used: Arc<AtomicBool>) -> Environment<'static> {
    let mut environment = Environment::new();
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(false);
    environment.add_global("tools", ());
    environment.add_global("documents", ());
    environment.add_global("add_generation_prompt", false);
    filters::install(&mut environment, now, date_used);
    guard::install(&mut environment);
    environment
}

/// Messages and tools come as JSON; minijinja's values keep the order of keys.
fn json(text: &str, what: &str) -> Result<Value> {
    serde_json::from_str(text)
        .map_err(|error| Error::new(ErrorKind::Data, format!("{what}: not valid JSON")).caused_by(error))
}

/// The names under which a message's reasoning is handed over.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// The messages as transformers 5 hands them to a template: keys whose value is null are left out, and the first of
/// [`REASONING`] that a message has becomes its `reasoning_content`, and its `thinking` where it has none.
fn as_handed_over(messages: &Value) -> Result<Value> {
    let wrong = |what: String| Error::new(ErrorKind::Data, what);
    let list = match messages.kind() {
        ValueKind::Seq => messages.try_iter().map_err(|error| wrong(error.to_string()))?,
        other => return Err(wrong(format!("messages: expected a list, found a {other}"))),
    };
    let mut out = Vec::with_capacity(messages.len().unwrap_or(0));
    for (index, message) in list.enumerate() {
        if message.kind() != ValueKind::Map {
            return Err(wrong(format!("messages: expected objects, found a {} at {index}", message.kind())));
        }
        let mut pairs: Vec<(Value, Value)> = Vec::with_capacity(5);
        for key in message.try_iter().map_err(|error| wrong(error.to_string()))? {
            let value = message.get_item(&key).map_err(|error| wrong(error.to_string()))?;
            if !value.is_none() {
                pairs.push((key, value));
            }
        }
        let place = |name: &str, pairs: &[(Value, Value)]| pairs.iter().position(|(key, _)| key.as_str() == Some(name));
        if let Some(at) = REASONING.iter().find_map(|name| place(name, &pairs)) {
            let reasoning = pairs[at].1.clone();
            // `thinking` comes first, `reasoning_content` where it stands, else last.
            let thinking = match place("thinking", &pairs) {
                Some(at) => pairs.remove(at),
                None => (Value::from("thinking"), reasoning.clone()),
            };
            pairs.insert(0, thinking);
            if place("reasoning_content", &pairs).is_none() {
                pairs.push((Value::from("reasoning_content"), reasoning));
            }
        }
        out.push(Value::from_pairs(pairs));
    }
    Ok(out.into())
}

/// The folder's template and its place: `chat_template.jinja`, `chat_template.json`, `tokenizer_config.json`.
fn find(files: &TokenizerFiles, config: &Config) -> Result<(String, String)> {
    if let Some(bytes) = &files.chat_template_jinja {
        let place = files.file("chat_template.jinja");
        return match std::str::from_utf8(bytes) {
            // Python reads text files with their line ends made one.
            Ok(text) => Ok((text.replace("\r\n", "\n").replace('\r', "\n"), place)),
            Err(error) => Err(Error::new(ErrorKind::Data, "not valid UTF-8").at(place).caused_by(error)),
        };
    }
    if let Some(bytes) = &files.chat_template_json {
        let place = files.file("chat_template.json");
        if let Some(value) = config::object(bytes, &place)?.get("chat_template") {
            return named(value, &place);
        }
    }
    match config.chat_template() {
        Some(value) if !value.is_null() => named(value, &files.file("tokenizer_config.json")),
        _ => Err(none(files)),
    }
}

/// A template can be a string, or a list of named ones of which `default` is used.
fn named(value: &serde_json::Value, place: &str) -> Result<(String, String)> {
    use serde_json::Value as Json;
    let names: Vec<(&str, &str)> = match value {
        Json::String(text) => return Ok((text.clone(), place.to_owned())),
        Json::Array(list) => list.iter().filter_map(|t| Some((t["name"].as_str()?, t["template"].as_str()?))).collect(),
        Json::Object(map) => map.iter().filter_map(|(name, text)| Some((name.as_str(), text.as_str()?))).collect(),
        _ => return Err(Error::new(ErrorKind::Data, "chat_template is no text and no list of templates").at(place)),
    };
    match names.iter().rfind(|(name, _)| *name == "default") {
        Some((_, text)) => Ok((String::from(*text), place.to_owned())),
        None => Err(Error::new(
            ErrorKind::Data,
            format!(
                "none of the chat templates is named `default` (there are: {})",
                names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
            ),
        )
        .at(place)
        .hint("choose one: save it as a file and give it with --chat-template FILE")),
    }
}

fn none(files: &TokenizerFiles) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "the tokenizer has no chat template: looked for chat_template.jinja, chat_template.json and `chat_template` \
         in tokenizer_config.json",
    )
    .at(&files.place)
    .hint("give one with --chat-template FILE, or take the tokenizer of an instruct model")
}

/// A template's error, with its line.
fn explain(error: &minijinja::Error, place: &str) -> Error {
    let message = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    let place = match error.line() {
        Some(line) => format!("{place}:{line}"),
        None => place.to_owned(),
    };
    failed(&message, &place)
}

fn failed(message: &str, place: &str) -> Error {
    Error::new(ErrorKind::Data, format!("the chat template fails: {message}"))
        .at(place)
        .hint("give another template with --chat-template FILE")
}
