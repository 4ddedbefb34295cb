//! Each distinct text once: rows repeat their raw documents and summaries, so memory follows the distinct text.

mod id;
mod interner;
mod store;

pub(crate) use id::TextId;
pub(crate) use interner::Interner;
pub(crate) use store::TextStore;
