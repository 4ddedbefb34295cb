//! Splits a stream of bytes into chunks of complete rows: lines, the elements of one array, or objects of several lines.

use super::array::{ArraySplitter, SplitError};
use super::chunk::{CHUNK_BYTES, Chunk};
use super::start::{Layout, layout};
use bytes::{Buf, Bytes, BytesMut};

/// A byte-order mark, which some editors write at the beginning of a file.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The number of bytes of a line end, which does not count as a part of the row.
const LINE_END: usize = 2;

/// Splits the bytes of a file, as they come, into chunks of complete rows. Holds at most one row, up to a limit.
#[derive(Debug)]
pub(super) struct Splitter {
    /// The number of bytes beyond which an incomplete row is refused.
    max_row_bytes: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Start(Start),
    Lines(LineSplitter),
    Array(ArraySplitter),
}

/// The beginning of a file, which does not show yet how its rows are separated.
#[derive(Debug)]
struct Start {
    /// Whether the file may hold an array instead of lines.
    may_be_array: bool,
    /// Whether a byte-order mark may follow.
    is_first: bool,
    /// The number of the line of the first byte in `seen`, counted from 1.
    line: u64,
    /// The bytes from the first on that is no white space, and how many of them were searched.
    seen: BytesMut,
    scanned: usize,
}

impl Splitter {
    /// A splitter for a file of lines, of one array, or of objects in several lines each. With `may_be_array`, a first line that is a list
    /// is taken for an array, too.
    pub(super) fn new(may_be_array: bool, max_row_bytes: usize) -> Self {
        let start = Start { may_be_array, is_first: true, line: 1, seen: BytesMut::new(), scanned: 0 };
        Self { max_row_bytes, state: State::Start(start) }
    }

    /// Returns the rows that are complete with the next bytes of the file.
    pub(super) fn push(&mut self, bytes: Bytes) -> Result<Vec<Chunk>, SplitError> {
        let mut chunks = Vec::new();
        self.advance(bytes, false, &mut chunks)?;
        Ok(chunks)
    }

    /// Ends the file; returns the last line if it has no line ending.
    pub(super) fn finish(mut self) -> Result<Vec<Chunk>, SplitError> {
        let mut chunks = Vec::new();
        self.advance(Bytes::new(), true, &mut chunks)?;
        match self.state {
            State::Start(_) => {}
            State::Lines(lines) => chunks.extend(lines.finish()),
            State::Array(array) => chunks.extend(array.finish()?),
        }
        Ok(chunks)
    }

    fn advance(&mut self, mut bytes: Bytes, is_end: bool, chunks: &mut Vec<Chunk>) -> Result<(), SplitError> {
        if let State::Start(start) = &mut self.state {
            let Some((layout, text)) = start.push(bytes, is_end, self.max_row_bytes)? else { return Ok(()) };
            let line = start.line;
            self.state = match layout {
                Layout::Lines => State::Lines(LineSplitter::new(line, false)),
                Layout::CarriageReturns => State::Lines(LineSplitter::new(line, true)),
                Layout::Array => State::Array(ArraySplitter::new(line)),
                Layout::Objects => State::Array(ArraySplitter::of_objects(line)),
            };
            bytes = if layout == Layout::Array { text.slice(1..) } else { text };
        }
        match &mut self.state {
            State::Start(_) => Ok(()),
            State::Lines(lines) => lines.push(bytes, self.max_row_bytes, chunks),
            State::Array(array) => array.push(&bytes, self.max_row_bytes, chunks),
        }
    }
}

impl Start {
    /// Detects the layout from the first bytes; also returns the text that is left to split. `None` if more bytes are needed.
    fn push(
        &mut self,
        bytes: Bytes,
        is_end: bool,
        max_row_bytes: usize,
    ) -> Result<Option<(Layout, Bytes)>, SplitError> {
        let mut text = bytes;
        if !self.seen.is_empty() {
            self.seen.extend_from_slice(&text);
            text = std::mem::take(&mut self.seen).freeze();
        }
        if self.is_first {
            if !is_end && text.len() < BOM.len() && BOM.starts_with(&text) {
                self.keep(text);
                return Ok(None);
            }
            self.is_first = false;
            text.advance(if text.starts_with(BOM) { BOM.len() } else { 0 });
        }
        // White space is dropped as it comes: there may be more of it than a row may have.
        let blank = text.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(text.len());
        self.line += count_lines(&text[..blank]);
        text.advance(blank);
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(layout) = layout(&text, self.may_be_array, is_end, &mut self.scanned) {
            return Ok(Some((layout, text)));
        }
        if text.len() > max_row_bytes {
            return Err(SplitError::too_large(self.line));
        }
        self.keep(text);
        Ok(None)
    }

    /// Keeps bytes until the next ones come, without a copy if nothing else refers to them.
    fn keep(&mut self, text: Bytes) {
        self.seen = text.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    }
}

/// The state between two pieces of a file of lines.
#[derive(Debug)]
struct LineSplitter {
    /// The number of the line of the next byte, counted from 1.
    line: u64,
    /// The beginning of a line that has not ended yet.
    rest: BytesMut,
    /// Whether lines end in `\r` alone.
    ends_in_return: bool,
}

impl LineSplitter {
    fn new(line: u64, ends_in_return: bool) -> Self {
        Self { line, rest: BytesMut::new(), ends_in_return }
    }

    fn push(&mut self, bytes: Bytes, max_row_bytes: usize, chunks: &mut Vec<Chunk>) -> Result<(), SplitError> {
        let mut bytes = if self.ends_in_return { with_newlines(&bytes) } else { bytes };
        if !self.rest.is_empty() {
            // Only a line that spans two pieces is copied.
            let end = memchr::memchr(b'\n', &bytes).map(|end| end + 1);
            self.rest.extend_from_slice(&bytes.split_to(end.unwrap_or(bytes.len())));
            if self.rest.len() > max_row_bytes.saturating_add(LINE_END) {
                return Err(SplitError::too_large(self.line));
            }
            if end.is_none() {
                return Ok(());
            }
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
        Ok(())
    }

    fn finish(self) -> Option<Chunk> {
        let Self { line, rest, .. } = self;
        (!rest.is_empty()).then(|| Chunk::Lines { first: line, bytes: rest.freeze() })
    }
}

/// The bytes with `\n` in place of each `\r`.
fn with_newlines(bytes: &[u8]) -> Bytes {
    bytes.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect()
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
        let mut splitter = Splitter::new(may_be_array, 1000);
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

    #[test]
    fn the_first_line_shows_how_rows_are_separated() {
        let ab = |a, b| vec![(a, "{\"a\":1}".to_owned()), (b, "{\"b\":[2]}".to_owned())];
        for (text, rows) in [
            ("{\"a\":1}\r{\"b\":[2]}\r", ab(1, 2)),
            ("{\"a\":1} \r\r  {\"b\":[2]}", ab(1, 3)),
            ("[{\"a\":1},{\"b\":[2]}]", ab(1, 1)),
            ("[\n{\"a\":1},\n{\"b\":[2]}]", ab(2, 3)),
            ("[ \r\n{\"a\":1},\r\n{\"b\":[2]}]", ab(2, 3)),
            ("{\"a\":1}\n[{}]", vec![(1, "{\"a\":1}".into()), (2, "[{}]".into())]),
            ("[1]\n{\"b\":[2]}", vec![(1, "[1]".into()), (2, "{\"b\":[2]}".into())]),
            ("{\"a\":\r1}\n{\"b\":\r[2]}", vec![(1, "{\"a\":\r1}".into()), (2, "{\"b\":\r[2]}".into())]),
            ("{\"a\":1}\r", vec![(1, "{\"a\":1}".into())]),
            ("{\n\"a\":1\n}\n{\n\"b\":\"}\"\n}", vec![(1, "{\n\"a\":1\n}".into()), (4, "{\n\"b\":\"}\"\n}".into())]),
            ("{ \r\n\"a\":1\r\n}{", vec![(1, "{ \r\n\"a\":1\r\n}".into()), (3, "{".into())]),
            ("{", vec![(1, "{".into())]),
            ("[", vec![(1, "[".into())]),
        ] {
            for piece in [1, 2, 3, 5, 100] {
                assert_eq!(split(LINES, text.as_bytes(), piece).unwrap(), rows, "{text:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_row_that_is_too_large_is_refused_before_it_is_complete() {
        let long = "x".repeat(2000);
        for text in [
            format!("{{}}\n{long}"),
            format!("\n{long}"),
            format!("[{{}},\n{{\"{long}"),
            format!("{{\n\"a\": \"{long}"),
        ] {
            let mut splitter = Splitter::new(ARRAY, 1000);
            let pushed: Result<Vec<_>, _> =
                text.as_bytes()[..1500].chunks(100).map(|piece| splitter.push(Bytes::copy_from_slice(piece))).collect();
            let line = if text.starts_with("{\n") { 1 } else { 2 };
            assert_eq!(pushed.unwrap_err(), SplitError::too_large(line), "{text}");
        }
    }

    #[test]
    fn white_space_before_the_first_row_takes_no_memory_and_linear_time() {
        let mut splitter = Splitter::new(ARRAY, 1000);
        let blank = Bytes::from(vec![b' '; 1 << 20]);
        for _ in 0..2000 {
            assert_eq!(splitter.push(blank.clone()).unwrap(), []);
        }
        splitter.push("\n[{}]".into()).unwrap();
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
