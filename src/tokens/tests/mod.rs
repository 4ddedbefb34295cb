//! The room as its users see it, with tokenizers small enough to stand here.

mod count;
mod render;
#[rustfmt::skip]
mod snippets;

use super::{ChatTemplate, Counter, GivenTemplate, Texts, TokenizerFiles};
use crate::sample::Conversation;
use bytes::Bytes;

/// What the snippets are rendered with.
pub(super) const MESSAGES: &str = r#"[{"role":"user","content":"hi <b> \"q\" é\n","thinking":null},
    {"role":"assistant","content":"yo  ","thinking":"t"}]"#;

fn now() -> chrono::NaiveDateTime {
    chrono::NaiveDate::from_ymd_opt(2026, 3, 7).unwrap().and_hms_micro_opt(14, 5, 9, 123_456).unwrap()
}

/// A folder with a configuration and nothing else.
fn folder(config: &str) -> TokenizerFiles {
    TokenizerFiles {
        name: "folder".into(),
        place: "folder".into(),
        tokenizer_config: Some(Bytes::copy_from_slice(config.as_bytes())),
        ..TokenizerFiles::default()
    }
}

fn given(text: &str) -> crate::error::Result<ChatTemplate> {
    let files = folder(r#"{"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "pad_token": null}"#);
    ChatTemplate::load(&files, Some(GivenTemplate { text: text.into(), place: "my.jinja".into() }), now())
}

fn render(template: &str) -> crate::error::Result<String> {
    given(template)?.render(&Conversation::Messages { messages: MESSAGES, tools: None })
}

fn error(template: &str) -> String {
    match render(template) {
        Ok(text) => panic!("{template:?} renders to {} bytes", text.len()),
        Err(error) => error.line(),
    }
}
