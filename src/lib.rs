//! Mixes synthetic question-answer data into training files: sample, format, count, repeatably.

pub mod cli;
pub mod dataset;
pub mod error;
pub mod report;
pub mod workflow;

pub use error::{Error, ErrorKind, Result};
