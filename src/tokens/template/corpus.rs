//! The template corpus in `tests/fixtures/templates`: the program renders it as transformers does.
//!
//! `tests/python/check_templates.py` writes `expected.json` and checks that both versions of transformers still agree with it.

use super::tests::now;
use super::{ChatTemplate, GivenTemplate};
use crate::recipe::TokenizerRules;
use crate::sample::Conversation;
use crate::tokens::fixtures::folder;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Given {
    messages: Box<RawValue>,
    tools: Option<Box<RawValue>>,
}

/// The text of each conversation; `None` if transformers raises.
type Texts = BTreeMap<String, Option<String>>;

#[derive(Deserialize)]
struct Expected {
    #[serde(rename = "5")]
    current: Texts,
    /// What version 4.57 renders otherwise.
    #[serde(rename = "4.57", default)]
    older: Texts,
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/templates").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

fn rendered(template: &str, given: &Given, rules: TokenizerRules) -> Result<String, String> {
    let files = folder(r#"{"bos_token": "<s>", "eos_token": "</s>"}"#);
    let text = match template.ends_with(".jinja") {
        true => read(template),
        false => template.to_owned(),
    };
    let text = Some(GivenTemplate { text, place: "corpus".into() });
    let template = ChatTemplate::load(&files, text, rules, now()).map_err(|error| error.line())?;
    let tools = given.tools.as_deref().map(RawValue::get);
    let conversation = Conversation::Messages { messages: given.messages.get(), tools };
    template.render(&conversation).map_err(|error| error.line())
}

#[test]
fn the_template_corpus_renders_as_transformers_renders_it() {
    let given: BTreeMap<String, Given> = serde_json::from_str(&read("conversations.json")).unwrap();
    let expected: BTreeMap<String, Expected> = serde_json::from_str(&read("expected.json")).unwrap();
    let (mut wrong, mut count, mut report) = (0, 0, String::new());
    for (template, Expected { current, older }) in &expected {
        for (chat, text) in current {
            let older = older.get(chat).unwrap_or(text);
            for (rules, expected) in [(TokenizerRules::Auto, text), (TokenizerRules::File, older)] {
                count += 1;
                let found = rendered(template, &given[chat], rules);
                let fails_at_its_line = found.as_ref().is_err_and(|line| line.starts_with("corpus:"));
                if found.as_ref().ok() != expected.as_ref() || (found.is_err() && !fails_at_its_line) {
                    wrong += 1;
                    let _ = writeln!(
                        report,
                        "{template} / {chat} / {rules:?}\n  expected {expected:?}\n  found    {found:?}"
                    );
                }
            }
        }
    }
    assert!(wrong == 0, "{wrong} of {count} differ:\n{report}");
}
