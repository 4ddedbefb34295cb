//! Limits that hold by construction: whatever a template or a tokenizer makes the program do, it ends with 3, names the file, and has
//! published nothing. Never by the kernel, and never not at all.

use std::time::{Duration, Instant};
use test_support::program::Sandbox;
use test_support::rows::{lines, summary_row};

/// What the program may use beyond its limit: what a thread allocates until the watchdog looks again.
const OVER: u64 = 150 << 20;
const LIMIT: u64 = 300 << 20;

/// In which a run with a time limit of one second ends, also beside others.
const TIME_LIMIT: Duration = Duration::from_secs(20);

fn sandbox(template: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let rows: Vec<_> = (0..20).map(|summary| summary_row(0, summary, 0)).collect();
    sandbox.write("step_02/extractive_summary/gen.jsonl", lines(&rows));
    sandbox.write("bad.jinja", template);
    sandbox
}

/// Mixes with a template; returns the message, or nothing if the mix was made.
fn mix(template: &str) -> String {
    let shown: String = template.chars().take(200).collect();
    let sandbox = sandbox(template);
    let began = Instant::now();
    let (ran, peak) = sandbox.run_measured(&[
        "mix",
        "--input",
        "step_02",
        "--tokenizer-model",
        "builtin",
        "--chat-template",
        "bad.jinja",
        "--cut-sizes",
        "4",
        "--memory-limit",
        "300MiB",
        "--operation-timeout",
        "1",
    ]);
    assert!(began.elapsed() < TIME_LIMIT, "{shown}: {:?}", began.elapsed());
    assert!(peak < LIMIT + OVER, "{shown}: {} MB", peak >> 20);
    if ran.code == 0 {
        return String::new();
    }
    assert_eq!(ran.code, 3, "{shown}: {}", ran.stderr);
    assert!(ran.stderr.contains("bad.jinja"), "{shown}: {}", ran.stderr);
    assert!(!sandbox.path("output/step_03/manifest.json").exists(), "{shown}");
    ran.message()
}

/// A body that is repeated `count` times, with a variable that keeps its value.
fn repeat(count: u32, body: &str, end: &str) -> String {
    format!("{{% set ns = namespace(x=[]) %}}{{% for i in range({count}) %}}{body}{{% endfor %}}{end}")
}

#[test]
fn a_template_that_takes_too_long_is_named() {
    let long = "{% set s = 'a' * 4000000 %}";
    for body in [
        "{% if 'b' in s %}{% endif %}",
        "{% set n = s|length %}",
        "{% set n = s.find('b') %}",
        "{% set n = s.count('b') %}",
        "{% set n = s|wordcount %}",
        "{% if s == s ~ '' %}{% endif %}",
    ] {
        let message = mix(&format!("{long}{}", repeat(90_000, body, "")));
        let budget = message.contains("far more text");
        assert!(budget || message.contains("takes more than 1 s (--operation-timeout)"), "{body}: {message}");
    }
}

/// The trainer renders conversations with markers around what it trains.
#[test]
fn a_row_that_takes_too_long_for_the_trainer_is_named() {
    let slow = format!("{{% set s = 'a' * 4000000 %}}{}", repeat(90_000, "{% if 'b' in s %}{% endif %}", ""));
    let sandbox = sandbox(&format!(
        "{{% for m in messages %}}{{{{ m.content }}}}{{% if 'UNMASK_BEGIN' in m.content %}}{slow}{{% endif %}}{{% endfor %}}"
    ));
    let ran = sandbox.run(&[
        "mix",
        "--input",
        "step_02",
        "--tokenizer-model",
        "builtin",
        "--chat-template",
        "bad.jinja",
        "--cut-sizes",
        "4",
        "--formats",
        "tokens",
        "--operation-timeout",
        "1",
    ]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("; the row is step_02/extractive_summary/gen.jsonl:"), "{}", ran.stderr);
}

#[test]
fn a_template_that_needs_too_much_memory_is_named() {
    for template in [
        "{{ [1]|batch(100000000000, 'x')|list }}".to_owned(),
        "{{ ('a' * 8000000)|list|length }}{% set a = ('a' * 8000000)|list %}{% set b = ('a' * 8000000)|list %}{{ a|length }}".to_owned(),
        repeat(90_000, "{% set ns.x = ns.x + [range(90000)|list] %}", ""),
        repeat(90_000, "{% set ns.x = [ns.x, range(90000)|list] %}", ""),
        format!("{{% for a in range(99999) %}}{{% for b in range(99) %}}{}{{% endfor %}}{{% endfor %}}", "ab ".repeat(2000)),
    ] {
        let message = mix(&template);
        let known = ["of memory", "takes more than 1 s", "far more text", "out of fuel"];
        assert!(known.iter().any(|known| message.contains(known)), "{message}");
    }
}

#[test]
fn a_template_that_nests_too_deeply_is_named() {
    for (body, end) in [
        ("{% set ns.x = [ns.x] %}", ""),
        ("{% set ns.x = [ns.x] %}", "{{ ns.x }}"),
        ("{% set ns.x = [ns.x] %}", "{{ ns.x|tojson }}"),
        ("{% set ns.x = [ns.x] %}", "{{ ns.x == [ns.x] }}"),
        ("{% set ns.x = [ns.x] %}", "{{ ns.x in [ns.x] }}"),
        ("{% set ns.x = [ns.x] %}", "{{ [ns.x, ns.x]|sort|length }}"),
        ("{% set ns.x = [ns.x] %}", "{{ [ns.x, ns.x]|unique|list|length }}"),
        ("{% set ns.x = [ns.x] %}", "{{ ns.x|string|length }}"),
        ("{% set ns.x = (ns.x,) %}", "{{ ns.x }}"),
        ("{% set ns.x = {'a': ns.x} %}", ""),
        ("{% set ns.x = {'a': ns.x} %}", "{{ ns.x }}"),
        ("{% set ns.x = {'a': ns.x} %}", "{{ ns.x|tojson }}"),
        ("{% set ns.x = {'a': ns.x} %}", "{{ {ns.x: 1} }}"),
        ("{% set ns.x = namespace(a=ns.x) %}", "{{ ns.x }}"),
        ("{% set ns.x = cycler(ns.x) %}", "{{ ns.x }}"),
        ("{% set ns.x = [ns.x]|map('list') %}", "{{ ns.x|list }}"),
    ] {
        // An empty message: the mix was made.
        let message = mix(&repeat(99_999, body, end));
        assert!(!message.contains("panicked"), "{body}{end}: {message}");
    }
    let message = mix("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
    assert!(message.contains("recursion limit exceeded"), "{message}");
}

#[test]
fn rows_that_do_not_fit_the_memory_are_an_error_that_names_the_limit() {
    let sandbox = sandbox("");
    let mut rows = Vec::new();
    for row in 0..400 {
        let mut row = summary_row(0, row, 0);
        row["document"] = format!("{row}{}", "s".repeat(1 << 20)).into();
        rows.push(row);
    }
    sandbox.write("step_02/extractive_summary/gen.jsonl", lines(&rows));
    let mix =
        ["mix", "--input", "step_02", "--tokenizer-model", "builtin", "--cut-sizes", "4", "--memory-limit", "200MiB"];
    let ran = sandbox.run(&mix);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("its limit is 200.00 MiB; nothing was published"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--memory-limit"), "{}", ran.stderr);
}

/// A regular expression that takes for ever on a text that many rows have.
#[test]
fn a_tokenizer_that_takes_too_long_is_named() {
    let sandbox = sandbox("");
    let mut tokenizer: serde_json::Value =
        serde_json::from_slice(&test_support::builtin_tokenizer("tokenizer.json")).unwrap();
    tokenizer["pre_tokenizer"] = serde_json::json!({
        "type": "Split", "pattern": {"Regex": "(?:(?:[a-z ]+)+)+(?<=a)0"}, "behavior": "Isolated", "invert": false
    });
    sandbox.write("slow/tokenizer.json", tokenizer.to_string());
    for file in ["tokenizer_config.json", "chat_template.jinja"] {
        sandbox.write(&format!("slow/{file}"), test_support::builtin_tokenizer(file));
    }
    let rows: Vec<_> = (0..20)
        .map(|row| {
            let mut row = summary_row(0, row, 0);
            row["question"] = "a b c d ".repeat(2000).into();
            row
        })
        .collect();
    sandbox.write("step_02/extractive_summary/gen.jsonl", lines(&rows));
    let began = Instant::now();
    let ran = sandbox.run(&[
        "mix",
        "--input",
        "step_02",
        "--tokenizer-model",
        "slow",
        "--cut-sizes",
        "4",
        "--operation-timeout",
        "1",
    ]);
    assert!(began.elapsed() < TIME_LIMIT, "{:?}: {}", began.elapsed(), ran.stderr);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("slow"), "{}", ran.stderr);
}
