//! Parquet files, made from rows that are lines of JSON.
//!
//! Every value may be null. Lists have the three levels that the format's specification asks for (`list`, `element`), and
//! nested values are divided into columns with repetition and definition levels as it describes
//! (<https://parquet.apache.org/docs/file-format/nestedencoding/>).

use super::encoding::FileAssembler;
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::Compression;
use bytes::Bytes;
use parquet::basic::{Compression as ParquetCompression, ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int32Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FooterTail, KeyValue, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};
use serde_json::Value;
use std::sync::Arc;

/// The bytes of JSON that one row group is made of. Each file holds that much in memory.
const ROW_GROUP_BYTES: usize = 16 << 20;

/// The columns of a file, in order, and what its metadata says.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    /// Names and types.
    pub(super) columns: Vec<(String, Column)>,
    /// Keys and values of the file's metadata.
    pub(super) metadata: Vec<(String, String)>,
}

/// The type of a column or of a value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Column {
    /// A single value.
    Leaf(Leaf),
    /// A list of values.
    List(Box<Column>),
    /// Named values.
    Struct(Vec<(String, Column)>),
}

/// The type of a single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    /// A text.
    Text,
    /// Any value, stored as its JSON text.
    Json,
    /// A whole number.
    Int32,
    /// `true` or `false`.
    Bool,
}

/// The values of one leaf column, not yet written.
enum Values {
    Text(Vec<ByteArray>),
    Json(Vec<ByteArray>),
    Int32(Vec<i32>),
    Bool(Vec<bool>),
}

/// One leaf column of the current row group.
struct LeafColumn {
    values: Values,
    definition_levels: Vec<i16>,
    repetition_levels: Vec<i16>,
}

impl LeafColumn {
    fn new(leaf: Leaf) -> Self {
        let values = match leaf {
            Leaf::Text => Values::Text(Vec::new()),
            Leaf::Json => Values::Json(Vec::new()),
            Leaf::Int32 => Values::Int32(Vec::new()),
            Leaf::Bool => Values::Bool(Vec::new()),
        };
        Self { values, definition_levels: Vec::new(), repetition_levels: Vec::new() }
    }

    /// Appends a value that is there.
    fn push(&mut self, value: &Value) -> Result<()> {
        match &mut self.values {
            Values::Text(values) => values.push(value.as_str().ok_or_else(|| unexpected(value, "a string"))?.into()),
            Values::Json(values) => values.push(value.to_string().into_bytes().into()),
            Values::Int32(values) => {
                let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
                values.push(number.ok_or_else(|| unexpected(value, "a whole number of 32 bits"))?);
            }
            Values::Bool(values) => values.push(value.as_bool().ok_or_else(|| unexpected(value, "true or false"))?),
        }
        Ok(())
    }
}

/// The place of a value in its row: how deep it is defined, and which list it repeats.
#[derive(Debug, Clone, Copy)]
struct Levels {
    definition: i16,
    repetition: i16,
    /// The repetition level of the innermost list around the value.
    list: i16,
}

/// Assembles one Parquet file.
pub(super) struct ParquetFile {
    schema: Schema,
    writer: SerializedFileWriter<Vec<u8>>,
    leaves: Vec<LeafColumn>,
    pending_bytes: usize,
}

impl ParquetFile {
    /// An empty file.
    ///
    /// # Errors
    /// If a column has no name.
    pub(super) fn new(schema: Schema, compression: Compression) -> Result<Self> {
        let fields = schema.columns.iter().map(|(name, column)| field(name, column)).collect::<Result<_>>()?;
        let root = Type::group_type_builder("schema").with_fields(fields).build().map_err(cannot_write)?;
        let metadata = schema.metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
        let properties = WriterProperties::builder()
            .set_compression(match compression {
                Compression::None => ParquetCompression::UNCOMPRESSED,
                Compression::Gzip => ParquetCompression::GZIP(Default::default()),
                Compression::Zstd => ParquetCompression::ZSTD(Default::default()),
            })
            .set_created_by(concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(metadata))
            .build();
        let writer = SerializedFileWriter::new(Vec::new(), Arc::new(root), Arc::new(properties));
        let leaves = leaves_of(&schema);
        Ok(Self { schema, writer: writer.map_err(cannot_write)?, leaves, pending_bytes: 0 })
    }

    fn push_row(&mut self, line: &[u8]) -> Result<()> {
        let row: Value = serde_json::from_slice(line)
            .map_err(|error| Error::new(ErrorKind::Bug, "an encoded row is not valid JSON").caused_by(error))?;
        let mut leaves = self.leaves.iter_mut();
        for (name, column) in &self.schema.columns {
            divide(column, row.get(name), Levels { definition: 0, repetition: 0, list: 0 }, &mut leaves.by_ref())?;
        }
        self.pending_bytes += line.len();
        if self.pending_bytes >= ROW_GROUP_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what is pending as one row group.
    fn flush(&mut self) -> Result<()> {
        if self.pending_bytes == 0 {
            return Ok(());
        }
        self.pending_bytes = 0;
        let leaves = std::mem::replace(&mut self.leaves, leaves_of(&self.schema));
        let mut group = self.writer.next_row_group().map_err(cannot_write)?;
        for leaf in &leaves {
            write_column(&mut group, leaf).map_err(cannot_write)?;
        }
        group.close().map_err(cannot_write)?;
        Ok(())
    }

    /// The bytes that are ready; the writer itself counts where it is in the file.
    fn take_bytes(&mut self) -> Vec<Bytes> {
        let bytes = std::mem::take(self.writer.inner_mut());
        if bytes.is_empty() { Vec::new() } else { vec![bytes.into()] }
    }
}

impl FileAssembler for ParquetFile {
    fn push(&mut self, rows: Vec<Bytes>) -> Result<Vec<Bytes>> {
        for rows in rows {
            let lines = rows.split_inclusive(|&byte| byte == b'\n');
            lines.into_iter().try_for_each(|line| self.push_row(line))?;
        }
        Ok(self.take_bytes())
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<Bytes>> {
        self.flush()?;
        // What finishing writes goes into the same buffer, behind what was not yet taken.
        self.writer.finish().map_err(cannot_write)?;
        Ok(self.take_bytes())
    }
}

/// The number of bytes at the end of a Parquet file that tell the length of its footer.
pub(crate) const PARQUET_TAIL_BYTES: u64 = 8;

/// The length of a Parquet file's footer, which is before these last bytes of it.
///
/// # Errors
/// If they are not those of a Parquet file.
pub(crate) fn parquet_footer_bytes(tail: &[u8]) -> Result<u64, ParquetError> {
    let tail = tail.try_into().map_err(|_| ParquetError::General("the file is too short".to_owned()))?;
    Ok(FooterTail::try_new(tail)?.metadata_length() as u64)
}

/// The number of rows that a Parquet file's footer tells.
///
/// # Errors
/// If the footer is damaged.
pub(crate) fn parquet_rows(footer: &[u8]) -> Result<u64, ParquetError> {
    Ok(ParquetMetaDataReader::decode_metadata(footer)?.file_metadata().num_rows().unsigned_abs())
}

fn write_column(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, leaf: &LeafColumn) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("a column is missing".to_owned()));
    };
    let (definitions, repetitions) = (Some(&leaf.definition_levels[..]), Some(&leaf.repetition_levels[..]));
    match &leaf.values {
        Values::Text(values) | Values::Json(values) => {
            column.typed::<ByteArrayType>().write_batch(values, definitions, repetitions)?
        }
        Values::Int32(values) => column.typed::<Int32Type>().write_batch(values, definitions, repetitions)?,
        Values::Bool(values) => column.typed::<BoolType>().write_batch(values, definitions, repetitions)?,
    };
    column.close()
}

/// The field of a column in the file's schema.
fn field(name: &str, column: &Column) -> Result<TypePtr> {
    let text = |physical| Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
    let built = match column {
        Column::Leaf(Leaf::Text) => text(Physical::BYTE_ARRAY)
            .with_logical_type(Some(LogicalType::String))
            .with_converted_type(ConvertedType::UTF8)
            .build(),
        Column::Leaf(Leaf::Json) => text(Physical::BYTE_ARRAY)
            .with_logical_type(Some(LogicalType::Json))
            .with_converted_type(ConvertedType::JSON)
            .build(),
        Column::Leaf(Leaf::Int32) => text(Physical::INT32).build(),
        Column::Leaf(Leaf::Bool) => text(Physical::BOOLEAN).build(),
        Column::List(element) => {
            let repeated = Type::group_type_builder("list")
                .with_repetition(Repetition::REPEATED)
                .with_fields(vec![field("element", element)?])
                .build()
                .map_err(cannot_write)?;
            Type::group_type_builder(name)
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(Some(LogicalType::List))
                .with_converted_type(ConvertedType::LIST)
                .with_fields(vec![Arc::new(repeated)])
                .build()
        }
        Column::Struct(fields) => {
            let fields = fields.iter().map(|(name, column)| field(name, column)).collect::<Result<_>>()?;
            Type::group_type_builder(name).with_repetition(Repetition::OPTIONAL).with_fields(fields).build()
        }
    };
    built.map(Arc::new).map_err(cannot_write)
}

/// Empty leaf columns, in the order of the schema.
fn leaves_of(schema: &Schema) -> Vec<LeafColumn> {
    fn collect(column: &Column, leaves: &mut Vec<LeafColumn>) {
        match column {
            Column::Leaf(leaf) => leaves.push(LeafColumn::new(*leaf)),
            Column::List(element) => collect(element, leaves),
            Column::Struct(fields) => fields.iter().for_each(|(_, column)| collect(column, leaves)),
        }
    }
    let mut leaves = Vec::new();
    schema.columns.iter().for_each(|(_, column)| collect(column, &mut leaves));
    leaves
}

/// Divides a value into its leaf columns, the next of `leaves`. A missing value is null.
fn divide(
    column: &Column,
    value: Option<&Value>,
    levels: Levels,
    leaves: &mut dyn Iterator<Item = &mut LeafColumn>,
) -> Result<()> {
    let value = value.filter(|value| !value.is_null());
    let mut one = |value: Option<&Value>, definition: i16| -> Result<()> {
        let leaf = leaves.next().ok_or_else(|| Error::new(ErrorKind::Bug, "a Parquet column is missing"))?;
        leaf.definition_levels.push(definition);
        leaf.repetition_levels.push(levels.repetition);
        value.map_or(Ok(()), |value| leaf.push(value))
    };
    match (column, value) {
        (Column::Leaf(_), Some(value)) => one(Some(value), levels.definition + 1),
        (Column::Leaf(_), None) => one(None, levels.definition),
        (Column::Struct(fields), Some(value)) => {
            let levels = Levels { definition: levels.definition + 1, ..levels };
            fields.iter().try_for_each(|(name, column)| divide(column, value.get(name), levels, leaves))
        }
        (Column::Struct(fields), None) => fields.iter().try_for_each(|(_, column)| divide_null(column, levels, leaves)),
        (Column::List(element), Some(value)) => {
            let items = value.as_array().ok_or_else(|| unexpected(value, "a list"))?;
            divide_list(element, items, levels, leaves)
        }
        (Column::List(element), None) => divide_null(element, levels, leaves),
    }
}

/// Marks every leaf of a value as null from the given level on.
fn divide_null(column: &Column, levels: Levels, leaves: &mut dyn Iterator<Item = &mut LeafColumn>) -> Result<()> {
    match column {
        Column::Leaf(_) => divide(column, None, levels, leaves),
        Column::List(element) => divide_null(element, levels, leaves),
        Column::Struct(fields) => fields.iter().try_for_each(|(_, column)| divide_null(column, levels, leaves)),
    }
}

/// Divides the items of a list. Leaves are visited once for each item, so they are collected first.
fn divide_list(
    element: &Column,
    items: &[Value],
    levels: Levels,
    leaves: &mut dyn Iterator<Item = &mut LeafColumn>,
) -> Result<()> {
    // An empty list is defined, its items are not.
    let empty = Levels { definition: levels.definition + 1, ..levels };
    if items.is_empty() {
        return divide_null(element, empty, leaves);
    }
    let mut own: Vec<&mut LeafColumn> = leaves.take(count_leaves(element)).collect();
    for (place, item) in items.iter().enumerate() {
        let repetition = if place == 0 { levels.repetition } else { levels.list + 1 };
        let levels = Levels { definition: levels.definition + 2, repetition, list: levels.list + 1 };
        divide(element, Some(item), levels, &mut own.iter_mut().map(|leaf| &mut **leaf))?;
    }
    Ok(())
}

fn count_leaves(column: &Column) -> usize {
    match column {
        Column::Leaf(_) => 1,
        Column::List(element) => count_leaves(element),
        Column::Struct(fields) => fields.iter().map(|(_, column)| count_leaves(column)).sum(),
    }
}

fn unexpected(value: &Value, expected: &str) -> Error {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Error::new(ErrorKind::Bug, format!("cannot store a row as Parquet: expected {expected}, found {kind}"))
}

fn cannot_write(error: ParquetError) -> Error {
    Error::new(ErrorKind::Bug, "cannot write Parquet").caused_by(error)
}
