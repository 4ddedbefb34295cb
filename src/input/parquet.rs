//! Parquet files: the needed columns as lines of JSON, so that one parser knows all generations of rows.

use super::lines::Chunk;
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

/// About how many bytes of JSON one chunk holds.
const CHUNK: usize = 1 << 20;

/// Hands the rows of a Parquet file on, as chunks of lines that hold only the `columns` that are there.
///
/// A row's number stands for its line. Strings that are not UTF-8 and pages that are damaged are errors.
pub(crate) fn read_rows<'c, E: From<ParquetError>>(
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
        serde_json::to_writer(&mut lines, &json_row(&row?, number)?)
            .map_err(|error| ParquetError::External(Box::new(error)))?;
        lines.push(b'\n');
        if lines.len() > CHUNK {
            hand_on(Chunk::Lines { first, bytes: std::mem::take(&mut lines).into() })?;
            first = number + 1;
        }
    }
    if lines.is_empty() { Ok(()) } else { hand_on(Chunk::Lines { first, bytes: lines.into() }) }
}

/// A row as JSON. Columns of plain bytes, as older writers leave strings, are text; the library would make base64 of them.
fn json_row(row: &Row, number: u64) -> Result<serde_json::Value, ParquetError> {
    let column = |(name, field): (&String, &Field)| {
        let value = match field {
            Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
                Ok(text) => text.into(),
                Err(_) => {
                    let what = format!("row {number}: column `{name}` holds bytes that are not UTF-8");
                    return Err(ParquetError::General(what));
                }
            },
            field => field.to_json_value(),
        };
        Ok((name.clone(), value))
    };
    row.get_column_iter().map(column).collect::<Result<serde_json::Map<_, _>, _>>().map(serde_json::Value::Object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    fn lines(annotation: &str, value: &[u8]) -> Result<String, ParquetError> {
        let schema = format!("message m {{ required binary question {annotation}; required int32 other; }}");
        let schema = Arc::new(parse_message_type(&schema).unwrap());
        let mut file = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut file, schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[ByteArray::from(value.to_vec())], None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<parquet::data_type::Int32Type>().write_batch(&[7], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        let mut lines = String::new();
        read_rows::<ParquetError>(file.into(), ["question"].into_iter(), |chunk| {
            chunk.rows().for_each(|(line, row)| lines += &format!("{line}: {}", String::from_utf8_lossy(row)));
            Ok(())
        })?;
        Ok(lines)
    }

    #[test]
    fn strings_are_text_whether_they_are_marked_as_such_or_not() {
        let expected = "1: {\"question\":\"caf\u{e9}\"}\n";
        assert_eq!(lines("(UTF8)", "caf\u{e9}".as_bytes()).unwrap(), expected);
        assert_eq!(lines("", "caf\u{e9}".as_bytes()).unwrap(), expected);
        assert!(lines("", b"\xff").unwrap_err().to_string().contains("row 1: column `question` holds bytes"));
    }
}
