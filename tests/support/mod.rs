//! What several test binaries share.
#![allow(dead_code, reason = "no test binary uses all of it")]

pub mod faulty_proxy;
pub mod http_server;
pub mod library;
pub mod outside;
pub mod program;
pub mod rows;
pub mod s3_server;
pub mod world;
