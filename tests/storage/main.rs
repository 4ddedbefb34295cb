//! The storage layer from outside: one conformance suite for every backend, and the faults between program and server.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test may panic, and exports nothing")]

mod backend;
mod conformance;
mod faults;
mod hub;
mod interleavings;
mod network;
mod odd_inputs;
mod odd_stores;
mod requests;
mod shim;
mod whole_program;
mod whole_program_faults;

use test_support as support;
