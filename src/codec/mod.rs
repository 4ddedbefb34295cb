//! Compression by name: decoding input files, encoding output files.

mod compress;
mod decode;

pub(crate) use compress::Compressor;
pub(crate) use decode::decode;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Not at all.
    Plain,
    /// gzip, of one or several members.
    Gzip,
    /// Zstandard, of one or several frames.
    Zstd,
}
