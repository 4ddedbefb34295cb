//! The integration tests: one binary, so that it links once and its parts share their helpers.
//!
//! | part | what it shows |
//! |---|---|
//! | `cli` | what a person or an engine sees of the real binary: messages, exit codes, files |
//! | `naive_model` | the same mixes as a plain model of the data contract, on random inputs |
//! | `properties` | what holds between runs: nesting, threads, order, new documents, chance |
//! | `recipes` | every example recipe and every key, counted in the files that were written; `plan`, `diff`, `recipe check` |

mod cli;
mod naive_model;
mod properties;
mod recipes;
mod support;
