//! The parsers of what is not trusted: each takes any bytes, and must return. What it makes of them does not matter.

use super::hot_paths::{Parser, Texts};
use crate::codec::{Codec, DecodingReader};
use crate::manifest::Manifest;
use crate::recipe::TokenizerRules;
use crate::sample::Conversation;
use crate::tokens::{ChatTemplate, TokenizerFiles, date_of_run};
use crate::{message, settings, workflow};
use std::io::Read;

/// Maximum number of decompressed bytes that are read of one input.
const MAX_DECODED: u64 = 1 << 20;

/// A parser under test.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 7] = [
    ("row", row),
    ("codec", codec),
    ("recipe", recipe),
    ("executor_input", executor_input),
    ("template", template),
    ("manifest", manifest),
    ("message", message),
];

fn row(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    Parser::default().parse(&[text], &Texts::default());
}

/// The first byte selects the codec.
fn codec(bytes: &[u8]) {
    let Some((first, stored)) = bytes.split_first() else { return };
    let codec = [Codec::None, Codec::Gzip, Codec::Zstd][usize::from(first % 3)];
    if let Ok(reader) = DecodingReader::new(codec, stored) {
        let _ = reader.take(MAX_DECODED).read_to_end(&mut Vec::new());
    }
}

fn recipe(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for mistake in settings::recipe_mistakes(&text, "recipe") {
        assert_is_one_line(&mistake.line());
    }
}

fn executor_input(bytes: &[u8]) {
    if let Err(error) = workflow::kfp_step::run_arguments(&String::from_utf8_lossy(bytes)) {
        assert_is_one_line(&error.line());
    }
}

/// The template, and after a NUL the messages as JSON.
fn template(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (template, messages) = text.split_once('\0').unwrap_or((&text, r#"[{"role": "user", "content": "a"}]"#));
    let files = TokenizerFiles { chat_template_jinja: Some(template.to_owned().into()), ..Default::default() };
    let Ok(now) = date_of_run() else { return };
    let rendered = ChatTemplate::load(&files, None, TokenizerRules::Auto, now)
        .and_then(|template| template.render(&Conversation::Messages { messages, tools: None }));
    if let Err(error) = rendered {
        assert_is_one_line(&error.line());
    }
}

fn manifest(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Manifest>(bytes);
}

fn message(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert_is_one_line(&message::line(&text));
    message::without_quotes(&text);
}

fn assert_is_one_line(text: &str) {
    assert!(!text.contains(crate::escape::is_hidden), "a control character in {text:?}");
}
