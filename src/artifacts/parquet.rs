//! Parquet files: the needed columns as lines of JSON, so that one parser knows all generations of rows.

use super::split::Chunk;
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::Type;

/// About how many bytes of JSON one chunk holds.
const CHUNK: usize = 1 << 20;

/// Hands the rows of a Parquet file on, as chunks of lines that hold only the `columns` that are there.
///
/// A row's number stands for its line. Strings that are not UTF-8 and pages that are damaged are errors.
pub fn read_rows<'c, E: From<ParquetError>>(
    file: Bytes,
    columns: impl Iterator<Item = &'c str>,
    mut hand_on: impl FnMut(Chunk) -> Result<(), E>,
) -> Result<(), E> {
    let reader = SerializedFileReader::new(file)?;
    let schema = reader.metadata().file_metadata().schema();
    let wanted: Vec<&str> = columns.collect();
    let fields: Vec<_> = schema.get_fields().iter().filter(|field| wanted.contains(&field.name())).cloned().collect();
    if fields.is_empty() {
        let rows = reader.metadata().file_metadata().num_rows();
        return match rows {
            ..1 => Ok(()),
            // One stands for all: each lacks everything.
            _ => hand_on(Chunk::Lines { first: 1, bytes: "{}\n".into() }),
        };
    }
    let projection = Type::group_type_builder(schema.name()).with_fields(fields).build()?;
    let mut lines = Vec::new();
    let (mut first, mut number) = (1, 0);
    for row in reader.get_row_iter(Some(projection))? {
        number += 1;
        serde_json::to_writer(&mut lines, &row?.to_json_value())
            .map_err(|error| ParquetError::External(Box::new(error)))?;
        lines.push(b'\n');
        if lines.len() > CHUNK {
            hand_on(Chunk::Lines { first, bytes: std::mem::take(&mut lines).into() })?;
            first = number + 1;
        }
    }
    if lines.is_empty() { Ok(()) } else { hand_on(Chunk::Lines { first, bytes: lines.into() }) }
}
