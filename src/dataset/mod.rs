//! The files of a mix: one row's JSON, the writers of all cuts, the manifest.

pub mod manifest;
