//! Tokenizers and chat templates that are missing or invalid.

use crate::cli::{Cases, refused, refused_by_binary};
use insta::assert_snapshot;
use std::time::{Duration, Instant};
use test_support::builtin_tokenizer;
use test_support::program::Sandbox;
use test_support::rows::example_sandbox;

/// The small example, and a tokenizer folder with this chat template.
fn with_template(template: &str) -> Sandbox {
    let sandbox = example_sandbox();
    sandbox.write("tokenizer/tokenizer.json", builtin_tokenizer("tokenizer.json"));
    sandbox.write("tokenizer/tokenizer_config.json", builtin_tokenizer("tokenizer_config.json"));
    sandbox.write("tokenizer/chat_template.jinja", template);
    sandbox
}

const FOLDER: [&str; 2] = ["--tokenizer-model", "tokenizer"];

/// Refused without a request to the hub.
fn refused_offline(sandbox: &Sandbox, name: &str) -> String {
    refused_by_binary(sandbox, 66, &["--tokenizer-model", name], &[("HF_HUB_OFFLINE", "1")])
}

#[test]
fn missing_tokenizers() {
    let sandbox = example_sandbox();
    let mut cases = Cases::default();
    for name in ["nowhere", "./no/where", "/nowhere/at/all", "step_02"] {
        cases.add(name, &refused_offline(&sandbox, name));
    }
    cases.add("acme/lighthouse-1b offline", &refused_offline(&sandbox, "acme/lighthouse-1b"));
    assert_snapshot!(cases.0);
}

#[test]
fn invalid_tokenizer_folders() {
    let mut cases = Cases::default();
    let sandbox = with_template("{{ messages[0]['content'] }}");
    sandbox.write("tokenizer/tokenizer.json", "{\"model\":");
    cases.add("tokenizer.json is not JSON", &refused(&sandbox, 3, &FOLDER));
    sandbox.write("tokenizer/tokenizer.json", "{\"model\": {\"type\": \"Abacus\"}}");
    cases.add("tokenizer.json is not a tokenizer", &refused(&sandbox, 3, &FOLDER));
    sandbox.write("tokenizer/tokenizer.json", builtin_tokenizer("tokenizer.json"));
    sandbox.write("tokenizer/tokenizer_config.json", "[");
    cases.add("tokenizer_config.json is not JSON", &refused(&sandbox, 3, &FOLDER));
    sandbox.write("tokenizer/tokenizer_config.json", "{}");
    std::fs::remove_file(sandbox.path("tokenizer/chat_template.jinja")).expect("cannot remove the file");
    cases.add("no chat template", &refused(&sandbox, 66, &FOLDER));
    sandbox.write("tokenizer/tokenizer_config.json", r#"{"chat_template": [{"name": "rag", "template": "x"}]}"#);
    cases.add("named templates without a default", &refused(&sandbox, 3, &FOLDER));
    assert_snapshot!(cases.0);
}

#[test]
fn chat_templates_that_fail() {
    let mut cases = Cases::default();
    for (name, template) in [
        ("a syntax error", "{% for message in messages %}\n{{ message.content }}\n"),
        ("an unknown filter", "{{ messages | upend }}"),
        ("a call of an undefined function", "{{ nothing_of_the_kind() }}"),
        ("the template raises an exception", "{{ raise_exception('Conversation roles must alternate') }}"),
        ("a sum of string and number", "{{ messages[0]['content'] + 7 }}"),
        ("an included file that does not exist", "{% include 'other.jinja' %}"),
    ] {
        let sandbox = with_template(template);
        cases.add(name, &refused(&sandbox, 3, &FOLDER));
    }
    let sandbox = example_sandbox();
    cases.add("a --chat-template that does not exist", &refused(&sandbox, 66, &["--chat-template", "nowhere.jinja"]));
    sandbox.write("broken.jinja", "{% if %}");
    cases.add("--chat-template with a syntax error", &refused(&sandbox, 3, &["--chat-template", "broken.jinja"]));
    cases.add(
        "KNOWLEDGE_MIXING_CHAT_TEMPLATE with a syntax error",
        &refused_by_binary(&sandbox, 3, &[], &[("KNOWLEDGE_MIXING_CHAT_TEMPLATE", "broken.jinja")]),
    );
    assert_snapshot!(cases.0);
}

#[test]
fn chat_templates_that_do_not_terminate() {
    let mut cases = Cases::default();
    for (name, template) in [
        (
            "nested loops",
            "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}",
        ),
        ("a macro that calls itself", "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}"),
        (
            "a string that doubles",
            "{% set n = namespace(t='0123456789') %}{% for i in range(60) %}{% set n.t = n.t + n.t %}{% endfor %}{{ n.t }}",
        ),
        ("a repeated string", "{{ 'lamp' * 4000000000 }}"),
    ] {
        let sandbox = with_template(template);
        let start = Instant::now();
        cases.add(name, &refused(&sandbox, 3, &FOLDER));
        assert!(start.elapsed() < Duration::from_secs(60), "{name}: {:?}", start.elapsed());
    }
    assert_snapshot!(cases.0);
}
