//! Splits one JSON array into its elements, byte by byte, so that an array of any size is never held as a whole.

use super::chunk::{CHUNK_BYTES, Chunk};
use bytes::BytesMut;

/// The file cannot be split into rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SplitError {
    /// The line, counted from 1.
    pub(super) line: u64,
    pub(super) problem: SplitProblem,
}

/// What is wrong on a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SplitProblem {
    /// The file as a whole is malformed.
    Malformed(&'static str),
    /// A row that begins there is larger than the limit.
    RowTooLarge,
}

impl SplitError {
    pub(super) fn too_large(line: u64) -> Self {
        Self { line, problem: SplitProblem::RowTooLarge }
    }

    fn malformed(line: u64, message: &'static str) -> Self {
        Self { line, problem: SplitProblem::Malformed(message) }
    }
}

/// The state between two bytes of an array.
#[derive(Debug)]
pub(super) struct ArraySplitter {
    /// The number of the line of the next byte, counted from 1.
    line: u64,
    /// The beginning of an element that has not ended yet.
    rest: BytesMut,
    element: Element,
    expected: Expected,
}

/// The state within an element.
#[derive(Debug, Default)]
struct Element {
    /// Open brackets and braces.
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// The line on which the element began.
    line: u64,
}

/// What the array's syntax allows next, outside of elements.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Expected {
    FirstElementOrEnd,
    Element,
    CommaOrEnd,
    Nothing,
    /// Objects without commas, in a file without brackets around them.
    Object,
}

/// Where an element ends.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum End {
    /// Before this byte, which belongs to the array.
    Before,
    /// With this byte.
    With,
}

impl ArraySplitter {
    /// A splitter for what follows the opening bracket on `line`.
    pub(super) fn new(line: u64) -> Self {
        Self { line, rest: BytesMut::new(), element: Element::default(), expected: Expected::FirstElementOrEnd }
    }

    /// A splitter for objects that follow each other without commas, the first of them on `line`.
    pub(super) fn of_objects(line: u64) -> Self {
        Self { expected: Expected::Object, ..Self::new(line) }
    }

    /// Adds the elements that end within `bytes` to `chunks`.
    ///
    /// # Errors
    /// If the array is malformed, or an element is larger than `max_bytes`.
    pub(super) fn push(&mut self, bytes: &[u8], max_bytes: usize, chunks: &mut Vec<Chunk>) -> Result<(), SplitError> {
        let mut elements = Vec::new();
        let mut size = 0;
        // Where the current element begins in `bytes`; what precedes it is in `rest`.
        let mut begin = (!self.rest.is_empty()).then_some(0);
        for (at, &byte) in bytes.iter().enumerate() {
            if begin.is_none() {
                if self.outside(byte)? {
                    begin = Some(at);
                    self.element = Element { line: self.line, ..Element::default() };
                } else {
                    self.line += u64::from(byte == b'\n');
                    continue;
                }
            }
            self.line += u64::from(byte == b'\n');
            let (Some(start), Some(end)) = (begin, self.element.advance(byte)) else { continue };
            self.rest.extend_from_slice(&bytes[start..at + usize::from(end == End::With)]);
            self.check_size(max_bytes)?;
            size += self.rest.len();
            elements.push((self.element.line, self.rest.split().freeze()));
            if size > CHUNK_BYTES {
                chunks.push(Chunk::Elements(std::mem::take(&mut elements)));
                size = 0;
            }
            begin = None;
            self.expected = match (end, byte) {
                _ if self.expected == Expected::Object => Expected::Object,
                (End::With, _) => Expected::CommaOrEnd,
                (End::Before, b']') => Expected::Nothing,
                (End::Before, _) => Expected::Element,
            };
        }
        if let Some(start) = begin {
            self.rest.extend_from_slice(&bytes[start..]);
            self.check_size(max_bytes)?;
        }
        if !elements.is_empty() {
            chunks.push(Chunk::Elements(elements));
        }
        Ok(())
    }

    /// Checks that the array has ended. An object without an end is a row, though not a valid one.
    pub(super) fn finish(self) -> Result<Option<Chunk>, SplitError> {
        match self.expected {
            Expected::Nothing => Ok(None),
            Expected::Object if self.rest.is_empty() => Ok(None),
            Expected::Object => Ok(Some(Chunk::Elements(vec![(self.element.line, self.rest.freeze())]))),
            _ => Err(SplitError::malformed(self.line, "the file ends within its array")),
        }
    }

    /// Checks the size of the element that has begun.
    fn check_size(&self, max_bytes: usize) -> Result<(), SplitError> {
        if self.rest.len() > max_bytes { Err(SplitError::too_large(self.element.line)) } else { Ok(()) }
    }

    /// Processes a byte between elements; returns whether an element begins with it.
    fn outside(&mut self, byte: u8) -> Result<bool, SplitError> {
        let message = match (byte, self.expected) {
            (byte, _) if byte.is_ascii_whitespace() => return Ok(false),
            (b']', Expected::FirstElementOrEnd | Expected::CommaOrEnd) => {
                self.expected = Expected::Nothing;
                return Ok(false);
            }
            (b',', Expected::CommaOrEnd) => {
                self.expected = Expected::Element;
                return Ok(false);
            }
            (b',' | b']', Expected::Object) => "expected an object",
            (_, Expected::Nothing) => "unexpected data after the end of the array",
            (_, Expected::CommaOrEnd) => "expected `,` or `]` after an element of the array",
            (b',' | b']', _) => "expected an element of the array",
            _ => return Ok(true),
        };
        Err(SplitError::malformed(self.line, message))
    }
}

impl Element {
    /// Processes a byte of the element.
    fn advance(&mut self, byte: u8) -> Option<End> {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.in_string = false;
                    return (self.depth == 0).then_some(End::With);
                }
                _ => {}
            }
            return None;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                return (self.depth == 0).then_some(End::With);
            }
            b']' | b',' if self.depth == 0 => return Some(End::Before),
            _ => {}
        }
        None
    }
}
