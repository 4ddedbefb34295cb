//! What several parts of the tests share.

pub mod library;
pub mod program;
pub mod rows;
