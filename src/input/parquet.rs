//! Parquet files: the required columns as lines of JSON, so that one parser reads rows of every kind.

use super::chunk::{CHUNK_BYTES, Chunk};
use super::limits::max_content;
use super::parquet_pages::check_pages;
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The rows of one Parquet file, a chunk at a time. A row's number is used as its line.
pub(super) struct ParquetRows {
    rows: Rows,
    /// The number of rows in the chunks so far.
    done: u64,
    /// The number of bytes that the chunks may still take: a dictionary and runs make millions of rows of a few bytes.
    content_left: u64,
}

enum Rows {
    Columns(RowIter<'static>),
    /// The file has rows, but none of the required columns: one empty row represents them all, since each lacks every column.
    Empty,
    None,
}

impl ParquetRows {
    /// Opens a file, of which only `columns` are read.
    ///
    /// # Errors
    /// [`ParquetError`] if the file is damaged or not a Parquet file.
    pub(super) fn open<'c>(file: Bytes, columns: impl Iterator<Item = &'c str>) -> Result<Self, ParquetError> {
        contained(|| {
            let content_left = max_content(file.len() as u64);
            let reader = SerializedFileReader::new(file.clone())?;
            let metadata = reader.metadata().file_metadata();
            let schema = metadata.schema();
            let required: Vec<&str> = columns.collect();
            check_pages(&file, reader.metadata(), |name| required.contains(&name))?;
            let is_required = |field: &&Arc<Type>| required.contains(&field.name());
            let fields: Vec<_> = schema.get_fields().iter().filter(is_required).cloned().collect();
            let rows = if !fields.is_empty() {
                let projection = Type::group_type_builder(schema.name()).with_fields(fields).build()?;
                Rows::Columns(RowIter::from_file_into(Box::new(reader)).project(Some(projection))?)
            } else if metadata.num_rows() > 0 {
                Rows::Empty
            } else {
                Rows::None
            };
            Ok(Self { rows, done: 0, content_left })
        })
    }

    /// The next rows, or `None` after the last.
    ///
    /// # Errors
    /// [`ParquetError`] if a page is damaged or a string is not UTF-8.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>, ParquetError> {
        contained(|| match &mut self.rows {
            Rows::Columns(rows) => {
                let first = self.done + 1;
                let mut lines = Vec::new();
                while lines.len() <= CHUNK_BYTES
                    && let Some(row) = rows.next()
                {
                    self.done += 1;
                    serde_json::to_writer(&mut lines, &json_row(&row?, self.done)?)
                        .map_err(|error| ParquetError::External(Box::new(error)))?;
                    lines.push(b'\n');
                }
                let left = self.content_left.checked_sub(lines.len() as u64);
                self.content_left = left.ok_or_else(|| {
                    ParquetError::General(format!("its rows up to row {} expand to too much for its size", self.done))
                })?;
                Ok((!lines.is_empty()).then(|| Chunk::Lines { first, bytes: lines.into() }))
            }
            Rows::Empty => {
                self.rows = Rows::None;
                Ok(Some(Chunk::Lines { first: 1, bytes: "{}\n".into() }))
            }
            Rows::None => Ok(None),
        })
    }
}

/// The Parquet library panics on some damaged files; an input file must not be able to end the program.
fn contained<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(ParquetError::General("damaged data".to_owned())))
}

/// A row as JSON. Columns of plain bytes, which is how older writers store strings, are text; the library would encode
/// them as base64.
fn json_row(row: &Row, number: u64) -> Result<serde_json::Value, ParquetError> {
    let column = |(name, field): (&String, &Field)| {
        let value = match field {
            Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
                Ok(text) => text.into(),
                Err(_) => {
                    let message = format!("row {number}: column `{name}` contains bytes that are not valid UTF-8");
                    return Err(ParquetError::General(message));
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
    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

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
        let mut rows = ParquetRows::open(file.into(), ["question"].into_iter())?;
        while let Some(chunk) = rows.next_chunk()? {
            chunk.rows().for_each(|(line, row)| lines += &format!("{line}: {}", String::from_utf8_lossy(row)));
        }
        Ok(lines)
    }

    #[test]
    fn columns_of_bytes_are_text_with_and_without_annotation() {
        let expected = "1: {\"question\":\"caf\u{e9}\"}\n";
        assert_eq!(lines("(UTF8)", "caf\u{e9}".as_bytes()).unwrap(), expected);
        assert_eq!(lines("", "caf\u{e9}".as_bytes()).unwrap(), expected);
        assert!(lines("", b"\xff").unwrap_err().to_string().contains("row 1: column `question` contains bytes"));
    }

    /// A file of one column, with some values in one page.
    fn written(values: &[ByteArray]) -> Vec<u8> {
        let schema = Arc::new(parse_message_type("message m { required binary question (UTF8); }").unwrap());
        let properties = parquet::file::properties::WriterProperties::builder()
            .set_compression(Compression::ZSTD(Default::default()))
            .set_dictionary_enabled(values.len() > 1)
            .build();
        let mut file = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut file, schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(values, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        file
    }

    fn read(file: &[u8]) -> Result<u64, ParquetError> {
        let mut rows = ParquetRows::open(Bytes::copy_from_slice(file), ["question"].into_iter())?;
        while rows.next_chunk()?.is_some() {}
        Ok(rows.done)
    }

    #[test]
    fn a_file_that_expands_to_too_much_is_refused_page_by_page_and_row_by_row() {
        let value = ByteArray::from(vec![b'a'; 100 << 20]);
        let error = read(&written(&[value])).unwrap_err().to_string();
        assert!(error.contains("its pages expand to more than"), "{error}");
        let value = ByteArray::from(vec![b'a'; 10 << 10]);
        let error = read(&written(&vec![value; 20_000])).unwrap_err().to_string();
        assert!(error.contains("expand to too much for its size"), "{error}");
    }

    #[test]
    fn a_damaged_file_gives_rows_or_an_error() {
        let values: Vec<ByteArray> = (0..50).map(|number| format!("What is {}?", number % 7).as_str().into()).collect();
        let file = written(&values);
        assert_eq!(read(&file).unwrap(), 50);
        for at in 0..file.len() {
            let _ = read(&file[..at]);
            for bit in 0..8 {
                let mut flipped = file.clone();
                flipped[at] ^= 1 << bit;
                let _ = read(&flipped);
            }
        }
    }
}
