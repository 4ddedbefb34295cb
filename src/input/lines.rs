//! Splits a stream of bytes into chunks of complete rows: lines, or the elements of one array.

use super::array::{ArraySplitter, SplitError};
use super::chunk::{CHUNK_BYTES, Chunk};
use bytes::{Bytes, BytesMut};

/// A byte-order mark, which some editors write at the beginning of a file.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Splits the bytes of a file, as they come, into chunks of complete rows.
#[derive(Debug)]
pub(super) enum Splitter {
    /// Only a byte-order mark and white space were seen.
    Start {
        /// Whether the file may hold an array instead of lines.
        may_be_array: bool,
        /// What was seen.
        seen: BytesMut,
    },
    Lines(LineSplitter),
    Array(ArraySplitter),
}

impl Splitter {
    /// A splitter for a file of lines; with `may_be_array`, also for a file that holds one array.
    pub(super) fn new(may_be_array: bool) -> Self {
        Self::Start { may_be_array, seen: BytesMut::new() }
    }

    /// Returns the rows that are complete with the next bytes of the file.
    pub(super) fn push(&mut self, bytes: Bytes) -> Result<Vec<Chunk>, SplitError> {
        let Some(bytes) = self.after_start(bytes) else { return Ok(Vec::new()) };
        let mut chunks = Vec::new();
        match self {
            Self::Start { .. } => {}
            Self::Lines(lines) => lines.push(bytes, &mut chunks),
            Self::Array(array) => array.push(&bytes, &mut chunks)?,
        }
        Ok(chunks)
    }

    /// Ends the file; returns the last line if it has no line ending.
    pub(super) fn finish(self) -> Result<Option<Chunk>, SplitError> {
        match self {
            Self::Start { seen, .. } => {
                let rest = seen.strip_prefix(BOM).unwrap_or(&seen).into();
                Ok(LineSplitter { line: 1, rest }.finish())
            }
            Self::Lines(lines) => Ok(lines.finish()),
            Self::Array(array) => array.finish().map(|()| None),
        }
    }

    /// Detects lines or array from the first bytes; returns what is left to split, or `None` if more bytes are needed.
    fn after_start(&mut self, bytes: Bytes) -> Option<Bytes> {
        let Self::Start { may_be_array, seen } = self else { return Some(bytes) };
        let bytes = if seen.is_empty() {
            bytes
        } else {
            seen.extend_from_slice(&bytes);
            std::mem::take(seen).freeze()
        };
        if bytes.len() < BOM.len() && BOM.starts_with(&bytes) {
            *seen = BytesMut::from(&bytes[..]);
            return None;
        }
        // `seen` keeps the mark: without it, a second one would be removed as well.
        let text = if bytes.starts_with(BOM) { bytes.slice(BOM.len()..) } else { bytes.clone() };
        if *may_be_array {
            let Some(first) = text.iter().position(|byte| !byte.is_ascii_whitespace()) else {
                *seen = BytesMut::from(&bytes[..]);
                return None;
            };
            if text[first] == b'[' {
                *self = Self::Array(ArraySplitter::new(1 + count_lines(&text[..first])));
                return Some(text.slice(first + 1..));
            }
        }
        *self = Self::Lines(LineSplitter { line: 1, rest: BytesMut::new() });
        Some(text)
    }
}

/// The state between two pieces of a file of lines.
#[derive(Debug)]
pub(super) struct LineSplitter {
    /// The number of the line of the next byte, counted from 1.
    line: u64,
    /// The beginning of a line that has not ended yet.
    rest: BytesMut,
}

impl LineSplitter {
    fn push(&mut self, mut bytes: Bytes, chunks: &mut Vec<Chunk>) {
        if !self.rest.is_empty() {
            // Only a line that spans two pieces is copied.
            let Some(end) = memchr::memchr(b'\n', &bytes) else {
                self.rest.extend_from_slice(&bytes);
                return;
            };
            self.rest.extend_from_slice(&bytes.split_to(end + 1));
            let line = std::mem::take(&mut self.rest).freeze();
            chunks.push(Chunk::Lines { first: self.line, bytes: line });
            self.line += 1;
        }
        while !bytes.is_empty() {
            let limit = CHUNK_BYTES.min(bytes.len());
            let end = match memchr::memrchr(b'\n', &bytes[..limit]) {
                Some(end) => end,
                None => match memchr::memchr(b'\n', &bytes[limit..]) {
                    Some(end) => limit + end,
                    None => break,
                },
            };
            let lines = bytes.split_to(end + 1);
            let first = self.line;
            self.line += count_lines(&lines);
            chunks.push(Chunk::Lines { first, bytes: lines });
        }
        self.rest.extend_from_slice(&bytes);
    }

    fn finish(self) -> Option<Chunk> {
        let Self { line, rest } = self;
        (!rest.is_empty()).then(|| Chunk::Lines { first: line, bytes: rest.freeze() })
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINES: bool = false;
    const ARRAY: bool = true;

    fn split(may_be_array: bool, text: &[u8], piece: usize) -> Result<Vec<(u64, String)>, SplitError> {
        let mut splitter = Splitter::new(may_be_array);
        let mut chunks = Vec::new();
        for piece in text.chunks(piece.max(1)) {
            chunks.extend(splitter.push(Bytes::copy_from_slice(piece))?);
        }
        chunks.extend(splitter.finish()?);
        let row = |(line, row): (u64, &[u8])| (line, String::from_utf8_lossy(row).trim().to_owned());
        Ok(chunks.iter().flat_map(|chunk| chunk.rows().map(row).collect::<Vec<_>>()).collect())
    }

    #[test]
    fn lines_keep_their_numbers_with_any_line_ending() {
        let text = "\u{feff}{\"a\":1}\r\n\n  \n{\"b\":2}\n{\"c\":3}";
        let expected = vec![(1, "{\"a\":1}".into()), (4, "{\"b\":2}".into()), (5, "{\"c\":3}".into())];
        for piece in [1, 2, 3, 7, 100] {
            assert_eq!(split(LINES, text.as_bytes(), piece).unwrap(), expected);
            assert_eq!(split(ARRAY, text.as_bytes(), piece).unwrap(), expected);
        }
        assert_eq!(split(LINES, b"", 1).unwrap(), []);
        for piece in [1, 2, 3, 4] {
            assert_eq!(split(ARRAY, b"\xef\xbb\xbf \n", piece).unwrap(), []);
            let second_mark = split(ARRAY, b"\xef\xbb\xbf\xef\xbb\xbf{}", piece).unwrap();
            assert_eq!(second_mark, [(1, "\u{feff}{}".into())], "in pieces of {piece}");
        }
    }

    #[test]
    fn an_array_is_split_into_its_elements() {
        let text = "\n [ {\"a\": [1, {\"x\": \"]}\\\"\"}]},\n\n  {\n \"b\": 2},3 , \"s\",null]\n";
        let expected = vec![
            (2, "{\"a\": [1, {\"x\": \"]}\\\"\"}]}".into()),
            (4, "{\n \"b\": 2}".into()),
            (5, "3".into()),
            (5, "\"s\"".into()),
            (5, "null".into()),
        ];
        for piece in [1, 2, 5, 100] {
            assert_eq!(split(ARRAY, text.as_bytes(), piece).unwrap(), expected);
        }
        assert_eq!(split(ARRAY, b"[]", 1).unwrap(), []);
    }

    #[test]
    fn a_malformed_array_is_an_error_with_its_line() {
        for (text, line) in
            [("[{}\n", 2), ("[{},\n", 2), ("[{}\n{}]", 2), ("[,{}]", 1), ("[]\nx", 2), ("[{},]", 1), ("[\"a", 1)]
        {
            assert_eq!(split(ARRAY, text.as_bytes(), 3).map_err(|e| e.line), Err(line), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn rows_do_not_depend_on_how_the_stream_is_cut(
            rows in prop::collection::vec("[a-z \\\\\"{}\\[\\],\u{e9}]{0,20}", 0..20),
            piece in 1usize..50,
            pretty: bool,
        ) {
            let rows: Vec<serde_json::Value> = rows.iter().map(|text| serde_json::json!({ "t": [text, { "n": null }] })).collect();
            let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
            let array = if pretty { serde_json::to_string_pretty(&rows) } else { serde_json::to_string(&rows) }.unwrap();
            for (may_be_array, text) in [(LINES, &lines), (ARRAY, &lines), (ARRAY, &array)] {
                let actual = split(may_be_array, text.as_bytes(), piece).unwrap();
                let actual: Vec<serde_json::Value> = actual.iter().map(|(_, row)| serde_json::from_str(row).unwrap()).collect();
                prop_assert_eq!(&actual, &rows);
            }
        }
    }
}
