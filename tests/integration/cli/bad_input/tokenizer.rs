//! Tokenizers and templates that are not there or cannot be used.

use crate::cli::{Cases, refused, refused_with};
use insta::assert_snapshot;
use std::time::{Duration, Instant};
use test_support::builtin_tokenizer;
use test_support::program::Sandbox;
use test_support::rows::example_sandbox;

/// The small example and a tokenizer folder with this chat template.
fn with_template(template: &str) -> Sandbox {
    let sandbox = example_sandbox();
    sandbox.write("tokenizer/tokenizer.json", builtin_tokenizer("tokenizer.json"));
    sandbox.write("tokenizer/tokenizer_config.json", builtin_tokenizer("tokenizer_config.json"));
    sandbox.write("tokenizer/chat_template.jinja", template);
    sandbox
}

const FOLDER: [&str; 2] = ["--tokenizer-model", "tokenizer"];

/// Refused, without ever asking the network.
fn refused_here(sandbox: &Sandbox, code: i32, more: &[&str]) -> String {
    refused_with(sandbox, code, more, &[("HF_HUB_OFFLINE", "1")])
}

#[test]
fn tokenizers_that_are_not_there() {
    let sandbox = example_sandbox();
    let mut cases = Cases::default();
    for name in ["nowhere", "./no/where", "/nowhere/at/all", "step_02"] {
        cases.add(name, &refused_here(&sandbox, 66, &["--tokenizer-model", name]));
    }
    cases.add(
        "acme/lighthouse-1b without a network",
        &refused_here(&sandbox, 66, &["--tokenizer-model", "acme/lighthouse-1b"]),
    );
    assert_snapshot!(cases.0);
}

#[test]
fn tokenizer_folders_that_cannot_be_used() {
    let mut cases = Cases::default();
    let sandbox = with_template("{{ messages[0]['content'] }}");
    sandbox.write("tokenizer/tokenizer.json", "{\"model\":");
    cases.add("tokenizer.json is no JSON", &refused_here(&sandbox, 3, &FOLDER));
    sandbox.write("tokenizer/tokenizer.json", "{\"model\": {\"type\": \"Abacus\"}}");
    cases.add("tokenizer.json is no tokenizer", &refused_here(&sandbox, 3, &FOLDER));
    sandbox.write("tokenizer/tokenizer.json", builtin_tokenizer("tokenizer.json"));
    sandbox.write("tokenizer/tokenizer_config.json", "[");
    cases.add("tokenizer_config.json is no JSON", &refused_here(&sandbox, 3, &FOLDER));
    sandbox.write("tokenizer/tokenizer_config.json", "{}");
    std::fs::remove_file(sandbox.path("tokenizer/chat_template.jinja")).expect("the file");
    cases.add("no chat template", &refused_here(&sandbox, 66, &FOLDER));
    sandbox.write("tokenizer/tokenizer_config.json", r#"{"chat_template": [{"name": "rag", "template": "x"}]}"#);
    cases.add("no default template among named ones", &refused_here(&sandbox, 3, &FOLDER));
    assert_snapshot!(cases.0);
}

#[test]
fn chat_templates_that_fail() {
    let mut cases = Cases::default();
    for (name, template) in [
        ("a syntax error", "{% for message in messages %}\n{{ message.content }}\n"),
        ("an unknown filter", "{{ messages | upend }}"),
        ("a call of nothing", "{{ nothing_of_the_kind() }}"),
        ("the template refuses", "{{ raise_exception('Conversation roles must alternate') }}"),
        ("a sum of text and number", "{{ messages[0]['content'] + 7 }}"),
        ("no such file to include", "{% include 'other.jinja' %}"),
    ] {
        let sandbox = with_template(template);
        cases.add(name, &refused_here(&sandbox, 3, &FOLDER));
    }
    let sandbox = example_sandbox();
    cases.add("--chat-template that is not there", &refused(&sandbox, 66, &["--chat-template", "nowhere.jinja"]));
    sandbox.write("broken.jinja", "{% if %}");
    cases.add("--chat-template with a syntax error", &refused(&sandbox, 3, &["--chat-template", "broken.jinja"]));
    cases.add(
        "KNOWLEDGE_MIXING_CHAT_TEMPLATE with a syntax error",
        &refused_with(&sandbox, 3, &[], &[("KNOWLEDGE_MIXING_CHAT_TEMPLATE", "broken.jinja")]),
    );
    assert_snapshot!(cases.0);
}

#[test]
fn chat_templates_without_an_end() {
    let mut cases = Cases::default();
    for (name, template) in [
        (
            "loops in loops",
            "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}",
        ),
        ("a macro that calls itself", "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}"),
        (
            "a text that doubles",
            "{% set n = namespace(t='0123456789') %}{% for i in range(60) %}{% set n.t = n.t + n.t %}{% endfor %}{{ n.t }}",
        ),
        ("a text times a number", "{{ 'lamp' * 4000000000 }}"),
    ] {
        let sandbox = with_template(template);
        let start = Instant::now();
        cases.add(name, &refused_here(&sandbox, 3, &FOLDER));
        assert!(start.elapsed() < Duration::from_secs(60), "{name}: {:?}", start.elapsed());
    }
    assert_snapshot!(cases.0);
}
