//! The gateway over real sockets: what callers, upstreams and strangers see.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod admin; // what the admin listener tells
mod encrypted; // TLS, towards upstreams and callers
mod forward; // what reaches the upstream, and what comes back
mod guarded; // who may not call
mod kit; // a gateway, a model and a token endpoint
mod limits; // how much at once, how long a body
mod proving; // credentials before a reload
mod raw; // bytes that are no honest request
mod running; // reload, drain, metrics, sockets
mod streams; // streaming, upgrades, broken ends
