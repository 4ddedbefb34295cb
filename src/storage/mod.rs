//! Lists, reads and publishes files on local disks and in object stores.
//!
//! This module knows bytes and names, no rows. It guarantees that a listing is complete and sorted, that all bytes of
//! an object come from one version of it, that published files become visible together or not at all ([`Publication`]),
//! that transient failures are retried, and that no message holds a secret.
//!
//! The files of this module from bottom to top: `descriptor`, `rename`, `options`, `environment`, `location`, `object`, `open_files`, `refused`,
//! `task`; `store_error`,
//! `retry`; `local`, `walk`; `connect`; `remote` (reading); `shared`; `publish`; `client` ([`Storage`]); `hub`.

mod blocking_reader;
mod client;
mod connect;
mod descriptor;
mod digest;
mod environment;
pub(crate) mod hub;
mod local;
mod location;
mod object;
mod open_files;
mod options;
mod publish;
mod reader;
mod refused;
mod remote;
mod rename;
mod retry;
mod shared;
mod store_error;
mod task;
mod walk;

pub use client::Storage;
pub use connect::Store;
pub use connect::client::install_tls_provider;
pub(crate) use descriptor::close;
pub use environment::Environment;
pub(crate) use local::read_small;
pub use location::Location;
pub use object::ObjectInfo;
pub(crate) use object::{ListFilter, Listing};
pub use options::StorageOptions;
pub use publish::head::ManifestHead;
pub use publish::options::PublishOptions;
pub use publish::published::Published;
pub use publish::session::{Publication, Sink};
pub use publish::staged_file::StagedFile;
pub(crate) use rename::rename;
pub(crate) use retry::random_bits;
pub(crate) use shared::PublishState;
pub(crate) use store_error::write_error;
