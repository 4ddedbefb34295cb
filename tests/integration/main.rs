//! The integration tests: one binary, which links once.
//!
//! | module | what it checks |
//! |---|---|
//! | `architecture` | imports point downward only, and no files import each other in a cycle |
//! | `cli` | what a person or an engine sees of the binary: messages, exit codes, files |
//! | `naive_model` | random inputs give the same mixes as a naive model of the data contract |
//! | `parsers` | every parser of what is not trusted returns for any bytes |
//! | `properties` | what holds between runs: nesting, threads, input order, new documents, randomness |
//! | `recipes` | every example recipe and every key, counted in the written files; `plan`, `diff`, `recipe check` |
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test may panic, and exports nothing")]

mod architecture;
mod cli;
mod in_process;
mod naive_model;
mod parsers;
mod properties;
mod recipes;
