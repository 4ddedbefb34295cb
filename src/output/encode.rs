//! One sample as one line of JSON.
//!
//! A raw document stands twice in a row, once of them in a string inside a string. Each text of a context is escaped once
//! for each of these forms, then its bytes are copied.

use crate::recipe::Columns;
use crate::sample::{Body, Sample, Source, user_content};
use crate::text::{TextId, Texts};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};

/// What `metadata.dataset` says of QA pairs.
const PAIRS_DATASET: &str = "document_knowledge_qa";

/// What `metadata.dataset` says of ready chats.
const CHATS_DATASET: &str = "messages";

/// The keys of a message that every row has.
const MESSAGE_KEYS: [&str; 3] = ["role", "content", "thinking"];

/// How all rows of a run are written: the same keys in every row, so that they load as one table.
#[derive(Debug)]
pub(crate) struct RowLayout {
    columns: Columns,
    /// Whether any source of the run is of ready chats: then every row has `tools`.
    tools: bool,
    /// The further keys of the run's messages (`tool_calls`, `name`), which then every message has. Strings stay strings,
    /// all else becomes a JSON string: values of different shapes do not load into one table.
    extra_keys: Vec<String>,
}

impl RowLayout {
    /// The layout for these samples.
    pub(crate) fn of(columns: Columns, sources: &[Source], samples: &[Sample], texts: &Texts) -> Self {
        let mut extra_keys = BTreeMap::new();
        for sample in samples {
            let Body::Chat { messages, .. } = sample.body else { continue };
            for message in parse_messages(texts.get(messages)) {
                for key in message.keys().filter(|key| !MESSAGE_KEYS.contains(&key.as_str())) {
                    extra_keys.insert(key.clone(), ());
                }
            }
        }
        let tools = sources.iter().any(|source| source.kind == crate::sample::SourceKind::Messages);
        Self { columns, tools, extra_keys: extra_keys.into_keys().collect() }
    }

    /// Which columns a row has.
    pub(crate) fn columns(&self) -> Columns {
        self.columns
    }
}

/// The messages of a chat that the artifacts room has checked.
fn parse_messages(json: &str) -> Vec<Map<String, Value>> {
    serde_json::from_str(json).unwrap_or_default()
}

/// Encodes samples; one encoder for each batch of neighbours, which share their contexts.
pub(crate) struct RowEncoder<'r> {
    layout: &'r RowLayout,
    sources: &'r [Source],
    texts: &'r Texts,
    contexts: HashMap<TextId, Escaped>,
}

/// A text escaped for a JSON string, and escaped again for a JSON string in a JSON string; both without quotes.
struct Escaped {
    once: Vec<u8>,
    twice: Vec<u8>,
}

impl<'r> RowEncoder<'r> {
    /// An encoder for samples of these sources and texts.
    pub(crate) fn new(layout: &'r RowLayout, sources: &'r [Source], texts: &'r Texts) -> Self {
        Self { layout, sources, texts, contexts: HashMap::new() }
    }

    /// Appends a sample's row and a line end to `out`.
    pub(crate) fn encode(&mut self, sample: &Sample, token_length: u32, out: &mut Vec<u8>) {
        let source = &self.sources[sample.source as usize];
        match sample.body {
            Body::Pair { outline, raw, summary, question, response, thinking } => {
                for id in [outline, raw, summary] {
                    self.contexts.entry(id).or_insert_with(|| Escaped::new(self.texts.get(id)));
                }
                let (outline, raw, summary) =
                    (&self.contexts[&outline], &self.contexts[&raw], &self.contexts[&summary]);
                let question = escape(self.texts.get(question));
                if self.layout.columns == Columns::Full {
                    put(out, &[b"{\"question\":\"", &question, b"\",\"document_outline\":\"", &outline.once]);
                    put(out, &[b"\",\"raw_document\":\"", &raw.once, b"\",\"document\":\"", &summary.once, b"\","]);
                } else {
                    out.push(b'{');
                }
                out.extend_from_slice(b"\"messages\":[{\"role\":\"user\",\"content\":\"");
                // The separators hold line ends, which are escaped like the rest.
                let [_, between, _, before, _] = user_content(source, "", "", "");
                if source.with_document {
                    put(out, &[&outline.once, &escape(between), &summary.once, &escape(before), &question]);
                } else {
                    put(out, &[b"In ", &outline.once, b", ", &question]);
                }
                out.extend_from_slice(b"\",\"thinking\":null");
                self.put_absent_keys(out);
                put(out, &[b"},{\"role\":\"assistant\",\"content\":\"", &escape(self.texts.get(response))]);
                put(out, &[b"\",\"thinking\":\"", &escape(self.texts.get(thinking)), b"\""]);
                self.put_absent_keys(out);
                out.extend_from_slice(b"}],");
                if self.layout.columns == Columns::Full {
                    put_metadata(out, &summary.twice, PAIRS_DATASET, &raw.twice, &source.name);
                }
                self.put_end(out, TextId::EMPTY, true, token_length);
            }
            Body::Chat { messages, tools, unmask } => {
                out.push(b'{');
                if self.layout.columns == Columns::Full {
                    for key in ["question", "document_outline", "raw_document", "document"] {
                        put(out, &[b"\"", key.as_bytes(), b"\":\"\","]);
                    }
                }
                out.extend_from_slice(b"\"messages\":[");
                for (number, message) in parse_messages(self.texts.get(messages)).iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    self.put_message(out, message);
                }
                out.extend_from_slice(b"],");
                if self.layout.columns == Columns::Full {
                    put_metadata(out, b"", CHATS_DATASET, b"", &source.name);
                }
                self.put_end(out, tools, unmask, token_length);
            }
        }
    }

    fn put_message(&self, out: &mut Vec<u8>, message: &Map<String, Value>) {
        let text = |key: &str| message.get(key).and_then(Value::as_str);
        let role = text("role").unwrap_or_default();
        put(out, &[b"{\"role\":\"", &escape(role), b"\",\"content\":\"", &escape(text("content").unwrap_or_default())]);
        // As in a pair: who answers has a thought, if an empty one.
        match text("thinking").or((role == "assistant").then_some("")) {
            Some(thinking) => put(out, &[b"\",\"thinking\":\"", &escape(thinking), b"\""]),
            None => out.extend_from_slice(b"\",\"thinking\":null"),
        }
        for key in &self.layout.extra_keys {
            let value = match message.get(key) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            put(out, &[b",\"", &escape(key), b"\":\"", &escape(&value), b"\""]);
        }
        out.push(b'}');
    }

    fn put_absent_keys(&self, out: &mut Vec<u8>) {
        for key in &self.layout.extra_keys {
            put(out, &[b",\"", &escape(key), b"\":\"\""]);
        }
    }

    fn put_end(&self, out: &mut Vec<u8>, tools: TextId, unmask: bool, token_length: u32) {
        if self.layout.tools {
            let tools = if tools == TextId::EMPTY { "[]" } else { self.texts.get(tools) };
            put(out, &[b"\"tools\":\"", &escape(tools), b"\","]);
        }
        let unmask: &[u8] = if unmask { b"true" } else { b"false" };
        put(out, &[b"\"unmask\":", unmask, b",\"token_length\":", token_length.to_string().as_bytes(), b"}\n"]);
    }
}

fn put_metadata(out: &mut Vec<u8>, summary: &[u8], dataset: &str, raw: &[u8], source: &str) {
    put(out, &[br#""metadata":"{\"sdg_document\":\""#, summary, br#"\",\"dataset\":\""#, dataset.as_bytes()]);
    put(out, &[br#"\",\"raw_document\":\""#, raw, br#"\",\"source\":\""#, &Escaped::new(source).twice, br#"\"}","#]);
}

impl Escaped {
    fn new(text: &str) -> Self {
        let once = escape(text);
        // What escaping a text gives is a text again.
        let twice = std::str::from_utf8(&once).map(escape).unwrap_or_default();
        Self { once, twice }
    }
}

/// The text as it stands between the quotes of a JSON string.
fn escape(text: &str) -> Vec<u8> {
    let mut json = Vec::with_capacity(text.len() + text.len() / 16 + 2);
    // Writing a text to memory cannot fail.
    if serde_json::to_writer(&mut json, text).is_ok() {
        json.pop();
        json.remove(0);
    }
    json
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{SourceKind, known_sources};
    use proptest::prelude::*;
    use serde_json::json;

    /// Texts with fixed ids, as the interner would make them.
    fn table(texts: &[&str]) -> (Texts, Vec<TextId>) {
        let interner = crate::text::Interner::default();
        let ids = texts.iter().map(|text| interner.intern(text).unwrap()).collect();
        (interner.freeze(), ids)
    }

    fn row(columns: Columns, source: usize, texts: [&str; 6]) -> String {
        let (table, ids) = table(&texts);
        let body = Body::Pair {
            outline: ids[0],
            raw: ids[1],
            summary: ids[2],
            question: ids[3],
            response: ids[4],
            thinking: ids[5],
        };
        let (sources, samples) = (known_sources(), [Sample { source: source as u32, body }]);
        let layout = RowLayout::of(columns, &sources, &samples, &table);
        let mut out = Vec::new();
        RowEncoder::new(&layout, &sources, &table).encode(&samples[0], 7, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_row_has_these_keys_in_this_order() {
        insta::assert_snapshot!(row(Columns::Full, 0, ["O", "R \"x\"\n", "S\\", "Q?", "A.", ""]), @r#"{"question":"Q?","document_outline":"O","raw_document":"R \"x\"\n","document":"S\\","messages":[{"role":"user","content":"O\nS\\\n\nQ?","thinking":null},{"role":"assistant","content":"A.","thinking":""}],"metadata":"{\"sdg_document\":\"S\\\\\",\"dataset\":\"document_knowledge_qa\",\"raw_document\":\"R \\\"x\\\"\\n\",\"source\":\"extractive_summary\"}","unmask":true,"token_length":7}
        "#);
        insta::assert_snapshot!(row(Columns::Training, 2, ["O", "", "S", "Q?", "A.", "T"]), @r#"{"messages":[{"role":"user","content":"In O, Q?","thinking":null},{"role":"assistant","content":"A.","thinking":"T"}],"unmask":true,"token_length":7}
        "#);
    }

    #[test]
    fn chats_and_pairs_have_the_same_keys() {
        let chat = json!([
            {"role": "user", "content": "2+2?"},
            {"role": "assistant", "content": null, "tool_calls": [{"name": "add"}]},
            {"role": "tool", "content": "4", "name": "add"},
            {"role": "assistant", "content": "Four."}
        ])
        .to_string();
        let (table, ids) = table(&["O", "R", "S", "Q", "A", &chat, "[{\"name\":\"add\"}]"]);
        let pair = Body::Pair {
            outline: ids[0],
            raw: ids[1],
            summary: ids[2],
            question: ids[3],
            response: ids[4],
            thinking: TextId::EMPTY,
        };
        let chat = Body::Chat { messages: ids[5], tools: ids[6], unmask: false };
        let mut sources = known_sources();
        sources.push(Source::new("replay", SourceKind::Messages));
        let samples = [Sample { source: 0, body: pair }, Sample { source: 4, body: chat }];
        let layout = RowLayout::of(Columns::Full, &sources, &samples, &table);
        let mut encoder = RowEncoder::new(&layout, &sources, &table);
        let rows = samples.map(|sample| {
            let mut out = Vec::new();
            encoder.encode(&sample, 9, &mut out);
            serde_json::from_slice::<Map<String, Value>>(&out).unwrap()
        });
        let keys = |row: &Map<String, Value>| row.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&rows[0]), keys(&rows[1]));
        assert_eq!(rows[0]["tools"], "[]");
        assert_eq!(rows[1]["tools"], r#"[{"name":"add"}]"#);
        assert_eq!(rows[1]["unmask"], false);
        assert_eq!(
            rows[1]["messages"][1],
            json!({"role": "assistant", "content": "", "thinking": "", "name": "", "tool_calls": r#"[{"name":"add"}]"#})
        );
        assert_eq!(
            rows[0]["messages"][0],
            json!({"role": "user", "content": "O\nS\n\nQ", "thinking": null, "name": "", "tool_calls": ""})
        );
    }

    proptest! {
        /// The bytes say what serde_json would have said.
        #[test]
        fn any_text_survives(texts in prop::array::uniform6("\\PC{0,12}|[\\x00-\\x1f\"\\\\]{0,6}"), source in 0usize..4) {
            let [o, r, s, q, a, t] = &texts;
            let got: Value = serde_json::from_str(&row(Columns::Full, source, [o, r, s, q, a, t])).unwrap();
            let name = &known_sources()[source].name;
            let content = if source == 2 { format!("In {o}, {q}") } else { format!("{o}\n{s}\n\n{q}") };
            let metadata = json!({"sdg_document": s, "dataset": "document_knowledge_qa", "raw_document": r, "source": name});
            prop_assert_eq!(got, json!({
                "question": q, "document_outline": o, "raw_document": r, "document": s,
                "messages": [
                    {"role": "user", "content": content, "thinking": null},
                    {"role": "assistant", "content": a, "thinking": t}
                ],
                "metadata": metadata.to_string(), "unmask": true, "token_length": 7
            }));
        }
    }
}
