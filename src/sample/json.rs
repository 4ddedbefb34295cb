//! What the JSON rows of all kinds have in common.
//!
//! A raw document stands twice in a row, once of them in a string inside a string. Each context (a text that many rows
//! repeat) is escaped once for each of these forms; then its bytes are copied.

use crate::recipe::{Columns, Source};
use crate::text::{TextId, TextStore};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;

/// The key of a row with the tools that its conversation can use.
pub(super) const TOOLS_KEY: &str = "tools";

/// The number of optional keys of a run beyond which no more are noted.
const MANY_KEYS: usize = 200;

/// What the rows of a run look like. Keys that a sample does not have are absent from its row: templates and trainers test for
/// their presence.
#[derive(Debug)]
pub(crate) struct RowLayout {
    columns: Columns,
    /// The optional keys that rows and messages of the run have, up to one more than [`MANY_KEYS`].
    keys: Vec<String>,
    has_tools: bool,
    /// The optional keys of each sample, as bits; empty if no sample has any.
    keys_of_samples: Vec<KeyBits>,
}

/// A set of optional keys, by their place in the layout; from the 32nd on they share a bit.
pub(crate) type KeyBits = u32;

impl RowLayout {
    pub(super) fn new(columns: Columns) -> Self {
        Self { columns, keys: Vec::new(), has_tools: false, keys_of_samples: Vec::new() }
    }

    /// Notes that the sample at a place, of so many samples, has a key.
    pub(super) fn add_key(&mut self, at: usize, key: &str, samples: usize) {
        self.has_tools |= key == TOOLS_KEY;
        let place = self.keys.iter().position(|known| known == key).unwrap_or_else(|| {
            if self.keys.len() <= MANY_KEYS {
                self.keys.push(key.to_owned());
            }
            self.keys.len() - 1
        });
        self.keys_of_samples.resize(samples, 0);
        self.keys_of_samples[at] |= 1 << place.min(KeyBits::BITS as usize - 1);
    }

    /// The optional keys of the sample at a place.
    pub(crate) fn keys_of(&self, at: usize) -> KeyBits {
        self.keys_of_samples.get(at).copied().unwrap_or_default()
    }

    /// Whether any sample has optional keys.
    pub(crate) fn has_optional_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether any row has tools.
    pub(crate) fn has_tools(&self) -> bool {
        self.has_tools
    }

    /// The first optional keys, if there are more than a trainer can make columns of.
    pub(crate) fn too_many_keys(&self) -> Option<&[String]> {
        (self.keys.len() > MANY_KEYS).then_some(&self.keys)
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

    /// The escaped forms of a text that neighbouring rows repeat.
    pub(super) fn context(&mut self, id: Option<TextId>) -> Rc<Escaped> {
        self.contexts.entry(id).or_insert_with(|| Rc::new(Escaped::new(self.texts.get(id)))).clone()
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

    /// `metadata` of a row whose own columns have all texts.
    pub(super) fn put_short_metadata(&self, dataset: &str, source: &Source, out: &mut Vec<u8>) {
        let source = Escaped::new(&source.name);
        put(out, &[br#""metadata":"{\"dataset\":\""#, dataset.as_bytes(), br#"\",\"source\":\""#]);
        put(out, &[source.twice(), br#"\"}","#]);
    }

    /// The last keys of a row, and its line end.
    pub(super) fn put_end(&self, tools: Option<TextId>, unmask: bool, token_length: u32, out: &mut Vec<u8>) {
        if let Some(tools) = tools {
            // A string, because tools of different rows do not fit into one table.
            put(out, &[b"\"", TOOLS_KEY.as_bytes(), b"\":\"", &escape(self.texts.get(Some(tools))), b"\","]);
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
