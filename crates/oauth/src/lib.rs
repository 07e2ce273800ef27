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
mod client_auth; // how we prove ourselves to the token endpoint
mod credential; // what is asked for, and by whom
mod decode; // the token reply
mod encode; // the token request
mod error;
mod exchange; // one request to the token endpoint
#[cfg(feature = "reqwest")]
mod factory; // the method from a definition
mod lifetime; // when to renew, when to stop using
mod method; // the authentication method
#[cfg(feature = "reqwest")]
mod reqwest_transport;
mod skew; // how far our clock is from a server's
mod slot; // the state of one credential
mod store; // tokens kept outside this process
mod transport; // how requests reach the token endpoint // what the token endpoint did instead

pub use cache::TokenCache;
pub use client_auth::{Basic, BasicRaw, ClientAuth, Post, TokenRequest, client_auth};
pub use credential::{ClientCredentials, DEFAULT_SCOPE, Scope};
pub use decode::{Granted, decode};
pub use encode::encode;
pub use error::{TokenError, TokenErrorKind};
#[cfg(feature = "reqwest")]
pub use factory::OAuthFactory;
pub use lifetime::{Deadlines, deadlines};
pub use method::{OAuth, OAuthBuilder};
#[cfg(feature = "reqwest")]
pub use reqwest_transport::ReqwestTransport;
pub use skew::Skew;
pub use store::{StoreKey, StoredToken, TokenStore};
pub use transport::{TokenReply, TokenTransport, TransportFailure};
