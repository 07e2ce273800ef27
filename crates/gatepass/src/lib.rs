//! Credentials for calls to models that somebody else hosts: one crate to import.
//!
//! ```no_run
//! # async fn call() -> Result<(), Box<dyn std::error::Error>> {
//! let churn = gatepass::oauth("https://auth.example.com/oauth/token")
//!     .client("client_12345", "s3cr3t")
//!     .scope("ml")
//!     .base_url("https://models.example.com/v1")
//!     .build()?;
//! let reply = churn.post("/predict").json(&[1, 2, 3]).send().await?;
//! println!("{}", reply.error_for_status()?.text().await?);
//! # Ok(()) }
//! ```
//!
//! With a file instead of code: `gatepass::Client::from_config("gatepass.toml")?.deployment("churn")?`.
//! With an HTTP client of your own: `churn.header().await?` for each call.

/// The credential model and the method trait, for methods of your own.
pub use gatepass_core as core;

pub use gatepass_core::{AuthError, Literal, Secret, SharedSource, TransportSettings};

#[cfg(feature = "config")]
pub use gatepass_config::{
    CommandSource, Config, ConfigError, EnvSource, FileSource, environment, locate,
};

#[cfg(feature = "client")]
pub use gatepass_client::{
    Builder, Caller, Connector, Error, ErrorKind, RequestBuilder, Response, basic, bearer, custom,
    none,
};
#[cfg(all(feature = "client", feature = "config"))]
pub use gatepass_client::{Client, registry};
#[cfg(all(feature = "client", feature = "oauth"))]
pub use gatepass_client::{OAuthCall, oauth, oauth_issuer, oauth_provider};

/// OAuth 2.0 client credentials: token exchange with an expiring cache.
#[cfg(feature = "oauth")]
pub use gatepass_oauth as oauth2;

/// The README's example, compiled so that it stays true.
#[cfg(all(doctest, feature = "client", feature = "config", feature = "oauth"))]
#[doc = include_str!("../../../README.md")]
mod readme {}

/// The same for the documents that hold Rust.
#[cfg(all(doctest, feature = "client", feature = "config", feature = "oauth"))]
mod documents {
    #[doc = include_str!("../../../docs/methods.md")]
    mod methods {}
    #[doc = include_str!("../../../docs/migrating.md")]
    mod migrating {}
}
