//! What the tests and benchmarks of knowledge-mixing share.
//!
//! | module | contents |
//! |---|---|
//! | `program` | the binary in its own sandbox |
//! | `outside` | the binary beside servers: variables, signals, larger inputs |
//! | `rows` | small step_02 artifacts |
//! | `http_server`, `s3_server` | servers on loopback ports |
//! | `faulty_proxy` | a proxy that makes requests fail |
//! | `shim` | system calls that fail, by a library loaded before the C library |
//! | `world` | a simulated object store that delays, reorders and loses requests |

pub use hyper;

pub mod faulty_proxy;
pub mod http_server;
pub mod outside;
pub mod program;
pub mod rows;
pub mod s3_server;
pub mod shim;
pub mod world;

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this crate is in tests/support")
}

/// A file of the built-in tokenizer.
pub fn builtin_tokenizer(file: &str) -> Vec<u8> {
    std::fs::read(repository().join("assets/builtin-tokenizer").join(file)).expect("a file of the built-in tokenizer")
}

/// The binary under test. Cargo sets the variable for tests and benchmarks.
pub fn binary() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_knowledge-mixing").expect("cargo runs this test").into()
}
