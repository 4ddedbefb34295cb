//! Turns synthetic question-answer data into fine-tuning files: samples summaries, renders conversations with the model's
//! chat template, counts their tokens, and writes one reproducible file per cut size.
//!
//! This crate is the `knowledge-mixing` program. Other crates use only [`main`]; [`testing`] serves the tests and benchmarks
//! of this repository and changes without notice.
//!
//! Modules from top to bottom; imports point downward only (`tests/integration/architecture.rs` checks it):
//!
//! | module | purpose |
//! |---|---|
//! | `commands` | one function per sub-command |
//! | `pipeline` | the stages of a run (prepare, survey, plan, write, finish), and what reads mixes and other files |
//! | `workflow` | what Kubeflow and Argo read and write |
//! | `report` | statistics, the end of a run, tables, metrics, summary, page, card, conversations |
//! | `settings` | flags, recipe, variables and defaults merged into checked values |
//! | `cli` | command-line arguments |
//! | `output` | samples become rows of files |
//! | `tokens` | chat templates and token counts |
//! | `mixing` | which samples a mix holds, how often and in which order: pure functions on index records |
//! | `input` | files become samples |
//! | `index` | the fixed-size record of each sample |
//! | `sample` | one file per kind of sample |
//! | `text` | each distinct text once |
//! | `recipe` | `recipe.yaml`: types, checks, schema |
//! | `storage` | list, read and publish, on disks and in object stores |
//! | `codec` | compression by name: one push interface for reading, writing and verifying |
//! | `message`, `escape`, `secrets` | text from outside, made fit for a message: no secrets, no control characters, not too long |
//! | `colour` | when lines for people have colours |
//! | `pool` | jobs on the thread pool, awaited |
//! | `watchdog` | limits on memory and time that hold whatever the input does |
//! | `process` | the allocator, full stacks, exit at once |
//! | `manifest` | the types of `manifest.json` |

#![warn(missing_docs)]

mod cli;
mod codec;
mod colour;
mod commands;
mod error;
mod escape;
mod excerpt;
mod hash_map;
mod index;
mod input;
mod manifest;
mod message;
mod mixing;
mod output;
mod pipeline;
mod pool;
mod process;
mod progress;
mod recipe;
mod report;
mod sample;
mod secrets;
mod settings;
mod storage;
pub mod testing;
mod text;
mod tokens;
mod warnings;
mod watchdog;
mod workflow;

pub use commands::main;
pub use process::Allocator;
