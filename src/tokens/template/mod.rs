//! The chat templates: compiled once, rendered many times, from any thread.

mod budget;
mod conversation;
#[cfg(test)]
mod corpus;
mod expression;
mod filters;
mod find;
mod json;
mod methods;
mod objects;
mod operators;
mod percent;
mod probe;
mod python;
mod rewrite;
#[cfg(test)]
#[rustfmt::skip]
mod snippets;
mod strftime;
#[cfg(test)]
mod tests;
mod types;
mod values;

pub(crate) use find::GivenTemplate;

use super::config::TokenizerConfig;
use super::files::TokenizerFiles;
use super::panics::caught;
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::TokenizerRules;
use crate::sample::Conversation;
use crate::watchdog::Operation;
use budget::RenderBudget;
use chrono::NaiveDateTime;
use find::Templates;
use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Upper limit for the length of a template in bytes. The longest that models ship with have some 20 KB.
const MAX_TEMPLATE_BYTES: usize = 128 << 10;

/// Stack that a byte of a template can cost if every byte nests. The system provides only what is used.
const STACK_PER_BYTE: usize = 4 << 10;
const MIN_STACK: usize = 2 << 20;

/// The name of the template in its environment.
const NAME: &str = "chat_template";
/// The name of the template of conversations with tools, if they have one of their own.
const TOOL_USE: &str = "tool_use";
/// What helps if a template does not work.
const HINT: &str = "fix the template, or pass another one with --chat-template FILE";
/// Steps that a render may take. A real template takes a few hundred for a pair.
const FUEL: u64 = 4_000_000;
/// Size of a conversation for each multiple of which a render gets [`FUEL`] once more.
const FUEL_BYTES: usize = 1 << 20;

/// A tokenizer's compiled chat template, with its special tokens; perhaps another one for conversations with tools.
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    default: Rendering,
    /// Of [`TOOL_USE`], or why it cannot be used: only conversations with tools need it.
    tool_use: Option<Result<Rendering, String>>,
    digest: String,
    rules: TokenizerRules,
    date: NaiveDateTime,
    date_used: Arc<AtomicBool>,
}

/// The rendering of one template: where it comes from, and its operation for the watchdog.
#[derive(Debug)]
struct Rendering {
    name: &'static str,
    place: String,
    operation: Operation,
}

impl Rendering {
    fn new(name: &'static str, place: String) -> Self {
        let operation = Operation::new("rendering the chat template", place.clone(), HINT);
        Self { name, place, operation }
    }
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("place", &self.default.place)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// Compiles the given template, or the tokenizer's own if none is given. `rules` say which version of transformers passes
    /// messages to it; `now` is the date of `strftime_now`.
    ///
    /// # Errors
    /// If there is no template, a configuration file is not valid JSON, or the template of conversations without tools does not
    /// parse.
    pub(crate) fn load(
        files: &TokenizerFiles,
        given: Option<GivenTemplate>,
        rules: TokenizerRules,
        now: NaiveDateTime,
    ) -> Result<Self> {
        let config = TokenizerConfig::load(files)?;
        let Templates { default, tool_use } = match given {
            Some(given) => given.into(),
            None => find::find(files, &config)?,
        };
        let date_used = Arc::new(AtomicBool::new(false));
        let mut environment = environment(now, date_used.clone());
        for (name, content) in config.template_variables() {
            environment.add_global(name.to_owned(), Value::from(content));
        }
        compile(&mut environment, NAME, &default)?;
        let mut digest = blake3::Hasher::new();
        digest.update(default.text.as_bytes());
        let tool_use = tool_use.map(|template| {
            digest.update(&[0]).update(template.text.as_bytes());
            compile(&mut environment, TOOL_USE, &template)
                .map(|()| Rendering::new(TOOL_USE, template.place))
                .map_err(|error| error.line())
        });
        let digest = digest.finalize().to_hex().to_string();
        Ok(Self {
            environment,
            default: Rendering::new(NAME, default.place),
            tool_use,
            digest,
            rules,
            date: now,
            date_used,
        })
    }

    /// Renders a conversation to the text whose tokens are counted. A document is its own text.
    ///
    /// # Errors
    /// If the messages are not valid JSON, or the template does not parse or fails (`raise_exception` included).
    pub(crate) fn render(&self, conversation: &Conversation<'_>) -> Result<String> {
        if let Conversation::Document(text) = conversation {
            return Ok((*text).to_owned());
        }
        let has_tools = matches!(conversation, Conversation::Messages { tools: Some(_), .. });
        let rendering = match &self.tool_use {
            Some(Ok(tool_use)) if has_tools => tool_use,
            Some(Err(why)) if has_tools => return Err(Error::new(ErrorKind::Data, why).hint(HINT)),
            _ => &self.default,
        };
        let context = conversation.context(self.rules)?;
        self.render_context(rendering, context, conversation.bytes())
    }

    /// Renders a template with its variables; `bytes` is the size of their conversation.
    fn render_context(&self, rendering: &Rendering, context: Value, bytes: usize) -> Result<String> {
        let Rendering { name, place, operation } = rendering;
        let _budget = RenderBudget::start(bytes);
        let environment = self.environment_for(bytes);
        let template = environment.get_template(name).map_err(|error| explain(&error, place))?;
        // minijinja panics on a few unusual templates, such as a `break` inside a `with`.
        match operation.run(|| caught(|| Ok(template.render(context)))) {
            Ok(text) => text.map_err(|error| explain(&error, place)),
            Err(_) => {
                let message = "the template engine cannot run it (a `break` or `continue` inside a `with`?)";
                Err(failed(message, place))
            }
        }
    }

    /// Appends a rendered conversation to `out`. If it fails, `out` is unchanged.
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

    /// The BLAKE3 digest of the template's text, in hex. If there is another template for tools, its text follows a zero byte.
    pub(crate) fn digest(&self) -> String {
        self.digest.clone()
    }

    /// The date that the template wrote into texts (`YYYY-MM-DD`), if any render so far used it.
    pub(crate) fn date_used(&self) -> Option<String> {
        self.date_used.load(Ordering::Relaxed).then(|| self.date.format("%Y-%m-%d").to_string())
    }

    /// The environment, with the fuel for a conversation of `bytes`.
    fn environment_for(&self, bytes: usize) -> Cow<'_, Environment<'static>> {
        match bytes / FUEL_BYTES {
            0 => Cow::Borrowed(&self.environment),
            more => {
                let mut environment = self.environment.clone();
                environment.set_fuel(Some(FUEL.saturating_mul(more as u64 + 1)));
                Cow::Owned(environment)
            }
        }
    }
}

/// minijinja, configured as transformers configures jinja2.
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
    operators::install(&mut environment);
    types::install(&mut environment);
    objects::install(&mut environment);
    environment
}

/// Parses a template. The engine parses recursively, and a template can nest as deeply as it is long, so it is parsed on a
/// thread with a stack to match.
fn compile(environment: &mut Environment<'static>, name: &'static str, template: &GivenTemplate) -> Result<()> {
    let GivenTemplate { text, place } = template;
    if text.len() > MAX_TEMPLATE_BYTES {
        return Err(failed(&format!("longer than {MAX_TEMPLATE_BYTES} bytes"), place));
    }
    let operation = Operation::new("parsing the chat template", place.clone(), HINT);
    let mut parse = || operation.run(|| environment.add_template_owned(name, rewrite::rewrite(text)));
    let parsed = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size((text.len() * STACK_PER_BYTE).max(MIN_STACK));
        thread.spawn_scoped(scope, || caught(|| Ok(parse()))).map(|thread| thread.join())
    });
    match parsed {
        Ok(Ok(Ok(added))) => added.map_err(|error| explain(&error, place)),
        Err(error) => Err(Error::no_thread("start a thread that parses the chat template", error).at(place)),
        _ => Err(failed("the template engine cannot parse it", place)),
    }
}

/// The engine's error, with its line.
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
    Error::new(ErrorKind::Data, format!("chat template failed: {message}")).at(place).hint(HINT)
}
