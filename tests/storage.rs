//! The storage module through its public functions: one suite for every backend, and faults between program and server.

#[path = "support/mod.rs"]
mod support;

#[path = "storage/backend.rs"]
mod backend;
#[path = "storage/conformance.rs"]
mod conformance;
#[path = "storage/faults.rs"]
mod faults;
#[path = "storage/hub.rs"]
mod hub;
#[path = "storage/interleavings.rs"]
mod interleavings;
#[path = "storage/network.rs"]
mod network;
#[path = "storage/requests.rs"]
mod requests;
#[path = "storage/whole_program.rs"]
mod whole_program;
#[path = "storage/whole_program_faults.rs"]
mod whole_program_faults;
