//! OAuth 2.0 client credentials (RFC 6749 s4.4): token exchange with an expiring cache.
//!
//! ```text
//!  apply ──live lease──> request                     warm: no lock, no await
//!    │ nothing usable
//!  prepare ──> slot ──> exchange ──> token endpoint  cold: one exchange for all callers
//!                └────> lease, cached until it dies
//! ```
//!
//! Guarantees: one exchange in flight for a credential; an expired token is never used; a token in
//! its last stretch is renewed in the background while callers go on; every failure has a way back.
//!
//! No public type names an HTTP client: exchanges go through [`TokenTransport`], whose reqwest
//! implementation is the default feature `reqwest`.

mod cache; // all slots of a process
mod client; // client credentials as a method
mod client_auth; // how we prove ourselves to the token endpoint
mod credential; // what is asked for, and by whom
mod decode; // the token reply
mod discovery; // the token URL of an issuer
mod encode; // the token request
mod error; // what the token endpoint did instead
mod exchange; // one request to the token endpoint
#[cfg(feature = "reqwest")]
mod factory; // the method from a definition
mod front; // the lease in use and the slot it comes from
mod grant; // what the engine runs
mod key; // what tells credentials apart
mod lifetime; // when to renew, when to stop using
mod matcher; // which answers reject a token
mod method; // the authentication method
mod observer; // what happens, told to whoever counts it
mod preset; // providers as data
mod provider_errors; // what they mean by their refusals
#[cfg(feature = "reqwest")]
mod reqwest_transport;
mod skew; // how far our clock is from a server's
mod slot; // the state of one credential
mod store; // tokens kept outside this process
mod sync; // locks and atomics that a model checker can watch
mod transport; // how requests reach the token endpoint
mod tuning; // the knobs of the engine

pub use cache::TokenCache;
pub use client::{OAuth, OAuthBuilder};
pub use client_auth::{Basic, BasicRaw, ClientAuth, Post, Public, TokenRequest, client_auth};
pub use credential::{ClientCredentials, DEFAULT_SCOPE, RESERVED_PARAMS, Scope};
pub use decode::{Granted, decode};
pub use encode::encode;
pub use error::{TokenError, TokenErrorKind};
#[cfg(feature = "reqwest")]
pub use factory::OAuthFactory;
pub use grant::{Grant, Obtained, ResolveGrant, Resolved};
pub use key::CredentialKey;
pub use lifetime::{Deadlines, deadlines};
pub use matcher::Matcher;
pub use method::{Engine, TokenMethod};
pub use observer::{Event, Observer, Rejection};
pub use preset::{PRESETS, Preset, preset};
#[cfg(feature = "reqwest")]
pub use reqwest_transport::ReqwestTransport;
pub use skew::Skew;
pub use store::{StoredToken, TokenStore};
pub use transport::{TokenReply, TokenTransport, TransportFailure};
pub use tuning::Tuning;
