//! Rows of documents, and of their token ids as training_hub's data processing writes them to its `data.jsonl`:
//! `{"input_ids":[…],"len":n}`.

use super::encoding::RowEncoder;
use super::parquet::{Column, Leaf, Schema};
use super::tokens::put_list;
use crate::error::{Error, ErrorKind, Result};
use crate::output::source::WriteSource;
use crate::recipe::Columns;
use crate::sample::{Body, RowJson};
use itoa::Buffer;

/// Encodes documents as lines of JSON.
pub(super) struct DocumentRows<'r> {
    source: &'r WriteSource,
    row: RowJson<'r>,
}

impl<'r> DocumentRows<'r> {
    pub(super) fn new(source: &'r WriteSource) -> Self {
        Self { source, row: RowJson::new(&source.layout, &source.texts) }
    }
}

impl RowEncoder for DocumentRows<'_> {
    fn encode(&mut self, at: usize, out: &mut Vec<u8>) -> Result<()> {
        let sample = &self.source.samples[at];
        if let Body::Document(_) = sample.body {
            let source = &self.source.sources[sample.source as usize];
            sample.body.kind().write_json(source, self.source.token_lengths[at], &mut self.row, out);
        }
        Ok(())
    }
}

/// Encodes documents as lines of JSON with their token ids.
pub(super) struct DocumentTokenRows<'r> {
    source: &'r WriteSource,
}

impl<'r> DocumentTokenRows<'r> {
    pub(super) fn new(source: &'r WriteSource) -> Self {
        Self { source }
    }
}

impl RowEncoder for DocumentTokenRows<'_> {
    fn encode(&mut self, at: usize, out: &mut Vec<u8>) -> Result<()> {
        let WriteSource { samples, texts, documents, .. } = self.source;
        let Body::Document(document) = samples[at].body else { return Ok(()) };
        let encoder = documents.as_ref().ok_or_else(|| Error::new(ErrorKind::Bug, "no encoder for documents"))?;
        let ids = encoder.encode(texts.get(document.text))?;
        out.extend_from_slice(b"{\"input_ids\":");
        put_list(ids.iter().map(|&id| i64::from(id)), out);
        out.extend_from_slice(b",\"len\":");
        out.extend_from_slice(Buffer::new().format(ids.len()).as_bytes());
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}

/// The columns of a Parquet file of documents.
pub(super) fn parquet_schema(source: &WriteSource) -> Schema {
    let names: &[&str] = match source.layout.columns() {
        Columns::Full => &["document", "document_outline", "raw_document", "metadata"],
        Columns::Training => &["document"],
    };
    let mut columns: Vec<(String, Column)> =
        names.iter().map(|name| ((*name).to_owned(), Column::Leaf(Leaf::Text))).collect();
    columns.push(("token_length".to_owned(), Column::Leaf(Leaf::Int32)));
    Schema { columns, metadata: Vec::new() }
}

/// The columns of a Parquet file of the tokens of documents.
pub(super) fn tokens_parquet_schema() -> Schema {
    let ids = Column::List(Box::new(Column::Leaf(Leaf::Int32)));
    let columns = [("input_ids", ids), ("len", Column::Leaf(Leaf::Int32))];
    Schema { columns: columns.map(|(name, column)| (name.to_owned(), column)).into(), metadata: Vec::new() }
}
