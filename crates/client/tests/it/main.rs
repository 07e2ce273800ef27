//! Calls over real sockets: containment, replay, streams, time limits.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod logs;
mod redirects;
mod replay;
mod streams;
