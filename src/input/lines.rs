//! A stream of bytes is cut into chunks of whole rows.

use super::format::Container;
use bytes::{Bytes, BytesMut};

/// About how many bytes one chunk holds: enough to be worth a thread's while, few enough that all threads have some.
const CHUNK: usize = 1 << 20;

/// Some whole rows of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// Lines, the last perhaps without its end.
    Lines {
        /// The number of the first line, counted from 1.
        first: u64,
        /// The lines' bytes.
        bytes: Bytes,
    },
    /// Elements of an array, each with the number of the line on which it begins.
    Elements(Vec<(u64, Bytes)>),
}

/// What is wrong with a file as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SplitError {
    /// The line.
    pub(crate) line: u64,
    /// What is wrong there.
    pub(crate) message: &'static str,
}

/// Cuts a file's bytes, as they come, into chunks of whole rows.
#[derive(Debug)]
pub(crate) struct Splitter {
    container: Container,
    state: State,
    /// The number of the line on which the next byte stands, counted from 1.
    line: u64,
    /// A row that has begun and has not ended.
    rest: BytesMut,
}

#[derive(Debug)]
enum State {
    /// Nothing but a byte-order mark or white space was seen.
    Start,
    Lines,
    Array(ArrayState),
}

#[derive(Debug, Default)]
struct ArrayState {
    /// Open brackets and braces within the element.
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// The line on which the element in `rest` began.
    began: u64,
    /// What the array's own syntax asks for next.
    next: Next,
}

#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
enum Next {
    #[default]
    FirstElementOrEnd,
    Element,
    CommaOrEnd,
    Nothing,
}

impl Splitter {
    /// A splitter for a file's container; Parquet has a reader of its own.
    pub(crate) fn new(container: Container) -> Self {
        Self { container, state: State::Start, line: 1, rest: BytesMut::new() }
    }

    /// Takes the next bytes; gives the rows that are whole by now.
    pub(crate) fn push(&mut self, bytes: Bytes) -> Result<Vec<Chunk>, SplitError> {
        let mut chunks = Vec::new();
        let bytes = match self.state {
            State::Start => match self.start(bytes) {
                Some(bytes) => bytes,
                None => return Ok(chunks),
            },
            _ => bytes,
        };
        match &mut self.state {
            State::Array(_) => self.push_array(&bytes, &mut chunks)?,
            _ => self.push_lines(bytes, &mut chunks),
        }
        Ok(chunks)
    }

    /// The rows that were left open when the file ended.
    pub(crate) fn finish(mut self) -> Result<Vec<Chunk>, SplitError> {
        if matches!(self.state, State::Start) {
            self.state = State::Lines;
        }
        match self.state {
            State::Array(ArrayState { next: Next::Nothing, .. }) => Ok(Vec::new()),
            State::Array(_) => Err(SplitError { line: self.line, message: "the file ends before its array does" }),
            _ if self.rest.is_empty() => Ok(Vec::new()),
            _ => Ok(vec![Chunk::Lines { first: self.line, bytes: self.rest.freeze() }]),
        }
    }

    /// Looks for what the file begins with; `None` until it is seen.
    fn start(&mut self, bytes: Bytes) -> Option<Bytes> {
        const BOM: &[u8] = b"\xef\xbb\xbf";
        let mut bytes = if self.rest.is_empty() {
            bytes
        } else {
            self.rest.extend_from_slice(&bytes);
            std::mem::take(&mut self.rest).freeze()
        };
        if bytes.len() < BOM.len() && BOM.starts_with(&bytes) {
            self.rest = BytesMut::from(&bytes[..]);
            return None;
        }
        if bytes.starts_with(BOM) {
            bytes = bytes.slice(BOM.len()..);
        }
        if self.container == Container::Lines {
            self.state = State::Lines;
            return Some(bytes);
        }
        let Some(first) = bytes.iter().position(|byte| !byte.is_ascii_whitespace()) else {
            self.rest = BytesMut::from(&bytes[..]);
            return None;
        };
        if bytes[first] != b'[' {
            self.state = State::Lines;
            return Some(bytes);
        }
        self.line += count_lines(&bytes[..first]);
        self.state = State::Array(ArrayState::default());
        Some(bytes.slice(first + 1..))
    }

    fn push_lines(&mut self, mut bytes: Bytes, chunks: &mut Vec<Chunk>) {
        if !self.rest.is_empty() {
            // Only the line that stands in two pieces is copied.
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
            let wanted = CHUNK.min(bytes.len());
            let end = match memchr::memrchr(b'\n', &bytes[..wanted]) {
                Some(end) => end,
                None => match memchr::memchr(b'\n', &bytes[wanted..]) {
                    Some(end) => wanted + end,
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

    fn push_array(&mut self, bytes: &[u8], chunks: &mut Vec<Chunk>) -> Result<(), SplitError> {
        let State::Array(state) = &mut self.state else { return Ok(()) };
        let mut elements = Vec::new();
        let mut size = 0;
        // Where the element's part that lies in these bytes begins.
        let mut begin = (!self.rest.is_empty()).then_some(0);
        for (at, &byte) in bytes.iter().enumerate() {
            if begin.is_none() {
                match (byte, state.next) {
                    (b'\n', _) => self.line += 1,
                    (byte, _) if byte.is_ascii_whitespace() => {}
                    (b']', Next::FirstElementOrEnd | Next::CommaOrEnd) => state.next = Next::Nothing,
                    (b',', Next::CommaOrEnd) => state.next = Next::Element,
                    (_, Next::Nothing) => {
                        return Err(SplitError {
                            line: self.line,
                            message: "something stands behind the end of the array",
                        });
                    }
                    (_, Next::CommaOrEnd) => {
                        return Err(SplitError {
                            line: self.line,
                            message: "expected `,` or `]` between the array's elements",
                        });
                    }
                    (b',' | b']', _) => {
                        return Err(SplitError { line: self.line, message: "expected an element of the array" });
                    }
                    _ => {
                        begin = Some(at);
                        state.began = self.line;
                        state.next = Next::Element;
                    }
                }
            }
            let Some(start) = begin else { continue };
            if at > start || !self.rest.is_empty() {
                self.line += u64::from(byte == b'\n');
            }
            // Whether the element ends before (`Some(false)`) or with (`Some(true)`) this byte.
            let mut ends = None;
            if state.in_string {
                match byte {
                    _ if state.escaped => state.escaped = false,
                    b'\\' => state.escaped = true,
                    b'"' => {
                        state.in_string = false;
                        ends = (state.depth == 0).then_some(true);
                    }
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => state.in_string = true,
                    b'{' | b'[' => state.depth += 1,
                    b'}' | b']' if state.depth > 0 => {
                        state.depth -= 1;
                        ends = (state.depth == 0).then_some(true);
                    }
                    b']' | b',' if state.depth == 0 => ends = Some(false),
                    _ => {}
                }
            }
            if let Some(with) = ends {
                self.rest.extend_from_slice(&bytes[start..at + usize::from(with)]);
                size += self.rest.len();
                elements.push((state.began, self.rest.split().freeze()));
                if size > CHUNK {
                    chunks.push(Chunk::Elements(std::mem::take(&mut elements)));
                    size = 0;
                }
                begin = None;
                state.next = match (with, byte) {
                    (true, _) => Next::CommaOrEnd,
                    (false, b']') => Next::Nothing,
                    (false, _) => Next::Element,
                };
            }
        }
        if let Some(start) = begin {
            self.rest.extend_from_slice(&bytes[start..]);
        }
        if !elements.is_empty() {
            chunks.push(Chunk::Elements(elements));
        }
        Ok(())
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

impl Chunk {
    /// The rows of the chunk with the line on which each begins; lines of white space are no rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let (lines, elements) = match self {
            Self::Lines { first, bytes } => (Some((*first, bytes)), None),
            Self::Elements(elements) => (None, Some(elements)),
        };
        let lines = lines.into_iter().flat_map(|(first, bytes)| {
            let mut rest: &[u8] = bytes;
            let mut number = first;
            std::iter::from_fn(move || {
                if rest.is_empty() {
                    return None;
                }
                let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                let (line, others) = rest.split_at(end);
                rest = others;
                number += 1;
                Some((number - 1, line))
            })
        });
        let elements = elements.into_iter().flatten().map(|(line, element)| (*line, &element[..]));
        lines.chain(elements).filter(|(_, row)| !row.iter().all(u8::is_ascii_whitespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(container: Container, text: &[u8], piece: usize) -> Result<Vec<(u64, String)>, SplitError> {
        let mut splitter = Splitter::new(container);
        let mut chunks = Vec::new();
        for piece in text.chunks(piece.max(1)) {
            chunks.extend(splitter.push(Bytes::copy_from_slice(piece))?);
        }
        chunks.extend(splitter.finish()?);
        let row = |(line, row): (u64, &[u8])| (line, String::from_utf8_lossy(row).trim().to_owned());
        Ok(chunks.iter().flat_map(|chunk| chunk.rows().map(row).collect::<Vec<_>>()).collect())
    }

    #[test]
    fn lines_keep_their_numbers_whatever_ends_them() {
        let text = "\u{feff}{\"a\":1}\r\n\n  \n{\"b\":2}\n{\"c\":3}";
        let expected = vec![(1, "{\"a\":1}".into()), (4, "{\"b\":2}".into()), (5, "{\"c\":3}".into())];
        for piece in [1, 2, 3, 7, 100] {
            assert_eq!(split(Container::Lines, text.as_bytes(), piece).unwrap(), expected);
            assert_eq!(split(Container::LinesOrArray, text.as_bytes(), piece).unwrap(), expected);
        }
        assert_eq!(split(Container::Lines, b"", 1).unwrap(), []);
        assert_eq!(split(Container::LinesOrArray, b"\xef\xbb\xbf \n", 1).unwrap(), []);
    }

    #[test]
    fn an_array_gives_its_elements() {
        let text = "\n [ {\"a\": [1, {\"x\": \"]}\\\"\"}]},\n\n  {\n \"b\": 2},3 , \"s\",null]\n";
        let expected = vec![
            (2, "{\"a\": [1, {\"x\": \"]}\\\"\"}]}".into()),
            (4, "{\n \"b\": 2}".into()),
            (5, "3".into()),
            (5, "\"s\"".into()),
            (5, "null".into()),
        ];
        for piece in [1, 2, 5, 100] {
            assert_eq!(split(Container::LinesOrArray, text.as_bytes(), piece).unwrap(), expected);
        }
        assert_eq!(split(Container::LinesOrArray, b"[]", 1).unwrap(), []);
    }

    #[test]
    fn a_broken_array_is_an_error_with_its_line() {
        for (text, line) in
            [("[{}\n", 2), ("[{},\n", 2), ("[{}\n{}]", 2), ("[,{}]", 1), ("[]\nx", 2), ("[{},]", 1), ("[\"a", 1)]
        {
            assert_eq!(split(Container::LinesOrArray, text.as_bytes(), 3).map_err(|e| e.line), Err(line), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_cut_of_the_stream_gives_the_same_rows(
            rows in prop::collection::vec("[a-z \\\\\"{}\\[\\],\u{e9}]{0,20}", 0..20),
            piece in 1usize..50,
            pretty: bool,
        ) {
            let rows: Vec<serde_json::Value> = rows.iter().map(|text| serde_json::json!({ "t": [text, { "n": null }] })).collect();
            let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
            let array = if pretty { serde_json::to_string_pretty(&rows) } else { serde_json::to_string(&rows) }.unwrap();
            for (container, text) in [(Container::Lines, &lines), (Container::LinesOrArray, &lines), (Container::LinesOrArray, &array)] {
                let got = split(container, text.as_bytes(), piece).unwrap();
                let got: Vec<serde_json::Value> = got.iter().map(|(_, row)| serde_json::from_str(row).unwrap()).collect();
                prop_assert_eq!(&got, &rows);
            }
        }
    }
}
