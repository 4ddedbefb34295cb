//! Publishing: every file is written under a staging name, then all of them become visible together.
//!
//! [`commit`](session::Publication::commit) removes the old manifest, gives the files their names, writes the new
//! manifest last, and only then removes the files of the earlier mix that the new one lacks. So a manifest is always
//! true, the earlier mix is intact until its manifest is removed, and files without a manifest are not a mix.
//!
//! [`local`] publishes into a folder under a lock, [`remote`] into a bucket under a [`lease`].

mod fence;
mod folder_lock;
mod journal;
mod lease;
mod local;
pub(super) mod options;
mod records;
mod remote;
mod run;
pub(super) mod session;
pub(super) mod staged_file;
mod staging;
mod upload;
