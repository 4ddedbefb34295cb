//! JSON lines: one sample per line. A file is the concatenation of its rows, so the slices of one buffer go to every file.

use super::encoding::{FileAssembler, RowEncoder};
use crate::error::Result;
use crate::recipe::Source;
use crate::sample::{RowJson, RowLayout, Sample};
use crate::text::TextStore;
use bytes::Bytes;

/// Encodes samples as lines of JSON.
pub(super) struct JsonLines<'r> {
    sources: &'r [Source],
    row: RowJson<'r>,
}

impl<'r> JsonLines<'r> {
    pub(super) fn new(layout: &'r RowLayout, sources: &'r [Source], texts: &'r TextStore) -> Self {
        Self { sources, row: RowJson::new(layout, texts) }
    }
}

impl RowEncoder for JsonLines<'_> {
    fn encode(&mut self, sample: &Sample, token_length: u32, out: &mut Vec<u8>) {
        let source = &self.sources[sample.source as usize];
        sample.body.kind().write_json(source, token_length, &mut self.row, out);
    }
}

/// Assembles a file by concatenating its rows.
pub(super) struct Concatenation;

impl FileAssembler for Concatenation {
    fn push(&mut self, rows: Vec<Bytes>) -> Result<Vec<Bytes>> {
        Ok(rows)
    }

    fn passes_through(&self) -> bool {
        true
    }

    fn finish(self: Box<Self>) -> Result<Vec<Bytes>> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Columns, Kind, Recipe};
    use crate::sample::{Body, Chat, Pair, row_layout};
    use crate::text::{Interner, TextId};
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    fn sources() -> Vec<Source> {
        let mut sources = Recipe::default().all_sources();
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

    fn encoded(columns: Columns, sources: &[Source], samples: &[Sample], texts: &TextStore) -> Vec<String> {
        let layout = row_layout(columns, sources, samples, texts);
        let mut encoder = JsonLines::new(&layout, sources, texts);
        let row = |sample: &Sample| {
            let mut out = Vec::new();
            encoder.encode(sample, 7, &mut out);
            String::from_utf8(out).unwrap()
        };
        samples.iter().map(row).collect()
    }

    fn row(columns: Columns, source: u32, texts: [&str; 6]) -> String {
        let (store, ids) = store(&texts);
        let samples = [Sample { source, body: pair(&ids) }];
        encoded(columns, &sources()[..4], &samples, &store).remove(0)
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
        let (store, ids) = store(&["O", "R", "S", "Q", "A", "", &chat, "[{\"name\":\"add\"}]"]);
        let chat = Body::Chat(Chat { messages: ids[6].unwrap(), tools: ids[7], unmask: false });
        let samples = [Sample { source: 0, body: pair(&ids) }, Sample { source: 4, body: chat }];
        let rows: Vec<Map<String, Value>> = encoded(Columns::Full, &sources(), &samples, &store)
            .iter()
            .map(|row| serde_json::from_str(row).unwrap())
            .collect();
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
