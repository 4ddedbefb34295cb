//! Checks the page headers of a Parquet file before it is read: the Parquet library allocates what they declare, up to 2 GiB for a page
//! and 64 GiB for a dictionary, whatever the file holds.
//!
//! A header is a struct in Thrift's compact protocol:
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md> and `PageHeader` in
//! <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>.

use super::limits::max_content;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

/// How deep the structs of a header may be nested; statistics are the deepest, at three.
const MAX_DEPTH: u32 = 8;

/// The types of Thrift's compact protocol, and the fields of `PageHeader` that matter here.
mod thrift {
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const I16: u8 = 4;
    pub(super) const I64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const STRUCT: u8 = 12;

    pub(super) const UNCOMPRESSED_SIZE: i16 = 2;
    pub(super) const COMPRESSED_SIZE: i16 = 3;
    pub(super) const DICTIONARY_HEADER: i16 = 7;
    /// Within the header of a dictionary page.
    pub(super) const NUM_VALUES: i16 = 1;
}

/// Checks the pages of the columns `is_required`, by the name of the field that they belong to.
///
/// # Errors
/// If a page declares more than the file, of `file` bytes, may hold, or a header is malformed.
pub(super) fn check_pages(
    file: &[u8],
    metadata: &ParquetMetaData,
    is_required: impl Fn(&str) -> bool,
) -> Result<(), ParquetError> {
    let mut total = 0;
    for group in metadata.row_groups() {
        for column in group.columns() {
            let name = column.column_path().parts().first().map_or("", String::as_str);
            if is_required(name) {
                check_column(file, column, name, &mut total)?;
            }
        }
    }
    Ok(())
}

/// Checks the pages of one column of a row group; adds their sizes to `total`.
fn check_column(file: &[u8], column: &ColumnChunkMetaData, name: &str, total: &mut u64) -> Result<(), ParquetError> {
    let damaged = || ParquetError::General(format!("column `{}`: damaged page header", crate::excerpt::excerpt(name)));
    let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    let start = usize::try_from(start.min(column.data_page_offset())).map_err(|_| damaged())?;
    let length = usize::try_from(column.compressed_size()).map_err(|_| damaged())?;
    let mut rest = start.checked_add(length).and_then(|end| file.get(start..end)).ok_or_else(damaged)?;
    while !rest.is_empty() {
        let mut header = PageHeader::default();
        let mut reader = HeaderReader(rest);
        reader.read_struct(&mut header, None, MAX_DEPTH).ok_or_else(damaged)?;
        *total += header.uncompressed;
        if *total > max_content(file.len() as u64) {
            let message = format!(
                "its pages expand to more than {} bytes, too much for its size",
                max_content(file.len() as u64)
            );
            return Err(ParquetError::General(message));
        }
        // A value takes at least a byte, in a dictionary at least.
        if header.dictionary_values > header.uncompressed {
            return Err(damaged());
        }
        rest = reader.0.get(header.compressed..).ok_or_else(damaged)?;
    }
    Ok(())
}

/// What a page declares.
#[derive(Debug, Default)]
struct PageHeader {
    uncompressed: u64,
    compressed: usize,
    dictionary_values: u64,
}

impl PageHeader {
    /// Notes the number in a field; `parent` is the field of the header that contains it. Negative sizes are `None`.
    fn set(&mut self, parent: Option<i16>, field: i16, number: i64) -> Option<()> {
        match (parent, field) {
            (None, thrift::UNCOMPRESSED_SIZE) => self.uncompressed = u64::try_from(number).ok()?,
            (None, thrift::COMPRESSED_SIZE) => self.compressed = usize::try_from(number).ok()?,
            (Some(thrift::DICTIONARY_HEADER), thrift::NUM_VALUES) => {
                self.dictionary_values = u64::try_from(number).ok()?;
            }
            _ => {}
        }
        Some(())
    }
}

/// Reads a header from the front of some bytes; `None` is a malformed one.
struct HeaderReader<'f>(&'f [u8]);

impl HeaderReader<'_> {
    fn read_struct(&mut self, header: &mut PageHeader, parent: Option<i16>, depth: u32) -> Option<()> {
        let mut field: i16 = 0;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                return Some(());
            }
            field = match byte >> 4 {
                0 => i16::try_from(self.integer()?).ok()?,
                delta => field.checked_add(i16::from(delta))?,
            };
            self.read_value(byte & 15, header, (parent, field), depth)?;
        }
    }

    /// Reads the value of a field, given the field that contains it and its own number.
    fn read_value(&mut self, kind: u8, header: &mut PageHeader, at: (Option<i16>, i16), depth: u32) -> Option<()> {
        match kind {
            thrift::TRUE | thrift::FALSE => Some(()),
            thrift::BYTE => self.byte().map(drop),
            thrift::I16..=thrift::I64 => header.set(at.0, at.1, self.integer()?),
            thrift::DOUBLE => self.skip(8),
            thrift::BINARY => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.skip(length)
            }
            thrift::STRUCT => self.read_struct(header, Some(at.1), depth.checked_sub(1)?),
            thrift::LIST | thrift::SET => {
                let byte = self.byte()?;
                let length = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
                let is_flag = matches!(byte & 15, thrift::TRUE | thrift::FALSE);
                // Within a list, a boolean takes a byte.
                let kind = if is_flag { thrift::BYTE } else { byte & 15 };
                (0..length).try_for_each(|_| self.read_value(kind, header, (Some(at.1), -1), depth.checked_sub(1)?))
            }
            _ => None,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Some(value);
            }
        }
        None
    }

    /// A signed number, which zigzag encoding stores.
    fn integer(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}
