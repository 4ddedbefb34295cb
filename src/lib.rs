//! Mixes synthetic question-answer data into training files: sample, format, count, repeatably.

pub mod dataset;
pub mod error;
pub mod mixing;
pub mod recipe;
pub mod report;

pub use error::{Error, ErrorKind, Result};
