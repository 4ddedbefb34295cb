//! Rows of messages: the conversation of a sample, and what it was made from.

use super::encoding::RowEncoder;
use super::parquet::{Column, Leaf, Schema};
use crate::error::Result;
use crate::output::source::WriteSource;
use crate::recipe::Columns;
use crate::sample::{Body, RowJson};
use serde_json::{Value, json};

/// Encodes samples as lines of JSON with their messages.
pub(super) struct MessageRows<'r> {
    source: &'r WriteSource,
    row: RowJson<'r>,
}

impl<'r> MessageRows<'r> {
    pub(super) fn new(source: &'r WriteSource) -> Self {
        Self { source, row: RowJson::new(&source.layout, &source.texts) }
    }
}

impl RowEncoder for MessageRows<'_> {
    fn encode(&mut self, at: usize, out: &mut Vec<u8>) -> Result<()> {
        let sample = &self.source.samples[at];
        if matches!(sample.body, Body::Document(_)) {
            return Ok(());
        }
        let source = &self.source.sources[sample.source as usize];
        sample.body.kind().write_json(source, self.source.token_lengths[at], &mut self.row, out);
        Ok(())
    }
}

/// The columns of a Parquet file of messages.
///
/// Messages that have different keys do not fit into columns: templates test which keys a message has, and the arguments of tool
/// calls differ from call to call. In a mix with such messages each of them is stored as JSON, and the file's metadata tells
/// `datasets` to read it as such.
pub(super) fn parquet_schema(source: &WriteSource) -> Schema {
    let text = |name: &str| (name.to_owned(), Column::Leaf(Leaf::Text));
    let layout = &source.layout;
    let is_json = layout.has_optional_keys();
    let message = match is_json {
        true => Column::Leaf(Leaf::Json),
        false => Column::Struct(["role", "content"].map(text).to_vec()),
    };
    let is_full = layout.columns() == Columns::Full;
    let mut columns = Vec::new();
    if is_full {
        columns.extend(["question", "document_outline", "raw_document", "document"].map(text));
    }
    columns.push(("messages".to_owned(), Column::List(Box::new(message))));
    if is_full {
        columns.push(text("metadata"));
    }
    if layout.has_tools() {
        columns.push(text("tools"));
    }
    columns.push(("unmask".to_owned(), Column::Leaf(Leaf::Bool)));
    columns.push(("token_length".to_owned(), Column::Leaf(Leaf::Int32)));
    let metadata = if is_json { vec![("huggingface".to_owned(), features(&columns))] } else { Vec::new() };
    Schema { columns, metadata }
}

/// What `datasets` reads from a file's metadata: the types of its columns, with messages as JSON.
fn features(columns: &[(String, Column)]) -> String {
    let feature = |(name, column): &(String, Column)| {
        let value = |dtype: &str| json!({"dtype": dtype, "_type": "Value"});
        let feature = match column {
            Column::List(_) => json!({"feature": {"decode": true, "_type": "Json"}, "_type": "List"}),
            Column::Leaf(Leaf::Int32) => value("int32"),
            Column::Leaf(Leaf::Bool) => value("bool"),
            Column::Leaf(Leaf::Text | Leaf::Json) | Column::Struct(_) => value("string"),
        };
        (name.clone(), feature)
    };
    json!({"info": {"features": Value::Object(columns.iter().map(feature).collect())}}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Flags, Kind, ReasoningKey, Recipe, Source, WrittenReasoning};
    use crate::sample::{Body, Chat, Pair, Sample, row_layout};
    use crate::text::{Interner, TextId, TextStore};
    use proptest::prelude::*;

    fn sources() -> Vec<Source> {
        sources_with(WrittenReasoning::Everywhere)
    }

    fn sources_with(reasoning: WrittenReasoning) -> Vec<Source> {
        let mut sources = Recipe::default().all_sources();
        sources.iter_mut().for_each(|source| source.reasoning = reasoning);
        sources.push(Source { name: "replay".to_owned(), kind: Kind::Messages, ..sources[0].clone() });
        sources
    }

    fn store(texts: &[&str]) -> (TextStore, Vec<Option<TextId>>) {
        let interner = Interner::default();
        let ids = texts.iter().map(|text| interner.intern(text).unwrap()).collect();
        (interner.freeze(), ids)
    }

    fn pair(ids: &[Option<TextId>]) -> Body {
        Body::Pair(Pair {
            outline: ids[0],
            raw_document: ids[1],
            summary: ids[2],
            question: ids[3].unwrap(),
            response: ids[4].unwrap(),
            reasoning: ids[5],
        })
    }

    fn encoded(columns: Columns, sources: &[Source], samples: &[Sample], texts: TextStore) -> Vec<String> {
        let source = WriteSource {
            layout: row_layout(columns, sources, samples, &texts),
            sources: sources.to_vec(),
            samples: samples.to_vec(),
            texts,
            token_lengths: vec![7; samples.len()],
            training: None,
            documents: None,
            plans: Vec::new(),
            source_ranges: Vec::new(),
            most_copies: Vec::new(),
        };
        let mut encoder = MessageRows::new(&source);
        let row = |at| {
            let mut out = Vec::new();
            encoder.encode(at, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        (0..samples.len()).map(row).collect()
    }

    fn row(columns: Columns, source: u32, texts: [&str; 6]) -> String {
        let (store, ids) = store(&texts);
        let samples = [Sample { source, body: pair(&ids) }];
        encoded(columns, &sources()[..4], &samples, store).remove(0)
    }

    #[test]
    fn a_row_has_these_keys_in_this_order() {
        insta::assert_snapshot!(row(Columns::Full, 0, ["O", "R \"x\"\n", "S\\", "Q?", "A.", ""]), @r#"{"question":"Q?","document_outline":"O","raw_document":"R \"x\"\n","document":"S\\","messages":[{"role":"user","content":"O\nS\\\n\nQ?","thinking":null},{"role":"assistant","content":"A.","thinking":""}],"metadata":"{\"sdg_document\":\"S\\\\\",\"dataset\":\"document_knowledge_qa\",\"raw_document\":\"R \\\"x\\\"\\n\",\"source\":\"extractive_summary\"}","unmask":true,"token_length":7}
        "#);
        insta::assert_snapshot!(row(Columns::Training, 2, ["O", "", "S", "Q?", "A.", "T"]), @r#"{"messages":[{"role":"user","content":"In O, Q?","thinking":null},{"role":"assistant","content":"A.","thinking":"T"}],"unmask":true,"token_length":7}
        "#);
    }

    #[test]
    fn a_row_has_only_the_keys_that_its_sample_has() {
        let chat = r#"[{"role":"assistant","content":"","tool_calls":[{"name":"add"}]},{"role":"tool","content":"4"}]"#;
        let (store, ids) = store(&["O", "R", "S", "Q", "A", "T", chat, "[{\"name\":\"add\"}]"]);
        let chat =
            Body::Chat(Chat { messages: ids[6].unwrap(), tools: ids[7], unmask: false, flags: Flags::default() });
        let samples = [Sample { source: 0, body: pair(&ids) }, Sample { source: 4, body: chat }];
        let sources = sources_with(WrittenReasoning::Under(ReasoningKey::ReasoningContent));
        insta::assert_snapshot!(encoded(Columns::Training, &sources, &samples, store).concat(), @r#"
        {"messages":[{"role":"user","content":"O\nS\n\nQ"},{"role":"assistant","content":"A","reasoning_content":"T"}],"unmask":true,"token_length":7}
        {"messages":[{"role":"assistant","content":"","tool_calls":[{"name":"add"}]},{"role":"tool","content":"4"}],"tools":"[{\"name\":\"add\"}]","unmask":false,"token_length":7}
        "#);
        let (store, ids) = self::store(&["O", "R", "S", "Q", "A", "T"]);
        let samples = [Sample { source: 0, body: pair(&ids) }];
        let mut sources = sources_with(WrittenReasoning::Nowhere);
        sources[0].unmask = false;
        insta::assert_snapshot!(encoded(Columns::Training, &sources, &samples, store).concat(), @r#"
        {"messages":[{"role":"user","content":"O\nS\n\nQ"},{"role":"assistant","content":"A"}],"unmask":false,"token_length":7}
        "#);
    }

    proptest! {
        /// The bytes say what serde_json would have said.
        #[test]
        fn any_text_survives(
            texts in prop::array::uniform6("\\PC{0,12}|[\\x00-\\x1f\"\\\\]{0,6}"),
            question in "\\PC{1,12}|[\\x00-\\x1f\"\\\\]{1,6}",
            response in "\\PC{1,12}",
            source in 0u32..4,
        ) {
            let [o, r, s, _, _, t] = &texts;
            let row = row(Columns::Full, source, [o, r, s, &question, &response, t]);
            let actual: Value = serde_json::from_str(&row).unwrap();
            let name = &sources()[source as usize].name;
            let content = if source == 2 { format!("In {o}, {question}") } else { format!("{o}\n{s}\n\n{question}") };
            let metadata = json!({"sdg_document": s, "dataset": "document_knowledge_qa", "raw_document": r, "source": name});
            prop_assert_eq!(actual, json!({
                "question": question, "document_outline": o, "raw_document": r, "document": s,
                "messages": [
                    {"role": "user", "content": content, "thinking": null},
                    {"role": "assistant", "content": response, "thinking": t}
                ],
                "metadata": metadata.to_string(), "unmask": true, "token_length": 7
            }));
        }
    }
}
