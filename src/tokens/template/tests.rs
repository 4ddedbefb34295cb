use super::snippets::SNIPPETS;
use super::*;
use crate::recipe::{ReasoningKey, TokenizerRules};
use crate::sample::TemplateProbe;
use crate::tokens::fixtures::folder;
use bytes::Bytes;
use proptest::prelude::*;

/// The conversation of [`SNIPPETS`].
const MESSAGES: &str = r#"[{"role":"user","content":"hi <b> \"q\" é\n","thinking":null},
    {"role":"assistant","content":"yo  ","thinking":"t"}]"#;

pub(super) fn now() -> NaiveDateTime {
    chrono::NaiveDate::from_ymd_opt(2026, 3, 7).unwrap().and_hms_micro_opt(14, 5, 9, 123_456).unwrap()
}

fn given(text: &str) -> Result<ChatTemplate> {
    given_by(text, TokenizerRules::Auto)
}

fn given_by(text: &str, rules: TokenizerRules) -> Result<ChatTemplate> {
    let files = folder(r#"{"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "pad_token": null}"#);
    ChatTemplate::load(&files, Some(GivenTemplate { text: text.into(), place: "my.jinja".into() }), rules, now())
}

fn render(template: &str) -> Result<String> {
    given(template)?.render(&Conversation::Messages { messages: MESSAGES, tools: None })
}

fn error(template: &str) -> String {
    match render(template) {
        Ok(text) => panic!("{template:?} renders to {} bytes", text.len()),
        Err(error) => error.line(),
    }
}

#[test]
fn snippets_render_as_transformers_renders_them() {
    let mut wrong = Vec::new();
    for (template, expected) in SNIPPETS {
        match render(template) {
            Ok(text) if text == *expected => {}
            Ok(text) => wrong.push(format!("{template:?}\n  expected {expected:?}\n  rendered {text:?}")),
            Err(error) => wrong.push(format!("{template:?}\n  expected {expected:?}\n  failed {error}")),
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_pair_renders_like_its_messages() {
    let template = given("{{ messages|tojson }}{% for m in messages %}{{ m.content }}{% endfor %}").unwrap();
    for (user, assistant, thinking) in [("u", "a", ""), ("é\n\"", "\u{0}", "why {{ x }}")] {
        let messages = serde_json::json!([
            {"role": "user", "content": user, "thinking": null},
            {"role": "assistant", "content": assistant, "thinking": thinking},
        ]);
        let mut pair = String::from("before|");
        let reasoning = Some((ReasoningKey::Thinking, thinking.into()));
        let conversation =
            Conversation::Pair { user: user.into(), assistant: assistant.into(), reasoning, null_thinking: false };
        template.render_into(&conversation, &mut pair).unwrap();
        let all = template.render(&Conversation::Messages { messages: &messages.to_string(), tools: None }).unwrap();
        let parsed = |text: &str| -> Vec<serde_json::Value> {
            serde_json::Deserializer::from_str(text).into_iter().next().unwrap().unwrap()
        };
        assert_eq!(parsed(&pair["before|".len()..]), parsed(&all));
        assert!(pair.ends_with(&format!("{user}{assistant}")));
    }
}

#[test]
fn reasoning_is_available_under_every_name_that_templates_use() {
    let names = "{% for m in messages %}{{ m.reasoning_content }}|{{ m.thinking }}|{{ m.reasoning }};{% endfor %}";
    let messages = r#"[{"role":"user","content":""},{"role":"assistant","content":"","reasoning":"r","thinking":null},
        {"role":"assistant","content":"","reasoning_content":"c","thinking":"t"},{"content":"","thinking":""}]"#;
    let text = given(names).unwrap().render(&Conversation::Messages { messages, tools: None }).unwrap();
    assert_eq!(text, "||;r|r|r;c|t|;||;");
    let string = "{% for m in messages %}{{ m.reasoning_content is string }} {% endfor %}";
    for (reasoning, rendered) in [(None, "False False "), (Some((ReasoningKey::Thinking, "".into())), "False True ")] {
        let pair = Conversation::Pair { user: "u".into(), assistant: "a".into(), reasoning, null_thinking: false };
        assert_eq!(given(string).unwrap().render(&pair).unwrap(), rendered);
    }
}

#[test]
fn transformers_4_passes_messages_as_they_are() {
    let template = given_by("{{ messages|tojson }}", TokenizerRules::File).unwrap();
    let messages =
        r#"[{"role": "user", "content": "", "thinking": null}, {"role": "assistant", "reasoning_content": "r"}]"#;
    assert_eq!(template.render(&Conversation::Messages { messages, tools: None }).unwrap(), messages);
    let pair = |reasoning, null_thinking| {
        let pair = Conversation::Pair { user: "u".into(), assistant: "a".into(), reasoning, null_thinking };
        template.render(&pair).unwrap()
    };
    let always = r#"[{"role": "user", "content": "u", "thinking": null}, {"role": "assistant", "content": "a", "thinking": ""}]"#;
    assert_eq!(pair(Some((ReasoningKey::Thinking, "".into())), true), always);
    let auto = r#"[{"role": "user", "content": "u"}, {"role": "assistant", "content": "a", "reasoning_content": "r"}]"#;
    assert_eq!(pair(Some((ReasoningKey::ReasoningContent, "r".into())), false), auto);
}

#[test]
fn tools_are_passed_to_the_template_or_none() {
    let template = given("{% if tools %}{{ tools|tojson }}{% else %}{{ tools is none }}{% endif %}").unwrap();
    let tools = Some(r#"[{"z": 1, "a": {"type": "<b>"}}]"#);
    let render = |tools| template.render(&Conversation::Messages { messages: "[]", tools }).unwrap();
    assert_eq!(render(tools), r#"[{"z": 1, "a": {"type": "<b>"}}]"#);
    assert_eq!(render(None), "True");
}

#[test]
fn the_date_comes_from_the_caller_and_its_use_is_reported() {
    let template = given("{% if messages|length > 1 %}{{ strftime_now('%d %b %Y') }}{% endif %}").unwrap();
    assert_eq!(template.render(&Conversation::Messages { messages: "[]", tools: None }).unwrap(), "");
    assert_eq!(template.date_used(), None);
    assert_eq!(template.render(&Conversation::Messages { messages: MESSAGES, tools: None }).unwrap(), "07 Mar 2026");
    assert_eq!(template.date_used().as_deref(), Some("2026-03-07"));
}

#[test]
fn the_template_is_found_with_the_precedence_of_transformers() {
    let text = |files: &TokenizerFiles| {
        let template = ChatTemplate::load(files, None, TokenizerRules::Auto, now()).map_err(|e| e.to_string())?;
        template.render(&Conversation::Messages { messages: "[]", tools: None }).map_err(|e| e.to_string())
    };
    let mut files = folder("{}");
    files.chat_template_json = Some(Bytes::from_static(br#"{"chat_template": "json"}"#));
    assert_eq!(text(&files).unwrap(), "json");
    files.tokenizer_config = Some(Bytes::from_static(br#"{"chat_template": "config"}"#));
    assert_eq!(text(&files).unwrap(), "config");
    files.chat_template_jinja = Some(Bytes::from_static(b"jinja\r\n"));
    assert_eq!(text(&files).unwrap(), "jinja");
    let named = r#"{"chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]}"#;
    assert_eq!(text(&folder(named)).unwrap(), "d");
    insta::assert_snapshot!(text(&folder(r#"{"chat_template": [{"name": "rag", "template": "r"}]}"#)).unwrap_err(), @"
    folder/tokenizer_config.json: no chat template is named `default`: found rag
      hint: choose a template, save it to a file, and pass --chat-template FILE
    ");
    insta::assert_snapshot!(text(&folder("{}")).unwrap_err(), @"
    folder: the tokenizer has no chat template: no chat_template.jinja, and no `chat_template` in tokenizer_config.json
      hint: pass --chat-template FILE, or use the tokenizer of an instruct model
    ");
}

#[test]
fn conversations_with_tools_have_the_template_tool_use() {
    let named = r#"{"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "{{ raise_exception('t') }}"}]}"#;
    let render = |files: &TokenizerFiles, tools| {
        let template = ChatTemplate::load(files, None, TokenizerRules::Auto, now())?;
        template.render(&Conversation::Messages { messages: "[]", tools })
    };
    let mut files = folder(named);
    assert_eq!(render(&files, None).unwrap(), "d");
    assert!(render(&files, Some("[]")).unwrap_err().to_string().contains("folder/tokenizer_config.json:1"));
    // Template files replace those of the configuration.
    files.chat_template_jinja = Some(Bytes::from_static(b"jinja"));
    assert_eq!(render(&files, Some("[]")).unwrap(), "jinja");
    files.tool_use_jinja = Some(Bytes::from_static(b"{% if"));
    // As in transformers, which parses only the template that it renders.
    assert_eq!(render(&files, None).unwrap(), "jinja");
    insta::assert_snapshot!(render(&files, Some("[]")).unwrap_err(), @"
    folder/additional_chat_templates/tool_use.jinja:1: chat template failed: syntax error: unexpected end of input, expected expression
      hint: fix the template, or pass another one with --chat-template FILE
    ");
    files.tool_use_jinja = Some(Bytes::from_static(b"tools"));
    assert_eq!((render(&files, None).unwrap(), render(&files, Some("[]")).unwrap()), ("jinja".into(), "tools".into()));
    files.chat_template_jinja = None;
    assert!(render(&files, None).unwrap_err().to_string().contains("found tool_use"));
}

#[test]
fn a_config_that_lists_its_tokens_replaces_the_older_file() {
    let mut files = folder(r#"{"bos_token": "new", "image_token": "<i>", "add_bos_token": true}"#);
    files.special_tokens_map = Some(Bytes::from_static(br#"{"bos_token": {"content": "old"}, "eos_token": "end"}"#));
    let text = |files: &TokenizerFiles| {
        let text = "{{ bos_token }} {{ eos_token }} {{ image_token }} {{ add_bos_token is defined }}".to_owned();
        let given = GivenTemplate { text, place: "t".into() };
        ChatTemplate::load(files, Some(given), TokenizerRules::Auto, now())
            .unwrap()
            .render(&Conversation::Messages { messages: "[]", tools: None })
            .unwrap()
    };
    assert_eq!(text(&files), "old end <i> False");
    files.tokenizer_config =
        Some(Bytes::from_static(br#"{"bos_token": "new", "image_token": "<i>", "added_tokens_decoder": {}}"#));
    assert_eq!(text(&files), "new  <i> False");
}

#[test]
fn errors_of_a_template_name_its_line_and_the_reason() {
    insta::assert_snapshot!(error("a\n{% if %}"), @"my.jinja:2: chat template failed: syntax error: unexpected end of block");
    insta::assert_snapshot!(error("a\n\n{{ raise_exception('roles must alternate') }}"), @"my.jinja:3: chat template failed: invalid operation: roles must alternate");
    insta::assert_snapshot!(error("{{ nope.x }}"), @"my.jinja:1: chat template failed: undefined value");
    assert!(error("{% generation %}x").starts_with("my.jinja:1: "));
    assert!(error("{% for m in messages %}{% with %}{% break %}{% endwith %}{% endfor %}").contains("break"));
    let bad = given("x").unwrap().render(&Conversation::Messages { messages: "[{]", tools: None }).unwrap_err();
    assert!(bad.line().starts_with("messages: not valid JSON"), "{bad}");
}

#[test]
fn a_template_can_neither_hang_nor_exhaust_memory() {
    let double =
        |body: &str| format!("{{% set ns = namespace(x='ab') %}}{{% for i in range(60) %}}{body}{{% endfor %}}");
    let greedy = [
        double("{% set ns.x = ns.x ~ ns.x %}"),
        double("{% set ns.x = ns.x + ns.x %}"),
        double("{% set ns.x = '' ~ ns.x ~ (ns.x) %}"),
        double("{% set ns.x = [ns.x, ns.x] %}") + "{{ ns.x }}",
        double("{% set ns.x = [ns.x, ns.x] %}") + "{{ ns.x|tojson }}",
        double("{% set ns.x = [ns.x, ns.x] %}") + "{% set y = '' ~ ns.x %}",
        double("{% set ns.x = [ns.x, ns.x] %}") + "{{ ns.x|string|length }}",
        double("{% set ns.x = ns.x.replace('a', ns.x) %}"),
        double("{% set ns.x = ns.x|replace('a', ns.x) %}"),
        double("{% set ns.x = [ns.x, ns.x]|join %}"),
        double("{% set ns.x = ns.x.join([ns.x, ns.x]) %}"),
        double("{% set ns.x = '{}{}'.format(ns.x, ns.x) %}"),
        double("{% set ns.x = '%s%s'|format(ns.x, ns.x) %}"),
        double("{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}"),
        double("{% set ns.x = ns.x * 9 %}"),
        "{% macro m(n) %}{{ m(n - 1) }}{{ m(n - 1) }}{% endmacro %}{{ m(400) }}".to_owned(),
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}".to_owned(),
        "{{ '%999999999d'|format(1) }}".to_owned(),
        "{{ 'a\nb'|indent(999999999) }}".to_owned(),
        "{{ messages|tojson(indent=999999999) }}".to_owned(),
    ];
    for template in greedy {
        let line = error(&template);
        assert!(line.starts_with("my.jinja:"), "{line}");
    }
}

/// The key is the one that the template reads itself, because older versions of transformers offer no other.
#[test]
fn a_template_is_asked_which_reasoning_it_prints() {
    let key = |template: &str| given(template).unwrap().reasoning_key().map(ReasoningKey::name);
    let of_all = |what: &str| format!("{{% for m in messages %}}{{{{ m.content }}}}{what}{{% endfor %}}");
    assert_eq!(key(&of_all("")), None);
    assert_eq!(key(&of_all("{{ m.thinking }}")), Some("thinking"));
    assert_eq!(
        key(&of_all("{% if m.reasoning_content is string %}{{ m.reasoning_content }}{% endif %}")),
        Some("reasoning_content")
    );
    assert_eq!(key(&of_all("{{ m.reasoning_content }}{{ m.thinking }}")), Some("thinking"));
    assert_eq!(key("{{ raise_exception('no') }}"), None);
    // As many templates do: only that of the last answer.
    let last = "{% for m in messages %}{{ m.content }}{% if loop.last %}{{ m.thinking }}{% endif %}{% endfor %}";
    let messages = serde_json::json!([
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "thinking": "first"},
        {"role": "user", "content": "c"}, {"role": "assistant", "content": "d", "thinking": "last"},
    ]);
    let messages: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_value(messages).unwrap();
    let printed = |template: &str| given(template).unwrap().printed_reasoning(&messages, None, ReasoningKey::Thinking);
    assert_eq!(printed(last), [false, false, false, true]);
    assert_eq!(printed(&of_all("{{ m.thinking }}")), [false, true, false, true]);
    assert_eq!(printed("{{ raise_exception('no') }}"), [false; 4]);
    assert!(given(last).unwrap().renders(&messages, None));
    assert!(!given("{{ messages[0].content + 1 }}").unwrap().renders(&messages, None));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Any sequence of template pieces renders or returns an error.
    #[test]
    fn no_template_panics(pieces in prop::collection::vec(prop_oneof![
        Just("{{"), Just("}}"), Just("{%"), Just("%}"), Just("{#"), Just("#}"), Just("-"), Just("+"), Just("~"), Just("|"),
        Just("generation"), Just("endgeneration"), Just("raw"), Just("endraw"), Just("set x = "), Just("for m in messages"),
        Just("endfor"), Just("if x"), Just("endif"), Just("messages"), Just(".content"), Just("[0]"), Just("("), Just(")"),
        Just("'"), Just("\""), Just("\\"), Just("é"), Just("\n"), Just(" "), Just("x"), Just("tojson"), Just("1"), Just("break"),
    ], 0..24)) {
        let _ = render(&pieces.concat());
    }

    /// Any messages render or return an error, and contents that a template does not change are copied exactly.
    #[test]
    fn contents_are_copied_exactly(user in any::<String>(), assistant in any::<String>(), thinking in any::<String>()) {
        let template = given("{% for m in messages %}{{ m.role + ':' ~ m.content }}{{ m.thinking or '' }};{% endfor %}").unwrap();
        let reasoning = Some((ReasoningKey::Thinking, thinking.as_str().into()));
        let pair = Conversation::Pair { user: user.as_str().into(), assistant: assistant.as_str().into(), reasoning, null_thinking: false };
        prop_assert_eq!(template.render(&pair).unwrap(), format!("user:{user};assistant:{assistant}{thinking};"));
    }
}

#[test]
fn numbers_of_messages_print_as_pythons_json_reads_them() {
    let template = given("{{ messages[0].n }} {{ messages[0].n|tojson }}").unwrap();
    let messages = r#"[{"role": "user", "n": [123456789012345678901234567890123456789012345678901, -0, -0.0, 1e22, 18446744073709551616]}]"#;
    let text = template.render(&Conversation::Messages { messages, tools: None }).unwrap();
    let list = "[123456789012345678901234567890123456789012345678901, 0, -0.0, 1e+22, 18446744073709551616]";
    assert_eq!(text, format!("{list} {list}"));
}

#[test]
fn what_raises_in_jinja2_is_an_error_that_names_its_line() {
    insta::assert_snapshot!(error("\n{% for tool in tools %}{% endfor %}"), @"my.jinja:2: chat template failed: invalid operation: cannot iterate over None");
    insta::assert_snapshot!(error("\n\n{{ 'a' +\n none }}"), @"my.jinja:4: chat template failed: invalid operation: cannot use `+` between a text and None");
    insta::assert_snapshot!(error("{{ tools|length }}"), @"my.jinja:1: chat template failed: invalid operation: None has no length");
    insta::assert_snapshot!(error("{{ tools in 'a' }}"), @"my.jinja:1: chat template failed: invalid operation: cannot look for None in a text");
    insta::assert_snapshot!(error("{{ nope < 1 }}"), @"my.jinja:1: chat template failed: undefined value");
    insta::assert_snapshot!(error("{{ '%d' % 'a' }}"), @"my.jinja:1: chat template failed: invalid operation: cannot format: `%d` needs a number, found a text");
}

#[test]
fn a_namespace_within_itself_prints_its_type() {
    assert_eq!(render("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}").unwrap(), "<Namespace {...}>");
}
