//! Compression by name: one push interface for reading, writing and verifying files.

mod decode;
mod encode;
mod name;
mod reader;
mod transform;

pub(crate) use name::Codec;
pub(crate) use reader::DecodingReader;
pub(crate) use transform::Transform;

#[cfg(test)]
mod tests;
