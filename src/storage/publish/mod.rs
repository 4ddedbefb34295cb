//! Publishing: every file is written under a staging name, then all of them become visible together.
//!
//! [`commit`](session::Publication::commit) replaces the manifest by one that says "replacing", gives the files their names, and
//! replaces that manifest by the complete one. So a complete manifest is always true, the earlier mix is intact until its manifest
//! is replaced, and files without a complete manifest are not a mix. Files that no manifest of this program names belong to somebody
//! else, and are not replaced.
//!
//! [`local`] publishes into a folder under a lock, [`remote`] into a bucket under a [`lease`].

pub(super) mod clean;
mod commit_record;
mod created_folders;
mod folder_lock;
mod found;
pub(super) mod head;
mod lease;
mod lease_record;
mod local;
pub(super) mod options;
pub(super) mod published;
mod remote;
mod run;
pub(super) mod session;
pub(super) mod staged_file;
mod staging;
mod upload;
