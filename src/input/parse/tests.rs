use super::*;
use crate::sample::known_sources;
use serde_json::{Value, json};

/// The texts of the sample that a row becomes (outline, raw document, summary, question, response, thinking), or what
/// became of it instead.
fn parsed(source: &Source, reasoning: &str, placeholders: bool, row: &str) -> Result<[String; 6], String> {
    let interner = Interner::default();
    let parser = RowParser::new(source, placeholders, &Reasoning::parse(reasoning).unwrap());
    match parser.parse(row.as_bytes(), &interner) {
        Ok(ParsedRow::Kept(Body::Pair { outline, raw, summary, question, response, thinking })) => {
            let texts = interner.freeze();
            Ok([outline, raw, summary, question, response, thinking].map(|id| texts.get(id).to_owned()))
        }
        Ok(ParsedRow::Kept(chat)) => Err(format!("{chat:?}")),
        Ok(ParsedRow::Dropped(reason)) => Err(reason.as_str().to_owned()),
        Err(RowError::Bad(bad)) => Err(format!("{}: {}", bad.reason.as_str(), bad.message)),
        Err(RowError::Fatal(error)) => Err(error.to_string()),
    }
}

fn pair(source: usize, row: Value) -> Result<[String; 6], String> {
    parsed(&known_sources()[source], "auto", true, &row.to_string())
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
fn rows_that_cannot_be_read_say_why() {
    let source = &known_sources()[0];
    let told = |row: &str| parsed(source, "auto", true, row).unwrap_err();
    insta::assert_snapshot!(told("{\"question\": "), @"malformed_json: malformed JSON at column 13: EOF while parsing a value");
    insta::assert_snapshot!(told("{\"question\": \"a\"} x"), @"malformed_json: malformed JSON at column 19: trailing characters");
    insta::assert_snapshot!(told("[1]"), @"not_an_object: the row is not a JSON object");
    insta::assert_snapshot!(told("nonsense"), @"malformed_json: malformed JSON at column 2: expected ident");
    let row = |key: &str, value: Value| {
        let mut row = with(json!({"document": "S", "raw_document": "R", "domain": "ferries"}));
        row[key] = value;
        row.to_string()
    };
    insta::assert_snapshot!(told(&row("question", json!(7))), @"wrong_type: column `question` is a number, not a string");
    insta::assert_snapshot!(told(&row("raw_document", json!(null))), @"missing_column: column `raw_document` is missing; needed: question, response, document_outline, document (or summary), raw_document (or document); there: question, response, document_outline, document, domain");
    insta::assert_snapshot!(told("{\"response\": \"A\"}"), @"missing_column: column `question` is missing; needed: question, response, document_outline, document (or summary), raw_document (or document); there: response");
    let lone = row("question", json!("Q")).replace("\"Q\"", "\"\\ud800\"");
    insta::assert_snapshot!(told(&lone), @"invalid_escape: column `question` holds an escape that is no character: half a surrogate pair");
}

#[test]
fn what_stands_in_other_columns_only_has_to_be_json() {
    let row = r#"{"x":{"question":"no","y":[1e999,"\ud800",{"question":[]}]},"question":"no","response":"A","document_outline":"O","document":"S","raw_document":"R","questio\u006e":"Q\u0000"}"#;
    let texts = parsed(&known_sources()[0], "auto", true, row).unwrap();
    // The last of equal keys wins, and an escaped key is a key.
    assert_eq!(texts[3], "Q\0");
}

#[test]
fn reasoning_is_found_where_it_is_asked_for() {
    let row = with(json!({
        "document": "S", "raw_document": "R", "reasoning": "last", "reasoning_content": null,
        "response_reasoning_content": "second", "response_dict": [{"reasoning_content": "nested"}], "list": [1],
    }))
    .to_string();
    let thinking = |reasoning: &str| parsed(&known_sources()[0], reasoning, false, &row).map(|texts| texts[5].clone());
    assert_eq!(thinking("auto").unwrap(), "second");
    assert_eq!(thinking("none").unwrap(), "");
    assert_eq!(thinking("reasoning").unwrap(), "last");
    assert_eq!(thinking("response_dict.0.reasoning_content").unwrap(), "nested");
    assert_eq!(thinking("response_dict.1.reasoning_content").unwrap(), "");
    assert_eq!(thinking("absent.path").unwrap(), "");
    assert!(thinking("list.0").unwrap_err().starts_with("wrong_type: column `list.0` is a number"));
    assert!(thinking("list").unwrap_err().starts_with("wrong_type: column `list` is a list"));
}

#[test]
fn ready_chats_are_checked() {
    let source = Source::new("replay", SourceKind::Messages);
    let chat = |row: Value| {
        let interner = Interner::default();
        let parser = RowParser::new(&source, false, &Reasoning::Auto);
        match parser.parse(row.to_string().as_bytes(), &interner) {
            Ok(ParsedRow::Kept(Body::Chat { messages, tools, unmask })) => {
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
        (json!({"text": "x"}), "column `messages` is missing; needed: messages; there: text"),
        (json!({"messages": "x"}), "column `messages` is a string, not a list"),
        (json!({"messages": [1]}), "message 1 of `messages`: is a number, not an object"),
        (
            json!({"messages": [{"role": "robot", "content": ""}]}),
            "message 1 of `messages`: role `robot` is none of system, user, assistant, tool",
        ),
        (json!({"messages": [{"role": "user"}]}), "message 1 of `messages`: has neither content nor tool_calls"),
        (json!({"messages": hello, "tools": "[{"}), "column `tools` is a string that is not JSON"),
        (json!({"messages": hello, "tools": {}}), "column `tools` is an object, not a list"),
        (json!({"messages": hello, "unmask": "no"}), "column `unmask` is a string, not true or false"),
    ] {
        assert_eq!(chat(row), Err(said.to_owned()));
    }
}
