use super::*;
use crate::input::fixtures::PrintsLast;
use crate::recipe::{Kind, Recipe, Thinking, WrittenReasoning};
use crate::sample::{Chat, Pair, Reasoning, written_reasoning};
use serde_json::{Value, json};
use std::sync::Arc;

/// The texts of the sample that a row becomes (outline, raw document, summary, question, response, reasoning), or why it
/// becomes none.
fn parsed(source: &Source, reasoning: &str, placeholders: bool, row: &str) -> Result<[String; 6], String> {
    let interner = Interner::default();
    let reasoning = Reasoning::parse(reasoning).unwrap();
    let template = Arc::new(PrintsLast);
    let parser = RowParser::new(source, ParseOptions { drop_placeholders: placeholders, reasoning, template });
    match parser.parse(row.as_bytes(), &interner) {
        Ok(ParsedRow::Kept(Body::Pair(pair))) => {
            let Pair { outline, raw_document, summary, question, response, reasoning } = pair;
            let texts = interner.freeze();
            let ids = [outline, raw_document, summary, Some(question), Some(response), reasoning];
            Ok(ids.map(|id| texts.get(id).to_owned()))
        }
        Ok(other @ (ParsedRow::Kept(_) | ParsedRow::KeptWithoutReasoning(_) | ParsedRow::Elsewhere(_))) => {
            Err(format!("{other:?}"))
        }
        Ok(ParsedRow::Dropped(reason)) => Err(reason.as_str().to_owned()),
        Err(RowError::Bad(bad)) => Err(format!("{}: {}", bad.reason.as_str(), bad.message)),
        Err(RowError::Fatal(error)) => Err(error.to_string()),
    }
}

fn sources() -> Vec<Source> {
    let everywhere = |source| Source { reasoning: WrittenReasoning::Everywhere, ..source };
    Recipe::default().all_sources().into_iter().map(everywhere).collect()
}

fn pair(source: usize, row: Value) -> Result<[String; 6], String> {
    parsed(&sources()[source], "auto", true, &row.to_string())
}

fn with(row: Value) -> Value {
    let mut all = json!({"question": "Q", "response": "A", "document_outline": "O"});
    all.as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
    all
}

#[test]
fn every_generation_of_rows_is_understood() {
    let texts = |raw: &str, summary: &str| Ok(["O", raw, summary, "Q", "A", ""].map(str::to_owned));
    for (source, row, raw, summary) in [
        // 0.6 to 0.9: `document` is the summary.
        (0, json!({"document": "S", "raw_document": "R"}), "R", "S"),
        // Renamed: `summary` is the summary, `document` the raw document.
        (1, json!({"summary": "S", "document": "R"}), "R", "S"),
        // A table that unites both has nulls.
        (0, json!({"summary": null, "document": "S", "raw_document": "R"}), "R", "S"),
        (0, json!({"summary": "S", "document": "R", "raw_document": null}), "R", "S"),
        // With both, the older names count.
        (0, json!({"summary": "X", "document": "S", "raw_document": "R"}), "R", "S"),
        (2, json!({"document": "S", "raw_document": "R"}), "R", "S"),
        (2, json!({"document": "S"}), "", "S"),
        (2, json!({"summary": "S"}), "", "S"),
        (2, json!({"summary": "S", "document": "R"}), "R", "S"),
        (3, json!({"document": "D", "base_document": "B", "raw_document": "R"}), "B", "D"),
        (3, json!({"document": "D", "base_document": null, "raw_document": "R"}), "R", "D"),
        (3, json!({"document": "D"}), "D", "D"),
        (3, json!({"document": "D", "summary": "S"}), "D", "D"),
    ] {
        assert_eq!(pair(source, with(row.clone())), texts(raw, summary), "{row}");
    }
}

#[test]
fn rows_that_train_nothing_are_dropped_by_reason() {
    let base = json!({"document": "S", "raw_document": "R"});
    for (key, value, reason) in [
        ("question", json!(null), "null_question"),
        ("response", json!(null), "null_response"),
        ("document_outline", json!(null), "null_outline"),
        ("document", json!(null), "null_summary"),
        ("question", json!(""), "empty_question"),
        ("response", json!(" [ANSWER] [END]\n"), "empty_response"),
        ("question", json!("What is ...?"), "placeholder_question"),
    ] {
        let mut row = with(base.clone());
        row[key] = value;
        assert_eq!(pair(0, row), Err(reason.to_owned()));
    }
}

#[test]
fn rows_that_are_not_readable_say_why() {
    let source = &sources()[0];
    let error = |row: &str| parsed(source, "auto", true, row).unwrap_err();
    insta::assert_snapshot!(error("{\"question\": "), @"malformed_json: malformed JSON at column 13: EOF while parsing a value");
    insta::assert_snapshot!(error("{\"question\": \"a\"} x"), @"malformed_json: malformed JSON at column 19: trailing characters");
    insta::assert_snapshot!(error("[1]"), @"not_an_object: the row is not a JSON object");
    insta::assert_snapshot!(error("nonsense"), @"malformed_json: malformed JSON at column 2: expected ident");
    let row = |key: &str, value: Value| {
        let mut row = with(json!({"document": "S", "raw_document": "R", "domain": "ferries"}));
        row[key] = value;
        row.to_string()
    };
    insta::assert_snapshot!(error(&row("question", json!(7))), @"wrong_type: column `question`: expected a string, found a number");
    insta::assert_snapshot!(error(&row("raw_document", json!(null))), @"missing_column: column `raw_document` is missing; required: question, response, document_outline, document (or summary), raw_document (or document); found: question, response, document_outline, document, domain");
    insta::assert_snapshot!(error("{\"response\": \"A\"}"), @"missing_column: column `question` is missing; required: question, response, document_outline, document (or summary), raw_document (or document); found: response");
    let lone = row("question", json!("Q")).replace("\"Q\"", "\"\\ud800\"");
    insta::assert_snapshot!(error(&lone), @"invalid_escape: column `question` has an invalid escape: half a surrogate pair");
}

#[test]
fn other_columns_only_have_to_be_json() {
    let row = r#"{"x":{"question":"no","y":[1e999,"\ud800",{"question":[]}]},"question":"no","response":"A","document_outline":"O","document":"S","raw_document":"R","questio\u006e":"Q\u0000"}"#;
    let texts = parsed(&sources()[0], "auto", true, row).unwrap();
    // The last of equal keys wins, and an escaped key is a key.
    assert_eq!(texts[3], "Q\0");
}

#[test]
fn reasoning_is_found_at_its_path() {
    let row = with(json!({
        "document": "S", "raw_document": "R", "reasoning": "last", "reasoning_content": null,
        "response_reasoning_content": "second", "response_dict": [{"reasoning_content": "nested"}], "list": [1],
    }))
    .to_string();
    let thinking = |reasoning: &str| parsed(&sources()[0], reasoning, false, &row).map(|texts| texts[5].clone());
    assert_eq!(thinking("auto").unwrap(), "second");
    assert_eq!(thinking("none").unwrap(), "");
    assert_eq!(thinking("reasoning").unwrap(), "last");
    assert_eq!(thinking("response_dict.0.reasoning_content").unwrap(), "nested");
    assert_eq!(thinking("response_dict.1.reasoning_content").unwrap(), "");
    assert_eq!(thinking("absent.path").unwrap(), "");
    assert!(
        thinking("list.0").unwrap_err().starts_with("wrong_type: column `list.0`: expected a string, found a number")
    );
    assert!(thinking("list").unwrap_err().starts_with("wrong_type: column `list`: expected a string, found a list"));
}

/// The messages of a chat as they are written, and whether all reasoning is kept.
fn written_chat(messages: &Value, thinking: Thinking) -> (Value, bool) {
    let template = Arc::new(PrintsLast);
    let reasoning = written_reasoning(thinking, &*template);
    let source = Source { name: "replay".to_owned(), kind: Kind::Messages, reasoning, ..sources().remove(0) };
    let interner = Interner::default();
    let options = ParseOptions { drop_placeholders: false, reasoning: Reasoning::Auto, template };
    let row = json!({"messages": messages}).to_string();
    let parsed = RowParser::new(&source, options).parse(row.as_bytes(), &interner).unwrap();
    let is_complete = matches!(parsed, ParsedRow::Kept(_));
    let Some(Body::Chat(chat)) = parsed.sample() else { panic!("not a chat") };
    (serde_json::from_str(interner.freeze().get(Some(chat.messages))).unwrap(), is_complete)
}

#[test]
fn a_chat_is_written_with_the_keys_that_it_has() {
    let chat = json!([
        {"role": "system", "content": "Be brief.", "thinking": null, "name": "", "tool_calls": []},
        {"content": null, "role": "assistant",
            "tool_calls": [{"id": "1", "function": {"name": "add", "arguments": "{\"b\": 1, \"a\": [2]}"}}]},
        {"role": "tool", "content": "4", "name": "add", "tool_call_id": "1"},
        {"role": "assistant", "content": "Four.", "reasoning": "", "tool_calls": "[{\"name\": \"f\", \"arguments\": \"no\"}]"}
    ]);
    let expected = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": null,
            "tool_calls": [{"id": "1", "function": {"name": "add", "arguments": {"b": 1, "a": [2]}}}]},
        {"role": "tool", "content": "4", "name": "add", "tool_call_id": "1"},
        {"role": "assistant", "content": "Four.", "tool_calls": [{"name": "f", "arguments": "no"}]}
    ]);
    assert_eq!(written_chat(&chat, Thinking::Never), (expected, true));
    // A template that needs text gets text.
    let call = json!([{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": "{\"bad\":1}"}]}]);
    assert_eq!(written_chat(&call, Thinking::Never).0, call);
}

#[test]
fn a_chat_keeps_the_reasoning_that_is_printed() {
    let chat = json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "thinking": "first"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d", "reasoning": "last"},
    ]);
    let answers = |kept| {
        let (messages, is_complete) = written_chat(&chat, kept);
        (messages[0].clone(), messages[1].clone(), messages[3].clone(), is_complete)
    };
    let message = |role: &str, content: &str| json!({"role": role, "content": content});
    let (user, first, last) = (message("user", "a"), message("assistant", "b"), message("assistant", "d"));
    assert_eq!(answers(Thinking::Never), (user.clone(), first.clone(), last.clone(), false));
    let printed = json!({"role": "assistant", "content": "d", "reasoning_content": "last"});
    assert_eq!(answers(Thinking::Auto), (user, first, printed, false));
    assert_eq!(
        answers(Thinking::Always),
        (
            json!({"role": "user", "content": "a", "thinking": null}),
            json!({"role": "assistant", "content": "b", "thinking": "first"}),
            json!({"role": "assistant", "content": "d", "thinking": "last"}),
            true
        )
    );
}

#[test]
fn ready_chats_are_checked() {
    let source = Source {
        name: "replay".to_owned(),
        kind: Kind::Messages,
        unmask: false,
        reasoning: WrittenReasoning::Nowhere,
        ..sources().remove(0)
    };
    let chat = |row: Value| {
        let interner = Interner::default();
        let template = Arc::new(PrintsLast);
        let options = ParseOptions { drop_placeholders: false, reasoning: Reasoning::Auto, template };
        let parser = RowParser::new(&source, options);
        match parser.parse(row.to_string().as_bytes(), &interner) {
            Ok(ParsedRow::Kept(Body::Chat(Chat { messages, tools, unmask, .. }))) => {
                let texts = interner.freeze();
                Ok((texts.get(messages).to_owned(), texts.get(tools).to_owned(), unmask))
            }
            Ok(ParsedRow::Dropped(reason)) => Err(reason.as_str().to_owned()),
            Err(RowError::Bad(bad)) => Err(bad.message),
            other => Err(format!("{other:?}")),
        }
    };
    let hello = json!([{"role": "user", "content": "Hello"}]);
    let text = r#"[{"role":"user","content":"Hello"}]"#.to_owned();
    assert_eq!(chat(json!({"messages": hello})), Ok((text.clone(), String::new(), false)));
    assert_eq!(
        chat(json!({"messages": hello, "unmask": true, "tools": "[{\"a\": 1}]"})),
        Ok((text, "[{\"a\":1}]".into(), true))
    );
    assert_eq!(chat(json!({"messages": []})), Err("empty_messages".into()));
    for (row, said) in [
        (json!({"text": "x"}), "column `messages` is missing; required: messages; found: text"),
        (json!({"messages": "x"}), "column `messages`: expected a list, found a string"),
        (json!({"messages": [1]}), "column `messages`, message 1: expected an object, found a number"),
        (
            json!({"messages": [{"role": "user", "content": 5}]}),
            "column `messages`, message 1: content: expected a string or a list of objects, found a number",
        ),
        (json!({"messages": [{"role": "user"}]}), "column `messages`, message 1: neither content nor tool_calls"),
        (json!({"messages": hello, "tools": "[{"}), "column `tools`: the string is not valid JSON"),
        (json!({"messages": hello, "tools": {}}), "column `tools`: expected a list, found an object"),
        (json!({"messages": hello, "unmask": "no"}), "column `unmask`: expected true or false, found a string"),
    ] {
        assert_eq!(chat(row), Err(said.to_owned()));
    }
}

/// The texts of the document that a row becomes (outline, raw document, text), or why it becomes none.
fn document(name: &str, recipe: &str, row: &Value) -> Result<[String; 3], String> {
    let sources = Recipe::parse(recipe, "r").unwrap().all_sources();
    let source = sources.iter().find(|source| source.name == name).unwrap();
    let options = ParseOptions { drop_placeholders: true, reasoning: Reasoning::Auto, template: Arc::new(PrintsLast) };
    let interner = Interner::default();
    match RowParser::new(source, options).parse(row.to_string().as_bytes(), &interner) {
        Ok(ParsedRow::Kept(Body::Document(document))) => {
            let texts = interner.freeze();
            Ok([document.outline, document.raw_document, Some(document.text)].map(|id| texts.get(id).to_owned()))
        }
        Ok(ParsedRow::Dropped(reason)) => Err(reason.as_str().to_owned()),
        Err(RowError::Bad(bad)) => Err(bad.message),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn documents_of_every_generation_are_understood() {
    let texts = |outline: &str, raw: &str, text: &str| Ok([outline, raw, text].map(str::to_owned));
    let both = json!({"document": "S", "raw_document": "R", "document_outline": "O", "question": 7});
    let renamed = json!({"summary": "S", "document": "R", "document_outline": null});
    let general = "sources: {general: {kind: document, column: text}, plain: {kind: document}}";
    for (source, row, expected) in [
        ("extractive_summary_cpt", both.clone(), texts("O", "R", "S")),
        ("detailed_summary_cpt", renamed.clone(), texts("", "R", "S")),
        ("key_facts_cpt", json!({"document": "F"}), texts("", "", "F")),
        ("document_based_cpt", json!({"document": "D"}), texts("", "D", "D")),
        (
            "document_based_cpt",
            json!({"document": "D", "base_document": "B", "raw_document": "R"}),
            texts("", "B", "D"),
        ),
        ("general", json!({"text": " T\n", "document": "no"}), texts("", "", " T\n")),
        ("general", json!({"text": "T", "raw_document": "R", "document_outline": "O"}), texts("O", "R", "T")),
        ("plain", renamed, texts("", "R", "S")),
    ] {
        assert_eq!(document(source, general, &row), expected, "{source} {row}");
    }
}

#[test]
fn rows_that_are_no_documents_say_why() {
    let general = "sources: {general: {kind: document, column: text}}";
    let error = |source: &str, row: Value| document(source, general, &row).unwrap_err();
    assert_eq!(error("general", json!({"text": null})), "null_document");
    assert_eq!(error("general", json!({"text": " \n"})), "empty_document");
    insta::assert_snapshot!(error("general", json!({"document": "D"})), @"column `text` is missing; required: text; found: document");
    insta::assert_snapshot!(error("general", json!({"text": ["a"]})), @"column `text`: expected a string, found a list");
    insta::assert_snapshot!(error("extractive_summary_cpt", json!({"document": "S"})), @"column `raw_document` is missing; required: document (or summary), raw_document (or document); found: document");
    insta::assert_snapshot!(error("key_facts_cpt", json!({"text": "S"})), @"column `document` is missing; required: document (or summary); the source's key `column` names another one; found: text");
}
