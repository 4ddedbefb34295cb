//! Mixes synthetic question-answer data into training files: sample, format, count, repeatably.
//!
//! The way of the data, from top to bottom:
//!
//! | room | what happens there |
//! |---|---|
//! | [`cli`] | the arguments as they are given |
//! | [`settings`] | arguments, [`recipe`], variables and defaults become checked values |
//! | [`storage`] | a path or URL becomes a store: list, read, publish |
//! | [`artifacts`] | files become rows, rows become samples, each distinct text is kept once |
//! | [`mixing`] | which samples stand in which mix, how often, in which order |
//! | [`chat`] | samples become text as the chat template renders it, text becomes a number of tokens |
//! | [`dataset`] | samples become rows, rows become files, files get a manifest |
//! | [`report`] | what a person sees: the table, the page, the metrics |
//! | [`workflow`] | what an engine reads |
//!
//! [`run`] puts them together; imports run downward only.

#![warn(missing_docs)]

pub mod artifacts;
pub mod chat;
pub mod cli;
pub mod commands;
pub mod dataset;
pub mod error;
mod keyed;
pub mod mixing;
pub mod progress;
pub mod recipe;
pub mod report;
pub mod run;
pub mod settings;
pub mod storage;
pub mod workflow;

pub use error::{Error, ErrorKind, Result};
