//! What the JSON rows of all kinds have in common.
//!
//! A raw document stands twice in a row, once of them in a string inside a string. Each context (a text that many rows
//! repeat) is escaped once for each of these forms; then its bytes are copied.

use crate::recipe::{Columns, Source};
use crate::text::{TextId, TextStore};
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// How all rows of a run are written: the same keys in every row, so that they load as one table.
#[derive(Debug)]
pub(crate) struct RowLayout {
    columns: Columns,
    /// Whether a source of the run has ready chats: then every row has `tools`.
    tools: bool,
    /// The additional keys of the run's messages (`tool_calls`, `name`), which every message then has. Strings stay strings,
    /// everything else becomes a JSON string: values of different types do not load into one table.
    extra_keys: Vec<String>,
}

impl RowLayout {
    pub(super) fn new(columns: Columns, tools: bool, extra_keys: BTreeSet<String>) -> Self {
        Self { columns, tools, extra_keys: extra_keys.into_iter().collect() }
    }

    /// The keys that messages can have.
    pub(crate) fn message_keys(&self) -> impl Iterator<Item = &str> {
        ["role", "content", "thinking"].into_iter().chain(self.extra_keys.iter().map(String::as_str))
    }

    /// Whether rows have `tools`.
    pub(crate) fn has_tools(&self) -> bool {
        self.tools
    }

    /// Which columns a row has.
    pub(crate) fn columns(&self) -> Columns {
        self.columns
    }
}

/// A text escaped for a JSON string, and escaped again for a JSON string in a JSON string; both without quotes.
#[derive(Debug)]
pub(super) struct Escaped {
    pub(super) once: Vec<u8>,
    twice: OnceCell<Vec<u8>>,
}

impl Escaped {
    fn new(text: &str) -> Self {
        Self { once: escape(text), twice: OnceCell::new() }
    }

    /// Escaped again; only rows with all columns need it.
    pub(super) fn twice(&self) -> &[u8] {
        // Escaped text is text.
        self.twice.get_or_init(|| std::str::from_utf8(&self.once).map(escape).unwrap_or_default())
    }
}

/// Writes rows as JSON; one for each batch of neighbours, which share their contexts.
pub(crate) struct RowJson<'r> {
    layout: &'r RowLayout,
    texts: &'r TextStore,
    contexts: HashMap<Option<TextId>, Rc<Escaped>>,
}

impl<'r> RowJson<'r> {
    /// A writer for rows of this layout.
    pub(crate) fn new(layout: &'r RowLayout, texts: &'r TextStore) -> Self {
        Self { layout, texts, contexts: HashMap::new() }
    }

    pub(super) fn texts(&self) -> &'r TextStore {
        self.texts
    }

    /// Whether rows have all columns.
    pub(super) fn is_full(&self) -> bool {
        self.layout.columns == Columns::Full
    }

    pub(super) fn extra_keys(&self) -> &'r [String] {
        &self.layout.extra_keys
    }

    /// The escaped forms of a text that neighbouring rows repeat.
    pub(super) fn context(&mut self, id: Option<TextId>) -> Rc<Escaped> {
        self.contexts.entry(id).or_insert_with(|| Rc::new(Escaped::new(self.texts.get(id)))).clone()
    }

    /// The additional keys of a message that has none of them.
    pub(super) fn put_absent_keys(&self, out: &mut Vec<u8>) {
        for key in self.extra_keys() {
            put(out, &[b",\"", &escape(key), b"\":\"\""]);
        }
    }

    /// `metadata`: a string that holds JSON. `summary` and `raw_document` are escaped twice.
    pub(super) fn put_metadata(
        &self,
        summary: &[u8],
        dataset: &str,
        raw_document: &[u8],
        source: &Source,
        out: &mut Vec<u8>,
    ) {
        let source = Escaped::new(&source.name);
        put(out, &[br#""metadata":"{\"sdg_document\":\""#, summary, br#"\",\"dataset\":\""#, dataset.as_bytes()]);
        put(out, &[br#"\",\"raw_document\":\""#, raw_document, br#"\",\"source\":\""#, source.twice(), br#"\"}","#]);
    }

    /// The last keys of a row, and its line end.
    pub(super) fn put_end(&self, tools: Option<TextId>, unmask: bool, token_length: u32, out: &mut Vec<u8>) {
        if self.layout.tools {
            let tools = tools.map_or("[]", |tools| self.texts.get(tools));
            put(out, &[b"\"tools\":\"", &escape(tools), b"\","]);
        }
        let unmask: &[u8] = if unmask { b"true" } else { b"false" };
        put(out, &[b"\"unmask\":", unmask, b",\"token_length\":", token_length.to_string().as_bytes(), b"}\n"]);
    }
}

/// The text as it stands between the quotes of a JSON string.
pub(super) fn escape(text: &str) -> Vec<u8> {
    let mut json = Vec::with_capacity(text.len() + text.len() / 16 + 2);
    // Writing a text to memory cannot fail.
    if serde_json::to_writer(&mut json, text).is_ok() {
        json.pop();
        json.remove(0);
    }
    json
}

pub(super) fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}
