//! The built command: its contracts, against real servers, with canaries in every secret.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod canary;
mod check;
mod command;
mod contracts;
mod demo;
mod interop;
mod recipes;
mod servers;
mod serving;
mod token_cache;
mod watching; // status, certificates, changes not taken over
mod writing;
