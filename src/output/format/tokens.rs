//! Rows of token ids and labels, as training_hub's data processing writes them to its `data.jsonl`:
//! `{"input_ids":[…],"labels":[…],"len":n,"num_loss_counted_tokens":k}`, with `--attention-mask` also `attention_mask`.

use super::encoding::RowEncoder;
use super::parquet::{Column, Leaf, Schema};
use crate::error::{Error, ErrorKind, Result};
use crate::output::source::WriteSource;
use crate::sample::Body;
use crate::tokens::NOT_TRAINED;
use itoa::Buffer;

/// Encodes samples as lines of JSON with ids and labels.
pub(super) struct TokenRows<'r> {
    source: &'r WriteSource,
}

impl<'r> TokenRows<'r> {
    pub(super) fn new(source: &'r WriteSource) -> Self {
        Self { source }
    }
}

impl RowEncoder for TokenRows<'_> {
    fn encode(&mut self, at: usize, out: &mut Vec<u8>) -> Result<()> {
        let WriteSource { sources, samples, texts, training, .. } = self.source;
        if matches!(samples[at].body, Body::Document(_)) {
            return Ok(());
        }
        let training = training.as_ref().ok_or_else(|| Error::new(ErrorKind::Bug, "no encoder for tokens"))?;
        if !training.kept.contains(at) {
            return Ok(());
        }
        let source = &sources[samples[at].source as usize];
        let kind = samples[at].body.kind();
        let (conversation, unmask) = (kind.conversation(source, texts), kind.is_unmasked(source));
        let tokens = training.encoder.encode(&training.template, &conversation, unmask)?;
        out.extend_from_slice(b"{\"input_ids\":");
        put_list(tokens.input_ids.iter().map(|&id| i64::from(id)), out);
        out.extend_from_slice(b",\"labels\":");
        let labels = tokens.input_ids.iter().zip(&tokens.is_trained);
        put_list(labels.map(|(&id, &trained)| if trained { i64::from(id) } else { NOT_TRAINED.into() }), out);
        if training.attention_mask {
            out.extend_from_slice(b",\"attention_mask\":");
            put_list(tokens.input_ids.iter().map(|_| 1), out);
        }
        let mut number = Buffer::new();
        out.extend_from_slice(b",\"len\":");
        out.extend_from_slice(number.format(tokens.input_ids.len()).as_bytes());
        out.extend_from_slice(b",\"num_loss_counted_tokens\":");
        out.extend_from_slice(number.format(tokens.loss_tokens()).as_bytes());
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}

pub(super) fn put_list(numbers: impl Iterator<Item = i64>, out: &mut Vec<u8>) {
    let mut buffer = Buffer::new();
    out.push(b'[');
    for (place, number) in numbers.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(buffer.format(number).as_bytes());
    }
    out.push(b']');
}

/// The columns of a Parquet file of tokens.
pub(super) fn parquet_schema(source: &WriteSource) -> Schema {
    let list = |name: &str| (name.to_owned(), Column::List(Box::new(Column::Leaf(Leaf::Int32))));
    let mut columns = vec![list("input_ids"), list("labels")];
    if source.training.as_ref().is_some_and(|training| training.attention_mask) {
        columns.push(list("attention_mask"));
    }
    for name in ["len", "num_loss_counted_tokens"] {
        columns.push((name.to_owned(), Column::Leaf(Leaf::Int32)));
    }
    Schema { columns, metadata: Vec::new() }
}
