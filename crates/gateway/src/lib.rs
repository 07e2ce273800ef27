//! A gateway that adds each deployment's credential, for clients of any language.
//!
//! ```text
//!  application ──(gateway key)──> /NAME/path ──(deployment's credential)──> deployment
//! ```
//!
//! An application points its base URL at `/NAME` and drops its keys. Each thread accepts, serves and
//! calls upstreams by itself: nothing on the way of a request is shared between threads but the
//! counters' memory and one number that says whether the configuration changed.
//!
//! What this crate does not do: read configurations or secrets (the command does), or know any method.

mod access_log; // what is written down
mod account; // what is counted
mod admin; // health, metrics, what is where
mod answer; // an answer's body on its way
mod body; // a request's body on its way
mod call; // one request to one deployment
mod clock; // what durations are measured by
mod exchanges; // token exchanges as metrics
mod forward; // the life of a request: checked, routed, called for
mod gateway; // started, reloaded, drained
mod guard; // who may speak to it
mod keys; // of callers
mod met; // what is known of a caller's connection
mod outgoing; // a request head on its way
mod problem; // errors of its own
mod prove; // credentials before a reload
mod routes; // deployments and callers
mod server; // listeners and threads
mod standing; // what all threads know of a deployment
mod strip; // headers that go no further
mod target; // how an upstream is reached
mod tick; // deadlines that cost next to nothing
mod tls; // trust and identity
mod tunnel; // connections that went over to another protocol
mod upstream; // connections to upstreams
mod wire; // HTTP/1.1 towards upstreams

pub use admin::{Credential, DeploymentReport, Failure, Report, TokenSource};
pub use exchanges::{Exchange, Exchanges};
pub use gateway::{Gateway, Keys, Options};
pub use keys::{digest, new_key};
pub use prove::NotProved;
pub use server::Listen;
