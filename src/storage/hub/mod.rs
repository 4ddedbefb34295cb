//! Tokenizers of the Hugging Face hub, through the cache of the Python client.
//!
//! The few requests are made here rather than by a client crate: the current one brings 28 MB of code for large files
//! and has no offline switch. The cache has the Python client's layout, so a volume with a warm cache works, and Python
//! finds what is downloaded here.

mod cache;
mod client;
mod fetch;
mod repository;
mod snapshot;

pub use fetch::fetch_tokenizer;
pub(crate) use repository::is_repository_id;
pub use snapshot::HubSnapshot;
