//! The token engine: against scripted endpoints over sockets, and with fake time in memory.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod discovery;
mod engine;
mod faults;
mod kit;
mod machine;
mod observed;
mod rotation;
mod sockets;
