//! Mixes synthetic question-answer data into training files: sample, format, count, repeatably.

pub mod dataset;
pub mod error;
pub mod report;
pub mod storage;

pub use error::{Error, ErrorKind, Result};
