//! Codecs by name.

use super::transform::Transform;
use super::{decode, encode};
use std::io;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Not compressed.
    None,
    /// gzip, with one or more members.
    Gzip,
    /// Zstandard, with one or more frames.
    Zstd,
}

/// File extensions, without the dot.
const EXTENSIONS: [(Codec, &str); 2] = [(Codec::Gzip, "gz"), (Codec::Zstd, "zst")];

impl Codec {
    /// Splits a file name into the part before the compression's extension and the codec. Extensions are lowercase.
    pub(crate) fn split_name(name: &str) -> (&str, Self) {
        let known = |(stem, extension)| {
            let (codec, _) = EXTENSIONS.into_iter().find(|(_, known)| *known == extension)?;
            Some((stem, codec))
        };
        name.rsplit_once('.').and_then(known).unwrap_or((name, Self::None))
    }

    /// The codec of a file by its first bytes: four of them, fewer only if the file has no more. `None` if they are
    /// neither compressed nor the start of JSON or Parquet.
    pub(crate) fn of_content(start: &[u8]) -> Option<Self> {
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // The second is a skippable frame, which may come first (RFC 8878, 3.1.2).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [b'P', b'A', b'R', b'1', ..] => Some(Self::None),
            _ => matches!(text, [b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n', ..]).then_some(Self::None),
        }
    }

    /// How a message names the codec.
    pub(crate) fn display_name(self) -> &'static str {
        match self {
            Self::None => "not compressed",
            Self::Gzip => "gzip",
            Self::Zstd => "Zstandard",
        }
    }

    /// Appends the compression's extension to a file name.
    pub(crate) fn file_name(self, name: &str) -> String {
        match EXTENSIONS.into_iter().find(|(codec, _)| *codec == self) {
            Some((_, extension)) => format!("{name}.{extension}"),
            None => name.to_owned(),
        }
    }

    /// A transform from the stored bytes of one file to its content.
    ///
    /// Input that ends within a gzip member or a Zstandard frame, or before the first one, is an error of kind
    /// [`io::ErrorKind::UnexpectedEof`].
    pub(crate) fn decoder(self) -> io::Result<Transform> {
        Ok(match self {
            Self::None => Transform::None,
            Self::Gzip => Transform::GzipDecoder(Box::default()),
            Self::Zstd => Transform::ZstdDecoder(decode::ZstdDecoder::new()?),
        })
    }

    /// A transform from the content of one file to its stored bytes, which depend on the content alone.
    pub(crate) fn encoder(self) -> io::Result<Transform> {
        Ok(match self {
            Self::None => Transform::None,
            Self::Gzip => Transform::GzipEncoder(encode::Blocks::new(encode::gzip())),
            Self::Zstd => Transform::ZstdEncoder(encode::Blocks::new(encode::zstd()?)),
        })
    }
}
