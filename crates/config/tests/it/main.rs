//! Definitions as people write them: right ones, and the messages for wrong ones.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod bad_configs;
mod forms;
mod providers;
mod sources;
mod written;
